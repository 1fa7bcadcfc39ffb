//! A part of a log as a mail.

use crate::headers::{
    CUT_AT, DIGEST, KIND, LENGTH, LOGGING, PART, SEQUENCE, SERVER, SPOOL, STATE, VERSION, WRITTEN,
};
use crate::part::Part;
use honcho_slowlog::{Logging, State};
use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use sha2::{Digest as _, Sha256};
use std::io;
use uuid::Uuid;

/// From whom mails are, and to whom.
#[derive(Clone, Debug)]
pub struct Letterhead {
    /// What the server calls itself: letters, digits, dots and hyphens.
    pub server: String,
    /// The sender's address.
    pub from: String,
    /// The address that receives logs.
    pub to: String,
    /// What the server logs as slow, if that is known.
    pub logging: Option<Logging>,
}

/// What makes a mail the one it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) spool: Uuid,
    pub(crate) sequence: u64,
    /// From 1.
    pub(crate) part: u64,
    pub(crate) parts: u64,
    /// Microseconds since 1970.
    pub(crate) cut_at: i64,
}

pub(crate) fn written_state(state: &State) -> String {
    let time = state.time.map(|time| format!("time={time} ")).unwrap_or_default();
    // A longer name is none of a server's: 64 characters are the most.
    let database = hex::encode(&state.database[..state.database.len().min(256)]);
    format!("{time}distrusted={} database={database}", state.distrusted)
}

/// The mail, as it is handed over however often.
pub(crate) fn write(head: &Letterhead, identity: &Identity, part: Part) -> io::Result<Vec<u8>> {
    let Identity { spool, sequence, part: number, parts, cut_at } = *identity;
    let name = format!("{}-{sequence}.log.zst", head.server);
    let message_id = format!("{}.{sequence}.{number}of{parts}@{}", spool.simple(), head.server);
    let digest = hex::encode(Sha256::digest(&part.compressed));
    let state = written_state(&part.state);
    let body = MimePart::new(KIND, part.compressed).attachment(name);
    let mut message = MessageBuilder::new()
        .from(head.from.as_str())
        .to(head.to.as_str())
        .date(cut_at.div_euclid(1_000_000))
        .message_id(message_id)
        .subject(format!("slow log of {}, mail {sequence}, part {number} of {parts}", head.server))
        // Nobody answers it: no out-of-office notice, no bounce of a list.
        .header("Auto-Submitted", Raw::new("auto-generated"))
        .header(VERSION, Raw::new(WRITTEN))
        .header(SERVER, Raw::new(head.server.as_str()))
        .header(SPOOL, Raw::new(spool.simple().to_string()))
        .header(SEQUENCE, Raw::new(sequence.to_string()))
        .header(PART, Raw::new(format!("{number}/{parts}")))
        .header(CUT_AT, Raw::new(cut_at.to_string()))
        .header(DIGEST, Raw::new(digest))
        .header(LENGTH, Raw::new(part.raw.to_string()))
        .header(STATE, Raw::new(state));
    if let Some(logging) = head.logging.filter(Logging::is_known) {
        message = message.header(LOGGING, Raw::new(logging.written()));
    }
    message.body(body).write_to_vec()
}
