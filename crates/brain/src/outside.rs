//! What the brain takes from outside itself: time and randomness. `main` brings the real ones.

use honcho_model::Timestamp;
use std::sync::Arc;
use uuid::Uuid;

/// Time and randomness.
#[derive(Clone)]
pub struct Outside {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    random: Arc<Fill>,
}

/// Fills its argument with randomness.
type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Outside {
    /// `now` gives the time; `random` fills its argument from a source fit for secrets.
    pub fn new(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        random: impl Fn(&mut [u8]) + Send + Sync + 'static,
    ) -> Self {
        Outside { now: Arc::new(now), random: Arc::new(random) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// A random uuid (version 4).
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        (self.random)(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// About this long: within a fifth, so that what failed together does not try again together.
    pub fn about(&self, pause: std::time::Duration) -> std::time::Duration {
        let mut bytes = [0; 4];
        (self.random)(&mut bytes);
        let permille = 800 + u32::from_be_bytes(bytes) % 401;
        pause * permille / 1000
    }

    /// A secret of 256 bits, as 64 hexadecimal digits.
    pub fn secret(&self) -> String {
        let mut bytes = [0; 32];
        (self.random)(&mut bytes);
        hex::encode(bytes)
    }
}
