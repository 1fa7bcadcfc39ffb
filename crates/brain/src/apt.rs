//! `/apt/…`: what apt reads of the archive, to whoever asks. Nobody has to say who they are: what is signed needs no walls.
//!
//! Served is what lies below the archive's `public/` under `dists/` and `pool/`, and its keyring; never what a name with a leading
//! dot hides. An index asked for by its digest and a package never change; a release changes by the renaming of one link, so
//! whoever has one asks anew each time whether it is still that.

use crate::app::App;
use crate::http::{ApiError, ApiResult};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path as Asked, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use honcho_archive::serving::{cache_control, content_type};
use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

/// So much is read at a time, of each that somebody downloads.
const PIECE: usize = 64 << 10;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/apt/{*path}", get(serve))
}

/// The listener of the archive alone.
pub(crate) fn router(app: App) -> Router {
    routes()
        .fallback(async || ApiError::not_found("route"))
        .layer(axum::middleware::from_fn_with_state(app.clone(), crate::http::archive_request))
        .with_state(app)
}

/// A path below `public/`, if it leads to what is served.
fn served(public: &Path, asked: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = asked.split('/').collect();
    let is_plain = |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
    if !parts.iter().all(is_plain) {
        return None;
    }
    match parts.as_slice() {
        ["dists" | "pool", _, ..] | [honcho_archive::keyring::FILE] => Some(public.join(asked)),
        _ => None,
    }
}

async fn serve(
    State(app): State<App>,
    asked: Result<Asked<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let archive = app.archive.as_ref().ok_or_else(|| ApiError::not_found("archive at this brain"))?;
    let nothing = || ApiError::not_found("file");
    let Asked(asked) = asked.map_err(|_| nothing())?;
    let path = served(&archive.public(), &asked).ok_or_else(nothing)?;
    let file = match File::open(&path).await {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Err(nothing()),
        Err(error) => return Err(unreadable(&asked, &error)),
    };
    let metadata = file.metadata().await.map_err(|error| unreadable(&asked, &error))?;
    if !metadata.is_file() {
        return Err(nothing());
    }
    let changed = metadata.modified().map_err(|error| unreadable(&asked, &error))?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(app.now().0).unwrap_or(0));
    let facts = Facts {
        length: metadata.len(),
        tag: format!("\"{:x}-{:x}-{:x}\"", metadata.ino(), metadata.mtime(), metadata.mtime_nsec()),
        changed: Some(changed).filter(|changed| *changed <= now),
    };
    let answer = facts.answer(&headers);
    let mut response = match answer {
        Answer::Same => StatusCode::NOT_MODIFIED.into_response(),
        Answer::Beyond => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            put(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", facts.length));
            response
        }
        Answer::Whole => body(&method, file, 0, facts.length, &asked).await?,
        Answer::Part { from, length } => {
            let mut response = body(&method, file, from, length, &asked).await?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {from}-{}/{}", from + length - 1, facts.length);
            put(&mut response, header::CONTENT_RANGE, &range);
            response
        }
    };
    put(&mut response, header::ETAG, &facts.tag);
    if let Some(changed) = facts.changed {
        put(&mut response, header::LAST_MODIFIED, &httpdate::fmt_http_date(changed));
    }
    put(&mut response, header::ACCEPT_RANGES, "bytes");
    put(&mut response, header::CACHE_CONTROL, cache_control(&asked));
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(response)
}

/// Whether there is no such file, or none that could be: a file where a directory would have to be.
fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

fn unreadable(asked: &str, error: &std::io::Error) -> ApiError {
    tracing::error!(file = asked, %error, "a file of the archive cannot be read");
    ApiError::internal("the archive cannot be read: the brain's log says more")
}

fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

async fn body(method: &Method, mut file: File, from: u64, length: u64, asked: &str) -> ApiResult<Response> {
    let mut response = if method == Method::HEAD {
        Response::new(Body::empty())
    } else {
        file.seek(SeekFrom::Start(from)).await.map_err(|error| unreadable(asked, &error))?;
        Response::new(Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE)))
    };
    put(&mut response, header::CONTENT_LENGTH, &length.to_string());
    put(&mut response, header::CONTENT_TYPE, content_type(asked));
    Ok(response)
}

/// What there is to know of a file before it is sent.
struct Facts {
    length: u64,
    tag: String,
    /// None where that is still to come: several releases of one second have those after it, and no answer may tell of them.
    changed: Option<SystemTime>,
}

/// What is sent of it (RFC 9110, 13 and 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Whole,
    Part {
        from: u64,
        length: u64,
    },
    /// Who asks has it.
    Same,
    /// They want what comes after its end.
    Beyond,
}

impl Facts {
    fn answer(&self, headers: &HeaderMap) -> Answer {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let same = match text(header::IF_NONE_MATCH) {
            Some(tags) => {
                let is_ours = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag;
                tags.split(',').any(|tag| is_ours(tag.trim()))
            }
            None => text(header::IF_MODIFIED_SINCE)
                .and_then(|since| httpdate::parse_http_date(since).ok())
                // No less than that: an archive that was put back from a copy has older files, and others.
                .is_some_and(|since| self.seconds() == Some(seconds(since))),
        };
        if same {
            return Answer::Same;
        }
        // Somebody who has a part of another file wants all of this one.
        let still_that = text(header::IF_RANGE).is_none_or(|known| {
            known == self.tag
                || httpdate::parse_http_date(known).is_ok_and(|known| self.seconds() == Some(seconds(known)))
        });
        match text(header::RANGE).filter(|_| still_that) {
            Some(range) => self.part(range),
            None => Answer::Whole,
        }
    }

    fn seconds(&self) -> Option<u64> {
        self.changed.map(seconds)
    }

    /// One range; of several, or of other units, all is sent, as everybody may.
    fn part(&self, range: &str) -> Answer {
        let Some((first, last)) = range
            .strip_prefix("bytes=")
            .filter(|ranges| !ranges.contains(','))
            .and_then(|one| one.split_once('-'))
        else {
            return Answer::Whole;
        };
        let (first, last) = (first.trim(), last.trim());
        let (from, to) = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(from), Ok(last)) if from <= last => (from, last.saturating_add(1).min(self.length)),
            (Ok(from), Err(_)) if last.is_empty() => (from, self.length),
            (Err(_), Ok(length)) if first.is_empty() => {
                (if length == 0 { self.length } else { self.length.saturating_sub(length) }, self.length)
            }
            _ => return Answer::Whole,
        };
        if from >= self.length { Answer::Beyond } else { Answer::Part { from, length: to - from } }
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_or_elsewhere_is_not_served() {
        let check = |asked: &str, good: bool| {
            assert_eq!(served(Path::new("/a"), asked).is_some(), good, "{asked}");
        };
        check("dists/bookworm/InRelease", true);
        check("pool/main/h/hello/hello_1_all.deb", true);
        check("honcho-archive-keyring.gpg", true);
        for bad in [
            "",
            "dists",
            "dists/",
            "dists//x",
            "dists/../../keys/x",
            "pool/./x",
            ".publications/a/1/Release",
            "dists/.bookworm.new/InRelease",
            "other",
            "dists/a\0b",
            "honcho-archive-keyring.gpg/x",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn conditions_and_ranges_are_what_they_are_in_the_standard() {
        let mut facts = Facts {
            length: 100,
            tag: "\"t\"".to_owned(),
            changed: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_500)),
        };
        let check = |facts: &Facts, given: &[(&str, &str)], expected: Answer| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers
                    .insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            assert_eq!(facts.answer(&headers), expected, "{given:?}");
        };
        let (at, before) = ("Mon, 12 Jan 1970 13:46:40 GMT", "Mon, 12 Jan 1970 13:46:39 GMT");
        let part = |from, length| Answer::Part { from, length };
        check(&facts, &[], Answer::Whole);
        check(&facts, &[("if-modified-since", at)], Answer::Same);
        check(&facts, &[("if-modified-since", before)], Answer::Whole);
        check(&facts, &[("if-modified-since", "yesterday")], Answer::Whole);
        check(&facts, &[("if-none-match", "\"x\", W/\"t\"")], Answer::Same);
        check(&facts, &[("if-none-match", "*")], Answer::Same);
        check(&facts, &[("if-none-match", "\"x\""), ("if-modified-since", at)], Answer::Whole);
        check(&facts, &[("range", "bytes=0-9")], part(0, 10));
        check(&facts, &[("range", "bytes=90-")], part(90, 10));
        check(&facts, &[("range", "bytes=90-1000")], part(90, 10));
        check(&facts, &[("range", "bytes=-10")], part(90, 10));
        check(&facts, &[("range", "bytes=-1000")], part(0, 100));
        check(&facts, &[("range", "bytes=100-")], Answer::Beyond);
        check(&facts, &[("range", "bytes=-0")], Answer::Beyond);
        for strange in ["bytes=9-0", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=-"] {
            check(&facts, &[("range", strange)], Answer::Whole);
        }
        check(&facts, &[("range", "bytes=50-"), ("if-range", "\"t\"")], part(50, 50));
        check(&facts, &[("range", "bytes=50-"), ("if-range", at)], part(50, 50));
        check(&facts, &[("range", "bytes=50-"), ("if-range", before)], Answer::Whole);
        check(&facts, &[("range", "bytes=50-"), ("if-range", "\"x\"")], Answer::Whole);
        // Its time is still to come: by that nobody has it.
        facts.changed = None;
        check(&facts, &[("if-modified-since", at)], Answer::Whole);
        check(&facts, &[("if-none-match", "\"t\"")], Answer::Same);
        check(&facts, &[("range", "bytes=50-"), ("if-range", at)], Answer::Whole);
    }
}
