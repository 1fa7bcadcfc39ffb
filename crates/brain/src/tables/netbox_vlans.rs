//! VLANs of NetBox's: by themselves, and as prefixes name them.
//!
//! A prefix names its VLAN as `web (100)`; files made for NetBox's own import name it by its number, beside its group.
//! The export of VLANs names the prefixes of each.

use super::netbox::said;
use super::read::clipped;
use super::{Line, LineProblems, Table};
use ipnet::IpNet;

/// A VLAN, by what a line says of it. Numbers are used again in other groups and at other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vlan<'t> {
    pub(super) id: i64,
    pub(super) name: Option<&'t str>,
    pub(super) group: Option<&'t str>,
    pub(super) site: Option<&'t str>,
}

impl<'t> Vlan<'t> {
    /// Reads `web (100)` or `100`.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (name, id) = match text.strip_suffix(')').and_then(|text| text.rsplit_once('(')) {
            Some((name, id)) => (Some(name.trim()).filter(|name| !name.is_empty()), id),
            None => (None, text),
        };
        Some(Vlan { id: id.trim().parse().ok()?, name, group: None, site: None })
    }

    /// Whether both may be the same one: what a line does not say, it leaves open.
    pub(super) fn may_be(&self, other: &Vlan<'_>) -> bool {
        let agree = |one: Option<&str>, other: Option<&str>| match (one, other) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.id == other.id
            && agree(self.name, other.name)
            && agree(self.group, other.group)
            && agree(self.site, other.site)
    }

    /// The same one, with what another line says of it besides.
    pub(super) fn with(self, other: &Vlan<'t>) -> Self {
        Vlan {
            id: self.id,
            name: self.name.or(other.name),
            group: self.group.or(other.group),
            site: self.site.or(other.site),
        }
    }
}

impl std::fmt::Display for Vlan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name} ({})", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

/// A line of an export of VLANs.
pub(super) struct VlanLine<'t> {
    pub(super) line: &'t Line,
    pub(super) vlan: Vlan<'t>,
    pub(super) status: Option<&'t str>,
    pub(super) tenant: Option<&'t str>,
    pub(super) nets: Vec<IpNet>,
}

/// Reads all of them.
pub(super) fn read<'t>(problems: &mut LineProblems, tables: &[&'t Table]) -> Vec<VlanLine<'t>> {
    let mut vlans = Vec::new();
    for table in tables.iter().copied() {
        for line in &table.lines {
            let text = said(table, line, "vid").unwrap_or_default();
            let Ok(id) = text.parse::<i64>() else {
                problems.cell(line, "vid", format!("{} is no VLAN id, as in 100", clipped(text)));
                continue;
            };
            let [name, group, site] = ["name", "group", "site"].map(|column| said(table, line, column));
            let mut nets = Vec::new();
            // One after the other, with spaces, commas or line breaks between them.
            let prefixes = said(table, line, "prefixes").unwrap_or_default();
            let separators = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
            for text in prefixes.split(separators).filter(|text| !text.is_empty()) {
                match text.parse::<IpNet>() {
                    Ok(net) if net.trunc() == net => nets.push(net),
                    _ => {
                        let text = format!("{} is no prefix, as in 10.77.0.0/24", clipped(text));
                        problems.cell(line, "prefixes", text);
                    }
                }
            }
            vlans.push(VlanLine {
                line,
                vlan: Vlan { id, name, group, site },
                status: said(table, line, "status"),
                tenant: said(table, line, "tenant"),
                nets,
            });
        }
    }
    vlans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_is_read_as_netbox_names_it() {
        let check = |text: &str, expected: Option<(i64, Option<&str>)>| {
            assert_eq!(Vlan::parse(text).map(|vlan| (vlan.id, vlan.name)), expected, "{text}");
        };
        check("web (100)", Some((100, Some("web"))));
        check("web (old) (7)", Some((7, Some("web (old)"))));
        check("100", Some((100, None)));
        check("(100)", Some((100, None)));
        check("web", None);
        check("web (x)", None);
    }

    #[test]
    fn one_number_may_be_several_vlans() {
        let web = Vlan::parse("web (100)").unwrap();
        assert!(web.may_be(&Vlan::parse("100").unwrap()));
        assert!(!web.may_be(&Vlan::parse("db (100)").unwrap()));
        let here = Vlan { site: Some("fra1"), ..web };
        assert!(here.may_be(&web) && !here.may_be(&Vlan { site: Some("ams"), ..web }));
        assert_eq!(Vlan::parse("100").unwrap().with(&here), here);
    }
}
