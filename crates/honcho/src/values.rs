//! Values people type: sizes, spans of time, SSH keys.

use crate::command_error::CommandError;
use honcho_model::Bytes;
use std::path::Path;
use std::time::Duration;

/// A size, as in `512M`; also in the API's number of bytes.
pub(crate) fn size(text: &str) -> Result<i64, String> {
    let bytes: Bytes = text.parse().map_err(|error: honcho_model::size::SizeError| error.to_string())?;
    match i64::try_from(bytes.0) {
        Ok(0) => Err("must be more than nothing".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(_) => Err("is more than any machine has".to_owned()),
    }
}

/// A limit of an account; `None` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<i64>);

/// A limit that is a number, as in `20`, or `none`.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    match text.parse::<i64>() {
        Ok(limit @ 0..) => Ok(Limit(Some(limit))),
        _ => Err("write a whole number, or none for no limit".to_owned()),
    }
}

/// A limit that is a size, as in `64G`, or `none`.
pub(crate) fn size_limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        "0" => Ok(Limit(Some(0))),
        text => size(text).map(|bytes| Limit(Some(bytes))).map_err(|why| format!("{why}; none is no limit")),
    }
}

/// A number of bytes from the API, for people.
pub(crate) fn size_text(bytes: i64) -> String {
    u64::try_from(bytes).map_or_else(|_| bytes.to_string(), |bytes| Bytes(bytes).to_string())
}

/// A span of time, as in `90s`, `15m`, `2h`, `14d`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let hint = || "write a number and s, m, h or d, as in 15m or 14d".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| hint())?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| hint())?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}

/// Whole seconds of a span, as the API wants them.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The public keys in a file: one a line, as in `~/.ssh/id_ed25519.pub` or `authorized_keys`.
pub(crate) fn ssh_keys(file: &Path) -> Result<Vec<String>, CommandError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        CommandError::failed(format!("cannot read the SSH key {}", file.display()))
            .cause(&error)
            .hint("--ssh-key takes the file of a public key, as in ~/.ssh/id_ed25519.pub; ssh-keygen -t ed25519 makes a pair")
    })?;
    if text.contains("PRIVATE KEY-----") {
        return Err(CommandError::failed(format!(
            "{} holds a private key, which must stay with you",
            file.display()
        ))
        .hint(format!("give its public half: --ssh-key {}.pub", file.display())));
    }
    let keys: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if keys.is_empty() {
        return Err(CommandError::failed(format!("{} holds no SSH key", file.display())));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_parsed_or_explained() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("3G"), Ok(3 << 30));
        assert_eq!(size("0"), Err("must be more than nothing".to_owned()));
        assert_eq!(
            size("3.5G"),
            Err("\"3.5G\" is not a size: write a whole number and K, M, G or T, as in 512M".to_owned())
        );
        assert_eq!(size("9000000T"), Err("is more than any machine has".to_owned()));
        assert_eq!(size_text(1_610_612_736), "1.5G");

        assert_eq!(limit("20"), Ok(Limit(Some(20))));
        assert_eq!((limit("none"), limit("0")), (Ok(Limit(None)), Ok(Limit(Some(0)))));
        assert!(limit("-1").is_err() && limit("many").is_err());
        assert_eq!((size_limit("64G"), size_limit("none")), (Ok(Limit(Some(64 << 30))), Ok(Limit(None))));
        assert!(size_limit("much").unwrap_err().ends_with("none is no limit"));

        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("14d"), Ok(Duration::from_hours(14 * 24)));
        assert_eq!(duration("-1s"), Err("must not be negative".to_owned()));
        assert!(duration("soon").is_err());
        assert!(duration("15").is_err());
    }
}
