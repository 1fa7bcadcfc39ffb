//! `/v1/search`: one box over everything.

use super::error::{ApiError, ApiResult};
use super::extract::{Arguments, Caller};
use crate::app::App;
use axum::Json;
use axum::extract::State;
use honcho_api::{ErrorBody, SearchHit};
use honcho_model::needle::Needle;
use honcho_store::search;
use serde::Deserialize;

/// How many of each kind are given unless the caller says otherwise, and at most.
const USUAL: u32 = 20;
const MOST: u32 = 100;

/// What is searched for. Numbers are read here, so that a wrong one is named.
#[derive(Deserialize)]
pub(super) struct Sought {
    q: Option<String>,
    limit: Option<String>,
}

impl Sought {
    fn read(&self) -> ApiResult<(Needle, u32)> {
        let needle = Needle::parse(self.q.as_deref().unwrap_or_default());
        let needle = needle.map_err(|error| ApiError::invalid("q", error.to_string()))?;
        let limit = match &self.limit {
            Some(limit) => limit.parse().ok().filter(|limit| (1..=MOST).contains(limit)),
            None => Some(USUAL),
        };
        let limit = limit.ok_or_else(|| ApiError::invalid("limit", format!("must be from 1 to {MOST}")))?;
        Ok((needle, limit))
    }
}

/// Searches everything that the caller may see.
#[utoipa::path(get, path = "/v1/search", tag = "search",
    description = "Accounts, guests, hosts, networks, addresses, images, and for operators pools, racks, sites, SANs and \
        people, by name, id, uuid, reference, address (also the beginning of one), MAC address in any spelling, serial number and \
        owner. The nearest come first: what is exactly that, then what begins with it, then what holds it.",
    params(("q" = String, Query, description = "What is looked for: one line of 200 characters at most"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100,
            description = "At most so many of each kind; 20, when absent")),
    responses((status = 200, body = [SearchHit]), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn search(
    State(app): State<App>,
    caller: Caller,
    Arguments(sought): Arguments<Sought>,
) -> ApiResult<Json<Vec<SearchHit>>> {
    let (needle, limit) = sought.read()?;
    Ok(Json(search::search(app.store.reader(), caller.scope, &needle, limit).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_search_is_refused() {
        let read = |q: Option<&str>, limit: Option<&str>| {
            let sought = Sought { q: q.map(str::to_owned), limit: limit.map(str::to_owned) };
            sought.read().map(|(_, limit)| limit).ok()
        };
        assert_eq!(read(Some("web"), None), Some(20));
        assert_eq!(read(Some("web"), Some("100")), Some(100));
        for limit in ["0", "101", "-1", "many", "", "99999999999999999999"] {
            assert_eq!(read(Some("web"), Some(limit)), None, "{limit}");
        }
        for q in ["", "  ", "a\0b", "\u{202e}abc", "a\nb", &"x".repeat(10_000)] {
            assert_eq!(read(Some(q), None), None, "{q:?}");
        }
        assert_eq!(read(None, None), None);
    }
}
