//! Loops that act when only time has passed. One file each; each goes on after an error, which it logs.

mod lapsing;
mod silence;

#[cfg(test)]
pub(crate) use lapsing::step as lapsing_step;

use crate::app::App;
use std::time::Duration;

/// Starts them; they end with the runtime.
pub(crate) fn start(app: &App) {
    every(Duration::from_secs(5), app.clone(), "silence", silence::step);
    every(Duration::from_secs(10), app.clone(), "lapsing", lapsing::step);
}

fn every<F>(pause: Duration, app: App, name: &'static str, step: impl Fn(App) -> F + Send + 'static)
where
    F: Future<Output = honcho_store::StoreResult<()>> + Send,
{
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = step(app.clone()).await {
                tracing::error!(controller = name, %error, "a controller's step failed; it is tried again");
            }
        }
    });
}
