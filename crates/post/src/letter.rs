//! A mail of a stranger, read. Whatever is wrong with it is a reason, and never a panic, a stop, or a gigabyte.
//!
//! Postfix puts its own headers above those that came: what stands above the topmost `Received` is the receiver's word, and
//! all else is the sender's. So the node's name counts there alone.

use crate::headers::{
    CUT_AT, DIGEST, KIND, LENGTH, LOGGING, LONGEST_LOG, NODE, PART, SEQUENCE, SERVER, SPOOL, STATE, VERSION,
    WRITTEN,
};
use honcho_slowlog::{Batch, Ending, Log, Logging, State};
use mail_parser::{Encoding, HeaderName, Message, MessageParser, MimeHeaders as _, PartType};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};
use uuid::Uuid;

/// No mail of ours is larger.
pub const LARGEST_MAIL: usize = 64 << 20;
/// No header block of ours is longer.
const LONGEST_HEAD: usize = 64 << 10;
/// No spool sends more mails, in thousands of years.
const HIGHEST: u64 = 1 << 40;
/// How much memory a frame may ask for to be decompressed, as a power of two.
const WINDOW: u32 = 25;
/// How much is decompressed at a time.
const PIECE: usize = 512 << 10;

/// The name that a receiver knows a sender's certificate by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// Letters, digits, dots, hyphens and underscores; at most 100.
    pub fn new(text: &str) -> Option<NodeName> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (starts && text.len() <= 100 && text.bytes().all(good)).then(|| NodeName(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a mail is none that can be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is too large.
    #[error("the mail has {0} bytes, and no mail of ours has more than {LARGEST_MAIL}")]
    TooLarge(u64),
    /// It is no mail.
    #[error("this is no mail")]
    NoMail,
    /// No receiver vouches for the sender.
    #[error(
        "no X-Verified-Node stands above the topmost Received: no receiver saw a certificate that it knows"
    )]
    NoNode,
    /// More than one, or none that could be one.
    #[error(
        "X-Verified-Node above the topmost Received is not one name of letters, digits, dots and hyphens"
    )]
    WrongNode,
    /// It carries no log.
    #[error("the mail carries no slow log of Honcho's: it has no {VERSION}")]
    NotOurs,
    /// It is of a kind that this program does not know.
    #[error("the mail is written in version {0} of {VERSION}, and this program reads {WRITTEN}")]
    OtherVersion(String),
    /// Something in it is wrong.
    #[error("{0} is missing, there twice, or not as Honcho writes it")]
    Header(&'static str),
    /// Its body is not one part in base64.
    #[error("the body is not one part of {KIND} in base64")]
    Body,
    /// What it carries is not what was sent.
    #[error("what the mail carries was changed on its way: its SHA-256 is another")]
    Changed,
    /// It does not decompress to what it says.
    #[error("what the mail carries does not decompress to the {0} bytes that it says")]
    Compressed(u64),
}

/// A mail with a part of a slow log in it.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Whose it is, by the receiver's word.
    pub node: NodeName,
    /// What the server calls itself.
    pub server: String,
    /// The sender's spool.
    pub spool: Uuid,
    /// Which mail of that spool it is.
    pub sequence: u64,
    /// Which part of its log, from 1.
    pub part: u64,
    /// Of how many.
    pub parts: u64,
    /// When the log was cut, by the sender's clock, in microseconds since 1970.
    pub cut_at: i64,
    /// SHA-256 of what it carries.
    pub digest: [u8; 32],
    /// Bytes of log.
    pub length: u64,
    /// What the server logs as slow, if the sender could ask it.
    pub logging: Option<Logging>,
    state: State,
    compressed: Vec<u8>,
}

impl Letter {
    /// Reads a mail as it lies in a Maildir.
    pub fn read(mail: &[u8]) -> Result<Letter, Unreadable> {
        if mail.len() > LARGEST_MAIL {
            return Err(Unreadable::TooLarge(mail.len() as u64));
        }
        // Only the headers, before anything that stands in the body is looked at.
        let head = head_of(mail);
        let parser = MessageParser::new().with_mime_headers();
        let message = parser.parse_headers(head).ok_or(Unreadable::NoMail)?;
        let head = Head { text: head, message: &message };
        let node = head.node()?;
        match head.one(VERSION) {
            Err(_) => return Err(Unreadable::NotOurs),
            Ok(WRITTEN) => {}
            Ok(other) => return Err(Unreadable::OtherVersion(other.chars().take(20).collect())),
        }
        let (part, parts) = head.part()?;
        let server = head.one(SERVER)?;
        let letter = Letter {
            node,
            server: NodeName::new(server).ok_or(Unreadable::Header(SERVER))?.0,
            spool: Uuid::try_parse(head.one(SPOOL)?).map_err(|_| Unreadable::Header(SPOOL))?,
            sequence: head.number(SEQUENCE)?,
            part,
            parts,
            cut_at: i64::try_from(head.number(CUT_AT)?).map_err(|_| Unreadable::Header(CUT_AT))?,
            digest: head.digest()?,
            length: head.number(LENGTH)?,
            // No log is lost for it: what is not as Honcho writes it says nothing.
            logging: head.one(LOGGING).ok().and_then(Logging::read),
            state: head.state()?,
            compressed: body(mail, &message)?,
        };
        if letter.sequence == 0 || letter.sequence > HIGHEST {
            return Err(Unreadable::Header(SEQUENCE));
        }
        if letter.length > LONGEST_LOG {
            return Err(Unreadable::Header(LENGTH));
        }
        let digest: [u8; 32] = Sha256::digest(&letter.compressed).into();
        if digest == letter.digest { Ok(letter) } else { Err(Unreadable::Changed) }
    }

    /// Reads the log, a batch of events at a time, in bounded memory.
    pub fn log(&self, mut each: impl FnMut(&Batch)) -> Result<(), Unreadable> {
        let wrong = |_: io::Error| Unreadable::Compressed(self.length);
        let mut decoder = zstd::Decoder::with_buffer(&self.compressed[..]).map_err(wrong)?.single_frame();
        decoder.window_log_max(WINDOW).map_err(wrong)?;
        // One byte more than it may have, so that more is seen.
        let mut source = decoder.take(self.length + 1);
        let mut log = Log::resuming(&self.state);
        let mut batch = Batch::default();
        let mut length = 0;
        loop {
            let came = log.read_from(&mut source, PIECE).map_err(wrong)?;
            length += came as u64;
            if length > self.length || (came == 0 && length < self.length) {
                return Err(Unreadable::Compressed(self.length));
            }
            batch = match came {
                0 if self.part < self.parts => log.take_before_another(batch),
                0 => log.take(Ending::Last, batch),
                _ => log.take(Ending::More, batch),
            };
            if !batch.is_empty() {
                each(&batch);
            }
            if came == 0 {
                return Ok(());
            }
        }
    }
}

/// The header block, or as much of it as may be one.
fn head_of(mail: &[u8]) -> &[u8] {
    let mail = &mail[..mail.len().min(LONGEST_HEAD)];
    let ends = [&b"\n\n"[..], b"\n\r\n"].map(|end| mail.windows(end.len()).position(|bytes| bytes == end));
    match ends.into_iter().flatten().min() {
        Some(end) => &mail[..=end],
        None => mail,
    }
}

struct Head<'mail> {
    text: &'mail [u8],
    message: &'mail Message<'mail>,
}

impl<'mail> Head<'mail> {
    /// Name and value of every header, in order, whatever bytes they have.
    fn all(&self) -> impl Iterator<Item = (&'mail [u8], &'mail [u8])> + use<'mail> {
        let text = self.text;
        self.message.parts.iter().take(1).flat_map(|part| &part.headers).filter_map(move |header| {
            let name = text.get(header.offset_field as usize..header.offset_start as usize)?;
            let value = text.get(header.offset_start as usize..header.offset_end as usize)?;
            let name = name.trim_ascii();
            Some((name.strip_suffix(b":").unwrap_or(name).trim_ascii_end(), value.trim_ascii()))
        })
    }

    fn node(&self) -> Result<NodeName, Unreadable> {
        let is = |(name, _): &(&[u8], &[u8]), wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let mut above =
            self.all().take_while(|header| !is(header, "Received")).filter(|header| is(header, NODE));
        match (above.next(), above.next()) {
            (None, _) => Err(Unreadable::NoNode),
            (Some((_, name)), None) => {
                std::str::from_utf8(name).ok().and_then(NodeName::new).ok_or(Unreadable::WrongNode)
            }
            _ => Err(Unreadable::WrongNode),
        }
    }

    /// The value of a header that is there once.
    fn one(&self, wanted: &'static str) -> Result<&'mail str, Unreadable> {
        let mut found = self.all().filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => std::str::from_utf8(value).map_err(|_| Unreadable::Header(wanted)),
            _ => Err(Unreadable::Header(wanted)),
        }
    }

    fn number(&self, wanted: &'static str) -> Result<u64, Unreadable> {
        number(self.one(wanted)?).ok_or(Unreadable::Header(wanted))
    }

    fn part(&self) -> Result<(u64, u64), Unreadable> {
        let (part, parts) = self.one(PART)?.split_once('/').ok_or(Unreadable::Header(PART))?;
        match (number(part), number(parts)) {
            (Some(part), Some(parts)) if part >= 1 && part <= parts && parts <= 1_000_000 => {
                Ok((part, parts))
            }
            _ => Err(Unreadable::Header(PART)),
        }
    }

    fn digest(&self) -> Result<[u8; 32], Unreadable> {
        let mut digest = [0; 32];
        hex::decode_to_slice(self.one(DIGEST)?, &mut digest).map_err(|_| Unreadable::Header(DIGEST))?;
        Ok(digest)
    }

    fn state(&self) -> Result<State, Unreadable> {
        let wrong = Unreadable::Header(STATE);
        let mut state = State::default();
        for word in self.one(STATE)?.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(|| wrong.clone())?;
            match name {
                "time" => {
                    let time = number(value).and_then(|time| i64::try_from(time).ok());
                    state.time = Some(time.ok_or_else(|| wrong.clone())?);
                }
                "distrusted" => state.distrusted = number(value).ok_or_else(|| wrong.clone())?,
                "database" => state.database = hex::decode(value).map_err(|_| wrong.clone())?,
                _ => return Err(wrong),
            }
        }
        Ok(state)
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The bytes of the one part there is.
fn body(mail: &[u8], head: &Message<'_>) -> Result<Vec<u8>, Unreadable> {
    // A kind with parts of its own is not even looked into.
    let headers = head.parts.first().ok_or(Unreadable::NoMail)?;
    let kind = headers.content_type().map(|kind| (kind.ctype(), kind.subtype()));
    let one = headers.headers.iter().filter(|header| header.name == HeaderName::ContentType).count() == 1;
    if kind != Some(("application", Some("zstd"))) || !one {
        return Err(Unreadable::Body);
    }
    let message = MessageParser::new().with_mime_headers().parse(mail).ok_or(Unreadable::NoMail)?;
    let [part] = &message.parts[..] else { return Err(Unreadable::Body) };
    match &part.body {
        PartType::Binary(bytes) if part.encoding == Encoding::Base64 && !part.is_encoding_problem => {
            Ok(bytes.to_vec())
        }
        _ => Err(Unreadable::Body),
    }
}
