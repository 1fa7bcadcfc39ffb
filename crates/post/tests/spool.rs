//! A spool: what is taken is sent once, in order, with numbers that never come again.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use honcho_post::{Answer, Handed, Letterhead, Limits, Original, Sendmail, Spool, Taken};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("out")).unwrap();
        let world = World { directory };
        world.sendmail("cat > \"$OUT/$$.eml\"");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the mail daemon does with a mail.
    fn sendmail(&self, body: &str) {
        let program = self.path("sendmail");
        std::fs::write(&program, format!("#!/bin/sh\nOUT={}\n{body}\n", self.path("out").display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn spool(&self) -> Spool {
        Spool::open(&self.path("spool"), Uuid::new_v4).unwrap()
    }

    fn log(&self, name: &str, events: std::ops::Range<u32>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, log(events)).unwrap();
        path
    }

    fn hand_over(&self, now: i64) -> Handed {
        let head =
            Letterhead { server: "db1".into(), from: "a@db1".into(), to: "b@logs".into(), logging: None };
        let sendmail = Sendmail { program: self.path("sendmail"), patience: Duration::from_secs(30) };
        self.spool().hand_over(&head, Limits::of_mail(1_000_000), &sendmail, || now).unwrap()
    }

    /// The sequence numbers of the mails that came out.
    fn sequences(&self) -> Vec<u64> {
        let mut all: Vec<u64> = mails(&self.path("out")).iter().map(|mail| number(mail)).collect();
        all.sort_unstable();
        all
    }
}

fn mails(directory: &Path) -> Vec<String> {
    let read = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path()).unwrap();
    std::fs::read_dir(directory).unwrap().map(|entry| read(entry.unwrap())).collect()
}

fn number(mail: &str) -> u64 {
    let line = mail.lines().find_map(|line| line.strip_prefix("X-Honcho-Sequence: ")).unwrap();
    line.trim().parse().unwrap()
}

fn log(events: std::ops::Range<u32>) -> String {
    let event = |second: u32| {
        format!(
            "# User@Host: a[a] @ b []\n# Query_time: 1.0  Lock_time: 0.0\nSET timestamp=17000{second:05};\nSELECT {second};\n"
        )
    };
    events.map(event).collect()
}

#[test]
fn the_same_file_is_taken_once_under_whatever_name() {
    let world = World::new();
    let path = world.log("slow.log.1", 0..10);
    let length = std::fs::metadata(&path).unwrap().len();
    assert_eq!(world.spool().would_take(&path, 1).unwrap(), Taken::Bytes(length));
    assert_eq!(world.spool().take(&path, Original::Keep, 1).unwrap(), Taken::Bytes(length));
    assert_eq!(world.spool().take(&path, Original::Keep, 2).unwrap(), Taken::Known(1));
    // As logrotate renames it, and as somebody copies it.
    let renamed = world.path("slow.log.2");
    std::fs::rename(&path, &renamed).unwrap();
    assert_eq!(world.spool().take(&renamed, Original::Keep, 3).unwrap(), Taken::Known(1));
    std::fs::copy(&renamed, &path).unwrap();
    assert_eq!(world.spool().would_take(&path, 4).unwrap(), Taken::Known(1));
    assert_eq!(world.spool().take(&path, Original::Keep, 4).unwrap(), Taken::Known(1));
    // Also after it has gone.
    assert_eq!(world.hand_over(5), Handed::All(1));
    assert_eq!(world.spool().take(&path, Original::Remove, 6).unwrap(), Taken::Known(1));
    assert!(!path.exists() && renamed.exists());
    assert_eq!((world.hand_over(7), world.sequences()), (Handed::All(0), vec![1]));
}

#[test]
fn of_a_file_that_has_grown_the_rest_is_taken() {
    let world = World::new();
    let path = world.log("slow.log.1", 0..10);
    let before = std::fs::metadata(&path).unwrap().len();
    world.spool().take(&path, Original::Keep, 1).unwrap();
    // In the same file, as a server does that was not told of the rotation yet.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, log(10..15).as_bytes()).unwrap();
    let after = std::fs::metadata(&path).unwrap().len();
    assert_eq!(world.spool().take(&path, Original::Keep, 2).unwrap(), Taken::Bytes(after - before));
    assert_eq!(world.spool().take(&path, Original::Keep, 3).unwrap(), Taken::Known(2));
    // Another log in the place of that one is another log.
    std::fs::write(&path, log(20..60)).unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    assert_eq!(world.spool().take(&path, Original::Keep, 4).unwrap(), Taken::Bytes(length));
    assert_eq!((world.hand_over(5), world.sequences()), (Handed::All(3), vec![1, 2, 3]));
}

#[test]
fn what_is_not_taken_by_the_mail_daemon_waits_and_goes_as_it_was() {
    let world = World::new();
    world.spool().take(&world.log("slow.log.1", 0..10), Original::Keep, 1).unwrap();
    world.sendmail("cat > \"$OUT/$$.eml\"; exit 75");
    let Handed::Waiting(0, why) = world.hand_over(10) else { panic!("it was not taken") };
    assert!(why.contains("75") && why.contains("EX_TEMPFAIL"), "{why}");
    let status = world.spool().status().unwrap();
    assert_eq!((status.mails, status.logs, status.since), (1, 0, Some(1)));
    assert_eq!(status.last.unwrap().refused, Some(why));
    // A later log waits behind it.
    world.spool().take(&world.log("slow.log.1", 10..20), Original::Keep, 20).unwrap();
    for (body, word) in [
        ("exit 69", "EX_UNAVAILABLE"),
        ("exit 1", "did not take"),
        ("kill -9 $$", "was killed"),
        ("cat > /dev/null; exit 67", "EX_NOUSER"),
    ] {
        world.sendmail(body);
        let Handed::Waiting(0, why) = world.hand_over(30) else { panic!("{body}") };
        assert!(why.contains(word), "{why}");
    }
    std::fs::remove_file(world.path("sendmail")).unwrap();
    assert!(matches!(world.hand_over(40), Handed::Waiting(0, why) if why.contains("cannot be run")));
    world.sendmail("cat > \"$OUT/$$.eml\"");
    assert_eq!(world.hand_over(50), Handed::All(2));
    let mut all = mails(&world.path("out"));
    all.sort_by_key(|mail| number(mail));
    assert_eq!(all.iter().map(|mail| number(mail)).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(all[0], all[1], "byte for byte");
    let status = world.spool().status().unwrap();
    assert_eq!((status.mails, status.logs, status.since, status.next), (0, 0, None, 3));
}

#[test]
fn a_mail_daemon_that_hangs_is_not_waited_for_and_takes_nobody_with_it() {
    let world = World::new();
    let path = world.log("slow.log.1", 0..10);
    world.spool().take(&path, Original::Keep, 1).unwrap();
    world.sendmail("sleep 100");
    let mail = world.log("mail", 0..1);
    let sendmail = Sendmail { program: world.path("sendmail"), patience: Duration::from_millis(200) };
    let Answer::None(why) = sendmail.hand_over(&mail, "a", "b").unwrap() else { panic!() };
    assert!(why.contains("did not end"), "{why}");
    // While one hangs in it, another takes a log, and leaves the sending to the first.
    world.sendmail("while [ -e \"$OUT/wait\" ]; do sleep 0.01; done; cat > \"$OUT/$$.eml\"");
    std::fs::write(world.path("out/wait"), "").unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.hand_over(2));
        let second = world.log("slow.log.2", 10..20);
        while world.spool().status().unwrap().mails == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(matches!(world.spool().take(&second, Original::Keep, 3), Ok(Taken::Bytes(_))));
        assert_eq!(world.hand_over(4), Handed::Busy);
        std::fs::remove_file(world.path("out/wait")).unwrap();
        assert_eq!(first.join().unwrap(), Handed::All(2));
    });
    assert_eq!(world.sequences(), [1, 2]);
}

#[test]
fn nothing_and_what_is_no_file() {
    let world = World::new();
    let empty = world.path("empty");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(world.spool().take(&empty, Original::Keep, 1).unwrap(), Taken::Empty);
    assert!(world.spool().take(&world.path("out"), Original::Keep, 1).is_err());
    assert!(world.spool().take(&world.path("none"), Original::Keep, 1).is_err());
    assert_eq!(world.hand_over(2), Handed::All(0));
    let id = world.spool().id();
    assert_eq!(world.spool().id(), id, "made once");
    let mode = std::fs::metadata(world.path("spool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "logs hold what customers ask");
}
