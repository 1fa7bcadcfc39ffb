//! Tokens of forms: who sends a form must have been shown it.
//!
//! A token is made from the secret in the cookie, which no other site can read. It looks different on every page: half of it
//! is random and hides the other half, so that nothing can be learnt from how well pages compress.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What is hidden, in bytes.
const SIZE: usize = 32;

fn fixed(secret: &str) -> [u8; SIZE] {
    Sha256::new_with_prefix(b"honcho panel form\0").chain_update(secret.as_bytes()).finalize().into()
}

fn covered(bytes: &[u8; SIZE], cover: &[u8; SIZE]) -> [u8; SIZE] {
    std::array::from_fn(|at| bytes[at] ^ cover[at])
}

/// A token for forms of whoever has this secret. `random` is one that was never used.
pub(super) fn made(secret: &str, random: (Uuid, Uuid)) -> String {
    let mut cover = [0; SIZE];
    cover[..16].copy_from_slice(random.0.as_bytes());
    cover[16..].copy_from_slice(random.1.as_bytes());
    format!("{}{}", hex::encode(cover), hex::encode(covered(&fixed(secret), &cover)))
}

/// Whether a token was made for whoever has this secret.
pub(super) fn is_good(secret: &str, token: &str) -> bool {
    let mut bytes = [0; 2 * SIZE];
    if hex::decode_to_slice(token, &mut bytes).is_err() {
        return false;
    }
    let cover: [u8; SIZE] = std::array::from_fn(|at| bytes[at]);
    let hidden: [u8; SIZE] = std::array::from_fn(|at| bytes[SIZE + at]);
    let differences = covered(&covered(&hidden, &cover), &fixed(secret));
    // All of it is looked at, wherever the first difference is.
    differences.iter().fold(0, |any, difference| any | difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_one_secret_and_never_twice_the_same() {
        let random = |n: u128| (Uuid::from_u128(n), Uuid::from_u128(n + 1));
        let (one, other) = (made("session-a", random(7)), made("session-a", random(11)));
        assert_ne!(one, other);
        assert!(is_good("session-a", &one) && is_good("session-a", &other));
        assert!(!is_good("session-b", &one));
        for bad in ["", "00", &one[..126], &format!("{one}00"), &one.replace(&one[64..66], "zz")] {
            assert!(!is_good("session-a", bad), "{bad}");
        }
    }
}
