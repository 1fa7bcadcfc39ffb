//! `/v1/slow_queries`: which queries took the time, what became of them, and what people make of them.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller, Id, ListQuery, Writer};
use crate::app::App;
use crate::operations::SlowQueryJudge;
use axum::Json;
use axum::extract::State;
use honcho_api::{ErrorBody, SlowQuery, SlowQueryDetails};
use honcho_model::slow::{QueryFlag, QueryState};
use honcho_model::{AccountId, SlowMarkId, SlowQueryId, SlowServerId};
use honcho_slowlog::compare::SIGNIFICANCE;
use honcho_store::slow::{self, Against, Compared, MOST_QUERIES, Range, Ranking};
use honcho_store::{Filters, ListError, Refusal, Scope, StoreError, accounts};
use serde::Deserialize;

/// So many queries are ranked, if nothing is said.
const LIMIT: i64 = 100;
/// What can be asked for of one query, and of a ranking besides.
const OF_ONE: &str = "since, until, against_since, against_until, mark_id";
const OF_RANKING: [&str; 3] = ["state", "flag", "text"];

/// The longest text that is looked for, in characters.
const LONGEST_TEXT: usize = 200;

/// Which ranges, for the document alone: `ranking` reads them.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "they are described by it, and read one by one, so that each has an error of its own"
)]
struct RangeParameters {
    /// As in 2026-11-27T06:00:00Z; when absent, of a ranking from the first, of one query the last seven days
    since: Option<String>,
    /// Up to, and without, this time
    until: Option<String>,
    /// Compare with this range; with the one before, when absent
    against_since: Option<String>,
    /// Up to, and without, this time
    against_until: Option<String>,
    /// Compare what is after this mark with what was before it, a week at most
    mark_id: Option<i64>,
}

/// Which queries of them, likewise.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "as above")]
struct RankingParameters {
    /// Only `new`, `looked_at`, `accepted` or `ignored`; may be repeated
    state: Option<String>,
    /// Only what is `new`, `worse` or `better`; may be repeated
    flag: Option<String>,
    /// Only those in whose text, without its values, this stands, in whatever case: the name of a table
    text: Option<String>,
    /// At most so many
    limit: Option<i64>,
    /// Leave out so many first
    offset: Option<i64>,
}

/// Reads what a ranking is asked for.
pub(crate) async fn ranking(
    app: &App,
    scope: Scope,
    filters: &Filters,
    servers: Vec<SlowServerId>,
) -> ApiResult<Ranking> {
    let mut mark = None;
    let mut times = [None; 4];
    let (mut states, mut flags) = (Vec::new(), Vec::new());
    let mut wanted_text = None;
    for (attribute, text) in &filters.equals {
        let of_time =
            ["since", "until", "against_since", "against_until"].iter().position(|name| name == attribute);
        match (of_time, attribute.as_str()) {
            (Some(at), _) => times[at] = Some(time(attribute, text)?),
            (None, "state") => {
                states.push(word(attribute, QueryState::parse(text), QueryState::ALL, QueryState::as_str)?);
            }
            (None, "flag") => {
                flags.push(word(attribute, QueryFlag::parse(text), QueryFlag::ALL, QueryFlag::as_str)?);
            }
            (None, "text") => {
                let text_of = honcho_model::text::line_of(text, LONGEST_TEXT);
                wanted_text =
                    Some(text_of.map_err(|error| ApiError::invalid("text", error.to_string()))?.to_owned());
            }
            (None, "mark_id") => mark = Some(mark_at(app, scope, text, &servers).await?),
            _ => {
                let known = format!("{OF_ONE}, {}", OF_RANKING.join(", "));
                return Err(ListError::UnknownFilter(attribute.clone(), known).into());
            }
        }
    }
    if filters.after.is_some() || filters.cursor.is_some() || filters.descending {
        return Err(ApiError::invalid("after", "is of lists by id: a ranking is paged by limit and offset"));
    }
    let now = app.now();
    // What servers say of times a little ahead of this brain's clock counts, too.
    let until = times[1].unwrap_or_else(|| now.0.saturating_add(86_400_000_000));
    let after = Range { since: times[0].unwrap_or(0), until };
    let against = match (times[2], times[3]) {
        (Some(since), Some(until)) => Against::Range(Range { since, until }),
        (None, None) => Against::TheOneBefore,
        (None, Some(_)) => {
            return Err(ApiError::invalid("against_since", "can't be blank when against_until is there"));
        }
        (Some(_), None) => {
            return Err(ApiError::invalid("against_until", "can't be blank when against_since is there"));
        }
    };
    let compared = match mark {
        None => Compared::Ranges(after, against),
        Some(_) if times.iter().any(Option::is_some) => {
            return Err(ApiError::invalid("mark_id", "says itself which ranges are compared"));
        }
        Some(at) => Compared::Around(at),
    };
    Ok(Ranking {
        servers,
        compared,
        states,
        flags,
        text: wanted_text,
        only: None,
        significance: SIGNIFICANCE,
        now,
        hours_since: app.slow.kept(now).hours_since,
        limit: filters.limit.unwrap_or(LIMIT).min(MOST_QUERIES),
        offset: filters.offset.unwrap_or(0),
    })
}

/// When a mark is, if it concerns one of these servers.
async fn mark_at(app: &App, scope: Scope, text: &str, servers: &[SlowServerId]) -> ApiResult<i64> {
    let id = text.parse().map_err(|_| ApiError::invalid("mark_id", "must be a whole number"))?;
    let mark = slow::find_mark(app.store.reader(), scope, SlowMarkId(id)).await;
    let mark = mark.map_err(|error| match error {
        StoreError::Refused(Refusal::NotFound(_)) => ApiError::invalid("mark_id", "does not exist"),
        other => other.into(),
    })?;
    if mark.slow_server_id.is_some_and(|id| !servers.contains(&SlowServerId(id))) {
        return Err(ApiError::invalid("mark_id", "is of another server"));
    }
    Ok(mark.at.as_microsecond())
}

fn time(attribute: &str, text: &str) -> ApiResult<i64> {
    let wrong = || ApiError::invalid(attribute, "must be a time, as in 2026-11-27T06:00:00Z");
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond).map_err(|_| wrong())
}

fn word<T: Copy>(attribute: &str, parsed: Option<T>, all: &[T], name: fn(T) -> &'static str) -> ApiResult<T> {
    let words = || all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ");
    parsed.ok_or_else(|| ApiError::invalid(attribute, format!("must be one of {}", words())))
}

/// Ranks a server's queries by the time they took.
#[utoipa::path(get, path = "/v1/slow_servers/{id}/queries", tag = "slow logs",
    description = "The queries that took the most time in a range, most first, with what became of each since the range before it that is \
        as long (or another one): 100 of them unless `limit` says otherwise, 1,000 at most, and more by `offset`. Ranges count in whole hours \
        (UTC); of more than two days, if what they are compared with is no shorter, in whole days. Ignored queries are left out, unless `state` asks for them.",
    params(("id" = i64, Path), RangeParameters, RankingParameters),
    responses((status = 200, body = [SlowQuery]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn of_server(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Json<Vec<SlowQuery>>> {
    let server = slow::find(app.store.reader(), caller.scope, SlowServerId(id)).await?;
    let ranking = ranking(&app, caller.scope, &filters, vec![SlowServerId(server.id)]).await?;
    Ok(Json(ranking.read(app.store.reader()).await?))
}

/// Ranks the queries of all servers of an account by the time they took.
#[utoipa::path(get, path = "/v1/accounts/{id}/slow_queries", tag = "slow logs",
    description = "As `/v1/slow_servers/{id}/queries`: a query that is asked on several servers stands there for each of them, and shares are \
        of the time of all.",
    params(("id" = i64, Path), RangeParameters, RankingParameters),
    responses((status = 200, body = [SlowQuery]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn of_account(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Json<Vec<SlowQuery>>> {
    let reader = app.store.reader();
    let account = accounts::get(reader, caller.scope, AccountId(id)).await?;
    let own = Filters::default().and("account_id", account.id);
    let servers =
        slow::list(reader, caller.scope, &own).await?.iter().map(|server| SlowServerId(server.id)).collect();
    Ok(Json(ranking(&app, caller.scope, &filters, servers).await?.read(reader).await?))
}

/// Shows all about a query.
#[utoipa::path(get, path = "/v1/slow_queries/{id}", tag = "slow logs",
    description = "Over time, how long it takes how often, who asks for it, its tables, advice, and what people said of it; of the last seven \
        days, compared with those before, unless `since` says otherwise.",
    params(("id" = i64, Path), RangeParameters),
    responses((status = 200, body = SlowQueryDetails), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    ListQuery(filters): ListQuery,
) -> ApiResult<Json<SlowQueryDetails>> {
    details(&app, caller.scope, SlowQueryId(id), filters).await
}

async fn details(
    app: &App,
    scope: Scope,
    id: SlowQueryId,
    mut filters: Filters,
) -> ApiResult<Json<SlowQueryDetails>> {
    let known = slow::find_query(app.store.reader(), scope, id).await?;
    // Of one there is nothing to choose from.
    let of_ranking = |(attribute, _): &&(String, String)| OF_RANKING.contains(&attribute.as_str());
    if let Some((attribute, _)) = filters.equals.iter().find(of_ranking) {
        return Err(ListError::UnknownFilter(attribute.clone(), OF_ONE.to_owned()).into());
    }
    if !filters.equals.iter().any(|(attribute, _)| ["since", "mark_id"].contains(&attribute.as_str())) {
        let week_ago = app.now().0.saturating_sub(7 * 86_400_000_000);
        let since = jiff::Timestamp::from_microsecond(week_ago).unwrap_or_default();
        filters.equals.push(("since".to_owned(), since.to_string()));
    }
    let ranking = ranking(app, scope, &filters, vec![known.server]).await?;
    Ok(Json(slow::query(app.store.reader(), scope, known, ranking).await?))
}

/// What is said of a query.
#[derive(Deserialize)]
pub(super) struct Judgement {
    state: Option<String>,
    note: Option<String>,
}

async fn judged(app: App, caller: Writer, id: i64, said: Judgement) -> ApiResult<Json<SlowQueryDetails>> {
    let (scope, who) = (caller.scope, caller.actor.who.clone());
    let change = SlowQueryJudge { scope, id: SlowQueryId(id), who, state: said.state, note: said.note };
    app.write(caller.actor, &change).await?;
    details(&app, scope, SlowQueryId(id), Filters::default()).await
}

/// Says what is made of a query.
#[utoipa::path(put, path = "/v1/slow_queries/{id}/judge", tag = "slow logs",
    description = "Gives it a state, a note, or both. One that is `ignored` is in no ranking, and nobody is told of it.",
    params(("id" = i64, Path), ("state" = Option<String>, Query, description = "`new`, `looked_at`, `accepted` or `ignored`"),
        ("note" = Option<String>, Query, description = "Why, in a line")),
    responses((status = 200, body = SlowQueryDetails), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn judge(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(said): Arguments<Judgement>,
) -> ApiResult<Json<SlowQueryDetails>> {
    judged(app, caller, id, said).await
}

/// Says what is made of a query.
#[utoipa::path(post, path = "/v1/slow_queries/{id}/judge", tag = "slow logs",
    params(("id" = i64, Path), ("state" = Option<String>, Query, description = "`new`, `looked_at`, `accepted` or `ignored`"),
        ("note" = Option<String>, Query, description = "Why, in a line")),
    responses((status = 200, body = SlowQueryDetails), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn judge_by_post(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id,
    Arguments(said): Arguments<Judgement>,
) -> ApiResult<Json<SlowQueryDetails>> {
    judged(app, caller, id, said).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::tests::World;
    use axum::response::IntoResponse as _;

    #[tokio::test]
    async fn of_one_query_there_is_nothing_to_choose_from() {
        let world = World::new().await;
        let server = world.two_weeks("db1").await;
        let id = SlowQueryId(world.ranked(server, world.midnight(7), world.midnight(0)).await[0].id);
        let asked = async |attribute: &str, value: &str| {
            let equals = vec![(attribute.to_owned(), value.to_owned())];
            let filters = Filters { equals, ..Filters::default() };
            match details(&world.app, Scope::Operator, id, filters).await {
                Ok(_) => 200,
                Err(error) => error.into_response().status().as_u16(),
            }
        };
        assert_eq!(asked("since", "2001-09-01T00:00:00Z").await, 200);
        for (attribute, value) in [("state", "new"), ("state", "liked"), ("flag", "worse"), ("colour", "red")]
        {
            assert_eq!(asked(attribute, value).await, 422, "{attribute}={value}");
        }
    }
}
