//! `honcho archive`: what it says; and that no machine ever sees half of a publication, whoever is killed.

use crate::{honcho, run, transcript};
use expect_test::expect;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = honcho(arguments);
        command.env("HONCHO_ARCHIVE", self.root());
        command
    }

    async fn told(&self, arguments: &str) -> String {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let told = transcript(&run(self.command(&arguments), b"").await);
        told.replace(&self.directory.path().display().to_string(), "")
    }

    /// A real package.
    fn deb(&self, name: &str, version: &str) -> String {
        let tree = self.directory.path().join("tree");
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: {name}\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let path = self.directory.path().join(format!("{name}_{version}.deb"));
        let made = Command::new("dpkg-deb").arg("-b").args([&tree, &path]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        path.display().to_string()
    }

    /// Which publication is served, after looking at all that a machine would: the signature, and every index that it names.
    fn served(&self) -> Option<u64> {
        let suite = fs::canonicalize(self.root().join("public/dists/bookworm")).ok()?;
        let keyring = self.root().join("public/honcho-archive-keyring.gpg");
        let verified =
            Command::new("gpgv").arg("--keyring").arg(keyring).arg(suite.join("InRelease")).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let release = fs::read_to_string(suite.join("InRelease")).unwrap();
        let mut looked_at = 0;
        for line in release.lines().filter(|line| line.starts_with(' ')) {
            let [digest, length, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            if name.ends_with("/Packages") {
                continue;
            }
            let bytes = fs::read(suite.join(name)).unwrap();
            assert_eq!(
                (bytes.len().to_string(), hash(&bytes)),
                (length.to_owned(), digest.to_owned()),
                "{name}"
            );
            let by_hash = suite.join(name).parent().unwrap().join("by-hash/SHA256").join(digest);
            assert_eq!(hash(&fs::read(by_hash).unwrap()), digest);
            looked_at += 1;
        }
        assert_eq!(looked_at, 3);
        let index = suite.join("main/binary-amd64/Packages.zst");
        let index = zstd::decode_all(fs::read(index).unwrap().as_slice()).unwrap();
        for place in
            String::from_utf8(index).unwrap().lines().filter_map(|line| line.strip_prefix("Filename: "))
        {
            assert!(self.root().join("public").join(place).is_file(), "{place} is listed and not there");
        }
        suite.file_name()?.to_str()?.parse().ok()
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn a_directory_stands_for_the_packages_in_it() {
    let place = Place::new();
    place.told("archive init --origin Acme --suite bookworm").await;
    let one = place.deb("hello", "1");
    place.deb("hello", "2");
    let directory = std::path::Path::new(&one).parent().unwrap();
    std::fs::write(directory.join("hello.buildinfo"), "no package").unwrap();
    let shown = directory.display().to_string();
    let told = place.told(&format!("archive add {shown} --suite bookworm --publish")).await;
    assert!(told.contains("hello_1_all.deb") && told.contains("bookworm@1 is served: 2 changes"), "{told}");
    let empty = tempfile::tempdir().unwrap();
    let told = place.told(&format!("archive add {} --suite bookworm", empty.path().display())).await;
    assert!(told.contains("error: no package (.deb) lies in ") && told.contains("--- exit 2"), "{told}");
}

#[tokio::test]
async fn from_nothing_to_an_archive_and_back_to_an_earlier_one() {
    let place = Place::new();
    let nothing = place.told("archive status").await;
    assert!(
        nothing.contains("error: there is no archive in /archive: `honcho archive init` makes one"),
        "{nothing}"
    );
    place.told("archive init --origin Acme --suite bookworm --suite testing").await;
    let (one, two) = (place.deb("hello", "1"), place.deb("hello", "2"));
    let added = place.told(&format!("archive add {one} {two} --suite testing")).await;
    expect![[r"
        PACKAGE  VERSION  ARCHITECTURE  IN THE POOL
        hello    1        all           pool/main/h/hello/hello_1_all.deb  added
        hello    2        all           pool/main/h/hello/hello_2_all.deb  added
        --- stderr
        2 changes are not yet published: `honcho archive publish testing`
    "]]
    .assert_eq(&added);
    expect![[r"
        OUTCOME
        bookworm@1 is served: 1 change
        testing@1 is served: 2 changes
    "]]
    .assert_eq(&place.told("archive publish").await);
    expect![[r"
        CHANGE
        main amd64 hello added 1, 2
    "]]
    .assert_eq(&place.told("archive promote testing bookworm --dry-run hello").await);
    expect![[r"
        CHANGE
        main amd64 hello removed 1
        --- stderr
        error: not done, because nobody can be asked: make the change above in testing
        hint: --yes does it without asking; --dry-run only says what would happen
        --- exit 2
    "]]
    .assert_eq(&place.told("archive remove hello=1 --suite testing").await);
    place.told("archive remove hello --suite testing --yes --publish").await;
    expect![[r"
        CHANGE
        main amd64 hello added 1, 2
        --- stderr
        testing@3 is served: 1 change
    "]]
    .assert_eq(&place.told("archive roll-back testing@1 --yes --publish --note again").await);
    expect![[r"
        PUBLICATION  PUBLISHED  CHANGES  NOTE
        testing@1    just now         0  -
        testing@2    just now         1  -
        testing@3    just now         1  again
    "]]
    .assert_eq(&place.told("archive history testing").await);
    expect![[r"
        Types: deb
        URIs: https://apt.example.com
        Suites: testing
        Components: main
        Signed-By: /usr/share/keyrings/honcho-archive-keyring.gpg
    "]]
    .assert_eq(&place.told("archive sources testing --url https://apt.example.com/").await);
}

#[tokio::test]
async fn who_asks_no_brain_what_guests_have_is_told_so() {
    let place = Place::new();
    place.told("archive init --origin Acme --suite bookworm").await;
    for version in ["1", "2"] {
        let deb = place.deb("hello", version);
        place.told(&format!("archive add {deb} --suite bookworm --publish")).await;
    }
    place.told("archive remove hello=1 --suite bookworm --publish --yes").await;
    // What is as young as this second is not older than no days.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let told = place.told("archive prune --keep 1 --days 0 --dry-run --without-brain").await;
    let lines: Vec<&str> = told.lines().filter(|line| !line.contains("Would do this")).collect();
    expect![[r#"
        --- stderr
        no brain was asked: packages go whether guests have them installed or not. An operator's token (--token-file) lets the brain be asked
    "#]]
    .assert_eq(&(lines.join("\n") + "\n"));
    assert!(told.contains("and 1 packages that none lists any more"), "{told}");
    // A brain that does not answer removes nothing.
    let mut command = place.command(&["archive", "prune", "--keep", "1", "--days", "0", "--yes"]);
    command.env("HONCHO_TOKEN", "a-token").env("HONCHO_URL", "http://127.0.0.1:1");
    let told = transcript(&run(command, b"").await);
    assert!(told.contains("--without-brain"), "{told}");
    let pool = place.root().join("public/pool/main/h/hello");
    assert!(pool.join("hello_1_all.deb").exists());
    // Who has no token for a brain asks none.
    let mut command = place.command(&["archive", "prune", "--keep", "1", "--days", "0", "--yes"]);
    command.env_remove("HONCHO_TOKEN");
    let told = transcript(&run(command, b"").await);
    assert!(told.contains("no brain was asked"), "{told}");
    assert!(!pool.join("hello_1_all.deb").exists() && pool.join("hello_2_all.deb").exists());
}

#[tokio::test]
async fn two_that_publish_at_once_queue() {
    let place = Place::new();
    place.told("archive init --origin Acme --suite bookworm").await;
    let debs: Vec<String> = (0..6).map(|number| place.deb(&format!("p{number}"), "1")).collect();
    let publishers: Vec<_> = debs
        .iter()
        .map(|deb| {
            let mut command = place.command(&["archive", "add", deb, "--suite", "bookworm", "--publish"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut publisher in publishers {
        assert!(publisher.wait().await.unwrap().success());
    }
    assert_eq!(place.served(), Some(6));
    let listed = place.told("archive list bookworm p*").await;
    assert_eq!(listed.lines().count(), 7, "{listed}");
}

#[tokio::test]
async fn killed_at_any_moment_what_was_served_stays_whole() {
    let place = Place::new();
    place.told("archive init --origin Acme --suite bookworm").await;
    let first = place.deb("first", "1");
    place.told(&format!("archive add {first} --suite bookworm --publish")).await;
    let mut before = place.served().unwrap();
    let mut killed = 0;
    for round in 0..60_u64 {
        let deb = place.deb("often", &round.to_string());
        let mut command = place.command(&["archive", "add", &deb, "--suite", "bookworm", "--publish"]);
        let mut publisher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From the first instruction to after the last, whatever this machine's speed.
        tokio::time::sleep(Duration::from_micros(round * 1500)).await;
        publisher.start_kill().unwrap();
        killed += u32::from(!publisher.wait().await.unwrap().success());
        let now = place.served().unwrap();
        assert!(now == before || now == before + 1, "round {round}: {before} and then {now}");
        before = now;
    }
    assert!(killed > 3, "{killed} of 60 were killed");
    // Nothing of that is in the way of the next.
    let last = place.deb("last", "1");
    let told = place.told(&format!("archive add {last} --suite bookworm --publish")).await;
    assert!(told.contains("is served"), "{told}");
    assert_eq!(place.served(), Some(before + 1));
    place.told("archive prune --keep 1 --days 0 --yes --without-brain").await;
    assert_eq!(place.served(), Some(before + 1));
    assert!(!Path::new(&place.root().join("incoming")).exists());
}

/// What is to be built, without building it: a real build is among the end-to-end tests.
#[tokio::test]
async fn what_cannot_be_built_is_said_before_anything_is_done() {
    let place = Place::new();
    place.told("archive init --origin Acme --suite bookworm").await;
    let source = place.directory.path().join("hello");
    let debian = source.join("debian");
    fs::create_dir_all(debian.join("source")).unwrap();
    let shown = source.display().to_string();
    let build = format!("archive build {shown} --suite bookworm --directory {shown}.builds");
    let refused = place.told(&build).await;
    assert!(
        refused.contains(
            "error: /hello was not built\ncaused by: /hello has no debian/control: name the directory"
        ),
        "{refused}"
    );
    for (name, text) in [
        ("control", "Source: hello\n\nPackage: hello\n\nPackage: libhello1\n"),
        ("changelog", "hello (1:2.10-3) stable; urgency=medium\n"),
        ("rules", "#!/usr/bin/make -f\n"),
        ("source/format", "3.0 (quilt)\n"),
    ] {
        fs::write(debian.join(name), text).unwrap();
    }
    let refused = place.told(&build).await;
    assert!(
        refused.contains("holds no hello_2.10.orig.tar.xz") && refused.contains("--build binary"),
        "{refused}"
    );
    fs::write(place.directory.path().join("hello_2.10.orig.tar.gz"), "").unwrap();
    expect![[r"
        source hello 1:2.10-3
          packages       hello, libhello1
          would be made  full
          chroot         builder (would be made)
          added to       bookworm main
          put into       -
    "]]
    .assert_eq(&place.told(&format!("{build} --dry-run")).await);
    let json = place.told(&format!("{build} --dry-run --json --build any")).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["version"].as_str(), json["build"].as_str()), (Some("1:2.10-3"), Some("any")));
    assert_eq!(json["chroot_is_kept"].as_bool(), Some(false));
    for (more, why) in [
        ("--component contrib", "bookworm has no component contrib"),
        ("--build-options $(reboot)", "are no build options"),
        ("--no-add --output /x", "cannot be used with"),
        ("--recipe /none.toml", "cannot read the recipe /none.toml"),
    ] {
        let refused = place.told(&format!("{build} --dry-run {more}")).await;
        assert!(refused.contains(why), "{more}: {refused}");
    }
    let other = build.replace("--suite bookworm", "--suite other");
    assert!(place.told(&other).await.contains("other"));
    assert!(!place.directory.path().join("hello.builds").exists(), "nothing was done");
}

/// Into a directory that somebody else serves: what is replaced stays for whoever is reading, and nothing of another archive goes.
#[tokio::test]
async fn what_is_served_is_copied_whole() {
    let place = Place::new();
    place.told("archive init --origin Acme --suite bookworm").await;
    let (one, two) = (place.deb("hello", "1"), place.deb("hello", "2"));
    place.told(&format!("archive add {one} --suite bookworm --publish")).await;
    let copy = place.directory.path().join("copy");
    let publish = format!("archive publish --to {}", copy.display());
    let told = place.told(&format!("{publish} --dry-run")).await;
    assert!(told.contains("be copied  pool/main/h/hello/hello_1_all.deb") && !copy.exists(), "{told}");
    let told = place.told(&publish).await;
    assert!(told.contains("/copy: ") && told.contains(" files copied, 0 deleted, 0 to be"), "{told}");
    let served = place.root().join("public");
    let equal =
        |path: &str| assert_eq!(fs::read(copy.join(path)).unwrap(), fs::read(served.join(path)).unwrap());
    let paths = ["dists/bookworm/InRelease", "dists/bookworm/main/binary-amd64/Packages.gz"];
    for path in paths {
        equal(path);
    }
    equal("pool/main/h/hello/hello_1_all.deb");
    let by_hash = copy.join("dists/bookworm/main/binary-amd64/by-hash/SHA256");
    let before = fs::read_dir(&by_hash).unwrap().count();
    assert!(before >= 3);
    let told = place.told(&publish).await;
    assert!(told.contains("/copy: 1 files copied"), "the keyring alone: {told}");

    place.told("archive remove hello --suite bookworm --publish --yes").await;
    place.told(&format!("archive add {two} --suite bookworm --publish")).await;
    place.told("archive prune --keep 1 --days 0 --without-brain --yes").await;
    let told = place.told(&publish).await;
    for path in paths {
        equal(path);
    }
    assert!(told.contains("0 deleted") && fs::read_dir(&by_hash).unwrap().count() > before, "{told}");
    let notes = fs::read_to_string(copy.join(".honcho-copy.json")).unwrap();
    let is_noted = notes.contains("hello_1_all.deb");
    assert_eq!(is_noted, !served.join("pool/main/h/hello/hello_1_all.deb").exists(), "{notes}");

    let other = Place::new();
    other.told("archive init --origin Other --suite bookworm").await;
    let told = other.told(&publish).await;
    assert!(told.contains("what is there is no copy of this archive"), "{told}");
    equal("dists/bookworm/InRelease");
}

/// What a bucket needs is told before anything is published.
#[tokio::test]
async fn a_bucket_is_named_as_to_other_programs() {
    let place = Place::new();
    place.told("archive init --origin Acme --suite bookworm").await;
    let told = async |arguments: &str, environment: &[(&str, &str)]| {
        let mut command = place.command(&arguments.split(' ').collect::<Vec<_>>());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
                command.env_remove(name);
            }
        }
        transcript(
            &run(
                {
                    command.envs(environment.iter().copied());
                    command
                },
                b"",
            )
            .await,
        )
    };
    expect![[r#"
        --- stderr
        error: AWS_SECRET_ACCESS_KEY is not set, and s3://apt needs it
        hint: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say by whose right, AWS_REGION where; AWS_ENDPOINT_URL, of what is not AWS's
        --- exit 2
    "#]]
    .assert_eq(&told("archive publish --to s3://apt", &[("AWS_ACCESS_KEY_ID", "AKIA")]).await);
    let key =
        [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_ENDPOINT_URL", "nowhere")];
    expect![[r#"
        --- stderr
        error: AWS_ENDPOINT_URL leads nowhere: "nowhere" is no address (relative URL without a base)
        hint: an address as in https://s3.eu-central-1.amazonaws.com, or http://127.0.0.1:9000
        --- exit 2
    "#]]
    .assert_eq(&told("archive publish --to s3://apt", &key).await);
    let refused = told("archive publish --to gs://apt", &key).await;
    assert!(refused.contains("gs:// is neither a directory nor s3://BUCKET/PREFIX"), "{refused}");
    assert!(!place.root().join("public/dists").exists(), "nothing was published");
}
