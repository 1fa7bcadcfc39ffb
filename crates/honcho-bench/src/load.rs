//! What else the machine was doing: a figure taken on a busy machine says little.

use anyhow::{Context as _, Result};
use serde::Serialize;

/// The machine at one moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Load {
    /// Processes that ran or wanted to, on average over the last minute.
    pub(crate) last_minute: f64,
    /// Processors.
    pub(crate) processors: usize,
}

impl Load {
    /// As it is now.
    pub(crate) fn now() -> Result<Load> {
        let text = std::fs::read_to_string("/proc/loadavg")?;
        let last_minute = text.split_whitespace().next().and_then(|word| word.parse().ok());
        Ok(Load {
            last_minute: last_minute.context("/proc/loadavg holds no number")?,
            processors: std::thread::available_parallelism()?.get(),
        })
    }

    /// "load 0.3 on 2 processors".
    pub(crate) fn text(&self) -> String {
        format!("load {:.1} on {} processors", self.last_minute, self.processors)
    }
}
