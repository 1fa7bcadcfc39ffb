//! Signatures as in Standard Webhooks (<https://www.standardwebhooks.com>): `v1,` and the base64 of the HMAC-SHA256 over
//! `id.timestamp.body`. The key is what stands after `whsec_`, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A secret, from 32 random bytes in hex.
pub(crate) fn secret(random: &str) -> String {
    // What is no hex is hashed as it stands; it is as random.
    let bytes = hex::decode(random).unwrap_or_else(|_| random.as_bytes().to_vec());
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// The header `webhook-signature`: one signature per secret that is good, the current one first.
pub(super) fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a str>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let one = |secret: &str| {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).unwrap_or_default();
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    };
    secrets.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    /// The example in the specification's reference libraries.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(
            super::sign([secret], id, 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn while_a_secret_is_rotated_both_sign() {
        let (old, new) = (super::secret(&"00".repeat(32)), super::secret(&"01".repeat(32)));
        let both = super::sign([new.as_str(), old.as_str()], "1-1", 0, b"{}");
        let each = [new, old].map(|secret| super::sign([secret.as_str()], "1-1", 0, b"{}"));
        assert_eq!(both, each.join(" "));
        assert_ne!(each[0], each[1]);
    }
}
