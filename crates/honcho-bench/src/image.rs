//! `honcho bench image`: unpacking an image as an agent does, beside `tar -I zstd -x` of the same file in the same run.

use crate::figures::{Spread, note, table};
use crate::load::Load;
use anyhow::{Context as _, Result, ensure};
use honcho_images::partial::Partial;
use honcho_images::unpack::{Expected, filesystem_size, unpack};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is aimed at: so many times what tar takes.
const MOST_RATIO: f64 = 1.3;

const AFTER_HELP: &str = "\
Takes turns: the image becomes a filesystem in a file, as on a host (checked by its digest, without mounting anything); then a fresh \
ext4 of the same size is made and mounted, and tar unpacks the same file into it. Both count until all of it is on the disk; making \
tar's filesystem and mounting it do not count. Needs root, for mounting.

Examples:
  honcho bench image debian-12-4f2c0d9be1aa.tar.zst
  honcho bench image debian-12-4f2c0d9be1aa.tar.zst --rounds 9 --directory /srv/pool";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ImageArguments {
    /// An image (tar.zst), as `honcho image build --keep` leaves one
    tarball: PathBuf,

    /// How often each unpacks it, after a first time that does not count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Where it is unpacked to, and removed again
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    directory: PathBuf,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct ImageFigures {
    compressed_bytes: u64,
    unpacked_bytes: u64,
    load_before: Load,
    load_after: Load,
    honcho: Spread,
    tar: Spread,
    /// Of the medians.
    ratio: f64,
}

impl ImageFigures {
    pub(crate) fn text(&self) -> String {
        let row = |name: &str, spread: &Spread| {
            let mut row = vec![name.to_owned()];
            row.extend([spread.min, spread.median, spread.max].map(|seconds| format!("{seconds:.2} s")));
            row
        };
        let rows = vec![row("honcho", &self.honcho), row("tar -I zstd -x", &self.tar)];
        let verdict = if self.ratio <= MOST_RATIO { "as aimed at" } else { "more than is aimed at" };
        format!(
            "{}\n\n{:.2} times what tar takes ({verdict}: at most {MOST_RATIO}); {:.1} MB, {:.1} MB unpacked; {} before, {} after",
            table(&["", "least", "median", "most"], rows),
            self.ratio,
            megabytes(self.compressed_bytes),
            megabytes(self.unpacked_bytes),
            self.load_before.text(),
            self.load_after.text(),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Unpacks an image both ways, in turns.
pub(crate) async fn measure(arguments: &ImageArguments) -> Result<ImageFigures> {
    let tarball =
        arguments.tarball.canonicalize().with_context(|| format!("{}", arguments.tarball.display()))?;
    let inspected =
        honcho_images::inspect(std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(&tarball)?))
            .with_context(|| format!("{} is no image", tarball.display()))?;
    let expected =
        Expected { digest: inspected.digest, compressed: inspected.compressed, unpacked: inspected.unpacked };
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let load_before = Load::now()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        let (one, other) =
            (honcho(&tarball, expected, directory.path()).await?, tar(&tarball, expected, directory.path())?);
        if round == 0 {
            note("a first round, which is not counted");
            continue;
        }
        note(&format!(
            "round {round} of {}: honcho {:.2} s, tar {:.2} s",
            arguments.rounds,
            one.as_secs_f64(),
            other.as_secs_f64()
        ));
        ours.push(one);
        theirs.push(other);
    }
    let spread = |spans: Vec<Duration>| Spread::of_spans(spans).context("no round was measured");
    let (honcho, tar) = (spread(ours)?, spread(theirs)?);
    Ok(ImageFigures {
        compressed_bytes: expected.compressed.0,
        unpacked_bytes: expected.unpacked.0,
        load_before,
        load_after: Load::now()?,
        ratio: honcho.median / tar.median,
        honcho,
        tar,
    })
}

/// As an agent does, up to the durable file.
async fn honcho(tarball: &Path, expected: Expected, directory: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let target = Partial::create(directory, "image")?;
    let source = tokio::fs::File::open(tarball).await?;
    unpack(source, expected, &target, &|_| {}).await?;
    let path = target.finish("image")?;
    let took = begun.elapsed();
    std::fs::remove_file(path)?;
    Ok(took)
}

/// tar, into a fresh filesystem that is mounted already.
fn tar(tarball: &Path, expected: Expected, directory: &Path) -> Result<Duration> {
    let (disk, at) = (directory.join("disk"), directory.join("mounted"));
    std::fs::File::create(&disk)?.set_len(filesystem_size(expected.unpacked).0)?;
    run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&disk))?;
    std::fs::create_dir(&at)?;
    run(Command::new("mount").args(["-o", "loop"]).args([&disk, &at]))?;
    let begun = Instant::now();
    let unpacked = run(Command::new("tar")
        .args(["-I", "zstd", "--numeric-owner", "-xp", "-f"])
        .arg(tarball)
        .arg("-C")
        .arg(&at));
    let synced = unpacked.and_then(|()| run(Command::new("sync").arg("-f").arg(&at)));
    let took = begun.elapsed();
    run(Command::new("umount").arg(&at))?;
    std::fs::remove_dir(&at)?;
    std::fs::remove_file(&disk)?;
    synced.map(|()| took)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {}", command.get_program().display()))?;
    ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    Ok(())
}
