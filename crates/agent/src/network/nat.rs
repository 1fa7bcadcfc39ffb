//! One nftables table per network: guests reach the world by the host's address, and nothing reaches them unasked.
//!
//! A table is replaced as a whole in one transaction, and other people's tables are never touched. Its comment is our
//! only memory, so that nothing is left when it goes:
//!
//! ```text
//! honcho:BRAIN:NETWORK r=RULES k=KERNEL f=0 f6=1
//!                        |       |       |   `- the same of IPv6
//!                        |       |       `- whether the host forwarded IPv4 before our first network with it came;
//!                        |       |          left out of a network without it
//!                        |       `- digest of the table as nft listed it when it was made: shows tampering
//!                        `- digest of the rules that were wanted: shows that something else is wanted now
//! ```

use super::commands::{must, run};
use super::forwarding::Family;
use super::subnets::subnets;
use crate::drivers::{DriverError, DriverResult};
use honcho_wire::NetworkKind;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use uuid::Uuid;

/// What every table of ours begins with; the bridge's name follows.
pub(super) const TABLE_PREFIX: &str = "honcho_";

/// The mark of a network, in its bridge's alias and its table's comment.
pub(super) fn mark(brain: Uuid, network: Uuid) -> String {
    format!("honcho:{brain}:{network}")
}

/// The brain and the network's uuid in a mark.
pub(super) fn read_mark(text: &str) -> Option<(Uuid, Uuid)> {
    let (brain, network) = text.strip_prefix("honcho:")?.split_once(':')?;
    Some((brain.parse().ok()?, network.parse().ok()?))
}

/// The rules of a network, as the inside of its table.
pub fn rules(bridge: &str, kind: &NetworkKind) -> String {
    let (mut sources, mut masquerade) = (String::new(), String::new());
    let subnets = subnets(kind);
    for family in Family::BOTH {
        let (word, protocol) = match family {
            Family::Ipv4 => ("ip", "ipv4"),
            Family::Ipv6 => ("ip6", "ipv6"),
        };
        // Writing to a string cannot fail.
        let _ = if let Some(subnet) = subnets.iter().find(|subnet| Family::of(subnet.addr()) == family) {
            let _ = writeln!(
                masquerade,
                "\t\toifname != \"{bridge}\" {word} saddr {subnet} {word} daddr != {subnet} masquerade"
            );
            writeln!(sources, "\t\tiifname \"{bridge}\" {word} saddr != {subnet} drop")
        } else {
            writeln!(sources, "\t\tiifname \"{bridge}\" meta nfproto {protocol} drop")
        };
    }
    format!(
        r#"	chain forward {{
		type filter hook forward priority filter; policy accept;
		iifname "{bridge}" oifname "{bridge}" accept
{sources}		iifname "{bridge}" oifname "hb*" drop
		oifname "{bridge}" ct state established,related accept
		oifname "{bridge}" drop
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
{masquerade}	}}
"#
    )
}

/// What makes the table, whatever was there before, in one transaction.
pub fn ruleset(bridge: &str, kind: &NetworkKind, comment: &str) -> String {
    let table = format!("inet {TABLE_PREFIX}{bridge}");
    format!(
        "add table {table}\ndelete table {table}\ntable {table} {{\n\tcomment \"{comment}\"\n\n{}}}\n",
        rules(bridge, kind)
    )
}

/// A table of ours, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableSeen {
    /// The mark in its comment.
    pub(super) mark: (Uuid, Uuid),
    /// Digest of the rules that were wanted when it was made.
    wanted: String,
    /// Whether it is as it was made.
    intact: bool,
    /// For each family that the network has, whether the host forwarded it before our first network with it came.
    pub(super) forwarded_before: BTreeMap<Family, bool>,
}

impl TableSeen {
    /// Whether it is what this network needs.
    pub(super) fn serves(&self, mark: (Uuid, Uuid), bridge: &str, kind: &NetworkKind) -> bool {
        self.intact && self.mark == mark && self.wanted == digest(&rules(bridge, kind))
    }
}

/// Every table of ours, by the name of its bridge.
pub(super) async fn look() -> DriverResult<BTreeMap<String, TableSeen>> {
    // Without the contents of sets: other people's block lists may be long, and ours has none.
    Ok(read_tables(&must("nft", &["--terse", "list", "ruleset", "inet"], "").await?))
}

/// Reads what nft printed of one or several tables, ours or not.
fn read_tables(listing: &str) -> BTreeMap<String, TableSeen> {
    let mut tables = BTreeMap::new();
    for part in listing.split("table inet ").skip(1) {
        let Some((name, body)) = part.split_once(' ') else { continue };
        let Some(bridge) = name.strip_prefix(TABLE_PREFIX) else { continue };
        let comment = body.lines().find_map(|line| line.trim().strip_prefix("comment \"")?.strip_suffix('"'));
        if let Some(seen) = comment.and_then(|comment| read_comment(comment, &listing_digest(body))) {
            tables.insert(bridge.to_owned(), seen);
        }
    }
    tables
}

fn read_comment(comment: &str, listed: &str) -> Option<TableSeen> {
    let mut words = comment.split(' ');
    let mark = read_mark(words.next()?)?;
    let fields: BTreeMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
    Some(TableSeen {
        mark,
        wanted: (*fields.get("r")?).to_owned(),
        intact: fields.get("k") == Some(&listed),
        forwarded_before: Family::BOTH
            .into_iter()
            .filter_map(|family| Some((family, *fields.get(memory(family))? == "1")))
            .collect(),
    })
}

/// What the comment calls whether a family was forwarded before.
fn memory(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "f",
        Family::Ipv6 => "f6",
    }
}

/// Makes or replaces a network's table.
pub(super) async fn install(
    brain: Uuid,
    network: Uuid,
    bridge: &str,
    kind: &NetworkKind,
    forwarded_before: &BTreeMap<Family, bool>,
) -> DriverResult<()> {
    let fixed = format!("{} r={}", mark(brain, network), digest(&rules(bridge, kind)));
    let forwarded = forwarded_before.iter().fold(String::new(), |text, (family, before)| {
        format!("{text} {}={}", memory(*family), u8::from(*before))
    });
    // nft lists rules in words of its own, which differ between versions: so the table is made, listed, and made again
    // with the digest of that list. Killed in between, it is found not to be intact and made anew.
    let first = ruleset(bridge, kind, &format!("{fixed} k=-{forwarded}"));
    must("nft", &["-f", "-"], &first).await.map_err(|error| explain(bridge, &error))?;
    let table = format!("{TABLE_PREFIX}{bridge}");
    let listed = must("nft", &["list", "table", "inet", &table], "").await?;
    let body = listed.split_once(&format!("table inet {table} ")).map_or("", |(_, body)| body);
    let second = ruleset(bridge, kind, &format!("{fixed} k={}{forwarded}", listing_digest(body)));
    must("nft", &["-f", "-"], &second).await.map(drop)
}

/// Removes a network's table. One that is gone is fine.
pub(super) async fn uninstall(bridge: &str) -> DriverResult<()> {
    let table = format!("{TABLE_PREFIX}{bridge}");
    let ended = run("nft", &["delete", "table", "inet", &table], "").await?;
    if ended.success || ended.complaint.contains("No such file or directory") {
        Ok(())
    } else {
        Err(DriverError::Later(format!("nft delete table inet {table}: {}", ended.complaint)))
    }
}

fn explain(bridge: &str, error: &DriverError) -> DriverError {
    DriverError::Later(format!("NAT for {bridge}: {error}; see that the kernel has nf_tables and nft_masq"))
}

/// Digest of a table's listing, without the comment that holds it.
fn listing_digest(body: &str) -> String {
    let rules: Vec<&str> =
        body.lines().map(str::trim).filter(|line| !line.starts_with("comment \"")).collect();
    digest(rules.join("\n").trim_end())
}

/// Short, for a comment holds 128 bytes; it guards against accidents and not against root.
fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use honcho_wire::SubnetWanted;

    fn kind() -> NetworkKind {
        let ipv4 = SubnetWanted { gateway: "10.77.0.1".parse().unwrap(), prefix: 24 };
        NetworkKind::Local { ipv4: Some(ipv4), ipv6: None }
    }

    fn both() -> NetworkKind {
        let NetworkKind::Local { ipv4, .. } = kind();
        let ipv6 = SubnetWanted { gateway: "fd77::1".parse().unwrap(), prefix: 64 };
        NetworkKind::Local { ipv4, ipv6: Some(ipv6) }
    }

    #[test]
    fn a_network_in_nftables_words() {
        let comment = mark(Uuid::from_u128(1), Uuid::from_u128(2));
        expect![[r#"
            add table inet honcho_hb1
            delete table inet honcho_hb1
            table inet honcho_hb1 {
            	comment "honcho:00000000-0000-0000-0000-000000000001:00000000-0000-0000-0000-000000000002"

            	chain forward {
            		type filter hook forward priority filter; policy accept;
            		iifname "hb1" oifname "hb1" accept
            		iifname "hb1" ip saddr != 10.77.0.0/24 drop
            		iifname "hb1" meta nfproto ipv6 drop
            		iifname "hb1" oifname "hb*" drop
            		oifname "hb1" ct state established,related accept
            		oifname "hb1" drop
            	}

            	chain postrouting {
            		type nat hook postrouting priority srcnat; policy accept;
            		oifname != "hb1" ip saddr 10.77.0.0/24 ip daddr != 10.77.0.0/24 masquerade
            	}
            }
        "#]]
        .assert_eq(&ruleset("hb1", &kind(), &comment));
    }

    #[test]
    fn both_families_and_ipv6_alone() {
        // In braces, so that not every line is indented: what all lines have in common, expect-test takes off.
        expect![[r#"
            {
            	chain forward {
            		type filter hook forward priority filter; policy accept;
            		iifname "hb1" oifname "hb1" accept
            		iifname "hb1" ip saddr != 10.77.0.0/24 drop
            		iifname "hb1" ip6 saddr != fd77::/64 drop
            		iifname "hb1" oifname "hb*" drop
            		oifname "hb1" ct state established,related accept
            		oifname "hb1" drop
            	}

            	chain postrouting {
            		type nat hook postrouting priority srcnat; policy accept;
            		oifname != "hb1" ip saddr 10.77.0.0/24 ip daddr != 10.77.0.0/24 masquerade
            		oifname != "hb1" ip6 saddr fd77::/64 ip6 daddr != fd77::/64 masquerade
            	}
            }
        "#]]
        .assert_eq(&format!("{{\n{}}}\n", rules("hb1", &both())));
        let NetworkKind::Local { ipv6, .. } = both();
        let alone = rules("hb1", &NetworkKind::Local { ipv4: None, ipv6 });
        assert!(
            alone.contains("iifname \"hb1\" meta nfproto ipv4 drop") && !alone.contains("10.77"),
            "{alone}"
        );
    }

    #[test]
    fn a_comment_fits() {
        let comment = format!("{} r=0123456789ab k=0123456789ab f=0 f6=0", mark(Uuid::nil(), Uuid::nil()));
        assert!(comment.len() < 128, "{}", comment.len());
    }

    #[test]
    fn tables_are_read_back_and_tampering_shows() {
        let rules_listed = "{\n\tchain forward {\n\t}\n}\n";
        let comment = format!(
            "{} r={} k={} f=1",
            mark(Uuid::from_u128(1), Uuid::from_u128(2)),
            digest(&rules("hb1", &kind())),
            listing_digest(rules_listed)
        );
        let listing = |chain: &str| {
            format!(
                "table inet honcho_hb1 {{\n\tcomment \"{comment}\"\n\tchain {chain} {{\n\t}}\n}}\ntable inet honcho_x {{\n}}\n"
            )
        };
        let found = read_tables(&listing("forward"));
        assert_eq!(found.len(), 1);
        let ours = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(found["hb1"].serves(ours, "hb1", &kind()));
        assert_eq!(found["hb1"].forwarded_before, BTreeMap::from([(Family::Ipv4, true)]));
        assert!(!found["hb1"].serves(ours, "hb1", &both()));
        assert!(!read_tables(&listing("tampered"))["hb1"].serves(ours, "hb1", &kind()));
    }
}
