//! What HTTP says of a file that is served, whoever serves it: the brain, or a bucket with a copy.

use std::path::Path;

/// What kind of thing lies under a path.
pub fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    match Path::new(name).extension().and_then(|ending| ending.to_str()) {
        Some("deb") => "application/vnd.debian.binary-package",
        Some("gz") => "application/gzip",
        Some("zst") => "application/zstd",
        Some("xz") => "application/x-xz",
        Some("dsc") => "text/plain; charset=utf-8",
        None if name.ends_with("Release") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// How long others may keep it without asking: what is asked for by its digest for ever, a package for a day, all else never.
pub fn cache_control(path: &str) -> &'static str {
    if path.contains("/by-hash/") {
        "public, max-age=31536000, immutable"
    } else if path.starts_with("pool/") {
        "public, max-age=86400"
    } else {
        "public, no-cache"
    }
}
