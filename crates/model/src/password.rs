//! Which passwords will do, and which names people log in with.
//!
//! NIST SP 800-63B, section 5.1.1.2: length over composition; no rules about kinds of characters; what is common, and
//! what can be guessed from the login, is refused. Passwords come here after Unicode normalisation (NFKC).

/// At least so many characters.
pub const FEWEST_CHARACTERS: usize = 12;

/// At most so many bytes: hashing must not become a way to keep the brain busy.
pub const MOST_BYTES: usize = 1024;

/// Of the lists of leaked passwords those that are long enough to pass otherwise, in lower-case letters.
const COMMON: &[&str] = &[
    "1234567890ab",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "abcdefghijkl",
    "abcdefghijklmnopqrstuvwxyz",
    "adminadminadmin",
    "administrator",
    "administrator1",
    "changemenow1",
    "changeme1234",
    "changeme12345",
    "correct horse battery staple",
    "correcthorsebatterystaple",
    "iloveyou1234",
    "iloveyouforever",
    "letmein12345",
    "letmeinletmein",
    "motherfucker",
    "p@ssw0rd1234",
    "passw0rd1234",
    "password1234",
    "password12345",
    "password123456",
    "password2024",
    "password2025",
    "password2026",
    "qazwsxedcrfv",
    "qwerty123456",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopas",
    "qwertyuiopasdfghjklzxcvbnm",
    "unbelievable",
    "welcome12345",
    "zxcvbnmasdfg",
    "zxcvbnmasdfghjkl",
];

/// Why a password will not do; reads as the end of a sentence that starts with "password".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too few characters.
    #[error("is too short (12 characters at least; several words are best)")]
    TooShort,
    /// Too many bytes.
    #[error("is too long (1024 bytes at most)")]
    TooLong,
    /// On the list, or the same few characters again and again, or a row of neighbours.
    #[error("is one of those that are tried first")]
    Common,
    /// The login with little else.
    #[error("is too much like the name")]
    LikeTheName,
}

/// Whether a password will do for whoever logs in with `login`.
pub fn check(password: &str, login: &str) -> Result<(), PasswordError> {
    if password.chars().count() < FEWEST_CHARACTERS {
        return Err(PasswordError::TooShort);
    }
    if password.len() > MOST_BYTES {
        return Err(PasswordError::TooLong);
    }
    let lower = password.to_lowercase();
    let characters: Vec<char> = lower.chars().collect();
    let repeats = (1..=4).any(|unit| characters.iter().skip(unit).eq(&characters[..characters.len() - unit]));
    let row = |step: i64| {
        characters.windows(2).all(|pair| {
            let next = i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
            // A row of digits goes on at 0 after 9.
            next == step || (pair[0].is_ascii_digit() && pair[1].is_ascii_digit() && next == -9 * step)
        })
    };
    if repeats || row(1) || row(-1) || COMMON.contains(&lower.trim()) {
        return Err(PasswordError::Common);
    }
    let like = |name: &str| {
        let rest = lower.replace(name, "");
        name.chars().count() >= 3 && rest.len() < lower.len() && rest.chars().count() < 6
    };
    let user = login.split('@').next().unwrap_or(login);
    if like(login) || like(user) {
        return Err(PasswordError::LikeTheName);
    }
    Ok(())
}

/// Why a text is nothing to log in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "may hold lower-case letters, digits and . _ + - @ only, begins with a letter or digit, and is 64 characters at \
     most (as in \"ann\" or \"ann@example.com\")"
)]
pub struct LoginError;

/// Reads what somebody logs in with.
pub fn login(text: &str) -> Result<&str, LoginError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._+-@".contains(&b);
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if begins && text.len() <= 64 && text.bytes().all(allowed) { Ok(text) } else { Err(LoginError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_what_counts_and_what_is_tried_first_is_refused() {
        for good in ["a violet fence sings", "xkqjvbnwpzrt", "пароль из слов", "🐎🐎🔋📎 horse battery"]
        {
            assert_eq!(check(good, "ann"), Ok(()), "{good}");
        }
        let bad = [
            ("short", PasswordError::TooShort),
            ("elevenchars", PasswordError::TooShort),
            ("Password1234", PasswordError::Common),
            ("aaaaaaaaaaaaaaa", PasswordError::Common),
            ("abcabcabcabcabc", PasswordError::Common),
            ("123456789012", PasswordError::Common),
            ("CorrectHorseBatteryStaple", PasswordError::Common),
            ("annabella2026", PasswordError::LikeTheName),
            ("ann-bella@example.com", PasswordError::LikeTheName),
        ];
        for (bad, why) in bad {
            let login = if bad.contains('@') { "ann-bella@example.com" } else { "annabella" };
            assert_eq!(check(bad, login), Err(why), "{bad}");
        }
        assert_eq!(check(&"xy z".repeat(300), "ann"), Err(PasswordError::TooLong));
    }

    #[test]
    fn logins_are_names_or_mail_addresses() {
        for good in ["ann", "ann@example.com", "7", "ann.b+c_d-e"] {
            assert_eq!(login(good), Ok(good));
        }
        for bad in ["", "Ann", "-ann", "ann b", "ann(operator", "än", "a\u{202e}b", "ann,", &"a".repeat(65)]
        {
            assert!(login(bad).is_err(), "{bad}");
        }
    }
}
