//! `honcho-guest ship` as a process: killed at any moment, run twice at once, on a full disk; and what it says.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use expect_test::expect;
use honcho_post::{Letter, Logging};
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let world = World { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(world.path("out")).unwrap();
        // As a mail daemon does it: whole, or not at all.
        world.sendmail("cat > \"$OUT/.$$\" && mv \"$OUT/.$$\" \"$OUT/$$.eml\"");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sendmail(&self, body: &str) {
        self.script("sendmail", body);
    }

    fn script(&self, name: &str, body: &str) {
        let program = self.path(name);
        let text = format!("#!/bin/sh\nOUT={}\n{body}\n", self.path("out").display());
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_honcho-guest"));
        command.current_dir(self.directory.path()).arg("ship").args(arguments);
        command.env("HONCHO_POST_TO", "slowlog@logs.test").env("HONCHO_POST_SERVER", "db1");
        command
            .env("HONCHO_POST_SPOOL", self.path("spool"))
            .env("HONCHO_POST_SENDMAIL", self.path("sendmail"));
        command.env("HONCHO_POST_MAIL_SIZE", "500000").env("HONCHO_POST_CLIENT", "none");
        command
    }

    /// What it said, and how it ended.
    fn run(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let said = [stdout, stderr].concat();
        let said =
            String::from_utf8(said).unwrap().replace(&self.directory.path().display().to_string(), "DIR");
        format!("{said}[{}]\n", status.code().unwrap())
    }

    /// What came out, by number.
    fn letters(&self) -> BTreeMap<u64, Letter> {
        let paths = std::fs::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let mails = paths.filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
        let letters = mails.map(|path| {
            Letter::read(&[b"X-Verified-Node: n\n", &std::fs::read(path).unwrap()[..]].concat()).unwrap()
        });
        letters.map(|letter| (letter.sequence, letter)).collect()
    }

    /// The logs that came out, each once, by the numbers of their mails; a number that came twice came byte for byte.
    fn arrived(&self) -> Vec<u8> {
        let mut mails = BTreeMap::<u64, Vec<u8>>::new();
        for entry in std::fs::read_dir(self.path("out")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "eml") {
                continue;
            }
            let sent = std::fs::read(path).unwrap();
            let stamped = [b"X-Verified-Node: n\n", &sent[..]].concat();
            let letter = Letter::read(&stamped).unwrap();
            let before = mails.insert(letter.sequence, sent.clone());
            assert!(before.is_none_or(|before| before == sent), "mail {} was made twice", letter.sequence);
        }
        let sequences: Vec<u64> = mails.keys().copied().collect();
        assert_eq!(sequences, (1..=mails.len() as u64).collect::<Vec<_>>(), "no number is left out");
        mails.values().flat_map(|mail| decompressed(mail)).collect()
    }
}

fn decompressed(mail: &[u8]) -> Vec<u8> {
    let message = mail_parser::MessageParser::default().parse(mail).unwrap();
    let mail_parser::PartType::Binary(body) = &message.parts[0].body else { panic!("no body") };
    zstd::decode_all(&body[..]).unwrap()
}

/// A log of so many events that no zstd makes much smaller.
fn log(number: usize, events: usize) -> String {
    let mut mixed = number as u64 + 1;
    let mut noise = || {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:x}", mixed >> 8)
    };
    let event = |at: usize| {
        let literal: String = (0..20).map(|_| noise()).collect();
        let second = 1_700_000_000 + number * 1000 + at;
        format!(
            "# User@Host: a[a] @ b []\n# Query_time: 1.0  Lock_time: 0.0\nSET timestamp={second};\nSELECT '{literal}';\n"
        )
    };
    (0..events).map(event).collect()
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_makes_nothing_twice() {
    let seed: u64 =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let world = World::new();
    // How long a run takes that nobody kills: on a quick machine it is over before a fixed time is.
    let first = log(25, 40);
    std::fs::write(world.path("slow.log.1"), &first).unwrap();
    let begun = std::time::Instant::now();
    assert!(world.run(&["slow.log.1"]).ends_with("[0]\n"));
    let whole = begun.elapsed();
    let (mut expected, mut kills) = (first.into_bytes(), 0);
    for number in 0..25 {
        let log = log(number, if number % 5 == 0 { 4000 } else { 40 });
        expected.extend_from_slice(log.as_bytes());
        std::fs::write(world.path("slow.log.1"), log).unwrap();
        for _ in 0..8 {
            let mut command = world.command(&["slow.log.1"]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // More of the short ones: of the eight, those that find the log known are over in no time.
            let share: f64 = random.random_range(0.0..1.0);
            std::thread::sleep(whole.mul_f64(1.5 * share.powi(3)));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            child.wait().unwrap();
        }
        // The one before the next rotation is let be: else the file would go before it was ever taken.
        assert!(world.run(&["slow.log.1"]).ends_with("[0]\n"));
    }
    assert!(kills > 50, "{kills} of 200 runs were still at it when they were killed");
    // What was killed may have left a mail daemon that still reads.
    std::thread::sleep(Duration::from_millis(200));
    assert!(world.arrived() == expected, "what arrived differs from what was rotated");
    assert!(world.run(&["--status"]).contains("nothing waits"));
}

#[test]
fn the_server_is_asked_what_it_logs_and_an_answer_that_does_not_come_keeps_no_log() {
    let world = World::new();
    let mut number = 0;
    // What it is asked with, what it says; what comes of that.
    let mut ship = |body: &str, arguments: &[&str]| {
        number += 1;
        let file = format!("slow.log.{number}");
        std::fs::write(world.path(&file), log(number, 3)).unwrap();
        world.script("client", &format!("printf '%s\\n' \"$@\" > $OUT/asked\n{body}"));
        let client: &[&str] = if arguments.contains(&"--client") { &[] } else { &["--client", "./client"] };
        let said = world.run(&[client, arguments, &[file.as_str()]].concat());
        assert!(said.contains("1 mail handed over, nothing waits") && said.ends_with("[0]\n"), "{said}");
        let logging = world.letters().pop_last().unwrap().1.logging;
        (logging, said)
    };
    let answer = "printf 'log_queries_not_using_indexes\\tON\\nlong_query_time\\t0.500000\\n'";
    let (logging, said) = ship(answer, &["--defaults-file", "/etc/mysql/debian.cnf"]);
    let known =
        Logging { long_query_time: Some(500_000), queries_not_using_indexes: Some(true), rate_limit: None };
    assert_eq!(logging, Some(known), "{said}");
    let asked = std::fs::read_to_string(world.path("out/asked")).unwrap();
    assert!(asked.starts_with("--defaults-file=/etc/mysql/debian.cnf\n--protocol=socket\n"), "{asked}");
    let (logging, said) = ship("echo 'ERROR 2002 (HY000): no server' >&2; exit 1", &[]);
    assert_eq!(logging, None);
    let told = "what the server logs as slow is not known: ./client: ERROR 2002 (HY000): no server; the log goes all the same";
    assert!(said.contains(told), "{said}");
    let (logging, said) = ship("exec yes nonsense", &[]);
    assert!(logging.is_none() && said.contains("./client: nonsens"), "{said}");
    let begun = std::time::Instant::now();
    let (logging, said) = ship("sleep 60", &[]);
    assert!(logging.is_none() && said.contains("did not end within 5 s"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let (logging, said) = ship("exit 1", &["--client", "none"]);
    assert!(logging.is_none() && !said.contains("not known"), "{said}");
    let (logging, said) = ship("exit 1", &["--client", "/nonexistent/mariadb"]);
    assert!(logging.is_none() && said.contains("there is no /nonexistent/mariadb"), "{said}");
}

#[test]
fn two_at_once_take_everything_once() {
    let world = World::new();
    let mut expected = Vec::new();
    for number in 0..6 {
        let log = log(number, 30);
        expected.push(log.clone());
        std::fs::write(world.path(&format!("slow.log.{number}")), log).unwrap();
    }
    let files: Vec<String> = (0..6).map(|number| format!("slow.log.{number}")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut children: Vec<_> =
        (0..4).map(|_| world.command(&files).stdout(Stdio::null()).spawn().unwrap()).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    world.run(&[]);
    assert_eq!(world.arrived(), expected.concat().into_bytes());
}

/// A filesystem of its own, which can be full.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, kilobytes: u32) -> Small {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={kilobytes}k");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "honcho-test"]).arg(at).status();
        assert!(mounted.unwrap().success(), "the tests need root");
        Small(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A tmpfs that cannot be unmounted would be seen by the directory's removal.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Leaves so many bytes of a filesystem free.
fn fill(ballast: &Path, free: u64) {
    let mut file = std::fs::File::create(ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length - free).unwrap();
}

#[test]
fn on_a_full_disk_nothing_is_lost() {
    let world = World::new();
    let _small = Small::mount(&world.path("spool"), 4000);
    let (first, second) = (log(1, 5000), log(2, 400));
    std::fs::write(world.path("one"), &first).unwrap();
    std::fs::write(world.path("two"), &second).unwrap();
    // While mail does not go, the spool fills; what does not fit stays where it is.
    world.sendmail("cat > /dev/null; exit 75");
    assert!(world.run(&["one"]).ends_with("[75]\n"));
    fill(&world.path("spool/ballast"), 100_000);
    let said = world.run(&["two", "--remove"]);
    assert!(
        said.contains("left where it is") && said.contains("No space left") && said.ends_with("[1]\n"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(world.path("two")).unwrap(), second);
    // Once it goes, what went makes room.
    world.sendmail("cat > \"$OUT/.$$\" && mv \"$OUT/.$$\" \"$OUT/$$.eml\"");
    let said = world.run(&["two", "--remove"]);
    assert!(said.ends_with("[0]\n"), "{said}");
    assert!(!world.path("two").exists());
    assert!(world.arrived() == [first, second].concat().into_bytes());
}

#[test]
fn what_it_says() {
    let world = World::new();
    std::fs::write(world.path("slow.log.1"), log(1, 10)).unwrap();
    std::fs::write(world.path("empty"), "").unwrap();
    expect![[r"
        nothing was ever taken: there is no spool yet
        [0]
    "]]
    .assert_eq(&world.run(&["--status"]));
    expect![[r"
        slow.log.1: 3.7 kB would be taken, and go in 1 mail of 2.1 kB together
        empty: is empty
        [0]
    "]]
    .assert_eq(&world.run(&["--dry-run", "slow.log.1", "empty"]));
    assert!(!world.path("spool").exists(), "--dry-run changes nothing");
    world.sendmail("cat > /dev/null; exit 75");
    expect![[r"
        slow.log.1: 3.7 kB taken
        honcho-guest: 0 mails handed over; the next one was not taken: DIR/sendmail ended with 75: not now: its queue is full, or the mail is larger than it takes (EX_TEMPFAIL)
        honcho-guest: it waits in the spool and goes the next time: `honcho-guest ship --status` tells what waits
        [75]
    "]]
    .assert_eq(&world.run(&["slow.log.1"]));
    let status = world.run(&["--status"]);
    assert!(status.contains("waiting for 0 s: 1 mail (") && status.contains("0 uncut logs"), "{status}");
    let status: serde_json::Value = {
        let output = world.command(&["--status", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!((&status["mails"], &status["next"]), (&1.into(), &2.into()));
    assert!(
        status["since"].as_i64().unwrap() > 1_700_000_000_000_000 && status["last"]["refused"].is_string()
    );
    world.sendmail("cat > \"$OUT/$$.eml\"");
    expect![[r"
        slow.log.1: was taken before, 0 s ago
        honcho-guest: not taken: looking at none: No such file or directory (os error 2)
        1 mail handed over, nothing waits
        [1]
    "]]
    .assert_eq(&in_order(&world.run(&["slow.log.1", "none"])));
    let refused = world.run(&["--to=-oQ/tmp@x", "slow.log.1"]);
    assert!(refused.contains("must be an address of mail") && refused.ends_with("[2]\n"), "{refused}");
}

/// Standard output was read before standard error: as a terminal would have shown it.
fn in_order(said: &str) -> String {
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_by_key(|line| match line {
        line if line.contains("taken") => 0,
        line if line.contains("handed") => 1,
        _ => 2,
    });
    lines.join("\n") + "\n"
}
