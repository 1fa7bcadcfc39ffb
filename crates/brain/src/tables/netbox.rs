//! NetBox's CSV exports of devices, of prefixes and of VLANs, several files at once.
//!
//! An export has the headings of NetBox's tables ("Position (U)", "Serial number"); older versions, and files made for
//! NetBox's own import, have the names of its fields (`position`, `serial`). Both are known. What a file is, its headings tell.
//!
//! ```text
//!   devices  -> sites, racks (of 42 units, or as high as needed), hosts: vendor, model, serial, place, bmc_address
//!   prefixes -> networks, of those that are active and hold no other prefix of the file
//!   VLANs    -> names of networks, and prefixes that no file of prefixes has
//! ```
//!
//! A second run changes nothing: hosts are known by their names, networks by their VLAN ids and subnets. What NetBox says and Honcho has
//! no place for is told, column by column.

use super::hosts::{Places, column_of, differences};
use super::netbox_prefixes;
use super::read::{Raw, clipped};
use super::{Line, LineProblems, Table, Tally};
use crate::operations::{RackCreate, SiteCreate, host, host_update, operators_only};
use crate::outside::Outside;
use honcho_api::{Host, HostCreate, ImportFile, ImportOutcome};
use honcho_model::host::Duty;
use honcho_model::rack::{HIGHEST, USUAL_HEIGHT};
use honcho_model::{HostId, Name};
use honcho_store::{Change, Filters, Refusal, Scope, StoreResult, Tx, host_places, hosts};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Devices,
    Prefixes,
    Vlans,
}

/// Columns of devices that mean something here: how they are called here, and by the versions of NetBox.
const OF_DEVICES: &[(&str, &[&str])] = &[
    ("name", &["name"]),
    ("role", &["role", "device_role"]),
    ("vendor", &["manufacturer"]),
    ("model", &["type", "device_type", "model_name"]),
    ("serial", &["serial_number", "serial"]),
    ("site", &["site", "site_name"]),
    ("location", &["location"]),
    ("rack", &["rack", "rack_name"]),
    ("position", &["position_u", "position"]),
    ("height_units", &["u_height", "height_u"]),
    ("face", &["rack_face", "face"]),
    ("status", &["status"]),
    ("bmc_address", &["oob_ip", "out_of_band_ip"]),
];

/// The same of prefixes.
const OF_PREFIXES: &[(&str, &[&str])] = &[
    ("prefix", &["prefix", "prefix_flat"]),
    ("status", &["status"]),
    ("tenant", &["tenant"]),
    ("vlan", &["vlan"]),
    ("vlan_group", &["vlan_group"]),
    ("vrf", &["vrf"]),
    ("site", &["site", "site_name", "scope"]),
    ("description", &["description"]),
];

/// The same of VLANs.
const OF_VLANS: &[(&str, &[&str])] = &[
    ("vid", &[VID]),
    ("name", &["name"]),
    ("group", &["group", "group_name"]),
    ("site", &["site", "site_name"]),
    ("tenant", &["tenant"]),
    ("status", &["status"]),
    ("prefixes", &["prefixes"]),
];

/// The column of a VLAN's id.
const VID: &str = "vid";

/// Columns by which prefixes and VLANs are told apart, and which are kept nowhere.
const TOLD_APART_BY: &[&str] = &["vrf", "site", "group", "vlan_group"];

/// Columns that count or name things inside of NetBox, of which nobody misses one.
const OF_NETBOX: &[&str] = &[
    "id",
    "pk",
    "created",
    "last_updated",
    "depth",
    "children",
    "utilization",
    "mark_utilized",
    "marked_utilized",
    "actions",
    "prefix_flat",
];

/// A heading as a word: "Position (U)" is `position_u`.
fn word(heading: &str) -> String {
    let letters =
        heading.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    let words: String = letters.collect();
    words.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// A file of which it is known what it is.
#[derive(Debug)]
struct Understood {
    content: Content,
    table: Table,
    /// Columns in which something stands, and that mean nothing here.
    left_out: Vec<String>,
}

/// What is in a file with these headings.
fn content(words: &[String]) -> Option<Content> {
    let has = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    if has(&["prefix"]) {
        Some(Content::Prefixes)
    } else if has(&["name"]) && has(&[VID]) {
        Some(Content::Vlans)
    } else if has(&["name"]) && has(&["type", "device_type", "manufacturer", "device_role"]) {
        Some(Content::Devices)
    } else {
        None
    }
}

/// Before its version 4, NetBox headed the number of a VLAN "ID", behind that of the row if both are there.
fn name_vlan_ids(words: &mut [String]) {
    let has = |name: &str| words.iter().any(|word| word == name);
    if !has(VID)
        && has("name")
        && has("group")
        && has("prefixes")
        && let Some(word) = words.iter_mut().rev().find(|word| *word == "id")
    {
        VID.clone_into(word);
    }
}

fn understand(file: &ImportFile) -> Result<Understood, LineProblems> {
    let raw = Raw::read(file.text.as_bytes(), Some(&file.name))?;
    let mut words: Vec<String> = raw.names().map(word).collect();
    name_vlan_ids(&mut words);
    let Some(content) = content(&words) else {
        let text = format!(
            "is no export of devices, prefixes or VLANs from NetBox: it has neither a column prefix nor the columns name \
             and type, or name and vid, but {}",
            clipped(&words.join(", "))
        );
        return Err(LineProblems::whole(format!("{} {text}", file.name)));
    };
    let known = match content {
        Content::Devices => OF_DEVICES,
        Content::Prefixes => OF_PREFIXES,
        Content::Vlans => OF_VLANS,
    };
    let mut problems = LineProblems::default();
    let (mut columns, mut left_out) = (Vec::new(), Vec::new());
    for (number, word) in words.iter().enumerate() {
        let column =
            known.iter().find(|(_, names)| names.contains(&word.as_str())).map(|(column, _)| *column);
        // The flat form of a prefix says what the other one does.
        let again = column.is_some() && columns.contains(&column);
        if again && !OF_NETBOX.contains(&word.as_str()) {
            problems.add(&raw.header, format!("column {word} stands there twice"));
        }
        let is_kept = column
            .is_some_and(|column| content == Content::Devices || !TOLD_APART_BY.contains(&column))
            || OF_NETBOX.contains(&word.as_str());
        if !is_kept && raw.says_something(number) {
            left_out.push(word.clone());
        }
        columns.push(column.filter(|_| !again));
    }
    let table = raw.finish(columns, problems)?;
    Ok(Understood { content, table, left_out })
}

/// What NetBox shows where there is nothing.
pub(super) fn said<'t>(table: &Table, line: &'t Line, column: &str) -> Option<&'t str> {
    table.filled(line, column).filter(|text| !matches!(*text, "—" | "-"))
}

/// A name as Honcho has them, of any text.
pub(super) fn name_of(text: &str) -> Option<String> {
    let letters = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let name: String = letters.collect();
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let name = name.get(..name.len().min(63))?.trim_end_matches('-');
    Name::new(name).ok().map(|name| name.as_str().to_owned())
}

/// Imports files of NetBox's. All lines of all of them or none.
pub(crate) struct NetboxImport {
    scope: Scope,
    outside: Outside,
    files: Vec<Understood>,
}

impl NetboxImport {
    /// Reads the files, or says all that cannot be read.
    pub(crate) fn read(scope: Scope, outside: Outside, files: &[ImportFile]) -> StoreResult<Self> {
        if files.is_empty() {
            return Err(Refusal::invalid("files", "can't be blank").into());
        }
        let (mut problems, mut understood) = (LineProblems::default(), Vec::new());
        for file in files {
            match understand(file) {
                Ok(file) => understood.push(file),
                Err(bad) => problems.extend(bad),
            }
        }
        problems.none()?;
        Ok(NetboxImport { scope, outside, files: understood })
    }
}

impl Change for NetboxImport {
    type Out = ImportOutcome;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImportOutcome> {
        operators_only(self.scope)?;
        let mut under_way = UnderWay {
            tx,
            scope: self.scope,
            outside: &self.outside,
            problems: LineProblems::default(),
            tally: Tally::default(),
        };
        let of =
            |content| self.files.iter().filter(move |file| file.content == content).map(|file| &file.table);
        under_way.devices(of(Content::Devices).collect()).await?;
        let (prefixes, vlans) = (of(Content::Prefixes).collect(), of(Content::Vlans).collect());
        netbox_prefixes::import(&mut under_way, prefixes, vlans).await?;
        let left_out: BTreeSet<&String> = self.files.iter().flat_map(|file| &file.left_out).collect();
        if !left_out.is_empty() {
            let columns = left_out.into_iter().cloned().collect::<Vec<_>>().join(", ");
            under_way.tally.note(format!("left out, for Honcho has no place for it: {columns}"));
        }
        under_way.problems.none()?;
        Ok(under_way.tally.outcome())
    }
}

/// An import on its way.
pub(super) struct UnderWay<'i> {
    pub(super) tx: &'i Tx,
    pub(super) scope: Scope,
    pub(super) outside: &'i Outside,
    pub(super) problems: LineProblems,
    pub(super) tally: Tally,
}

/// What a line says of a device.
struct Device<'t> {
    line: &'t Line,
    name: String,
    /// As NetBox has it.
    called: String,
    site: Option<String>,
    rack: Option<String>,
    position: Option<i64>,
    height: Option<i64>,
    role: Option<&'t str>,
    body: HostCreate,
}

impl UnderWay<'_> {
    async fn devices(&mut self, tables: Vec<&Table>) -> StoreResult<()> {
        let crowded = crowded_racks(&tables);
        let mut devices: Vec<Device> = Vec::new();
        let mut taken: HashMap<String, String> = HashMap::new();
        let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
        for table in &tables {
            for line in &table.lines {
                let Some(device) = self.read(table, line, &crowded) else { continue };
                if let Some(other) = taken
                    .insert(device.name.clone(), format!("{} ({})", clipped(&device.called), line.place()))
                {
                    let text =
                        format!("{} and {other} would both be host {}", clipped(&device.called), device.name);
                    self.problems.cell(line, "name", text);
                }
                let status = said(table, line, "status").unwrap_or("active").to_lowercase();
                *statuses.entry(status).or_default() += 1;
                devices.push(device);
            }
        }
        self.tell_statuses(&statuses);
        if !devices.is_empty() && devices.iter().all(|device| device.height.is_none()) {
            let text =
                "the export does not say how high devices are: each new one fills one unit of its rack";
            self.tally.note(text.to_owned());
        }
        let places = self.places(&devices).await?;
        self.hosts(devices, &places).await
    }

    fn tell_statuses(&mut self, statuses: &BTreeMap<String, usize>) {
        let others: Vec<String> = statuses
            .iter()
            .filter(|(status, _)| *status != "active")
            .map(|(status, count)| format!("{count} {status}"))
            .collect();
        if !others.is_empty() {
            let text = format!(
                "devices that are not active in NetBox are hosts all the same: {}",
                others.join(", ")
            );
            self.tally.note(text);
        }
    }

    fn read<'t>(
        &mut self,
        table: &Table,
        line: &'t Line,
        crowded: &BTreeSet<(String, String)>,
    ) -> Option<Device<'t>> {
        let text = |column: &str| said(table, line, column).map(|text| Some(text.to_owned()));
        let position = said(table, line, "position").and_then(|text| self.units(line, "position", text));
        let height =
            said(table, line, "height_units").and_then(|text| self.units(line, "height_units", text));
        let site = self.place_name(table, line, "site");
        let mut rack = self.place_name(table, line, "rack");
        if let (Some(site), Some(name)) = (&site, &rack)
            && crowded.contains(&(site.clone(), name.clone()))
        {
            let within = said(table, line, "location").unwrap_or_default();
            rack = name_of(&format!("{within} {name}"));
        }
        let called = match (said(table, line, "name"), &rack, position) {
            (Some(name), _, _) => name.to_owned(),
            (None, Some(rack), Some(position)) => format!("{rack} u{position}"),
            _ => {
                self.problems.cell(line, "name", "can't be blank where there is no rack and position either");
                return None;
            }
        };
        let Some(name) = name_of(&called) else {
            self.problems.cell(
                line,
                "name",
                format!("{} holds no letter or digit from a to z and 0 to 9", clipped(&called)),
            );
            return None;
        };
        let bmc = said(table, line, "bmc_address").map(|text| text.split('/').next().unwrap_or(text));
        if let Some(bmc) = bmc.filter(|bmc| bmc.parse::<IpAddr>().is_err()) {
            self.problems.cell(line, "bmc_address", format!("{} is no IP address", clipped(bmc)));
        }
        let body = HostCreate {
            name: Some(name.clone()),
            position: position.map(Some),
            height_units: height,
            face: said(table, line, "face").map(|face| Some(face.to_lowercase())),
            vendor: text("vendor"),
            model: text("model"),
            serial: text("serial"),
            bmc_address: bmc.map(|bmc| Some(bmc.to_owned())),
            ..HostCreate::default()
        };
        Some(Device {
            line,
            name,
            called,
            site,
            rack,
            position,
            height,
            role: said(table, line, "role"),
            body,
        })
    }

    fn place_name(&mut self, table: &Table, line: &Line, column: &str) -> Option<String> {
        let text = said(table, line, column)?;
        let name = name_of(text);
        if name.is_none() {
            self.problems.cell(
                line,
                column,
                format!("{} holds no letter or digit from a to z and 0 to 9", clipped(text)),
            );
        }
        name
    }

    /// A number of units: NetBox writes 12.0, and knows halves.
    fn units(&mut self, line: &Line, column: &str, text: &str) -> Option<i64> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        match (whole.parse::<i64>(), fraction.trim_end_matches('0')) {
            (Ok(units), "") => Some(units),
            (Ok(_), _) => {
                self.problems.cell(line, column, format!("{}: Honcho counts whole units", clipped(text)));
                None
            }
            (Err(_), _) => {
                self.problems.cell(line, column, format!("{} is no number of units", clipped(text)));
                None
            }
        }
    }

    /// Makes the sites and racks that are not there; gives all.
    async fn places(&mut self, devices: &[Device<'_>]) -> StoreResult<Places> {
        let mut places = Places::read(self.tx).await?;
        // As high as what is in it needs, if that is more than the usual.
        let mut tops: HashMap<(&str, &str), i64> = HashMap::new();
        for device in devices {
            if let (Some(site), Some(rack), Some(position)) = (&device.site, &device.rack, device.position) {
                let top = position.saturating_add(device.height.unwrap_or(1) - 1).min(HIGHEST);
                let known = tops.entry((site, rack)).or_insert(USUAL_HEIGHT);
                *known = top.max(*known);
            }
        }
        let mut made_racks = 0;
        for device in devices {
            let Some(site) = &device.site else {
                if device.rack.is_some() {
                    self.problems.cell(
                        device.line,
                        "rack",
                        "is in no site: NetBox says the site of every rack",
                    );
                }
                continue;
            };
            let site_id = if let Some(known) = places.site(site) {
                known.id
            } else {
                let body = honcho_api::SiteCreate { name: Some(site.clone()), location: None };
                let change = SiteCreate { scope: self.scope, uuid: self.outside.uuid(), body };
                let made = change.run(self.tx).await;
                let Some(made) = self.problems.take(device.line, made, |_| "site".to_owned())? else {
                    continue;
                };
                self.tally.created(device.line, "site", made.id, &made.name);
                let id = made.id;
                places.sites.push(made);
                id
            };
            let Some(rack) = &device.rack else { continue };
            if places.racks(rack, Some(site_id)).next().is_none() {
                let height = tops.get(&(site.as_str(), rack.as_str())).copied();
                let body = honcho_api::RackCreate {
                    name: Some(rack.clone()),
                    site_id: Some(site_id),
                    height_units: height,
                };
                let made =
                    RackCreate { scope: self.scope, uuid: self.outside.uuid(), body }.run(self.tx).await;
                let Some(made) = self.problems.take(device.line, made, |_| "rack".to_owned())? else {
                    continue;
                };
                self.tally.created(device.line, "rack", made.id, &made.name);
                places.racks.push(made);
                made_racks += 1;
            }
        }
        if made_racks > 0 {
            let text = format!(
                "the export does not say how high racks are: those made have {USUAL_HEIGHT} units, or as many as what is in them needs"
            );
            self.tally.note(text);
        }
        Ok(places)
    }

    async fn hosts(&mut self, devices: Vec<Device<'_>>, places: &Places) -> StoreResult<()> {
        let before = hosts::list(self.tx, &Filters::default(), self.tx.now).await?;
        let known: HashMap<&str, &Host> = before.iter().map(|host| (host.name.as_str(), host)).collect();
        for device in &devices {
            if let Some(host) = known.get(device.name.as_str()) {
                host_places::release(self.tx, HostId(host.id)).await?;
            }
        }
        let mut without_duty: BTreeSet<String> = BTreeSet::new();
        for device in devices {
            let mut body = device.body;
            let site = device.site.as_deref().and_then(|site| places.site(site)).map(|site| site.id);
            let rack =
                device.rack.as_deref().and_then(|rack| places.racks(rack, site).next()).map(|rack| rack.id);
            (body.site_id, body.rack_id) = (site.map(Some), rack.map(Some));
            let Some(host) = known.get(device.name.as_str()) else {
                let duties = duties(device.role);
                if duties.is_empty() {
                    without_duty.insert(device.role.unwrap_or("no role").to_owned());
                }
                body.duties = Some(duties);
                let made =
                    host::add(self.tx, self.outside.uuid(), &body, "was added by an import from NetBox")
                        .await;
                if let Some(made) = self.problems.take(device.line, made, column_of)? {
                    self.tally.created(device.line, "host", made.id, &made.name);
                }
                continue;
            };
            let written = host_update::write(self.tx, host, &body, None).await;
            if let Some(after) = self.problems.take(device.line, written, column_of)? {
                match differences(host, &after, places) {
                    details if details.is_empty() => self.tally.unchanged(),
                    details => self.tally.updated(device.line, ("host", after.id, &after.name), details),
                }
            }
        }
        if !without_duty.is_empty() {
            let roles = without_duty.into_iter().collect::<Vec<_>>().join(", ");
            self.tally.note(format!(
                "new hosts with these roles have no duties, so that no guest is placed on them: {roles}"
            ));
        }
        Ok(())
    }
}

/// Racks, as site and name, of which there are several in one site, at different locations.
fn crowded_racks(tables: &[&Table]) -> BTreeSet<(String, String)> {
    let mut locations: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    for table in tables {
        for line in &table.lines {
            let name = |column: &str| said(table, line, column).and_then(name_of);
            if let (Some(site), Some(rack)) = (name("site"), name("rack")) {
                locations
                    .entry((site, rack))
                    .or_default()
                    .insert(said(table, line, "location").unwrap_or_default());
            }
        }
    }
    locations.into_iter().filter(|(_, locations)| locations.len() > 1).map(|(rack, _)| rack).collect()
}

/// What a device of this role is there for. Roles are words of whoever keeps that NetBox: a server runs guests, and a switch
/// must never be thought to.
fn duties(role: Option<&str>) -> Vec<String> {
    let role = role.unwrap_or_default().to_lowercase();
    let means = |words: &[&str]| words.iter().any(|word| role.contains(word));
    let duties = [
        (Duty::Hypervisor, means(&["hypervisor", "virtuali", "compute", "server"])),
        (Duty::Firewall, means(&["firewall"])),
        (Duty::Storage, means(&["storage", "san", "nas"])),
        (Duty::Builder, means(&["builder"])),
    ];
    duties.into_iter().filter(|(_, means)| *means).map(|(duty, _)| duty.as_str().to_owned()).collect()
}

/// Reads a text as a file of NetBox's, for the fuzz target.
pub(crate) fn read_for_fuzzing(text: &str) {
    let file = ImportFile { name: "file".to_owned(), text: text.to_owned() };
    match understand(&file) {
        Ok(Understood { content: Content::Devices, table, .. }) => drop(crowded_racks(&[&table])),
        Ok(Understood { content: Content::Prefixes, table, .. }) => {
            netbox_prefixes::read_for_fuzzing(&[&table], &[]);
        }
        Ok(Understood { content: Content::Vlans, table, .. }) => {
            netbox_prefixes::read_for_fuzzing(&[], &[&table]);
        }
        Err(_) => {}
    }
}
