//! Hosts as CSV. Sites and racks stand by their names, which is how people know them.
//!
//! An empty cell empties what it stands for (a place, a text, network cards); a column that is not there leaves it as it is.
//! A host must have a name, a height and duties, so an empty cell there says nothing; `none` is a host without duties.

use super::read::clipped;
use super::{Line, LineProblems, Table, Tally, compare, written};
use crate::operations::{host, host_update, operators_only};
use crate::outside::Outside;
use honcho_api::{Host, HostCreate, ImportOutcome, Nic, Rack, Site};
use honcho_model::HostId;
use honcho_store::{Change, Filters, Scope, StoreResult, Tx, host_places, hosts, racks, sites};
use std::collections::HashMap;
use std::str::FromStr;

/// The columns.
pub(crate) const COLUMNS: &[&str] = &[
    "id",
    "name",
    "site",
    "rack",
    "position",
    "height_units",
    "face",
    "vendor",
    "model",
    "serial",
    "cores",
    "memory_bought_bytes",
    "bmc_address",
    "duties",
    "nics",
];

/// Columns whose empty cells say that there is nothing.
const EMPTY_SAYS: &[&str] = &[
    "site",
    "rack",
    "position",
    "face",
    "vendor",
    "model",
    "serial",
    "cores",
    "memory_bought_bytes",
    "bmc_address",
    "nics",
];

/// The word for a host without duties: an empty cell says nothing.
const NO_DUTIES: &str = "none";

/// Sites and racks, by name and by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) sites: Vec<Site>,
    pub(crate) racks: Vec<Rack>,
}

impl Places {
    /// All of them.
    pub(crate) async fn read(connection: &impl honcho_store::Connection) -> StoreResult<Self> {
        let (sites, racks) = (
            sites::list(connection, &Filters::default()).await?,
            racks::list(connection, &Filters::default()).await?,
        );
        Ok(Places { sites, racks })
    }

    /// The site with a name.
    pub(crate) fn site(&self, name: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.name == name)
    }

    /// The racks with a name, in this site or in any.
    pub(crate) fn racks<'p>(&'p self, name: &'p str, site: Option<i64>) -> impl Iterator<Item = &'p Rack> {
        self.racks
            .iter()
            .filter(move |rack| rack.name == name && site.is_none_or(|site| site == rack.site_id))
    }

    fn site_name(&self, id: Option<i64>) -> String {
        let found = self.sites.iter().find(|site| Some(site.id) == id);
        found.map(|site| site.name.clone()).unwrap_or_default()
    }

    fn rack_name(&self, id: Option<i64>) -> String {
        let found = self.racks.iter().find(|rack| Some(rack.id) == id);
        found.map(|rack| rack.name.clone()).unwrap_or_default()
    }
}

/// A host's cells, in the order of [`COLUMNS`].
fn cells(host: &Host, places: &Places) -> Vec<String> {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let duties = if host.duties.is_empty() { NO_DUTIES.to_owned() } else { host.duties.join(" ") };
    let nics: Vec<String> = host.nics.iter().map(|nic| format!("{}={}", nic.name, nic.mac)).collect();
    vec![
        host.id.to_string(),
        host.name.clone(),
        places.site_name(host.site_id),
        places.rack_name(host.rack_id),
        number(host.position),
        host.height_units.to_string(),
        text(&host.face),
        text(&host.vendor),
        text(&host.model),
        text(&host.serial),
        number(host.cores),
        number(host.memory_bought_bytes),
        text(&host.bmc_address),
        duties,
        nics.join(" "),
    ]
}

/// A host as a line.
pub(crate) fn line(host: &Host, places: &Places) -> Vec<u8> {
    written(cells(host, places).iter().map(String::as_str))
}

/// What differs between two states of a host, column by column.
pub(crate) fn differences(before: &Host, after: &Host, places: &Places) -> Vec<String> {
    compare::differences(COLUMNS, &cells(before, places), &cells(after, places))
}

/// Whether a line says of a host what is so already.
fn says_the_same(table: &Table, line: &Line, host: &Host, places: &Places) -> bool {
    compare::says_the_same(table, line, (COLUMNS, &cells(host, places)), EMPTY_SAYS)
}

/// What an attribute of [`HostCreate`] is called among the columns.
pub(crate) fn column_of(attribute: &str) -> String {
    match attribute {
        "site_id" => "site".to_owned(),
        "rack_id" => "rack".to_owned(),
        other => other.to_owned(),
    }
}

/// Reads a whole number.
pub(crate) fn whole<T: FromStr>(
    problems: &mut LineProblems,
    line: &Line,
    column: &str,
    text: &str,
) -> Option<T> {
    let read = text.parse().ok();
    if read.is_none() {
        problems.cell(line, column, format!("{} is no whole number", clipped(text)));
    }
    read
}

/// Reads what a line says of a host.
fn body(table: &Table, line: &Line, places: &Places, problems: &mut LineProblems) -> HostCreate {
    let text =
        |column: &str| table.cell(line, column).map(|cell| (!cell.is_empty()).then(|| cell.to_owned()));
    let mut number = |column: &str| {
        let cell = table.cell(line, column)?;
        if cell.is_empty() { Some(None) } else { Some(whole(problems, line, column, cell)) }
    };
    let (position, cores, memory) = (number("position"), number("cores"), number("memory_bought_bytes"));
    let height_units = number("height_units").flatten();
    let (site_id, rack_id) = place(table, line, places, problems);
    HostCreate {
        name: table.filled(line, "name").map(str::to_owned),
        site_id,
        rack_id,
        // What is in no rack is at no unit of it.
        position: position.or((rack_id == Some(None)).then_some(None)),
        face: text("face"),
        vendor: text("vendor"),
        model: text("model"),
        serial: text("serial"),
        cores,
        memory_bought_bytes: memory,
        bmc_address: text("bmc_address"),
        height_units,
        duties: table.filled(line, "duties").map(|words| match words {
            NO_DUTIES => Vec::new(),
            words => words.split_whitespace().map(str::to_owned).collect(),
        }),
        nics: table.cell(line, "nics").map(|nics| read_nics(nics, line, problems)),
    }
}

fn read_nics(cell: &str, line: &Line, problems: &mut LineProblems) -> Vec<Nic> {
    let mut nics = Vec::new();
    for text in cell.split_whitespace() {
        if let Some((name, mac)) = text.split_once('=') {
            nics.push(Nic { name: name.to_owned(), mac: mac.to_owned() });
        } else {
            let text = format!("{}: write NAME=MAC, as in eth0=3c:ec:ef:00:00:07", clipped(text));
            problems.cell(line, "nics", text);
        }
    }
    nics
}

/// Site and rack by their names: absent, none, or one.
#[expect(clippy::option_option, reason = "absent leaves an attribute as it is, null forgets it")]
fn place(
    table: &Table,
    line: &Line,
    places: &Places,
    problems: &mut LineProblems,
) -> (Option<Option<i64>>, Option<Option<i64>>) {
    let mut site_id = table.cell(line, "site").map(|_| None);
    if let Some(name) = table.filled(line, "site") {
        let Some(site) = places.site(name) else {
            let text = format!("there is no site {}: `honcho site create` makes one", clipped(name));
            problems.cell(line, "site", text);
            return (None, None);
        };
        site_id = Some(Some(site.id));
    }
    let Some(name) = table.cell(line, "rack") else { return (site_id, None) };
    if name.is_empty() {
        return (site_id, Some(None));
    }
    let found: Vec<&Rack> = places.racks(name, site_id.flatten()).collect();
    match found.as_slice() {
        [rack] => (Some(Some(rack.site_id)), Some(Some(rack.id))),
        [] => {
            let there = table.filled(line, "site").map(|site| format!(" in site {site}")).unwrap_or_default();
            let text = format!("there is no rack {}{there}: `honcho rack create` makes one", clipped(name));
            problems.cell(line, "rack", text);
            (site_id, None)
        }
        several => {
            let sites: Vec<String> =
                several.iter().map(|rack| places.site_name(Some(rack.site_id))).collect();
            problems.cell(line, "rack", format!("is in several sites ({}): say which", sites.join(", ")));
            (site_id, None)
        }
    }
}

/// Adds the hosts that are not there, and changes those that are. All lines or none.
pub(crate) struct HostsImport {
    pub(crate) scope: Scope,
    pub(crate) outside: Outside,
    pub(crate) table: Table,
}

/// Which host a line is about.
enum About<'h> {
    New,
    Known(&'h Host),
}

/// Hosts as they were, to be looked up.
struct Known<'h> {
    by_id: HashMap<i64, &'h Host>,
    by_name: HashMap<&'h str, &'h Host>,
}

impl Known<'_> {
    fn about<'s>(&'s self, table: &Table, line: &Line, problems: &mut LineProblems) -> Option<About<'s>> {
        let name = table.filled(line, "name");
        if let Some(id) = table.filled(line, "id") {
            let id: i64 = whole(problems, line, "id", id)?;
            let Some(host) = self.by_id.get(&id) else {
                problems.cell(line, "id", format!("there is no host {id}: leave it empty to add one"));
                return None;
            };
            return Some(About::Known(host));
        }
        let Some(name) = name else {
            problems.cell(line, "name", "can't be blank");
            return None;
        };
        Some(self.by_name.get(name).map_or(About::New, |host| About::Known(host)))
    }
}

impl Change for HostsImport {
    type Out = ImportOutcome;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImportOutcome> {
        operators_only(self.scope)?;
        let before = hosts::list(tx, &Filters::default(), tx.now).await?;
        let places = Places::read(tx).await?;
        let known = Known {
            by_id: before.iter().map(|host| (host.id, host)).collect(),
            by_name: before.iter().map(|host| (host.name.as_str(), host)).collect(),
        };
        let (mut problems, mut tally) = (LineProblems::default(), Tally::default());
        let mut seen: HashMap<String, &Line> = HashMap::new();
        let mut work = Vec::new();
        for line in &self.table.lines {
            let Some(about) = known.about(&self.table, line, &mut problems) else { continue };
            let key = match &about {
                About::Known(host) => format!("id {}", host.id),
                About::New => format!("name {}", self.table.filled(line, "name").unwrap_or_default()),
            };
            if let Some(earlier) = seen.insert(key, line) {
                problems.add(line, format!("is about the same host as line {}", earlier.number));
                continue;
            }
            match about {
                About::Known(host) if says_the_same(&self.table, line, host, &places) => tally.unchanged(),
                about => work.push((line, about)),
            }
        }
        // Hosts that change let go of their places and cards first: in one file two may change places.
        for (_, about) in &work {
            if let About::Known(host) = about {
                host_places::release(tx, HostId(host.id)).await?;
            }
        }
        for (line, about) in work {
            let body = body(&self.table, line, &places, &mut problems);
            match about {
                About::New => {
                    let made = host::add(tx, self.outside.uuid(), &body, "was added by an import").await;
                    if let Some(host) = problems.take(line, made, column_of)? {
                        tally.created(line, "host", host.id, &host.name);
                    }
                }
                About::Known(host) => {
                    let written = host_update::write(tx, host, &body, None).await;
                    if let Some(after) = problems.take(line, written, column_of)? {
                        match differences(host, &after, &places) {
                            details if details.is_empty() => tally.unchanged(),
                            details => tally.updated(line, ("host", after.id, &after.name), details),
                        }
                    }
                }
            }
        }
        problems.none()?;
        Ok(tally.outcome())
    }
}
