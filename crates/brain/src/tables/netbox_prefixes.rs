//! Prefixes of NetBox's become networks.
//!
//! Not all of them can: NetBox keeps whole plans of addresses. What only holds others, is not in use, or is larger or
//! smaller than a network may be is left out and told. A prefix of a tenant is the account's of that name, and never
//! everybody's.

use super::netbox::{UnderWay, name_of, said};
use super::read::clipped;
use super::{Line, Table};
use crate::operations::NetworkCreate;
use honcho_api::{Account, Network};
use honcho_model::subnet;
use honcho_store::{Change, Filters, StoreResult, accounts, networks};
use std::collections::{BTreeMap, HashSet};

/// A prefix that becomes a network.
struct Prefix<'t> {
    line: &'t Line,
    net: ipnet::Ipv4Net,
    description: Option<&'t str>,
    tenant: Option<&'t str>,
    vlan: Option<&'t str>,
}

pub(super) async fn import(under_way: &mut UnderWay<'_>, tables: Vec<&Table>) -> StoreResult<()> {
    let prefixes = read(under_way, &tables);
    if prefixes.is_empty() {
        return Ok(());
    }
    let known = networks::list(under_way.tx, under_way.scope, &Filters::default()).await?;
    let accounts = accounts::list(under_way.tx, under_way.scope, &Filters::default()).await?;
    let mut names: HashSet<String> = known.iter().map(|network| network.name.clone()).collect();
    for prefix in prefixes {
        let subnet = prefix.net.to_string();
        if known.iter().any(|network: &Network| network.subnet.as_ref() == Some(&subnet)) {
            under_way.tally.unchanged();
            continue;
        }
        let Some(account_id) = owner(under_way, &prefix, &accounts) else { continue };
        let name = network_name(&prefix, &names);
        names.insert(name.clone());
        let body = honcho_api::NetworkCreate {
            name: Some(name),
            subnet: Some(subnet),
            account_id,
            ..honcho_api::NetworkCreate::default()
        };
        let change = NetworkCreate { scope: under_way.scope, uuid: under_way.outside.uuid(), body };
        let made = change.run(under_way.tx).await;
        if let Some(made) = under_way.problems.take(prefix.line, made, str::to_owned)? {
            under_way.tally.created(prefix.line, "network", made.id, &made.name);
        }
    }
    Ok(())
}

/// The lines that become networks; the others are told, by why not.
fn read<'t>(under_way: &mut UnderWay<'_>, tables: &[&'t Table]) -> Vec<Prefix<'t>> {
    let mut nets: Vec<(&'t Table, &'t Line, ipnet::IpNet)> = Vec::new();
    for table in tables.iter().copied() {
        for line in &table.lines {
            // Nested ones are shown with a bullet for each level.
            let text = said(table, line, "prefix").unwrap_or_default();
            let text = text.trim_start_matches(|c: char| c == '•' || c == '·' || c.is_whitespace());
            match text.parse::<ipnet::IpNet>() {
                Ok(net) if net.trunc() == net => nets.push((table, line, net)),
                _ => under_way.problems.cell(
                    line,
                    "prefix",
                    format!("{} is no prefix, as in 10.77.0.0/24", clipped(text)),
                ),
            }
        }
    }
    let all: Vec<ipnet::IpNet> = nets.iter().map(|(_, _, net)| *net).collect();
    let mut left: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut prefixes = Vec::new();
    for (table, line, net) in nets {
        let status = said(table, line, "status").unwrap_or("active").to_lowercase();
        let holds_others = all.iter().any(|other| *other != net && net.contains(other));
        let why = match (status.as_str(), net) {
            ("container", _) => "they are containers",
            _ if holds_others => "they hold other prefixes of the file",
            ("active", ipnet::IpNet::V4(net)) if subnet::parse(&net.to_string()).is_ok() => {
                prefixes.push(Prefix {
                    line,
                    net,
                    description: said(table, line, "description"),
                    tenant: said(table, line, "tenant"),
                    vlan: said(table, line, "vlan"),
                });
                continue;
            }
            ("active", ipnet::IpNet::V4(_)) => "a network is a /16 to a /29",
            ("active", ipnet::IpNet::V6(_)) => "those of IPv6 are not taken over",
            _ => "they are not active",
        };
        left.entry(why).or_default().push(net.to_string());
    }
    for (why, nets) in left {
        under_way.tally.note(format!("prefixes that are no networks, for {why}: {}", nets.join(", ")));
    }
    let vlans: Vec<String> =
        prefixes.iter().filter_map(|prefix| Some(format!("{} ({})", prefix.net, prefix.vlan?))).collect();
    if !vlans.is_empty() {
        under_way
            .tally
            .note(format!("new networks are local, their VLANs are left out: {}", vlans.join(", ")));
    }
    prefixes
}

/// Whose it is; `None` when that cannot be.
#[expect(clippy::option_option, reason = "no owner is not the same as an owner that is not there")]
fn owner(under_way: &mut UnderWay<'_>, prefix: &Prefix<'_>, accounts: &[Account]) -> Option<Option<i64>> {
    let Some(tenant) = prefix.tenant else { return Some(None) };
    let name = name_of(tenant).unwrap_or_default();
    let account = accounts.iter().find(|account| account.name == name).map(|account| account.id);
    if account.is_none() {
        let text = format!(
            "{}: there is no account {name}; without an owner the network would be everybody's (`honcho account create {name}`)",
            clipped(tenant)
        );
        under_way.problems.cell(prefix.line, "tenant", text);
    }
    account.map(Some)
}

/// A name that is not taken: of the description, of the VLAN, of the prefix itself.
fn network_name(prefix: &Prefix<'_>, taken: &HashSet<String>) -> String {
    let itself = format!("net-{}", prefix.net);
    let candidates =
        [prefix.description.filter(|text| text.chars().count() <= 40), prefix.vlan, Some(&itself)];
    let free = candidates.into_iter().flatten().filter_map(name_of).find(|name| !taken.contains(name));
    free.unwrap_or_else(|| format!("net-{}", u32::from(prefix.net.network())))
}
