//! Something goes on, so that live pages have something to show.

use anyhow::Result;
use honcho_api::client::{Client, ClientError};
use honcho_api::{Guest, Operation};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

/// Somebody who reboots, stops, starts and resizes guests now and then.
pub(crate) struct Living {
    client: Client,
    random: StdRng,
}

impl Living {
    pub(crate) fn new(client: Client, seed: u64) -> Living {
        Living { client, random: StdRng::seed_from_u64(seed ^ 0x11fe) }
    }

    /// How long nothing happens.
    pub(crate) fn pause(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(2_000..12_000))
    }

    /// Does one thing to one guest. That a guest is just being changed, or its host silent, is no error.
    pub(crate) async fn one_thing(&mut self) -> Result<()> {
        let after = self.random.random_range(0..400);
        let query = [("limit", "1".to_owned()), ("after", after.to_string())];
        let Some(guest) = self.client.list::<Guest>(&query).await?.pop() else { return Ok(()) };
        let action = if guest.power == honcho_model::guest::Power::Stopped {
            "start"
        } else {
            ["reboot", "reboot", "stop", "reboot"][self.random.random_range(0..4)]
        };
        match self.client.action::<Guest, Operation>(guest.id, action, &[]).await {
            Ok(_) => Ok(()),
            Err(ClientError::Refused(body)) if body.status < 500 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
