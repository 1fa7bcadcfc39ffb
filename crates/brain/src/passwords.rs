//! Passwords: hashed slowly, few at once; and sources that guess are slowed.
//!
//! Argon2id with 19 MiB, two passes, one lane: the first of OWASP's recommendations (Password Storage Cheat Sheet,
//! "Argon2id"). Two are hashed at once, so logins never take more than 38 MiB, and those who wait are counted.

use crate::http::ApiError;
use argon2::password_hash::SaltString;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};
use honcho_model::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// So many are hashed at once.
const AT_ONCE: usize = 2;

/// So many may wait besides; whoever comes then is told to come back.
const WAITING: usize = 64;

/// So many wrong passwords a source may send before it has to pause.
const FREE_FAILURES: u32 = 10;

/// The longest pause of a source.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What a source did is forgotten after this.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// So many sources are remembered.
const MOST_SOURCES: usize = 10_000;

/// Wrong passwords since the last pause that is over, and when the last was.
#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// None, then 1 s, 2 s, 4 s … up to [`LONGEST_PAUSE`].
    fn pause(self) -> Duration {
        match self.count.checked_sub(FREE_FAILURES) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1 << over.min(16)).min(LONGEST_PAUSE),
        }
    }
}

/// The brain's hashing of passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    sources: Arc<Mutex<HashMap<IpAddr, Failures>>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Passwords {
            hashing: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            sources: Arc::default(),
        }
    }
}

/// NFKC, so that a password typed on another keyboard is the same (NIST SP 800-63B, section 5.1.1.2).
pub(crate) fn normalized(password: &str) -> String {
    password.nfkc().collect()
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes on this thread, for long.
fn hash_now(password: &str, salt: &[u8]) -> Option<String> {
    let salt = SaltString::encode_b64(salt).ok()?;
    argon2().hash_password(password.as_bytes(), &salt).ok().map(|hash| hash.to_string())
}

fn verify_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|parsed| argon2().verify_password(password.as_bytes(), &parsed).is_ok())
}

/// What nobody's password hashes to: checked for people whom there are not, so that they take as long.
fn nobodys() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash_now("no password of anybody", b"nobody's salt...").unwrap_or_default())
}

pub(crate) fn busy(seconds: u64) -> ApiError {
    ApiError::new(
        axum::http::StatusCode::TOO_MANY_REQUESTS,
        "too_many_logins",
        "too many logins just now, or too many wrong passwords from this address",
    )
    .retry_after(seconds)
}

impl Passwords {
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| busy(5))?;
        let turn = self.hashing.clone().acquire_owned().await.map_err(|_| busy(5))?;
        // Whoever asked may go away meanwhile: the turn is over when the work is.
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        work.await.map_err(|error| {
            tracing::error!(%error, "hashing a password failed");
            ApiError::internal("hashing a password failed")
        })
    }

    /// Hashes a normalized password, with 16 random bytes of salt.
    pub(crate) async fn hash(&self, password: String, salt: [u8; 16]) -> Result<String, ApiError> {
        let hash = self.on_a_thread(move || hash_now(&password, &salt)).await?;
        hash.ok_or_else(|| ApiError::internal("hashing a password failed"))
    }

    /// Whether it is the password; takes as long when there is none.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ApiError> {
        self.on_a_thread(move || {
            let right = verify_now(&password, hash.as_deref().unwrap_or_else(|| nobodys()));
            right && hash.is_some()
        })
        .await
    }

    /// Lets a source try once, or says how many seconds it has to wait. The try counts as wrong until it is
    /// [`Passwords::forgiven`], so that many at once are not one.
    pub(crate) fn admit(&self, source: IpAddr, now: Timestamp) -> Result<(), u64> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MOST_SOURCES {
            sources.retain(|_, failures| now.since(failures.last) < FORGOTTEN);
        }
        if sources.len() >= MOST_SOURCES {
            // So many sources at once are one attacker: locking people is what stops them.
            sources.clear();
        }
        let failures = sources.entry(network(source)).or_insert(Failures { count: 0, last: now });
        if now.since(failures.last) >= FORGOTTEN {
            failures.count = 0;
        }
        let (pause, passed) = (failures.pause(), now.since(failures.last));
        if passed < pause {
            return Err(pause.saturating_sub(passed).as_secs() + 1);
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
        Ok(())
    }

    /// The password was right: that try does not count.
    pub(crate) fn forgiven(&self, source: IpAddr) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failures) = sources.get_mut(&network(source)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

/// Who has one address of IPv6 has the other 2^64 of its network as well.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_guesses_waits_longer_and_longer_and_is_forgotten_after_an_hour() {
        let (passwords, source) = (Passwords::default(), IpAddr::from([192, 0, 2, 1]));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        for _ in 0..FREE_FAILURES {
            assert_eq!(passwords.admit(source, at(0)), Ok(()));
        }
        assert_eq!(passwords.admit(source, at(0)), Err(2));
        assert_eq!(passwords.admit(source, at(1)), Ok(()));
        assert_eq!(passwords.admit(source, at(2)), Err(2));
        assert_eq!(passwords.admit(source, at(3)), Ok(()));
        passwords.forgiven(source);
        assert_eq!(passwords.admit(source, at(5)), Ok(()), "a right one does not count");
        assert_eq!(passwords.admit(IpAddr::from([192, 0, 2, 2]), at(5)), Ok(()), "another one may");
        for _ in 0..40 {
            let _ = passwords.admit(source, at(1000));
        }
        assert_eq!(passwords.admit(source, at(5000)), Ok(()));
    }

    #[tokio::test]
    async fn a_password_is_what_hashes_to_its_hash_and_nobody_has_nobodys() {
        let passwords = Passwords::default();
        let hash = passwords.hash(normalized("ﬁve violet fences"), [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify(normalized("five violet fences"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("five violet fence".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("no password of anybody".to_owned(), None).await.unwrap());
    }
}
