//! Loops that act when only time has passed. One file each; each goes on after an error, which it logs.

mod archive;
mod blobs;
mod lapsing;
mod load;
mod mailing;
mod moving;
mod noting;
mod post;
mod silence;
mod slow;
mod telling;
mod uploads;
mod uses;

#[cfg(test)]
pub(crate) use archive::step as archive_step;
#[cfg(test)]
pub(crate) use blobs::{delete as blobs_delete, step as blobs_step};
#[cfg(test)]
pub(crate) use lapsing::step as lapsing_step;
#[cfg(test)]
pub(crate) use load::{roll as load_roll_step, write as load_write_step};
#[cfg(test)]
pub(crate) use mailing::step as mailing_step;
#[cfg(test)]
pub(crate) use moving::step as moving_step;
#[cfg(test)]
pub(crate) use noting::{check as noting_check, step as noting_step};
#[cfg(test)]
pub(crate) use post::step as post_step;
#[cfg(test)]
pub(crate) use silence::heard as heard_step;
#[cfg(test)]
pub(crate) use slow::{
    forget as slow_forget_step, look_through as slow_step, write_weekly as slow_weekly_step,
};
#[cfg(test)]
pub(crate) use telling::run as telling_run;
#[cfg(test)]
pub(crate) use uploads::tidy as uploads_tidy_step;
#[cfg(test)]
pub(crate) use uses::step as uses_step;

use crate::app::App;
use std::time::Duration;

/// Starts them; they end with the runtime. Of several brains on one database one runs them, all but those that are about
/// what this very process has in memory.
pub(crate) fn start(app: &App) {
    own(Duration::from_secs(5), app.clone(), "hearing", silence::heard);
    own(Duration::from_secs(20), app.clone(), "load", load::write);
    every(Duration::from_mins(1), app.clone(), "coarser load", load::roll);
    every(Duration::from_secs(5), app.clone(), "silence", silence::step);
    tokio::spawn(telling::run(app.clone()));
    every(Duration::from_secs(10), app.clone(), "lapsing", lapsing::step);
    every(Duration::from_secs(2), app.clone(), "moving", moving::step);
    every(Duration::from_secs(30), app.clone(), "post", post::step);
    every(Duration::from_mins(1), app.clone(), "slow queries", slow::look_through);
    every(Duration::from_mins(10), app.clone(), "weekly mails", slow::write_weekly);
    every(Duration::from_hours(1), app.clone(), "old slow queries", slow::forget);
    every(Duration::from_secs(1), app.clone(), "sealing uploads", uploads::seal);
    every(Duration::from_mins(1), app.clone(), "old uploads", uploads::tidy);
    every(Duration::from_mins(10), app.clone(), "unnamed blobs", blobs::step);
    every(Duration::from_secs(15), app.clone(), "mails", mailing::step);
    every(Duration::from_hours(1), app.clone(), "the archive", archive::step);
    own(Duration::from_secs(15), app.clone(), "uses", uses::step);
    own(Duration::from_hours(1), app.clone(), "checking what is kept", noting::check);
    let noted = std::sync::Arc::<std::sync::Mutex<Option<i64>>>::default();
    every(Duration::from_mins(10), app.clone(), "noting", move |app| {
        let noted = noted.clone();
        async move { noting::step(app, &noted).await }
    });
}

/// A loop of the brain that has the lead.
fn every<F>(pause: Duration, app: App, name: &'static str, step: impl Fn(App) -> F + Send + Sync + 'static)
where
    F: Future<Output = honcho_store::StoreResult<()>> + Send,
{
    let step = std::sync::Arc::new(step);
    own(pause, app, name, move |app: App| {
        let step = step.clone();
        async move { if app.lead.is_ours().await { step(app).await } else { Ok(()) } }
    });
}

/// A loop of every brain.
fn own<F>(pause: Duration, app: App, name: &'static str, step: impl Fn(App) -> F + Send + 'static)
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
