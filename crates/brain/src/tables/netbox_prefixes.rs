//! Prefixes and VLANs of NetBox's become networks.
//!
//! ```text
//!   prefixes ---.                 .-- active, of a size that networks have, holding no other --> Prefix
//!               |-- Claim (a net) +
//!   VLANs ------'                 '-- the others: told, by why not
//!
//!   prefixes of one VLAN, one of each family --> a VLAN network; without a VLAN, each --> a local network
//! ```
//!
//! Not all of them can: NetBox keeps whole plans of addresses. What only holds others, is not in use, or is larger or
//! smaller than a network may be is left out and told. A prefix of a tenant is the account's of that name, and never
//! everybody's.

use super::netbox::{UnderWay, name_of, said};
use super::netbox_vlans::{self, Vlan, VlanLine};
use super::read::clipped;
use super::{Line, LineProblems, Table};
use crate::operations::NetworkCreate;
use honcho_api::{Account, Network};
use honcho_model::{NetworkKind, subnet};
use honcho_store::{Change, Filters, StoreResult, accounts, networks};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashSet};

/// A prefix, as a line of prefixes or one of VLANs says it.
struct Prefix<'t> {
    line: &'t Line,
    net: IpNet,
    status: String,
    vrf: Option<&'t str>,
    description: Option<&'t str>,
    tenant: Option<&'t str>,
    vlan: Option<Vlan<'t>>,
}

/// A network that is to be: a prefix, or those of one VLAN.
struct Wanted<'t> {
    vlan: Option<Vlan<'t>>,
    /// One of each family at most, one at least.
    prefixes: Vec<Prefix<'t>>,
}

/// What is left out, by why.
#[derive(Default)]
struct Left(BTreeMap<String, Vec<String>>);

impl Left {
    fn out(&mut self, why: impl Into<String>, what: impl std::fmt::Display) {
        self.0.entry(why.into()).or_default().push(what.to_string());
    }
}

pub(super) async fn import(
    under_way: &mut UnderWay<'_>,
    prefix_tables: Vec<&Table>,
    vlan_tables: Vec<&Table>,
) -> StoreResult<()> {
    let mut left = Left::default();
    let Sorted { wanted, empty } = sort_out(&mut under_way.problems, &mut left, &prefix_tables, &vlan_tables);
    make(under_way, wanted, &mut left).await?;
    for (why, nets) in left.0 {
        under_way.tally.note(format!("prefixes that are no networks, for {why}: {}", nets.join(", ")));
    }
    if !empty.is_empty() {
        let text = format!("VLANs that are no networks, for no prefix is in them: {}", empty.join(", "));
        under_way.tally.note(text);
    }
    Ok(())
}

/// What the lines come to.
struct Sorted<'t> {
    wanted: Vec<Wanted<'t>>,
    /// VLANs without a prefix.
    empty: Vec<String>,
}

fn sort_out<'t>(
    problems: &mut LineProblems,
    left: &mut Left,
    prefix_tables: &[&'t Table],
    vlan_tables: &[&'t Table],
) -> Sorted<'t> {
    let mut prefixes = read(problems, prefix_tables);
    let vlans = netbox_vlans::read(problems, vlan_tables);
    join(&mut prefixes, &vlans);
    let has_prefix =
        |vlan: &Vlan<'_>| prefixes.iter().any(|prefix| prefix.vlan.is_some_and(|known| known.may_be(vlan)));
    let empty = vlans.iter().map(|line| line.vlan).filter(|vlan| !has_prefix(vlan));
    let empty = empty.map(|vlan| vlan.to_string()).collect();
    let prefixes = usable(prefixes, left);
    Sorted { wanted: together(prefixes, left), empty }
}

/// All that is done with files before the database is asked, for the fuzz target.
pub(super) fn read_for_fuzzing(prefix_tables: &[&Table], vlan_tables: &[&Table]) {
    let (mut problems, mut left) = (LineProblems::default(), Left::default());
    let sorted = sort_out(&mut problems, &mut left, prefix_tables, vlan_tables);
    for wanted in &sorted.wanted {
        assert!(honcho_model::Name::new(&network_name(wanted, &HashSet::new())).is_ok());
    }
}

/// The lines of prefixes.
fn read<'t>(problems: &mut LineProblems, tables: &[&'t Table]) -> Vec<Prefix<'t>> {
    let mut prefixes = Vec::new();
    for table in tables.iter().copied() {
        for line in &table.lines {
            // Nested ones are shown with a bullet for each level.
            let text = said(table, line, "prefix").unwrap_or_default();
            let text = text.trim_start_matches(|c: char| c == '•' || c == '·' || c.is_whitespace());
            let net = match text.parse::<IpNet>() {
                Ok(net) if net.trunc() == net => net,
                _ => {
                    let text = format!("{} is no prefix, as in 10.77.0.0/24", clipped(text));
                    problems.cell(line, "prefix", text);
                    continue;
                }
            };
            let vlan = said(table, line, "vlan").and_then(|text| {
                let vlan = Vlan::parse(text);
                if vlan.is_none() {
                    let text = format!("{} is no VLAN, as in web (100)", clipped(text));
                    problems.cell(line, "vlan", text);
                }
                let [group, site] = ["vlan_group", "site"].map(|column| said(table, line, column));
                Some(Vlan { group, site, ..vlan? })
            });
            prefixes.push(Prefix {
                line,
                net,
                status: said(table, line, "status").unwrap_or("active").to_lowercase(),
                vrf: said(table, line, "vrf").filter(|vrf| *vrf != "Global"),
                description: said(table, line, "description"),
                tenant: said(table, line, "tenant"),
                vlan,
            });
        }
    }
    prefixes
}

/// Adds what the lines of VLANs say: names, and prefixes that no other line has.
fn join<'t>(prefixes: &mut Vec<Prefix<'t>>, vlans: &[VlanLine<'t>]) {
    for VlanLine { line, vlan, status, tenant, nets } in vlans {
        for prefix in prefixes.iter_mut() {
            let same = match &prefix.vlan {
                Some(known) => known.may_be(vlan),
                None => nets.contains(&prefix.net),
            };
            if same {
                prefix.vlan = Some(prefix.vlan.map_or(*vlan, |known| known.with(vlan)));
            }
        }
        for net in nets {
            let is_known = prefixes
                .iter()
                .any(|prefix| prefix.net == *net && prefix.vlan.is_some_and(|known| known.may_be(vlan)));
            if !is_known {
                prefixes.push(Prefix {
                    line,
                    net: *net,
                    status: status.unwrap_or("active").to_lowercase(),
                    vrf: None,
                    description: None,
                    tenant: *tenant,
                    vlan: Some(*vlan),
                });
            }
        }
    }
}

/// Those that can be networks.
fn usable<'t>(prefixes: Vec<Prefix<'t>>, left: &mut Left) -> Vec<Prefix<'t>> {
    let all: Vec<(Option<&str>, IpNet)> = prefixes.iter().map(|prefix| (prefix.vrf, prefix.net)).collect();
    let is_usable = |prefix: &Prefix<'_>| {
        let net = prefix.net;
        // Addresses of another VRF have nothing to do with these.
        let holds_others =
            all.iter().any(|(vrf, other)| *vrf == prefix.vrf && *other != net && net.contains(other));
        let why = match (prefix.status.as_str(), net) {
            ("container", _) => "they are containers",
            _ if holds_others => "they hold other prefixes of the file",
            ("active", IpNet::V4(_)) if subnet::parse(&net.to_string()).is_err() => {
                "a network is a /16 to a /29"
            }
            ("active", IpNet::V6(_)) if subnet::parse6(&net.to_string()).is_err() => {
                "a network of IPv6 is a /48 to a /120 of addresses that machines can have"
            }
            ("active", _) => return true,
            _ => "they are not active",
        };
        left.out(why, net);
        false
    };
    prefixes.into_iter().filter(is_usable).collect()
}

/// Puts those of one VLAN together. A VLAN id is one network's, wherever it is, and that has one subnet of each family.
fn together<'t>(prefixes: Vec<Prefix<'t>>, left: &mut Left) -> Vec<Wanted<'t>> {
    let mut all: Vec<Wanted<'t>> = Vec::new();
    for prefix in prefixes {
        let Some(vlan) = prefix.vlan else {
            all.push(Wanted { vlan: None, prefixes: vec![prefix] });
            continue;
        };
        let same_number = |wanted: &&mut Wanted<'_>| wanted.vlan.is_some_and(|known| known.id == vlan.id);
        let Some(wanted) = all.iter_mut().find(same_number) else {
            all.push(Wanted { vlan: Some(vlan), prefixes: vec![prefix] });
            continue;
        };
        let first = wanted.prefixes.iter().map(|other| other.net.to_string()).collect::<Vec<_>>().join(", ");
        let family = |net: &IpNet| matches!(net, IpNet::V4(_));
        if !wanted.vlan.is_some_and(|known| known.may_be(&vlan)) {
            let why = "their VLAN has the id of another one of the files, and an id is one network's";
            left.out(why, format!("{} ({vlan}, as {first})", prefix.net));
        } else if wanted.prefixes.iter().any(|other| family(&other.net) == family(&prefix.net)) {
            let why = "their VLAN has another one of that family, and a network has one of each";
            left.out(why, format!("{} ({vlan}, as {first})", prefix.net));
        } else {
            wanted.vlan = wanted.vlan.map(|known| known.with(&vlan));
            wanted.prefixes.push(prefix);
        }
    }
    all
}

/// What is there already of what is wanted.
enum Already<'n> {
    No,
    /// All of it; or what an operator has made otherwise, with how.
    Yes(Option<String>),
    /// The VLAN, with other subnets.
    Otherwise(&'n Network),
}

fn already<'n>(wanted: &Wanted<'_>, known: &'n [Network]) -> Already<'n> {
    let has = |network: &Network, prefix: &Prefix<'_>| {
        let net = prefix.net.to_string();
        network.subnet.as_ref() == Some(&net) || network.subnet6.as_ref() == Some(&net)
    };
    let id = wanted.vlan.map(|vlan| vlan.id);
    if let Some(network) = known.iter().find(|network| id.is_some() && network.vlan_id == id) {
        let all = wanted.prefixes.iter().all(|prefix| has(network, prefix));
        return if all { Already::Yes(None) } else { Already::Otherwise(network) };
    }
    let has_any = |network: &&Network| wanted.prefixes.iter().any(|prefix| has(network, prefix));
    // Private addresses may be used again in another VLAN.
    let is_other_vlan = |network: &&Network| id.is_some() && network.kind != NetworkKind::Local.as_str();
    match known.iter().filter(has_any).find(|network| !is_other_vlan(network)) {
        None => Already::No,
        Some(network) => Already::Yes(
            wanted
                .vlan
                .map(|vlan| format!("{} is {}, and in NetBox VLAN {vlan}", network.name, network.kind)),
        ),
    }
}

async fn make(under_way: &mut UnderWay<'_>, all: Vec<Wanted<'_>>, left: &mut Left) -> StoreResult<()> {
    if all.is_empty() {
        return Ok(());
    }
    let known = networks::list(under_way.tx, under_way.scope, &Filters::default()).await?;
    let accounts = accounts::list(under_way.tx, under_way.scope, &Filters::default()).await?;
    let mut names: HashSet<String> = known.iter().map(|network| network.name.clone()).collect();
    let (mut otherwise, mut made_any) = (Vec::new(), false);
    for wanted in all {
        match already(&wanted, &known) {
            Already::Yes(how) => {
                otherwise.extend(how);
                wanted.prefixes.iter().for_each(|_| under_way.tally.unchanged());
                continue;
            }
            Already::Otherwise(network) => {
                let why = format!(
                    "network {} has that VLAN id, and what a network is made of does not change",
                    network.name
                );
                wanted.prefixes.iter().for_each(|prefix| left.out(&why, prefix.net));
                continue;
            }
            Already::No => {}
        }
        let Some(account_id) = owner(under_way, &wanted, &accounts) else { continue };
        let name = network_name(&wanted, &names);
        names.insert(name.clone());
        made_any |= make_one(under_way, &wanted, (name, account_id)).await?;
    }
    if !otherwise.is_empty() {
        let text =
            format!("networks that are made otherwise here stay as they are: {}", otherwise.join("; "));
        under_way.tally.note(text);
    }
    if made_any {
        let text = "the export does not say gateways: that of each new network is its first address";
        under_way.tally.note(text.to_owned());
    }
    Ok(())
}

/// Whether it was made.
async fn make_one(
    under_way: &mut UnderWay<'_>,
    wanted: &Wanted<'_>,
    (name, account_id): (String, Option<i64>),
) -> StoreResult<bool> {
    let Some(first) = wanted.prefixes.first() else { return Ok(false) };
    let of = |family: fn(&IpNet) -> bool| {
        wanted.prefixes.iter().find(|prefix| family(&prefix.net)).map(|prefix| prefix.net.to_string())
    };
    let body = honcho_api::NetworkCreate {
        name: Some(name),
        kind: wanted.vlan.map(|_| NetworkKind::Vlan.as_str().to_owned()),
        vlan_id: wanted.vlan.map(|vlan| vlan.id),
        subnet: of(|net| matches!(net, IpNet::V4(_))),
        subnet6: of(|net| matches!(net, IpNet::V6(_))),
        account_id,
        ..honcho_api::NetworkCreate::default()
    };
    let change = NetworkCreate { scope: under_way.scope, uuid: under_way.outside.uuid(), body };
    let made = change.run(under_way.tx).await;
    let column =
        |attribute: &str| if attribute == "vlan_id" { "vlan".to_owned() } else { attribute.to_owned() };
    let made = under_way.problems.take(first.line, made, column)?;
    if let Some(made) = &made {
        under_way.tally.created(first.line, "network", made.id, &made.name);
    }
    Ok(made.is_some())
}

/// Whose it is; `None` when that cannot be.
#[expect(clippy::option_option, reason = "no owner is not the same as an owner that is not there")]
fn owner(under_way: &mut UnderWay<'_>, wanted: &Wanted<'_>, accounts: &[Account]) -> Option<Option<i64>> {
    let mut tenants = wanted.prefixes.iter().map(|prefix| (prefix, prefix.tenant));
    let (first, tenant) = tenants.next()?;
    if let Some((other, theirs)) = tenants.find(|(_, theirs)| *theirs != tenant) {
        let named = |tenant: Option<&str>| tenant.map_or("nobody's".to_owned(), clipped);
        let text = format!(
            "is {}, and that of {} in the same VLAN is {} ({}): a network has one owner",
            named(theirs),
            first.net,
            named(tenant),
            first.line.place()
        );
        under_way.problems.cell(other.line, "tenant", text);
        return None;
    }
    let Some(tenant) = tenant else { return Some(None) };
    let name = name_of(tenant).unwrap_or_default();
    let account = accounts.iter().find(|account| account.name == name).map(|account| account.id);
    if account.is_none() {
        let text = format!(
            "{}: there is no account {name}; without an owner the network would be everybody's (`honcho account create {name}`)",
            clipped(tenant)
        );
        under_way.problems.cell(first.line, "tenant", text);
    }
    account.map(Some)
}

/// A name that is not taken: of the VLAN, of a description, of the VLAN with its id, of the prefix itself.
fn network_name(wanted: &Wanted<'_>, taken: &HashSet<String>) -> String {
    let descriptions = wanted.prefixes.iter().filter_map(|prefix| prefix.description);
    let vlan = wanted.vlan.map(|vlan| match vlan.name {
        Some(_) => vlan.to_string(),
        None => format!("vlan-{vlan}"),
    });
    let itself = wanted.prefixes.iter().map(|prefix| format!("net-{}", prefix.net));
    let candidates = wanted.vlan.and_then(|vlan| vlan.name).map(str::to_owned).into_iter();
    let candidates = candidates
        .chain(descriptions.filter(|text| text.chars().count() <= 40).map(str::to_owned))
        .chain(vlan)
        .chain(itself);
    let mut free = candidates.filter_map(|text| name_of(&text)).filter(|name| !taken.contains(name));
    // A prefix may stand in several VRFs; the second of a name is refused for its subnet, not for its name.
    free.next().unwrap_or_else(|| {
        let mut numbered = (2..).map(|number| format!("net-{number}"));
        numbered.find(|name| !taken.contains(name)).unwrap_or_default()
    })
}
