//! Whose guests they are: accounts, people, clusters of front ends, application servers and databases, and single guests.

use super::kinds::Trade;
use super::posting::Database;
use super::slow_logs::{DAY, RELEASED_DAYS_AGO};
use crate::simulate::progress::Progress;
use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use honcho_api::client::Client;
use honcho_api::{
    Account, AccountCreate, Blob, Cluster, ClusterCreate, ClusterRoleCreate, Guest, GuestCreate, Image,
    ImageCreate, Network, NetworkCreate, Operation, Person, PersonCreate, SlowMark, SlowMarkCreate,
    SlowQuery, SlowQueryDetails, SlowServer,
};
use honcho_model::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sha2::Digest as _;
use std::time::{Duration, Instant};

/// So many guests of one customer, on the average.
const GUESTS_EACH: usize = 24;
/// So many are ordered at once.
const AT_ONCE: usize = 16;
/// How long nothing may move while guests are made.
const PATIENCE: Duration = Duration::from_mins(3);
/// Guests of the small network: it is nearly full.
const IN_THE_SMALL_NETWORK: usize = 12;

/// A customer with a cluster.
struct Kept {
    account: &'static str,
    cluster: &'static str,
    trade: Trade,
    /// How many guests of each role.
    roles: [(&'static str, i64); 3],
}

const CLUSTERS: [Kept; 3] = [
    Kept {
        account: "pedal-and-lamp",
        cluster: "shop",
        trade: Trade::Shop,
        roles: [("front", 2), ("app", 6), ("db", 2)],
    },
    Kept {
        account: "morning-paper",
        cluster: "paper",
        trade: Trade::Newspaper,
        roles: [("front", 2), ("app", 4), ("db", 1)],
    },
    Kept {
        account: "night-riders",
        cluster: "board",
        trade: Trade::Forum,
        roles: [("front", 1), ("app", 2), ("db", 1)],
    },
];

/// Somebody who can log in.
pub(crate) struct Login {
    pub(crate) name: &'static str,
    pub(crate) password: String,
    pub(crate) what: &'static str,
}

/// All of them.
pub(crate) struct Tenants {
    accounts: Vec<Account>,
    seed: u64,
}

impl Tenants {
    /// Makes accounts and orders so many guests for them; they run.
    pub(crate) async fn make(
        client: &Client,
        guests: usize,
        seed: u64,
        progress: &Progress,
    ) -> Result<Tenants> {
        let image = image(client).await.context("making the image")?;
        let large = network(client, "tenants", "10.70.0.0/16").await?;
        let small = network(client, "office", "192.0.2.0/28").await?;
        let mut accounts: Vec<Account> = Vec::new();
        let others = (guests / GUESTS_EACH).saturating_sub(CLUSTERS.len()).max(2);
        let names = CLUSTERS.iter().map(|kept| kept.account.to_owned());
        for name in names.chain((1..=others).map(|number| format!("customer-{number:02}"))) {
            let order =
                AccountCreate { name: Some(name), limit_guests: Some(Some(200)), ..AccountCreate::default() };
            accounts.push(client.create(&order).await.context("making an account")?);
        }
        let mut ordered = 0;
        for (kept, account) in CLUSTERS.iter().zip(&accounts) {
            let roles: Vec<ClusterRoleCreate> =
                kept.roles.iter().map(|(role, count)| cluster_role(role, *count)).collect();
            let order = ClusterCreate {
                account_id: Some(account.id),
                name: Some(kept.cluster.to_owned()),
                roles: Some(roles),
                image_id: Some(image),
                network_id: Some(large),
                ..ClusterCreate::default()
            };
            let cluster: Cluster = client.create(&order).await.context("ordering a cluster")?;
            ordered += usize::try_from(cluster.guests_count)?;
        }
        let mut random = StdRng::seed_from_u64(seed);
        let single = (0..guests.saturating_sub(ordered)).map(|number| {
            let account = &accounts[CLUSTERS.len() + random.random_range(0..others)];
            let (gib, vcpus) = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (8, 4)][random.random_range(0..6)];
            let kind = ["web", "vm", "mail", "db", "test"][random.random_range(0..5)];
            let network = if number < IN_THE_SMALL_NETWORK { small } else { large };
            GuestCreate {
                account_id: Some(account.id),
                name: Some(format!("{kind}-{number:03}")),
                image_id: Some(image),
                network_id: Some(network),
                memory_bytes: i64::try_from(Bytes::gib(gib).0).ok(),
                disk_bytes: i64::try_from(Bytes::gib(gib * 10).0).ok(),
                vcpus: Some(vcpus),
                ..GuestCreate::default()
            }
        });
        let single: Vec<GuestCreate> = single.collect();
        let mut orders = stream::iter(single)
            .map(|order| async move { client.create::<Guest>(&order).await })
            .buffer_unordered(AT_ONCE);
        while let Some(guest) = orders.next().await {
            guest.context("ordering a guest")?;
            ordered += 1;
            progress.tell("guests are ordered", ordered, Some(guests));
        }
        drop(orders);
        settled(client, progress).await?;
        progress.say(&format!("{ordered} guests of {} accounts run", accounts.len()));
        Ok(Tenants { accounts, seed })
    }

    /// Somebody of each kind; whoever knows these passwords is shown the demonstration.
    pub(crate) async fn people(&self, client: &Client) -> Result<Vec<Login>> {
        let mut logins = Vec::new();
        let shop = self.accounts[0].id;
        for (name, full_name, scope, what) in [
            ("operator", "Olga Operator", None, "runs the machine room"),
            (
                "customer",
                "Carla Customer",
                Some("admin"),
                "owns pedal-and-lamp, a web shop with slow queries",
            ),
            ("viewer", "Victor Viewer", Some("viewer"), "may look at that, and change nothing"),
        ] {
            // Random all the same: whoever else is on this machine can reach loopback too.
            let password = format!("demo-{:010x}", rand::random::<u64>() >> 24);
            let order = PersonCreate {
                name: Some(name.to_owned()),
                full_name: Some(full_name.to_owned()),
                operator: Some(scope.is_none()),
                password: Some(password.clone()),
            };
            let person: Person = client.create(&order).await?;
            if let Some(scope) = scope {
                let query = [("account_id", shop.to_string()), ("scope", scope.to_owned())];
                let _: Person = client.action::<Person, Person>(person.id, "grant", &query).await?;
            }
            logins.push(Login { name, password, what });
        }
        Ok(logins)
    }

    /// The databases that send slow logs.
    pub(crate) async fn databases(&self, client: &Client) -> Result<Vec<Database>> {
        let mut databases = Vec::new();
        for (account, Kept { cluster, trade, .. }) in self.accounts.iter().zip(CLUSTERS) {
            let query = [
                ("account_id", account.id.to_string()),
                ("cluster", cluster.to_owned()),
                ("role", "db".to_owned()),
            ];
            let guests: Vec<Guest> = client.list(&query).await?;
            ensure!(!guests.is_empty(), "cluster {cluster} has no database");
            databases.extend(guests.into_iter().map(|guest| Database {
                guest: guest.id,
                name: guest.name,
                trade,
            }));
        }
        Ok(databases)
    }

    /// What customers said and did: marks of a release, a note on a query, one who does not pay, one guest that is cancelled.
    pub(crate) async fn said(&self, client: &Client, now: i64) -> Result<()> {
        let at = jiff::Timestamp::from_second(now - RELEASED_DAYS_AGO * DAY)?.to_string();
        for account in &self.accounts[..2] {
            let order = SlowMarkCreate {
                account_id: Some(account.id),
                at: Some(at.clone()),
                text: Some("release 47: wishlists, another cart, an index on invoices".to_owned()),
                ..SlowMarkCreate::default()
            };
            let _: SlowMark = client.create(&order).await?;
        }
        let shop = [("account_id", self.accounts[0].id.to_string())];
        let servers: Vec<SlowServer> = client.list(&shop).await?;
        for server in &servers {
            let path = format!("/v1/slow_servers/{}/queries.json", server.id);
            let queries: Vec<SlowQuery> = client.get_path(&path, &[("limit", "100".to_owned())]).await?;
            if let Some(report) =
                queries.iter().find(|query| query.fingerprint.contains("from order_lines where warehouse_id"))
            {
                let note = "the turnover report; once an hour is fine".to_owned();
                let query = [("state", "accepted".to_owned()), ("note", note)];
                let _: SlowQueryDetails =
                    client.action::<SlowQueryDetails, _>(report.id, "judge", &query).await?;
            }
        }
        let unpaid = self.accounts.last().context("there are accounts")?;
        let _: Account = client.action::<Account, Account>(unpaid.id, "suspend", &[]).await?;
        let mut random = StdRng::seed_from_u64(self.seed ^ 1);
        let owner =
            &self.accounts[CLUSTERS.len() + random.random_range(0..self.accounts.len() - CLUSTERS.len() - 1)];
        let guests: Vec<Guest> = client.list(&[("account_id", owner.id.to_string())]).await?;
        if let Some(guest) = guests.first() {
            let _: Operation = client.delete::<Guest, Operation>(guest.id, &[]).await?;
        }
        Ok(())
    }
}

fn cluster_role(role: &str, count: i64) -> ClusterRoleCreate {
    let gib = match role {
        "front" => 1,
        "app" => 4,
        _ => 8,
    };
    ClusterRoleCreate {
        role: Some(role.to_owned()),
        count: Some(count),
        memory_bytes: i64::try_from(Bytes::gib(gib).0).ok(),
        disk_bytes: i64::try_from(Bytes::gib(gib * 10).0).ok(),
        vcpus: Some(if role == "front" { 1 } else { 2 }),
        ..ClusterRoleCreate::default()
    }
}

async fn network(client: &Client, name: &str, subnet: &str) -> Result<i64> {
    let order = NetworkCreate {
        name: Some(name.to_owned()),
        subnet: Some(subnet.to_owned()),
        ..NetworkCreate::default()
    };
    let network: Network = client.create(&order).await.context("making a network")?;
    Ok(network.id)
}

/// Simulated disks hold nothing of it.
async fn image(client: &Client) -> Result<i64> {
    const CONTENT: &[u8] = b"simulated image of honcho demo\n";
    let digest = hex::encode(sha2::Sha256::digest(CONTENT));
    let request = client.request(reqwest::Method::PUT, &format!("/v1/blobs/{digest}")).body(CONTENT);
    let _: Blob = client.send(request).await?.json().await?;
    let order = ImageCreate {
        name: Some("debian-12-simulated".to_owned()),
        digest: Some(digest),
        unpacked_bytes: Some(1 << 30),
        ..ImageCreate::default()
    };
    let image: Image = client.create(&order).await?;
    Ok(image.id)
}

/// Waits until nothing is left to do.
async fn settled(client: &Client, progress: &Progress) -> Result<()> {
    let (mut moved, mut last) = (Instant::now(), usize::MAX);
    loop {
        let query = [("state", "open".to_owned()), ("limit", "10000".to_owned())];
        let open: Vec<Operation> = client.get_path("/v1/operations.json", &query).await?;
        if open.is_empty() {
            return Ok(());
        }
        if open.len() != last {
            (moved, last) = (Instant::now(), open.len());
        }
        ensure!(moved.elapsed() < PATIENCE, "{} guests are not made, and nothing moves", open.len());
        progress.tell("guests are still to be made", open.len(), None);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
