//! A copy of the archive in a bucket: a real apt reads it while whoever makes it is killed at each of its steps.

use crate::apt::{Apt, built, run};
use anyhow::{Context as _, Result, ensure};
use honcho_e2e::bucket::{self, Bucket, Held};
use honcho_e2e::programs::program;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// An archive, and the bucket that it is copied into.
struct Place {
    directory: tempfile::TempDir,
    bucket: Bucket,
}

impl Place {
    async fn new() -> Result<Self> {
        let place = Place { directory: tempfile::tempdir()?, bucket: Bucket::start().await? };
        run(&mut place.honcho(&["init", "--origin", "Acme", "--suite", "stable"])?)?;
        Ok(place)
    }

    fn archive(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    fn honcho(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("honcho")?);
        command.arg("archive").args(arguments).arg("--archive").arg(self.archive());
        bucket::by_right_of_its_owner(&mut command, &self.bucket);
        Ok(command)
    }

    fn add(&self, version: &str) -> Result<()> {
        let package = built(self.directory.path(), version)?;
        run(self.honcho(&["add", "--suite", "stable", "--publish"])?.arg(package)).map(drop)
    }

    fn publish(&self) -> Result<Command> {
        self.honcho(&["publish", "--json", "--to", "s3://apt/debian"])
    }

    /// What a copy that goes well came to.
    fn copied(&self) -> Result<serde_json::Value> {
        let rows: serde_json::Value = serde_json::from_str(&run(&mut self.publish()?)?)?;
        let copied = rows.as_array().and_then(|rows| rows.last()).context("a list of outcomes")?.clone();
        ensure!(copied["to"] == "s3://apt/debian/", "{rows}");
        Ok(copied)
    }

    /// What a copy that does not go well says.
    fn refused(&self, command: &mut Command) -> Result<String> {
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "it was copied: {said}");
        for secret in [bucket::SECRET, "Signature=", "Credential="] {
            ensure!(!said.contains(secret), "a secret is told: {said}");
        }
        Ok(said)
    }

    /// A copy that is killed once one of its PUTs is held up, after so many others; whether it came to that.
    fn killed(&self, after: usize, held: Held) -> Result<bool> {
        self.bucket.hold(Some((after, held)));
        let mut copying = self.publish()?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        while !self.bucket.is_held() && copying.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        copying.kill()?;
        copying.wait()?;
        let was_held = self.bucket.is_held();
        self.bucket.hold(None);
        Ok(was_held)
    }

    fn apt(&self) -> Result<Apt> {
        let keyring = self.archive().join("public/honcho-archive-keyring.gpg");
        let (keyring, url) = (keyring.display(), &self.bucket.url);
        let source = format!("deb [signed-by={keyring}] {url}/apt/debian stable main\n");
        Apt::new(self.directory.path().join("apt"), &source)
    }

    /// The newest version that apt finds, and has fetched byte for byte.
    fn newest(&self, apt: &Apt) -> Result<String> {
        apt.update()?;
        let versions = apt.run("apt-cache", &["madison", "acme-tool"])?;
        let newest = versions.lines().next().and_then(|line| line.split('|').nth(1)).context("a version")?;
        let newest = newest.trim().to_owned();
        apt.run("apt-get", &["download", "acme-tool"])?;
        let name = format!("acme-tool_{newest}_all.deb");
        let (fetched, made) = (apt.root.join(&name), self.directory.path().join(&name));
        ensure!(std::fs::read(fetched)? == std::fs::read(made)?, "{name} byte for byte");
        Ok(newest)
    }
}

/// Its place in the order in which a copy is made.
fn turn(key: &str) -> usize {
    match key.strip_prefix("debian/").unwrap_or(key) {
        ".honcho-copy.json" => 0,
        ".honcho-copy-packages.json" => 2,
        path if path.contains("/by-hash/") => 3,
        "dists/stable/Release" | "dists/stable/Release.gpg" => 5,
        "dists/stable/InRelease" => 6,
        path if path.starts_with("dists/") => 4,
        _ => 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apt_reads_a_bucket_whose_copying_is_killed_at_each_step() -> Result<()> {
    let place = Place::new().await?;
    place.add("1.0")?;
    let apt = place.apt()?;
    ensure!(place.killed(0, Held::Before)? && place.bucket.keys().is_empty(), "killed before anything");
    let whole = place.copied()?;
    ensure!(place.newest(&apt)? == "1.0", "{whole}");

    let mut count = 2;
    loop {
        let (before, version) = (format!("{}.0", count - 1), format!("{count}.0"));
        place.add(&version)?;
        let held = if count % 2 == 0 { Held::Before } else { Held::After };
        let was_held = place.killed(count - 2, held)?;
        let found = place.newest(&apt)?;
        ensure!(found == before || found == version, "{found}, between {before} and {version}");
        let copied = place.copied()?;
        let found = place.newest(&apt)?;
        ensure!(found == version, "{found}, and not {version}: {copied}");
        if !was_held {
            break;
        }
        count += 1;
    }
    ensure!(count > 10, "a copy has more steps than {count}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_kept_like_what_is_served() -> Result<()> {
    let place = Place::new().await?;
    let bucket = &place.bucket;
    place.add("1.0+b~1")?;
    let deb = "debian/pool/main/a/acme-tool/acme-tool_1.0+b~1_all.deb";

    let steps = run(place.publish()?.arg("--dry-run"))?;
    let steps: Vec<serde_json::Value> = serde_json::from_str(&steps)?;
    let would = |path: &str| steps.iter().any(|step| step["path"] == path && step["action"] == "copy");
    ensure!(
        would("pool/main/a/acme-tool/acme-tool_1.0+b~1_all.deb") && would("dists/stable/InRelease"),
        "{steps:?}"
    );
    ensure!(bucket.keys().is_empty(), "nothing is done: {:?}", bucket.keys());

    // Two requests are too fast for the server, and made again.
    bucket.refuse(2);
    let copied = place.copied()?;
    let puts = bucket.puts();
    ensure!(puts.is_sorted_by_key(|key| turn(key)), "packages first, the release last: {puts:?}");
    ensure!(puts.last().is_some_and(|key| turn(key) == 6), "{puts:?}");
    ensure!(copied["files"] == steps.len(), "{copied}");
    let kinds = |key: &str| bucket.object(key).map(|object| (object.content_type, object.cache_control));
    let kept = |kind: &str, how: &str| Some((Some(kind.to_owned()), Some(how.to_owned())));
    ensure!(kinds(deb) == kept("application/vnd.debian.binary-package", "public, max-age=86400"));
    ensure!(kinds("debian/dists/stable/InRelease") == kept("text/plain; charset=utf-8", "public, no-cache"));
    let by_hash = puts.iter().find(|key| turn(key) == 3).context("an index by its digest")?;
    ensure!(kinds(by_hash).is_some_and(|(_, how)| how.is_some_and(|how| how.contains("immutable"))));
    let apt = place.apt()?;
    ensure!(place.newest(&apt)? == "1.0+b~1");

    // What is there is not sent again; what somebody else has put there is, and what is younger here.
    ensure!(place.copied()?["files"] == 1, "the keyring alone: {:?}", bucket.puts());
    let right = bucket.object(deb).context("the package")?.content;
    bucket.set(deb, vec![0; right.len()]);
    ensure!(place.copied()?["files"] == 2);
    ensure!(bucket.object(deb).is_some_and(|object| object.content == right), "it is the archive's again");
    let here = place.archive().join("public").join(deb.trim_start_matches("debian/"));
    let touched = std::fs::metadata(&here)?.modified()? + Duration::from_secs(10);
    std::fs::File::options().write(true).open(&here)?.set_modified(touched)?;
    ensure!(place.copied()?["files"] == 2 && place.copied()?["files"] == 1);

    // What is wanted no more stays for a day.
    place.add("2.0")?;
    run(&mut place.honcho(&["remove", "acme-tool=1.0+b~1", "--suite", "stable", "--publish", "--yes"])?)?;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    run(&mut place.honcho(&["prune", "--keep", "1", "--days", "0", "--without-brain", "--yes"])?)?;
    ensure!(!here.exists(), "the archive has it no more");
    let copied = place.copied()?;
    ensure!(
        copied["deleted"] == 0 && copied["waiting"].as_u64() > Some(0) && bucket.object(deb).is_some(),
        "{copied}"
    );
    let notes = "debian/.honcho-copy.json";
    let mut noted = bucket::json(bucket, notes)?;
    for since in noted["unwanted"].as_object_mut().context("what is wanted no more")?.values_mut() {
        *since = (since.as_i64().context("a second")? - 24 * 3600).into();
    }
    bucket.set(notes, serde_json::to_vec(&noted)?);
    let copied = place.copied()?;
    ensure!(copied["deleted"].as_u64() > Some(0) && bucket.object(deb).is_none(), "{copied}");
    ensure!(place.newest(&apt)? == "2.0");

    // Who is refused is told why, and what to do.
    let said = place.refused(place.publish()?.env("AWS_SECRET_ACCESS_KEY", "another"))?;
    ensure!(
        said.contains("the server says 403 SignatureDoesNotMatch")
            && said.contains("hint: AWS_SECRET_ACCESS_KEY is not"),
        "{said}"
    );
    let said = place.refused(&mut place.honcho(&["publish", "--to", "s3://nowhere"])?)?;
    ensure!(said.contains("404 NoSuchBucket") && said.contains("hint: make the bucket first"), "{said}");
    bucket.set("pool/of-another", Vec::new());
    let said = place.refused(&mut place.honcho(&["publish", "--to", "s3://apt"])?)?;
    ensure!(said.contains("what is there is no copy of this archive"), "{said}");
    Ok(())
}
