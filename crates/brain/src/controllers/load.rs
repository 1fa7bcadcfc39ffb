//! Writes down what agents told of load, and makes the coarser samples of the finer ones.

use crate::app::App;
use crate::load::OLDEST;
use honcho_model::Timestamp;
use honcho_model::load::{Kind, Span};
use honcho_store::load::{Roll, Rolled, Told, WriteLoad, parts, rolled_until};
use honcho_store::{Actor, StoreResult};

/// So many guests' samples are written at once: on SQLite everybody else's writing waits meanwhile.
const AT_ONCE: usize = 1_000;

/// Of every brain: each has agents of its own. What cannot be written is told again by its agent, and keeps nobody else's from
/// being written.
pub(crate) async fn write(app: App) -> StoreResult<()> {
    let mut told = app.loads.take().into_iter().peekable();
    let mut outcome = Ok(());
    while told.peek().is_some() {
        let (mut batch, mut guests): (Vec<Told>, usize) = (Vec::new(), 0);
        while let Some(next) = told.next_if(|_| guests < AT_ONCE) {
            guests += next.samples.iter().map(|sample| sample.guests.len() + 1).sum::<usize>();
            batch.push(next);
        }
        outcome = outcome.and(app.write(Actor::honcho(), &WriteLoad { told: batch }).await);
    }
    outcome
}

/// Makes what can be made by now: samples whose finer ones no agent has left to tell.
pub(crate) async fn roll(app: App) -> StoreResult<()> {
    let now = app.now();
    let settled = now.0 - i64::try_from(OLDEST.as_micros()).unwrap_or(0) - Span::Fives.step();
    let mut complete = Timestamp(settled);
    let mut outcome = Ok(());
    for span in Span::ALL {
        let Some(finer) = span.finer() else { continue };
        // Longer ago than this there is nothing to make any of.
        let first = span.begin(finer.first_shown(now));
        let done = rolled_until(app.store.reader(), span).await?.map_or(first, |done| done.max(first));
        let (mut made, until) = (done, span.begin(complete));
        for (from, end) in parts(span, done, until) {
            // What was not made is made the next time, and then what comes after it: coarser spans go on with what there is.
            if let Err(error) = roll_part(&app, span, from, end).await {
                outcome = outcome.and(Err(error));
                break;
            }
            made = made.max(end);
        }
        complete = made;
    }
    outcome
}

async fn roll_part(app: &App, span: Span, from: Timestamp, until: Timestamp) -> StoreResult<()> {
    for kind in [Kind::Guest, Kind::Host] {
        let mut after = Some(i64::MIN);
        while let Some(last) = after {
            let roll = Roll { span, from, until, kind, after: last };
            after = app.write(Actor::honcho(), &roll).await?;
        }
    }
    app.write(Actor::honcho(), &Rolled { span, until }).await
}
