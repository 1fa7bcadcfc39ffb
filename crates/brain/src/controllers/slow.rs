//! Looks through slow logs that came, and tells what is new or worse; writes the mail of a week; throws away what is old.

use crate::app::App;
use crate::operations::{SlowTell, SlowWeek};
use crate::slow::words;
use honcho_api::SlowQuery;
use honcho_model::slow::QueryFlag;
use honcho_model::{AccountId, SlowServerId};
use honcho_slowlog::compare::{MOST_TESTED, SIGNIFICANCE, SIGNIFICANCE_OF_TELLING};
use honcho_store::slow::{
    self, Against, Compared, Forget, Next, Range, Ranking, ToLookThrough, WeeklyReader,
};
use honcho_store::{Actor, StoreResult};

const DAY: i64 = 86_400_000_000;
/// So many servers are looked through at a time.
const SERVERS: i64 = 20;
/// Whether a query is worse say its last days, compared with so many before.
const DAYS: i64 = 4;
const DAYS_BEFORE: i64 = 28;
/// The mail of a week is written on Monday at six (UTC), when the logs of Sunday have come.
const WEEKLY_AT: i64 = 6 * 3_600_000_000;
/// What to do first is looked for among so many.
const MOST: i64 = 500;

fn ranking(app: &App, servers: Vec<SlowServerId>, after: Range, against: Against) -> Ranking {
    let now = app.now();
    Ranking {
        servers,
        compared: Compared::Ranges(after, against),
        states: Vec::new(),
        flags: Vec::new(),
        text: None,
        only: None,
        significance: SIGNIFICANCE,
        now,
        hours_since: app.slow.kept(now).hours_since,
        limit: MOST,
        offset: 0,
    }
}

/// Looks through the servers of which logs have come.
pub(crate) async fn look_through(app: App) -> StoreResult<()> {
    for server in slow::to_look_through(app.store.reader(), app.now().0, SERVERS).await? {
        let id = server.id;
        if let Err(error) = look_through_one(&app, server).await {
            tracing::error!(slow_server = id, %error, "a server's queries could not be looked through; it is tried again");
        }
    }
    Ok(())
}

/// What is wrong with one server's log keeps nobody from being told of the others'.
async fn look_through_one(app: &App, server: ToLookThrough) -> StoreResult<()> {
    let settings = match server.account_id {
        Some(id) => Some(slow::settings(app.store.reader(), AccountId(id)).await?),
        None => None,
    };
    let top = settings.as_ref().map_or(slow::TOP_QUERIES, |settings| settings.top_queries_count);
    let (new, worse) = found(app, &server, top).await?;
    let mail_to = settings.and_then(|settings| settings.mail_to);
    app.write(Actor::honcho(), &SlowTell { server, new, worse, mail_to }).await?;
    Ok(())
}

/// What is new among the first of the last week, and what became worse in the last days.
async fn found(app: &App, server: &ToLookThrough, top: i64) -> StoreResult<(Vec<SlowQuery>, Vec<SlowQuery>)> {
    let id = SlowServerId(server.id);
    let last = server.last_mail_at;
    let week = Range { since: last - 7 * DAY, until: last + 1 };
    let first = Ranking { limit: top, ..ranking(app, vec![id], week, Against::TheOneBefore) };
    let mut new = first.read(app.store.reader()).await?;
    new.retain(|query| query.flags.iter().any(|flag| flag == QueryFlag::New.as_str()));
    // The day that is not over yet is none.
    let today = last.div_euclid(DAY) * DAY;
    let days = Range { since: today - DAYS * DAY, until: today };
    let before = Range { since: days.since - DAYS_BEFORE * DAY, until: days.since };
    let worse = Ranking {
        flags: vec![QueryFlag::Worse],
        significance: SIGNIFICANCE_OF_TELLING,
        limit: i64::try_from(MOST_TESTED).unwrap_or(i64::MAX),
        ..ranking(app, vec![id], days, Against::Range(before))
    };
    Ok((new, worse.read(app.store.reader()).await?))
}

/// When the week began that this moment is in (Monday, UTC). The first day of 1970 was a Thursday.
fn week_of(now: i64) -> i64 {
    (now.div_euclid(DAY) + 3).div_euclid(7) * 7 * DAY - 3 * DAY
}

/// Writes the mails of the week.
pub(crate) async fn write_weekly(app: App) -> StoreResult<()> {
    let now = app.now().0;
    let week = week_of(now);
    if now < week + WEEKLY_AT {
        return Ok(());
    }
    for reader in slow::weekly_readers(app.store.reader(), week).await? {
        let account = reader.account_id;
        if let Err(error) = write_week(&app, reader, week).await {
            tracing::error!(account, %error, "a mail of the week could not be written; it is tried again");
        }
    }
    Ok(())
}

async fn write_week(app: &App, reader: WeeklyReader, week: i64) -> StoreResult<()> {
    let servers = slow::servers_of(app.store.reader(), AccountId(reader.account_id)).await?;
    let range = Range { since: week - 7 * DAY, until: week };
    let before = Range { since: week - 14 * DAY, until: week - 7 * DAY };
    let ids = servers.iter().map(|(id, _)| *id).collect();
    let all = ranking(app, ids, range, Against::Range(before));
    let reader_of = app.store.reader();
    let looked = all.look(reader_of).await?;
    let flagged = async |flag| {
        let limit = i64::try_from(words::MOST).unwrap_or(i64::MAX);
        looked.page(reader_of, &Ranking { flags: vec![flag], limit, ..all.clone() }).await
    };
    let told = words::Week {
        all: looked.summary(&all),
        worse: flagged(QueryFlag::Worse).await?,
        new: flagged(QueryFlag::New).await?,
        most_time: looked.page(reader_of, &all).await?,
        servers: servers.into_iter().map(|(id, node)| (id.0, node)).collect(),
    };
    let day =
        |at: i64| jiff::Timestamp::from_microsecond(at).unwrap_or_default().strftime("%Y-%m-%d").to_string();
    let mail = (told.all.queries > 0)
        .then(|| words::week(&reader.name, &day(week - 7 * DAY), &day(week - 1), &told));
    app.write(Actor::honcho(), &SlowWeek { reader, week, mail }).await?;
    Ok(())
}

/// Throws away what is too old.
pub(crate) async fn forget(app: App) -> StoreResult<()> {
    let kept = app.slow.kept(app.now());
    let mut from = 0;
    while let Some(to) = slow::piece(app.store.reader(), from).await? {
        if slow::is_anything_old(app.store.reader(), from, to, kept).await? {
            while let Next::From(next) = app.write(Actor::honcho(), &Forget { kept, from }).await? {
                let done = next != from;
                from = next;
                if done {
                    break;
                }
            }
        } else {
            from = to + 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday() {
        // 2023-11-14 was a Tuesday.
        let tuesday = 1_700_000_000_000_000;
        let monday = week_of(tuesday);
        let shown = jiff::Timestamp::from_microsecond(monday).unwrap().strftime("%A %F %T").to_string();
        assert_eq!(shown, "Monday 2023-11-13 00:00:00");
        assert_eq!((week_of(monday), week_of(monday - 1)), (monday, monday - 7 * DAY));
    }
}
