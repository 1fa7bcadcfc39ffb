//! `honcho simulate`: a small data centre that is none, around the real brain.

use anyhow::{Context as _, Result};
use honcho_e2e::programs::{Process, program};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn simulate(directory: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("honcho")?);
    command.arg("simulate").args(arguments).env("TMPDIR", directory);
    Ok(command)
}

/// What it has left in its directory, besides what this test put there.
fn left(directory: &Path) -> Result<Vec<String>> {
    let names =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name: &Result<String>| name.as_ref().map_or(true, |name| name != "log")).collect()
}

#[test]
fn a_small_data_centre_lives_through_a_day_and_the_death_of_its_brain() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let arguments = "--json --hosts 30 --guests 200 --seed 7 --idle-seconds 0 --report-seconds 1 --outage-seconds 2 \
        --day-seconds 3";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let output = simulate(directory.path(), &arguments)?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert!(said.contains("with seed 7"), "{said}");
    let figures: Value = serde_json::from_slice(&output.stdout)?;
    let invariants = figures["invariants"].as_array().context("invariants")?;
    assert!(invariants.len() >= 16, "{invariants:?}");
    for finding in invariants {
        assert_eq!(finding["broken"], 0, "{finding}");
        assert!(finding["checked"].as_u64() > Some(0), "looked at nothing: {finding}");
    }
    assert_eq!(figures["filling"]["running"]["count"], 198);
    assert_eq!(figures["ordering"]["running"]["count"], 2);
    assert_eq!(figures["recovery"]["booted_meanwhile"], 1);
    assert_eq!(figures["day"]["created"]["count"], 4);
    assert_eq!(figures["day"]["refused"], 0);
    assert_eq!(left(directory.path())?, Vec::<String>::new());
    Ok(())
}

#[test]
fn an_interrupted_simulation_leaves_nothing_behind() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("log");
    let mut command =
        simulate(directory.path(), &["--hosts", "5", "--guests", "10", "--idle-seconds", "600"])?;
    let mut process = Process::start(&mut command, &log)?;
    let begun = Instant::now();
    while !std::fs::read_to_string(&log)?.contains("looking at idle agents") {
        anyhow::ensure!(begun.elapsed() < Duration::from_mins(1), "{}", std::fs::read_to_string(&log)?);
        std::thread::sleep(Duration::from_millis(50));
    }
    let data = left(directory.path())?;
    let [data] = data.as_slice() else { anyhow::bail!("one directory is expected: {data:?}") };
    assert!(running(data)?, "the brain runs on {data}");
    assert!(!process.end()?, "it was interrupted");
    assert!(std::fs::read_to_string(&log)?.contains("told to end"));
    assert!(!running(data)?, "the brain is gone");
    assert_eq!(left(directory.path())?, Vec::<String>::new());
    Ok(())
}

/// Whether a brain runs on a directory of that name.
fn running(data: &str) -> Result<bool> {
    for process in std::fs::read_dir("/proc")? {
        // One that has ended meanwhile has no command line any more.
        let line = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if line.contains("serve") && line.contains(data) {
            return Ok(true);
        }
    }
    Ok(false)
}
