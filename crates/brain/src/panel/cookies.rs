//! Cookies: which there are, how they are read and set.
//!
//! All are `HttpOnly` and `SameSite`, and `Secure` where browsers reach us by TLS.

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

/// The value of a cookie.
pub(super) fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value).filter(|value| !value.is_empty())
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
    let secure = if transport == Transport::Tls { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{kept}{secure}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_of_several_is_found() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; honcho_theme=dark".parse().unwrap());
        headers.append(header::COOKIE, "honcho_session=x=y".parse().unwrap());
        assert_eq!(read(&headers, THEME), Some("dark"));
        assert_eq!(read(&headers, SESSION), Some("x=y"));
        assert_eq!(read(&headers, "honcho"), None);
    }

    #[test]
    fn a_cookie_is_for_us_alone() {
        let check = |kept, transport, expected: &str| {
            assert_eq!(set(SESSION, "s", kept, transport).unwrap().to_str().unwrap(), expected);
        };
        check(Kept::Open, Transport::Tls, "honcho_session=s; Path=/; HttpOnly; SameSite=Lax; Secure");
        check(Kept::Never, Transport::Plain, "honcho_session=s; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
