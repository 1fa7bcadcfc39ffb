//! Nothing that the OpenAPI document allows, and nothing that it does not, makes the brain answer with a 5xx or with
//! what the document does not describe: shown by schemathesis, from `PyPI`.

use anyhow::{Context as _, Result, ensure};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::program;
use honcho_e2e::world::World;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that was tried; a newer one may find more, and is then to be tried by hand first.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// So many requests per route and phase.
const EXAMPLES: &str = "12";

/// Installs it beside the built programs, once.
fn schemathesis() -> Result<PathBuf> {
    let built = program("honcho")?;
    let home = built.parent().context("a directory of programs")?.join("schemathesis");
    let program = home.join("bin/schemathesis");
    let run = |command: &mut Command| -> Result<()> {
        let output = command.output().with_context(|| format!("{command:?}"))?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    let version = Command::new(&program).arg("--version").output();
    let wanted = SCHEMATHESIS.split_once("==").map_or("", |(_, version)| version);
    if version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(wanted)) {
        return Ok(program);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    run(Command::new(home.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS]))?;
    Ok(program)
}

/// It knows by itself how to send what is JSON, a form or plain text. A mail is sent as it is.
const HOOKS: &str = "import schemathesis\nschemathesis.serializer.alias('message/rfc822', 'text/plain')\n";

fn run(program: &Path, brain: &Brain, token: &str, directory: &Path) -> Result<()> {
    std::fs::write(directory.join("hooks.py"), HOOKS)?;
    let seed = std::env::var("HONCHO_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u32 = seed.unwrap_or_else(std::process::id);
    let output = Command::new(program)
        .arg("run")
        .arg(format!("{}/v1/openapi.json", brain.url()))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_schema_conformance,ignored_auth,allow_header_conformance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        // What is followed (events, a log) never ends, and a console is no HTTP.
        .args(["--exclude-path-regex", "(stream|console|log)$"])
        .args(["--continue-on-failure", "--request-timeout", "20", "--seed", &seed.to_string()])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", directory)
        .current_dir(directory)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "HONCHO_SEED={seed}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(text.contains("Tested:"), "it tested nothing:\n{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_document_describes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    // So that there is something behind the first ids of each kind.
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    world.running("web1").await?;
    let (program, token) = (schemathesis()?, brain.token()?);
    run(&program, &brain, &token, directory.path())?;
    let log = brain.log();
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}
