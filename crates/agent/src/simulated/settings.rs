//! How slow the simulated host is, and what fails on it.

use crate::drivers::{DriverError, DriverResult};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How slow the simulated host is, and what fails on it: `DIR/settings.json`. What is left out has its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Milliseconds that a step takes.
    pub step_ms: u64,
    /// Milliseconds by step name, where they differ: `{"build_volume": 400}`.
    pub steps_ms: BTreeMap<String, u64>,
    /// How far a delay strays to either side, 0 to 1.
    pub jitter: f64,
    /// Milliseconds that a guest takes to stop when asked.
    pub stop_ms: u64,
    /// Milliseconds after its start for which a guest does not hear that it is asked to stop.
    pub deaf_ms: u64,
    /// Steps that fail, by name, with the error: `{"build_volume": "No space left on device"}`.
    pub fail: BTreeMap<String, String>,
    /// Steps that fail for good.
    pub fail_for_good: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            step_ms: 20,
            steps_ms: BTreeMap::new(),
            jitter: 0.5,
            stop_ms: 50,
            deaf_ms: 0,
            fail: BTreeMap::new(),
            fail_for_good: BTreeMap::new(),
        }
    }
}

/// Where the settings stand.
#[derive(Clone, Debug)]
pub(super) struct SettingsFile(PathBuf);

impl Settings {
    pub(super) fn in_directory(directory: &Path) -> SettingsFile {
        SettingsFile(directory.join("settings.json"))
    }
}

impl SettingsFile {
    /// The settings of now.
    pub(super) fn read(&self) -> DriverResult<Settings> {
        let contents = crate::durable::read(&self.0).map_err(|error| self.unreadable(&error))?;
        contents.map_or_else(
            || Ok(Settings::default()),
            |contents| serde_json::from_slice(&contents).map_err(|error| self.unreadable(&error)),
        )
    }

    /// Takes half of the time that a step takes, before its effect.
    pub(super) async fn first_half(&self, step: &str) -> DriverResult<()> {
        self.half(step).await
    }

    /// Takes the other half, in which the effect is there and the step has not ended; or fails if it is to.
    pub(super) async fn second_half(&self, step: &str) -> DriverResult<()> {
        self.half(step).await
    }

    /// Fails if this step is to fail.
    pub(super) fn may_fail(&self, step: &str) -> DriverResult<()> {
        let settings = self.read()?;
        match (settings.fail.get(step), settings.fail_for_good.get(step)) {
            (Some(error), _) => Err(DriverError::Later(error.clone())),
            (None, Some(error)) => Err(DriverError::Never(error.clone())),
            (None, None) => Ok(()),
        }
    }

    async fn half(&self, step: &str) -> DriverResult<()> {
        let settings = self.read()?;
        let milliseconds = settings.steps_ms.get(step).copied().unwrap_or(settings.step_ms);
        let jitter = settings.jitter.clamp(0.0, 1.0);
        let stray = rand::random_range(1.0 - jitter..=1.0 + jitter);
        tokio::time::sleep((Duration::from_millis(milliseconds) / 2).mul_f64(stray)).await;
        Ok(())
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> DriverError {
        DriverError::Later(format!("cannot read {}: {error}", self.0.display()))
    }
}

/// An I/O error of the simulation's own files.
pub(super) fn later(what: &Path) -> impl Fn(std::io::Error) -> DriverError + '_ {
    move |error| DriverError::Later(format!("{}: {error}", what.display()))
}
