//! Asks the brain for manifests, again and again.

use crate::accept::version;
use crate::agent::Event;
use crate::brain::BrainClient;
use crate::clock::growing;
use crate::reporter::jittered;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The first pause after the brain did not answer; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// The least time between two answers that hold no manifest: the brain names a stream until it is opened.
const LEAST_GAP: Duration = Duration::from_millis(200);

/// Polls until the agent ends. The first question of a run names no generation, so that it is answered at once.
pub(crate) async fn poll_forever(brain: Arc<BrainClient>, events: mpsc::Sender<Event>) {
    let mut after = None;
    let mut failures: u32 = 0;
    loop {
        match brain.manifest(after).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!("the brain answers again");
                }
                failures = 0;
                let offered = answer.manifest.as_ref().map(version);
                let pause = match offered {
                    Some(Some(offered)) => {
                        // Also when it is about to be refused: it would be given again at once otherwise.
                        after = Some(offered);
                        Duration::ZERO
                    }
                    // A manifest without a version cannot be named in the next question.
                    Some(None) => PAUSE_MOST,
                    None if answer.streams.is_empty() => Duration::ZERO,
                    None => LEAST_GAP,
                };
                if events.send(Event::Answer(answer)).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                if failures == 1 {
                    tracing::warn!(%error, "no answer to the question for a manifest; will ask again");
                } else {
                    tracing::debug!(%error, failures, "no answer to the question for a manifest; will ask again");
                }
                tokio::time::sleep(jittered(growing(PAUSE, failures, PAUSE_MOST))).await;
            }
        }
    }
}
