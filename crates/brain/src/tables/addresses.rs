//! Addresses as CSV: those that somebody holds. Networks and accounts stand by their names.
//!
//! A line with an account allocates an address that is free; of one that is held, its names can change. Whose it is cannot:
//! giving an address back is done by itself, for something may answer there. The guest and the state are told, and not read.

use super::compare::{differences, says_the_same};
use super::hosts::whole;
use super::owners::Owners;
use super::read::clipped;
use super::{Line, LineProblems, Table, Tally, written};
use crate::operations::{AddressCreate, AddressUpdate, operators_only};
use honcho_api::{Address, ImportOutcome, Network};
use honcho_model::AddressId;
use honcho_store::{Change, Connection, Filters, Refusal, Scope, StoreError, StoreResult, Turn, Tx};
use honcho_store::{addresses, networks};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

/// The columns.
pub(crate) const COLUMNS: &[&str] =
    &["id", "network", "address", "account", "name", "reverse_name", "reference", "status", "guest_id"];

/// Those of them that an import compares and writes; the others are told for whoever reads an export.
const READ: usize = 7;

/// Columns whose empty cells say that there is nothing.
const EMPTY_SAYS: &[&str] = &["name", "reverse_name"];

/// What addresses are of and whose they are, by name.
pub(crate) struct Surroundings {
    networks: Vec<Network>,
    owners: Owners,
}

impl Surroundings {
    /// All in scope.
    pub(crate) async fn read(connection: &impl Connection, scope: Scope) -> StoreResult<Self> {
        let networks = networks::list(connection, scope, &Filters::default()).await?;
        Ok(Surroundings { networks, owners: Owners::read(connection, scope).await? })
    }

    fn network_name(&self, id: i64) -> &str {
        self.networks.iter().find(|network| network.id == id).map_or("", |network| &network.name)
    }

    /// The networks with a name in which an address lies: the account's own first, then everybody's.
    fn networks(&self, name: &str, address: IpAddr, account: Option<i64>) -> Vec<&Network> {
        let holds = |subnet: &Option<String>| {
            subnet.as_ref().and_then(|net| net.parse().ok()).is_some_and(|net: IpNet| net.contains(&address))
        };
        let fits =
            |network: &&Network| network.name == name && (holds(&network.subnet) || holds(&network.subnet6));
        let mut networks: Vec<&Network> = self.networks.iter().filter(fits).collect();
        networks.sort_by_key(|network| match network.account_id {
            Some(owner) if Some(owner) == account => 0,
            None => 1,
            Some(_) => 2,
        });
        networks
    }
}

/// What an export shows: what is on a guest, and what an account holds besides.
pub(crate) fn held(mut filters: Filters) -> Filters {
    filters.equals = ["used", "allocated"].map(|status| ("status".to_owned(), status.to_owned())).into();
    filters
}

/// An address's cells, in the order of [`COLUMNS`].
fn cells(address: &Address, around: &Surroundings) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        address.id.to_string(),
        around.network_name(address.network_id).to_owned(),
        address.address.clone(),
        around.owners.name(address.account_id).to_owned(),
        text(&address.name),
        text(&address.reverse_name),
        text(&address.reference),
        address.status.clone(),
        address.guest_id.map(|id| id.to_string()).unwrap_or_default(),
    ]
}

/// An address as a line.
pub(crate) fn line(address: &Address, around: &Surroundings) -> Vec<u8> {
    written(cells(address, around).iter().map(String::as_str))
}

/// What an attribute of an address is called among the columns.
fn column_of(attribute: &str) -> String {
    match attribute {
        "account_id" => "account".to_owned(),
        "network_id" => "network".to_owned(),
        other => other.to_owned(),
    }
}

/// Allocates addresses that are free, and names those that are held. All lines or none.
pub(crate) struct AddressesImport {
    pub(crate) scope: Scope,
    pub(crate) table: Table,
}

/// Which address a line means: as it is, if there is a row of it.
struct Meant {
    network: i64,
    address: IpAddr,
    known: Option<Address>,
}

/// An import on its way.
struct UnderWay {
    around: Surroundings,
    seen: HashMap<(i64, IpAddr), i64>,
    problems: LineProblems,
    tally: Tally,
}

impl AddressesImport {
    /// By its id, or by what it is and in which network.
    async fn meant(&self, tx: &Tx, line: &Line, under_way: &mut UnderWay) -> StoreResult<Option<Meant>> {
        let UnderWay { around, problems, .. } = under_way;
        let mut address = None;
        if let Some(text) = self.table.filled(line, "address") {
            let Ok(read) = text.parse::<IpAddr>() else {
                problems.cell(line, "address", format!("{} is no IP address", clipped(text)));
                return Ok(None);
            };
            address = Some(read.to_canonical());
        }
        if let Some(id) = self.table.filled(line, "id") {
            let Some(id) = whole(problems, line, "id", id) else { return Ok(None) };
            return self.by_id(tx, line, (id, address), under_way).await;
        }
        let (Some(address), Some(name)) = (address, self.table.filled(line, "network")) else {
            for column in ["network", "address"] {
                if self.table.filled(line, column).is_none() {
                    problems.cell(line, column, "can't be blank");
                }
            }
            return Ok(None);
        };
        let owner = self.table.filled(line, "account").and_then(|owner| around.owners.id(owner));
        let network = match around.networks(name, address, owner).as_slice() {
            [] => {
                let text = format!("there is no network {} with {address} in it", clipped(name));
                problems.cell(line, "network", text);
                return Ok(None);
            }
            [_, _, ..] if !self.table.has("account") => {
                let text = format!(
                    "is the name of several networks with {address} in them: say whose, in a column account"
                );
                problems.cell(line, "network", text);
                return Ok(None);
            }
            [network, ..] => network.id,
        };
        let filters = Filters::default().and("network_id", network).and("address", address);
        let known = addresses::list(tx, self.scope, &filters).await?.into_iter().next();
        Ok(Some(Meant { network, address, known }))
    }

    async fn by_id(
        &self,
        tx: &Tx,
        line: &Line,
        (id, said): (i64, Option<IpAddr>),
        under_way: &mut UnderWay,
    ) -> StoreResult<Option<Meant>> {
        let problems = &mut under_way.problems;
        let known = match addresses::get(tx, self.scope, AddressId(id)).await {
            Ok(known) => known,
            Err(StoreError::Refused(Refusal::NotFound(_))) => {
                let text = format!("there is no address {id}: leave it empty to go by network and address");
                problems.cell(line, "id", text);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let network = under_way.around.network_name(known.network_id);
        let is = known.address.parse::<IpAddr>().ok();
        let same = said.is_none_or(|said| Some(said) == is)
            && self.table.filled(line, "network").is_none_or(|said| said == network);
        if !same {
            let text = format!("is that of {} in network {network}", known.address);
            problems.cell(line, "id", text);
            return Ok(None);
        }
        Ok(is.map(|address| Meant { network: known.network_id, address, known: Some(known) }))
    }

    async fn one(&self, tx: &Tx, line: &Line, under_way: &mut UnderWay) -> StoreResult<()> {
        let Some(meant) = self.meant(tx, line, under_way).await? else { return Ok(()) };
        if let Some(earlier) = under_way.seen.insert((meant.network, meant.address), line.number) {
            under_way.problems.add(line, format!("is about the same address as line {earlier}"));
            return Ok(());
        }
        let owner = match self.table.filled(line, "account") {
            Some(name) => {
                let found = under_way.around.owners.find(name, line, &mut under_way.problems);
                if found.is_none() {
                    return Ok(());
                }
                found
            }
            None => None,
        };
        match meant.known.as_ref().filter(|known| known.account_id.is_some()) {
            Some(held) => self.name(tx, line, (held, owner), under_way).await,
            None => self.allocate(tx, line, (&meant, owner), under_way).await,
        }
    }

    async fn allocate(
        &self,
        tx: &Tx,
        line: &Line,
        (meant, owner): (&Meant, Option<i64>),
        under_way: &mut UnderWay,
    ) -> StoreResult<()> {
        let text = |column: &str| self.table.filled(line, column).map(str::to_owned);
        let (name, reverse_name, reference) = (text("name"), text("reverse_name"), text("reference"));
        if owner.is_none() {
            if name.is_some() || reverse_name.is_some() || reference.is_some() {
                let text = "can't be blank: nobody holds this address, and only one that is held has a name";
                under_way.problems.cell(line, "account", text);
            } else {
                under_way.tally.unchanged();
            }
            return Ok(());
        }
        let wanted = meant.address.to_string();
        let body = honcho_api::AddressCreate {
            network_id: Some(meant.network),
            account_id: owner,
            address: Some(wanted.clone()),
            family: None,
            name,
            reverse_name,
            reference,
        };
        let made = AddressCreate { scope: self.scope, body }.run(tx).await;
        if let Some(made) = under_way.problems.take(line, made, column_of)? {
            // A repeated POST with a reference answers with what is there. A line of a file is no repeated POST.
            if (made.network_id, &made.address) == (meant.network, &wanted) {
                under_way.tally.created(line, "address", made.id, &made.address);
            } else {
                under_way.problems.cell(line, "reference", format!("is that of {}", made.address));
            }
        }
        Ok(())
    }

    /// Changes the names of an address that is held.
    async fn name(
        &self,
        tx: &Tx,
        line: &Line,
        (held, owner): (&Address, Option<i64>),
        under_way: &mut UnderWay,
    ) -> StoreResult<()> {
        let UnderWay { around, problems, tally, .. } = under_way;
        if self.table.has("account") && owner != held.account_id {
            let theirs = around.owners.name(held.account_id);
            let text = format!("is {theirs}'s: `honcho address release` gives it back, if that is meant");
            problems.cell(line, "account", text);
            return Ok(());
        }
        let before = cells(held, around);
        if says_the_same(&self.table, line, (&COLUMNS[..READ], &before[..READ]), EMPTY_SAYS) {
            tally.unchanged();
            return Ok(());
        }
        let reference = held.reference.as_deref().map(str::trim);
        if self.table.filled(line, "reference").is_some_and(|said| Some(said) != reference) {
            problems.cell(line, "reference", "cannot change while the address is held");
        }
        let text = |column: &str| {
            self.table.cell(line, column).map(|cell| (!cell.is_empty()).then(|| cell.to_owned()))
        };
        let (name, reverse_name) = (text("name"), text("reverse_name"));
        let body = honcho_api::AddressUpdate { name, reverse_name, lock_version: None };
        let changed = AddressUpdate { scope: self.scope, id: AddressId(held.id), body }.run(tx).await;
        if let Some(after) = problems.take(line, changed, column_of)? {
            match differences(COLUMNS, &before, &cells(&after, around)) {
                details if details.is_empty() => tally.unchanged(),
                details => tally.updated(line, ("address", after.id, &after.address), details),
            }
        }
        Ok(())
    }
}

impl Change for AddressesImport {
    type Out = ImportOutcome;
    const TURN: Turn = Turn::Addresses;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImportOutcome> {
        operators_only(self.scope)?;
        let mut under_way = UnderWay {
            around: Surroundings::read(tx, self.scope).await?,
            seen: HashMap::new(),
            problems: LineProblems::default(),
            tally: Tally::default(),
        };
        for line in &self.table.lines {
            self.one(tx, line, &mut under_way).await?;
        }
        under_way.problems.none()?;
        Ok(under_way.tally.outcome())
    }
}
