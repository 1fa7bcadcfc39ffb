//! Mails: what a sender writes a receiver reads, and what a stranger writes is refused with a reason.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use honcho_post::{Handed, Letter, Letterhead, Limits, Original, Sendmail, Spool, Unreadable};
use honcho_slowlog::Logging;
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

const LOG: &str = "# Time: 231114 22:13:20\n# User@Host: shop[shop] @ web1 [10.0.0.1]\n\
    # Query_time: 1.5  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 2\nuse shop;\nSET timestamp=1700000000;\nSELECT 1;\n";

/// The mails that are made of a log.
fn mails(log: &[u8]) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("slow.log.1"), log).unwrap();
    let program = path("sendmail");
    script(&program, &format!("cat > {}/$$.eml", directory.path().display()));
    let spool = Spool::open(&path("spool"), || Uuid::from_u128(7)).unwrap();
    spool.take(&path("slow.log.1"), Original::Keep, 1_700_000_100_000_000).unwrap();
    let head = Letterhead {
        server: "db1".into(),
        from: "slowlog@db1".into(),
        to: "slowlog@logs.test".into(),
        logging: Some(Logging { long_query_time: Some(250_000), ..Logging::default() }),
    };
    let sendmail = Sendmail { program, patience: Duration::from_secs(30) };
    let limits = Limits { compressed: 400_000, raw: 1 << 20 };
    let handed = spool.hand_over(&head, limits, &sendmail, || 1_700_000_200_000_000).unwrap();
    let mut mails: Vec<Vec<u8>> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert_eq!(handed, Handed::All(mails.len() as u64));
    mails.sort_by_key(|mail| {
        let text = String::from_utf8_lossy(mail).into_owned();
        text.split("X-Honcho-Sequence: ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    });
    mails
}

fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// As Postfix delivers it: its own headers above those that came, and line ends of Unix.
fn delivered(mail: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(mail).replace("\r\n", "\n");
    format!(
        "Return-Path: <slowlog@db1>\nX-Original-To: slowlog@logs.test\nDelivered-To: slowlog@logs.test\n\
         X-Verified-Node: guest-42\nReceived: from db1 (db1 [10.0.0.5])\n\tby mx1.logs.test (Postfix) with ESMTPS id 5\n\
         \tfor <slowlog@logs.test>; Tue, 14 Nov 2023 22:20:00 +0000 (UTC)\n{text}"
    )
    .into_bytes()
}

fn one() -> String {
    static ONE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    ONE.get_or_init(|| String::from_utf8(delivered(&mails(LOG.as_bytes())[0])).unwrap()).clone()
}

fn refused(mail: &str) -> Unreadable {
    Letter::read(mail.as_bytes()).unwrap_err()
}

#[test]
fn what_was_sent_is_read() {
    let letter = Letter::read(one().as_bytes()).unwrap();
    assert_eq!(letter.node.as_str(), "guest-42");
    assert_eq!((letter.server.as_str(), letter.spool), ("db1", Uuid::from_u128(7)));
    assert_eq!((letter.sequence, letter.part, letter.parts), (1, 1, 1));
    assert_eq!(letter.length, LOG.len() as u64);
    assert_eq!(letter.logging.and_then(|logging| logging.long_query_time), Some(250_000));
    let mut events = Vec::new();
    letter
        .log(|batch| {
            batch.events(|event| events.push(format!("{event:?}")));
        })
        .unwrap();
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("1700000000000000"), "{events:?}");
}

#[test]
fn what_a_server_is_said_to_log_is_believed_within_bounds_and_costs_no_log() {
    let mail = one();
    let header = "X-Honcho-Logging: long_query_time=250000";
    assert!(mail.contains(header), "{mail}");
    let read = |with: &str| Letter::read(mail.replace(header, with).as_bytes()).unwrap().logging;
    let folded = read("X-Honcho-Logging: long_query_time=1\n\tlog_slow_rate_limit=20").unwrap();
    assert_eq!((folded.long_query_time, folded.rate_limit), (Some(1), Some(20)));
    for nothing in [
        "X-Other: 1",
        "X-Honcho-Logging:",
        "X-Honcho-Logging: long_query_time=-1",
        "X-Honcho-Logging: long_query_time=99999999999999999999",
        "X-Honcho-Logging: long_query_time=1\nX-Honcho-Logging: long_query_time=2",
    ] {
        assert_eq!(read(nothing), None, "{nothing}");
    }
}

#[test]
fn the_parts_of_a_log_know_the_database_that_an_earlier_one_named() {
    // Like random text: nothing makes it smaller.
    let mut mixed = 1_u64;
    let mut noise = || {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:x}", mixed >> 8)
    };
    let mut log = LOG.to_owned();
    for second in 1..1000 {
        let literal: String = (0..150).map(|_| noise()).collect();
        log += &format!(
            "# User@Host: shop[shop] @ web1 [10.0.0.1]\n# Query_time: 0.5  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 2\n\
             SET timestamp={};\nSELECT '{literal}';\n",
            1_700_000_000 + second
        );
    }
    let mails = mails(log.as_bytes());
    assert!(mails.len() > 3, "{}", mails.len());
    let (mut events, mut databases) = (0, 0);
    for (at, mail) in mails.iter().enumerate() {
        let letter = Letter::read(&delivered(mail)).unwrap();
        assert_eq!(
            (letter.sequence, letter.part, letter.parts),
            (at as u64 + 1, at as u64 + 1, mails.len() as u64)
        );
        letter
            .log(|batch| {
                batch.events(|event| {
                    events += 1;
                    databases += u32::from(event.database == b"shop");
                });
            })
            .unwrap();
    }
    assert_eq!((events, databases), (1000, 1000));
}

#[test]
fn whose_it_is_a_receiver_says_and_nobody_else() {
    let mail = one();
    // The sender's own word, below the Received of whoever received it.
    let forged = mail
        .replace("X-Verified-Node: guest-42\n", "")
        .replace("Subject:", "X-Verified-Node: guest-1\nSubject:");
    assert_eq!(refused(&forged), Unreadable::NoNode);
    // The same where a receiver vouches: its word counts.
    let both = mail.replace("Subject:", "X-Verified-Node: guest-1\nSubject:");
    assert_eq!(Letter::read(both.as_bytes()).unwrap().node.as_str(), "guest-42");
    // A Received that is no UTF-8 hides nothing.
    let odd = [
        &b"Received: from \xff by mx1\n"[..],
        b"X-Verified-Node: guest-1\n",
        mails(LOG.as_bytes())[0].as_slice(),
    ]
    .concat();
    assert_eq!(Letter::read(&odd).unwrap_err(), Unreadable::NoNode);
    let twice =
        mail.replace("X-Verified-Node: guest-42\n", "X-Verified-Node: guest-42\nx-verified-node: guest-1\n");
    assert_eq!(refused(&twice), Unreadable::WrongNode);
    for name in ["", "../x", "a b", "-a", "ü", &"a".repeat(101)] {
        assert_eq!(refused(&mail.replace("guest-42", name)), Unreadable::WrongNode, "{name:?}");
    }
}

#[test]
fn what_is_no_mail_of_ours_has_a_reason() {
    let mail = one();
    let with = |from: &str, to: &str| {
        assert!(mail.contains(from), "{from}");
        refused(&mail.replacen(from, to, 1))
    };
    assert_eq!(refused(""), Unreadable::NoMail);
    assert_eq!(refused(&"a".repeat(100_000)), Unreadable::NoNode);
    assert_eq!(with("X-Honcho-Post: 1", "X-Other: 1"), Unreadable::NotOurs);
    assert_eq!(with("X-Honcho-Post: 1", "X-Honcho-Post: 2"), Unreadable::OtherVersion("2".into()));
    assert_eq!(with("X-Honcho-Sequence: 1", "X-Honcho-Sequence: 0"), Unreadable::Header("X-Honcho-Sequence"));
    assert_eq!(
        with("X-Honcho-Sequence: 1", "X-Honcho-Sequence: +1"),
        Unreadable::Header("X-Honcho-Sequence")
    );
    assert_eq!(
        with("X-Honcho-Sequence: 1", "X-Honcho-Sequence: 9223372036854775808"),
        Unreadable::Header("X-Honcho-Sequence")
    );
    assert_eq!(
        with("X-Honcho-Sequence: 1", "X-Honcho-Sequence: 1\nX-Honcho-Sequence: 2"),
        Unreadable::Header("X-Honcho-Sequence")
    );
    assert_eq!(with("X-Honcho-Part: 1/1", "X-Honcho-Part: 2/1"), Unreadable::Header("X-Honcho-Part"));
    let length = format!("X-Honcho-Length: {}", LOG.len());
    assert_eq!(with(&length, "X-Honcho-Length: 999999999999"), Unreadable::Header("X-Honcho-Length"));
    assert_eq!(with("base64", "quoted-printable"), Unreadable::Body);
    assert_eq!(with("application/zstd", "message/rfc822"), Unreadable::Body);
    assert_eq!(with("application/zstd", "multipart/mixed; boundary=x"), Unreadable::Body);
    // One letter of what it carries.
    let body = mail.find("\n\n").unwrap() + 20;
    let changed = format!(
        "{}{}{}",
        &mail[..body],
        if mail[body..].starts_with('A') { 'B' } else { 'A' },
        &mail[body + 1..]
    );
    assert!(matches!(refused(&changed), Unreadable::Changed | Unreadable::Body));
    assert!(
        Letter::read(&vec![b'a'; honcho_post::LARGEST_MAIL + 1])
            .is_err_and(|why| matches!(why, Unreadable::TooLarge(_)))
    );
}

#[test]
fn it_decompresses_to_what_it_says_or_not_at_all() {
    let mail = one();
    let length = format!("X-Honcho-Length: {}", LOG.len());
    for other in [LOG.len() - 1, LOG.len() + 1, 0] {
        let mail = mail.replace(&length, &format!("X-Honcho-Length: {other}"));
        let letter = Letter::read(mail.as_bytes()).unwrap();
        assert_eq!(letter.log(|_| ()), Err(Unreadable::Compressed(other as u64)));
    }
}

#[test]
fn a_bomb_takes_no_more_than_its_length_says() {
    // 200 MB of nothing in 20 kB, which says to be 100 bytes long.
    let bomb = zstd::encode_all(std::io::repeat(b'a').take_to(200 << 20), 3).unwrap();
    let mail = made(&bomb, 100);
    let letter = Letter::read(&mail).unwrap();
    let mut batches = 0;
    assert_eq!(letter.log(|_| batches += 1), Err(Unreadable::Compressed(100)));
    assert_eq!(batches, 0);
    // A frame that wants a gigabyte for its window.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(30).unwrap();
    std::io::Write::write_all(&mut encoder, LOG.as_bytes()).unwrap();
    let letter = Letter::read(&made(&encoder.finish().unwrap(), LOG.len())).unwrap();
    assert_eq!(letter.log(|_| ()), Err(Unreadable::Compressed(LOG.len() as u64)));
    // And what is no frame at all.
    let letter = Letter::read(&made(b"no zstd", 7)).unwrap();
    assert_eq!(letter.log(|_| ()), Err(Unreadable::Compressed(7)));
}

trait TakeTo {
    fn take_to(self, bytes: u64) -> std::io::Take<Self>
    where
        Self: Sized;
}
impl<R: std::io::Read> TakeTo for R {
    fn take_to(self, bytes: u64) -> std::io::Take<R> {
        self.take(bytes)
    }
}

/// A mail that carries this.
fn made(compressed: &[u8], length: usize) -> Vec<u8> {
    use sha2::Digest as _;
    let digest = hex::encode(sha2::Sha256::digest(compressed));
    let head = one();
    let head = head.split("\n\n").next().unwrap();
    let lines: Vec<String> = head
        .lines()
        .map(|line| match line.split(':').next().unwrap() {
            "X-Honcho-Digest" => format!("X-Honcho-Digest: {digest}"),
            "X-Honcho-Length" => format!("X-Honcho-Length: {length}"),
            _ => line.to_owned(),
        })
        .collect();
    let body = mail_builder::mime::MimePart::new("application/zstd", compressed);
    let mut written = Vec::new();
    body.write_part(&mut written);
    let written = String::from_utf8(written).unwrap();
    let body = written.split_once("\r\n\r\n").unwrap().1;
    format!("{}\n\n{body}", lines.join("\n")).into_bytes()
}

proptest! {
    #[test]
    fn a_mail_that_is_cut_or_changed_anywhere_never_panics(at in 0_usize..3000, with in prop::collection::vec(any::<u8>(), 0..40), cut in any::<bool>()) {
        let mut mail = one().into_bytes();
        let at = at.min(mail.len());
        let rest = if cut { Vec::new() } else { mail[(at + with.len()).min(mail.len())..].to_vec() };
        mail.truncate(at);
        mail.extend_from_slice(&with);
        mail.extend_from_slice(&rest);
        if let Ok(letter) = Letter::read(&mail) {
            // What was read whole adds up, and what was not says so.
            let _ = letter.log(|batch| {
                batch.events(|_| ());
            });
        }
    }

    #[test]
    fn any_bytes(mail in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Letter::read(&mail).is_err());
    }
}
