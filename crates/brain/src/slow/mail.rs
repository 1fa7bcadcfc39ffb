//! A mail in plain text, as a mail daemon takes it.

use honcho_model::DomainName;
use honcho_store::outgoing_mails::OutgoingMail;

/// The longest address that any mail daemon knows (RFC 5321, 4.5.3.1.3).
const LONGEST: usize = 254;

/// Reads an address: what is before the `@` in RFC 5321's plain form (no quotes, no comments), and a name of DNS behind it.
pub(crate) fn address(text: &str) -> Result<&str, &'static str> {
    let wrong = "must be an address, as in ops@example.com";
    if text.len() > LONGEST {
        return Err("is too long");
    }
    let (local, domain) = text.rsplit_once('@').ok_or(wrong)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&byte);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    // One that begins with a hyphen is an option to some mail daemons.
    if local.is_empty() || local.len() > 64 || dots || local.starts_with('-') || !local.bytes().all(plain) {
        return Err(wrong);
    }
    if domain.is_empty() || DomainName::new(domain).is_err() {
        return Err(wrong);
    }
    Ok(text)
}

/// The whole mail. It is alike each time it is made, so that a second copy (of a brain that died in between) is known by its
/// Message-ID.
pub(crate) fn whole(mail: &OutgoingMail, from: &str, brain: &str) -> String {
    let date = jiff::Timestamp::from_microsecond(mail.created_at).unwrap_or_default();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
    let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    format!(
        "From: Honcho <{from}>\nTo: {}\nSubject: {}\nDate: {date}\nMessage-ID: <honcho-{brain}-{}@{domain}>\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n\n{}\n",
        mail.recipient,
        ascii(&mail.subject),
        mail.id,
        mail.body.trim_end()
    )
}

/// In a header there is nothing else.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["ops@example.com", "a.b+slow@mail.example.com", "o'neil@example.org"] {
            assert_eq!(address(good), Ok(good));
        }
        for bad in [
            "",
            "ops",
            "@example.com",
            "ops@",
            "-oQ/tmp@example.com",
            "a b@example.com",
            "a@b@",
            "a\n@example.com",
            ".a@example.com",
            "a..b@example.com",
            "a@exam ple.com",
            "\"a\"@example.com",
            "a,b@example.com",
            "a@example.com\nBcc: x@example.com",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert!(address(&format!("{}@example.com", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_whole_mail() {
        let subject = "Slow queries of db1\r\nBcc: x";
        let mail = OutgoingMail::new(7, "ops@example.com", subject, "größer\n", 1_700_000_000_000_000);
        expect_test::expect![[r"
            From: Honcho <honcho@brain.example>
            To: ops@example.com
            Subject: Slow queries of db1??Bcc: x
            Date: Tue, 14 Nov 2023 22:13:20 +0000
            Message-ID: <honcho-abc-7@brain.example>
            MIME-Version: 1.0
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: 8bit
            Auto-Submitted: auto-generated

            größer
        "]]
        .assert_eq(&whole(&mail, "honcho@brain.example", "abc"));
    }
}
