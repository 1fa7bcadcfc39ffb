//! The style sheet, the scripts and the icon. They are in the program; the digest of each is in its address, so that a browser may
//! keep it for ever and has a new one at once.

use crate::http::ApiError;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: &'static str,
    digest: String,
    plain: &'static [u8],
    /// Made once, when the first is asked for.
    zipped: Bytes,
}

const STYLE: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 6]> = LazyLock::new(|| {
    [
        asset("panel.css", STYLE, include_bytes!("../../panel/assets/panel.css")),
        asset("panel.js", JAVASCRIPT, include_bytes!("../../panel/assets/panel.js")),
        asset("icon.svg", "image/svg+xml", include_bytes!("../../panel/assets/icon.svg")),
        asset("console.js", JAVASCRIPT, include_bytes!("../../panel/assets/console.js")),
        // xterm.js, as npm has it: `panel/vendor/renew` puts it there.
        asset("xterm.mjs", JAVASCRIPT, include_bytes!("../../panel/vendor/xterm.mjs")),
        asset("xterm.css", STYLE, include_bytes!("../../panel/vendor/xterm.css")),
    ]
});

fn asset(name: &'static str, kind: &'static str, plain: &'static [u8]) -> Asset {
    let mut digest = hex::encode(Sha256::digest(plain));
    digest.truncate(16);
    let zipped = zipped(plain, Compression::best()).unwrap_or_default();
    Asset { name, kind, digest, plain, zipped: zipped.into() }
}

/// As gzip has it.
pub(super) fn zipped(plain: &[u8], level: Compression) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), level);
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Whether whoever asks can read gzip.
pub(super) fn reads_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case("gzip")
            && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

/// Where a file is.
pub(super) fn address(name: &str) -> String {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    found.map(|asset| format!("/assets/{}/{}", asset.digest, asset.name)).unwrap_or_default()
}

/// Gives a file.
pub(super) async fn serve(
    Path((digest, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = ASSETS.iter().find(|asset| asset.name == name && asset.digest == digest);
    let asset = found.ok_or_else(|| ApiError::not_found("file"))?;
    let common = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept-encoding"),
    ];
    if reads_gzip(&headers) && !asset.zipped.is_empty() {
        return Ok((common, [(header::CONTENT_ENCODING, "gzip")], asset.zipped.clone()).into_response());
    }
    Ok((common, asset.plain).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_an_address_of_its_own_and_is_there_packed() {
        for asset in ASSETS.iter() {
            assert_eq!(address(asset.name), format!("/assets/{}/{}", asset.digest, asset.name));
            assert!(!asset.zipped.is_empty(), "{}", asset.name);
        }
        assert_eq!(address("nothing.css"), "");
    }

    #[test]
    fn gzip_is_sent_to_who_says_that_they_read_it() {
        let check = |accepted: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(reads_gzip(&headers), expected, "{accepted}");
        };
        check("gzip, deflate, br", true);
        check("br;q=1.0, GZIP;q=0.5", true);
        check("gzip;q=0", false);
        check("br", false);
        assert!(!reads_gzip(&HeaderMap::new()));
    }
}
