//! Renews the host's certificate when two thirds of its life are over.

use crate::brain::BrainClient;
use crate::identity::{Identity, certificate_request, new_private_key};
use crate::memory::Memory;
use crate::reporter::jittered;
use anyhow::Context as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Tells the time of day.
pub type WallClock = fn() -> SystemTime;

/// How long the clock is trusted to tell when renewal is due: it may jump.
const LOOK_AGAIN: Duration = Duration::from_hours(1);
/// The pause after a renewal that failed.
const PAUSE: Duration = Duration::from_mins(5);

/// Renews until the agent ends.
pub(crate) async fn renew_forever(
    brain: Arc<BrainClient>,
    mut identity: Identity,
    memory: Arc<dyn Memory>,
    wall_clock: WallClock,
) {
    loop {
        let pause = match identity.renewal_due_in(wall_clock()) {
            Ok(due) if !due.is_zero() => due.min(LOOK_AGAIN),
            Ok(_) => match renew(&brain, &identity, memory.as_ref()).await {
                Ok(renewed) => {
                    tracing::info!("the certificate was renewed");
                    identity = renewed;
                    // A certificate that is due at once would be renewed in a circle.
                    PAUSE
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the certificate was not renewed; will try again"
                    );
                    jittered(PAUSE)
                }
            },
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the certificate cannot be renewed");
                LOOK_AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Asks with the old certificate, keeps the new one with its key in one act, and goes on with it.
async fn renew(brain: &BrainClient, identity: &Identity, memory: &dyn Memory) -> anyhow::Result<Identity> {
    let private_key = new_private_key()?;
    let answer = brain.renew(certificate_request(&private_key)?).await?;
    let renewed = Identity { certificate: answer.certificate, private_key, ..identity.clone() };
    crate::tls::mutual(&renewed).context("the renewed certificate is unusable")?;
    memory.keep_identity(&renewed)?;
    brain.use_identity(&renewed)?;
    Ok(renewed)
}
