//! Cookies: which there are, how they are read and set.
//!
//! All are `HttpOnly` and `SameSite`. Where browsers reach us by TLS they are `Secure`, too, and named so that browsers take them from this
//! very host alone, and by TLS alone (`__Host-`, RFC 6265bis, 4.1.3.2): no neighbour in the domain can plant one.

use super::visitor::Transport;
use axum::http::{HeaderMap, HeaderValue, header};

/// The secret of a session.
pub(super) const SESSION: &str = "honcho_session";

/// A secret of somebody who has not logged in, which the token of the login form is made from.
pub(super) const VISIT: &str = "honcho_visit";

/// `light` or `dark`; as the system has it, when absent.
pub(super) const THEME: &str = "honcho_theme";

/// What the next page says.
pub(super) const FLASH: &str = "honcho_flash";

/// What names begin with by TLS.
const PREFIX: &str = "__Host-";

/// The value of a cookie.
pub(super) fn read<'h>(headers: &'h HeaderMap, name: &str, transport: Transport) -> Option<&'h str> {
    let is_it = |key: &str| match transport {
        Transport::Plain => key == name,
        Transport::Tls => key.strip_prefix(PREFIX) == Some(name),
    };
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        is_it(key).then_some(value).filter(|value| !value.is_empty())
    })
}

/// How long a browser keeps a cookie.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    /// Until it is closed.
    Open,
    /// For so many seconds.
    Seconds(u64),
    /// No longer.
    Never,
}

/// The header that sets a cookie; `None` if the value is none that a header can hold.
pub(super) fn set(name: &str, value: &str, kept: Kept, transport: Transport) -> Option<HeaderValue> {
    // Lax, so that who follows a link to the panel from a mail is still logged in. What changes something is a form with
    // a token.
    let kept = match kept {
        Kept::Open => String::new(),
        Kept::Seconds(seconds) => format!("; Max-Age={seconds}"),
        Kept::Never => "; Max-Age=0".to_owned(),
    };
    let (prefix, secure) = if transport == Transport::Tls { (PREFIX, "; Secure") } else { ("", "") };
    HeaderValue::from_str(&format!("{prefix}{name}={value}; Path=/; HttpOnly; SameSite=Lax{kept}{secure}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_of_several_is_found() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; honcho_theme=dark".parse().unwrap());
        headers.append(header::COOKIE, "honcho_session=x=y".parse().unwrap());
        headers.append(header::COOKIE, "__Host-honcho_visit=z".parse().unwrap());
        assert_eq!(read(&headers, THEME, Transport::Plain), Some("dark"));
        assert_eq!(read(&headers, SESSION, Transport::Plain), Some("x=y"));
        assert_eq!(read(&headers, "honcho", Transport::Plain), None);
        // What came by HTTP, or from a neighbour, is not what was set by TLS; and the other way round.
        assert_eq!(read(&headers, SESSION, Transport::Tls), None);
        assert_eq!(read(&headers, VISIT, Transport::Tls), Some("z"));
        assert_eq!(read(&headers, VISIT, Transport::Plain), None);
    }

    #[test]
    fn a_cookie_is_for_us_alone() {
        let check = |kept, transport, expected: &str| {
            assert_eq!(set(SESSION, "s", kept, transport).unwrap().to_str().unwrap(), expected);
        };
        check(Kept::Open, Transport::Tls, "__Host-honcho_session=s; Path=/; HttpOnly; SameSite=Lax; Secure");
        check(Kept::Never, Transport::Plain, "honcho_session=s; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
