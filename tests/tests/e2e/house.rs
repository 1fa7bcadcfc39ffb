//! The house stands as ARCHITECTURE.md says: which crate may use which, and what each program links.

use anyhow::{Context as _, Result};
use honcho_e2e::programs::program;
use std::collections::BTreeMap;
use std::process::Command;

/// Which of our crates each may depend on (its tests included).
const ARROWS: &[(&str, &[&str])] = &[
    ("honcho-model", &[]),
    ("honcho-wire", &["honcho-model"]),
    ("honcho-api", &["honcho-model"]),
    ("honcho-placement", &["honcho-model"]),
    ("honcho-slowlog", &[]),
    ("honcho-post", &["honcho-slowlog"]),
    ("honcho-archive", &[]),
    ("honcho-test-postgres", &[]),
    (
        "honcho-store",
        &["honcho-model", "honcho-wire", "honcho-api", "honcho-slowlog", "honcho-test-postgres"],
    ),
    ("honcho-images", &["honcho-model"]),
    (
        "honcho-brain",
        &[
            "honcho-model",
            "honcho-wire",
            "honcho-api",
            "honcho-store",
            "honcho-archive",
            "honcho-images",
            "honcho-placement",
            "honcho-post",
            "honcho-slowlog",
            "honcho-test-postgres",
        ],
    ),
    ("honcho-agent-lib", &["honcho-model", "honcho-wire", "honcho-images"]),
    ("honcho-libvirt", &["honcho-model", "honcho-wire", "honcho-agent-lib"]),
    (
        "honcho",
        &[
            "honcho-model",
            "honcho-api",
            "honcho-archive",
            "honcho-brain",
            "honcho-images",
            "honcho-placement",
            "honcho-post",
            "honcho-slowlog",
            "honcho-test-postgres",
        ],
    ),
    ("honcho-guest", &["honcho-post"]),
    ("honcho-agent", &["honcho-model", "honcho-wire", "honcho-agent-lib", "honcho-libvirt"]),
    // It writes the many guests that it measures with by the store itself, and runs many agents in one process.
    (
        "honcho-bench",
        &[
            "honcho-model",
            "honcho-api",
            "honcho-store",
            "honcho-images",
            "honcho-placement",
            "honcho-post",
            "honcho-wire",
            "honcho-agent-lib",
        ],
    ),
    ("honcho-e2e", &["honcho-model", "honcho-wire", "honcho-api", "honcho-test-postgres"]),
];

#[test]
fn arrows_point_one_way() -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output =
        Command::new(cargo).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let packages = metadata["packages"].as_array().context("packages")?;
    assert_eq!(packages.len(), allowed.len(), "every crate has its line above");
    for package in packages {
        let name = package["name"].as_str().context("a name")?;
        let may = allowed.get(name).with_context(|| format!("{name} has no line above"))?;
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let used = dependency["name"].as_str().context("a name")?;
            let ours = allowed.contains_key(used);
            assert!(!ours || may.contains(&used), "{name} must not use {used}");
        }
    }
    Ok(())
}

#[test]
fn the_brain_links_no_libvirt() -> Result<()> {
    let libraries = |name: &str| -> Result<String> {
        let output = Command::new("ldd").arg(program(name)?).output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    assert!(!libraries("honcho")?.contains("libvirt"), "honcho is the brain and the command line");
    assert!(libraries("honcho-agent")?.contains("libvirt"), "the agent is what speaks to libvirt");
    Ok(())
}

/// Each picture that the guide shows is there and small, and none is there that it does not show.
#[test]
fn the_guide_has_its_pictures() -> Result<()> {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide");
    let mut shown = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(&guide)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "md") {
            let text = std::fs::read_to_string(&path)?;
            shown.extend(
                text.split("](pictures/").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())),
            );
        }
    }
    anyhow::ensure!(!shown.is_empty(), "the guide shows no pictures");
    for entry in std::fs::read_dir(guide.join("pictures"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "renew" {
            continue;
        }
        let bytes = entry.metadata()?.len();
        anyhow::ensure!((1_000..100_000).contains(&bytes), "{name} has {bytes} bytes");
        anyhow::ensure!(shown.remove(&name), "no page of the guide shows {name}");
    }
    anyhow::ensure!(shown.is_empty(), "docs/guide/pictures/renew makes those that are missing: {shown:?}");
    Ok(())
}
