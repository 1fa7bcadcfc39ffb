//! Networks as CSV. The account stands by its name; without one a network is everybody's.
//!
//! What a network is made of stays as it was made: of one that is there, name and reserved ranges can change, and a cell
//! that says something else than what is so is refused. An empty cell says nothing, save that of the reserved ranges.

use super::compare::{differences, says_the_same};
use super::hosts::whole;
use super::owners::Owners;
use super::{Line, LineProblems, Table, Tally, written};
use crate::operations::{NetworkCreate, NetworkUpdate, operators_only};
use crate::outside::Outside;
use honcho_api::{ImportOutcome, Network};
use honcho_model::NetworkId;
use honcho_store::{Change, Filters, Scope, StoreResult, Turn, Tx, networks};
use ipnet::IpNet;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// The columns.
pub(crate) const COLUMNS: &[&str] = &[
    "id",
    "name",
    "account",
    "reference",
    "kind",
    "vlan_id",
    "vxlan_id",
    "subnet",
    "subnet6",
    "gateway",
    "gateway6",
    "reserved_ranges",
];

/// Columns whose empty cells say that there is nothing.
const EMPTY_SAYS: &[&str] = &["reserved_ranges"];

/// A network's cells, in the order of [`COLUMNS`].
fn cells(network: &Network, owners: &Owners) -> Vec<String> {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        network.id.to_string(),
        network.name.clone(),
        owners.name(network.account_id).to_owned(),
        text(&network.reference),
        network.kind.clone(),
        number(network.vlan_id),
        number(network.vxlan_id),
        text(&network.subnet),
        text(&network.subnet6),
        text(&network.gateway),
        text(&network.gateway6),
        network.reserved_ranges.join(" "),
    ]
}

/// A network as a line.
pub(crate) fn line(network: &Network, owners: &Owners) -> Vec<u8> {
    written(cells(network, owners).iter().map(String::as_str))
}

/// What an attribute of a network is called among the columns.
fn column_of(attribute: &str) -> String {
    if attribute == "account_id" { "account".to_owned() } else { attribute.to_owned() }
}

/// A subnet or an address as Honcho writes it; what is neither is left for the operation to refuse.
fn canonical(text: &str) -> String {
    match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(net), _) => net.to_string(),
        (_, Ok(address)) => address.to_string(),
        _ => text.to_owned(),
    }
}

/// Makes the networks that are not there, and changes those that are. All lines or none.
pub(crate) struct NetworksImport {
    pub(crate) scope: Scope,
    pub(crate) outside: Outside,
    pub(crate) table: Table,
}

/// Which network a line is about.
enum About<'n> {
    /// One of this account, or everybody's.
    New(Option<i64>),
    Known(&'n Network),
}

/// What is there, and what the lines so far have made of it.
struct UnderWay<'n> {
    known: &'n [Network],
    owners: Owners,
    /// Names and references are unique within their account, and among those that are everybody's. The index would refuse
    /// what is taken; but here no statement may fail.
    names: HashSet<(Option<i64>, String)>,
    references: HashMap<(Option<i64>, String), String>,
    /// The lines of networks that are there, and of those that are made.
    lines_of_known: HashMap<i64, i64>,
    lines_of_new: HashMap<(Option<i64>, String), i64>,
    problems: LineProblems,
    tally: Tally,
}

impl<'n> UnderWay<'n> {
    fn new(known: &'n [Network], owners: Owners) -> Self {
        let names = known.iter().map(|network| (network.account_id, network.name.clone()));
        let references = known.iter().filter_map(|network| {
            Some(((network.account_id, network.reference.clone()?), network.name.clone()))
        });
        UnderWay {
            known,
            owners,
            names: names.collect(),
            references: references.collect(),
            lines_of_known: HashMap::new(),
            lines_of_new: HashMap::new(),
            problems: LineProblems::default(),
            tally: Tally::default(),
        }
    }

    /// The network that a line is about, or what is wrong with how it says so.
    fn about(&mut self, table: &Table, line: &Line) -> Option<About<'n>> {
        if let Some(id) = table.filled(line, "id") {
            let id: i64 = whole(&mut self.problems, line, "id", id)?;
            let found = self.known.iter().find(|network| network.id == id);
            if found.is_none() {
                let text = format!("there is no network {id}: leave it empty to make one");
                self.problems.cell(line, "id", text);
            }
            return found.map(About::Known);
        }
        let Some(name) = table.filled(line, "name") else {
            self.problems.cell(line, "name", "can't be blank");
            return None;
        };
        let mut named = self.known.iter().filter(|network| network.name == name);
        let owner = match table.cell(line, "account") {
            Some("") => None,
            Some(owner) => Some(self.owners.find(owner, line, &mut self.problems)?),
            // Nothing is said of accounts: the name alone has to be enough.
            None => match (named.next(), named.next()) {
                (None, _) => None,
                (Some(one), None) => return Some(About::Known(one)),
                _ => {
                    let text = "is the name of several networks: say whose, in a column account";
                    self.problems.cell(line, "name", text);
                    return None;
                }
            },
        };
        let found = named.find(|network| network.account_id == owner);
        Some(found.map_or(About::New(owner), About::Known))
    }

    /// Whether no earlier line is about the same network.
    fn is_first(&mut self, table: &Table, line: &Line, about: &About<'_>) -> bool {
        let earlier = match about {
            About::Known(network) => self.lines_of_known.insert(network.id, line.number),
            About::New(account) => {
                let name = table.filled(line, "name").unwrap_or_default().to_owned();
                self.lines_of_new.insert((*account, name), line.number)
            }
        };
        if let Some(earlier) = earlier {
            self.problems.add(line, format!("is about the same network as line {earlier}"));
        }
        earlier.is_none()
    }

    /// Whether the name that a network is to have is not another's.
    fn takes_name(&mut self, line: &Line, about: &About<'n>, name: &str) -> bool {
        let account = match about {
            About::New(account) => *account,
            About::Known(network) if network.name == name => return true,
            About::Known(network) => {
                self.names.remove(&(network.account_id, network.name.clone()));
                network.account_id
            }
        };
        let is_free = self.names.insert((account, name.to_owned()));
        if !is_free {
            self.problems.cell(line, "name", "is taken");
        }
        is_free
    }

    /// A repeated POST with a reference answers with what is there. A line of a file is no repeated POST.
    fn takes_reference(&mut self, line: &Line, account: Option<i64>, reference: &str, name: &str) {
        let key = (account, reference.to_owned());
        if let Some(other) = self.references.insert(key, name.to_owned()) {
            self.problems.cell(line, "reference", format!("is network {other}'s"));
        }
    }

    /// Reads what a line says of a network.
    fn body(&mut self, table: &Table, line: &Line) -> honcho_api::NetworkCreate {
        let text = |column: &str| table.filled(line, column).map(str::to_owned);
        let written = |column: &str| table.filled(line, column).map(canonical);
        let number = |column: &str| {
            table.filled(line, column).and_then(|text| whole(&mut self.problems, line, column, text))
        };
        let [vlan, tunnel] = ["vlan_id", "vxlan_id"].map(number);
        honcho_api::NetworkCreate {
            name: text("name"),
            reference: text("reference"),
            kind: text("kind").map(|kind| kind.to_ascii_lowercase()),
            vlan_id: vlan,
            vxlan_id: tunnel,
            subnet: written("subnet"),
            subnet6: written("subnet6"),
            gateway: written("gateway"),
            gateway6: written("gateway6"),
            reserved_ranges: table
                .cell(line, "reserved_ranges")
                .map(|ranges| ranges.split_whitespace().map(str::to_owned).collect()),
            account_id: None,
        }
    }
}

impl NetworksImport {
    async fn make(
        &self,
        tx: &Tx,
        line: &Line,
        account_id: Option<i64>,
        under_way: &mut UnderWay<'_>,
    ) -> StoreResult<()> {
        let body = honcho_api::NetworkCreate { account_id, ..under_way.body(&self.table, line) };
        if let (Some(reference), Some(name)) = (&body.reference, &body.name) {
            under_way.takes_reference(line, account_id, reference, name);
        }
        let change = NetworkCreate { scope: self.scope, uuid: self.outside.uuid(), body };
        let made = change.run(tx).await;
        if let Some(made) = under_way.problems.take(line, made, column_of)? {
            under_way.tally.created(line, "network", made.id, &made.name);
        }
        Ok(())
    }

    async fn change(
        &self,
        tx: &Tx,
        line: &Line,
        network: &Network,
        under_way: &mut UnderWay<'_>,
    ) -> StoreResult<()> {
        let mut body = under_way.body(&self.table, line);
        if let Some(owner) = self.table.filled(line, "account") {
            body.account_id = under_way.owners.find(owner, line, &mut under_way.problems);
        }
        let reference = network.reference.as_deref().map(str::trim);
        if body.reference.as_deref().is_some_and(|said| Some(said) != reference) {
            under_way.problems.cell(line, "reference", "cannot change once the network is made");
        }
        let before = cells(network, &under_way.owners);
        let change = NetworkUpdate { scope: self.scope, id: NetworkId(network.id), body, lock_version: None };
        let changed = change.run(tx).await;
        if let Some(after) = under_way.problems.take(line, changed, column_of)? {
            match differences(COLUMNS, &before, &cells(&after, &under_way.owners)) {
                details if details.is_empty() => under_way.tally.unchanged(),
                details => under_way.tally.updated(line, ("network", after.id, &after.name), details),
            }
        }
        Ok(())
    }
}

impl Change for NetworksImport {
    type Out = ImportOutcome;
    // What a change of reserved ranges holds back nobody else may be giving out.
    const TURN: Turn = Turn::Addresses;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImportOutcome> {
        operators_only(self.scope)?;
        let known = networks::list(tx, self.scope, &Filters::default()).await?;
        let mut under_way = UnderWay::new(&known, Owners::read(tx, self.scope).await?);
        for line in &self.table.lines {
            let Some(about) = under_way.about(&self.table, line) else { continue };
            if !under_way.is_first(&self.table, line, &about) {
                continue;
            }
            if let About::Known(network) = &about {
                let is = cells(network, &under_way.owners);
                if says_the_same(&self.table, line, (COLUMNS, &is), EMPTY_SAYS) {
                    under_way.tally.unchanged();
                    continue;
                }
            }
            if let Some(name) = self.table.filled(line, "name")
                && !under_way.takes_name(line, &about, name)
            {
                continue;
            }
            match about {
                About::New(account) => self.make(tx, line, account, &mut under_way).await?,
                About::Known(network) => self.change(tx, line, network, &mut under_way).await?,
            }
        }
        under_way.problems.none()?;
        Ok(under_way.tally.outcome())
    }
}
