//! From an attribute and the needle to SQL conditions.

use super::kinds::Look;
use honcho_model::needle::Needle;
use sea_orm::Value;
use std::net::Ipv6Addr;

/// What is bound, and under which number.
pub(super) struct Bound {
    pub(super) values: Vec<Value>,
    /// The numbers of the text, of the pattern that begins with it, and of the one that holds it.
    text: [String; 3],
}

impl Bound {
    pub(super) fn new(needle: &Needle) -> Self {
        let pattern = literal(&needle.text);
        let mut bound = Bound { values: Vec::new(), text: Default::default() };
        let patterns = [needle.text.clone(), format!("{pattern}%"), format!("%{pattern}%")];
        bound.text = patterns.map(|text| bound.bind(text));
        bound
    }

    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// First and last of stretches, as a condition on a column of addresses.
    pub(super) fn within(&mut self, column: &str, stretches: &[(Ipv6Addr, Ipv6Addr)]) -> Option<String> {
        let each = stretches.iter().map(|(first, last)| {
            let (first, last) = (self.bind(bytes(*first)), self.bind(bytes(*last)));
            format!("{column} BETWEEN {first} AND {last}")
        });
        let each: Vec<String> = each.collect();
        (!each.is_empty()).then(|| format!("({})", each.join(" OR ")))
    }
}

/// A text as a LIKE pattern means it: itself.
pub(crate) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// An address as it is stored.
pub(super) fn bytes(address: Ipv6Addr) -> Vec<u8> {
    address.octets().to_vec()
}

/// The conditions under which an attribute is what is looked for, begins with it, and holds it.
pub(super) type Conditions = [Option<String>; 3];

/// How a stored text is compared. Both sides are turned by the same engine, whatever letters it knows.
pub(super) fn text_conditions(bound: &Bound, column: &str) -> Conditions {
    let [text, prefix, contains] = &bound.text;
    let like = |pattern: &str| Some(format!("LOWER({column}) LIKE LOWER({pattern}) ESCAPE '\\'"));
    [Some(format!("LOWER({column}) = LOWER({text})")), like(prefix), like(contains)]
}

impl Look {
    /// About the row, or for what is in another table about a row of that; see [`Look::about_row`].
    pub(super) fn conditions(self, needle: &Needle, bound: &mut Bound) -> Conditions {
        match self {
            Look::Text(column) => text_conditions(bound, column),
            Look::AddressText(column) => {
                let [mut exact, prefix, contains] = text_conditions(bound, column);
                if let Some(address) = needle.address {
                    let canonical = bound.bind(address.to_canonical().to_string());
                    exact = exact.map(|exact| format!("({exact} OR {column} = {canonical})"));
                }
                [exact, prefix, contains]
            }
            Look::Subnet(column) => {
                let [mut exact, prefix, mut contains] = text_conditions(bound, column);
                if let Ok(net) = needle.text.parse::<ipnet::IpNet>() {
                    let canonical = bound.bind(net.to_string());
                    exact = exact.map(|exact| format!("({exact} OR {column} = {canonical})"));
                }
                let around: Vec<String> = needle.subnets().into_iter().map(|net| bound.bind(net)).collect();
                if !around.is_empty() {
                    let around = format!("{column} IN ({})", around.join(", "));
                    contains = contains.map(|contains| format!("({contains} OR {around})"));
                }
                [exact, prefix, contains]
            }
            Look::Owner => text_conditions(bound, "o.name"),
            Look::Id => [needle.id.map(|id| format!("t.id = {}", bound.bind(id))), None, None],
            Look::Uuid => match needle.uuid {
                Some((first, last)) if first == last => {
                    [Some(format!("t.uuid = {}", bound.bind(first))), None, None]
                }
                Some((first, last)) => {
                    let (first, last) = (bound.bind(first), bound.bind(last));
                    [None, Some(format!("t.uuid BETWEEN {first} AND {last}")), None]
                }
                None => [None, None, None],
            },
            Look::HostMac => match &needle.mac {
                Some(part) => {
                    let digits = "REPLACE(m.mac, ':', '')";
                    let exact = bound.bind(part.digits.clone());
                    let prefix = bound.bind(format!("{}%", part.digits));
                    let contains = bound.bind(format!("%{}%", part.digits));
                    [
                        Some(format!("{digits} = {exact}")),
                        Some(format!("{digits} LIKE {prefix}")),
                        Some(format!("{digits} LIKE {contains}")),
                    ]
                }
                None => [None, None, None],
            },
            Look::GuestMac => guest_mac(needle, bound),
            Look::GuestAddress => {
                let exact =
                    needle.address.map(|address| format!("a.address = {}", bound.bind(bytes(address))));
                [exact, bound.within("a.address", &needle.addresses), None]
            }
        }
    }

    /// Turns a condition of this attribute into one about the row `t`.
    pub(super) fn about_row(self, condition: &str) -> String {
        let (column, rows) = match self {
            Look::HostMac => ("t.id", "SELECT m.host_id FROM host_nics m"),
            Look::GuestMac => ("t.id", "SELECT i.guest_id FROM interfaces i"),
            Look::GuestAddress => {
                // The index of what is held is known to serve only what is said to be held.
                let held = "a.interface_id IS NOT NULL";
                return format!(
                    "t.id IN (SELECT i.guest_id FROM addresses a JOIN interfaces i ON i.id = a.interface_id \
                     WHERE {held} AND {condition})"
                );
            }
            Look::Owner => ("t.account_id", "SELECT o.id FROM accounts o"),
            _ => return condition.to_owned(),
        };
        format!("{column} IN ({rows} WHERE {condition})")
    }

    /// Whether what holds the needle is also found where it begins with it or is it, so that only that need be asked.
    pub(super) fn holds_what_begins(self) -> bool {
        matches!(self, Look::Text(_) | Look::Owner)
    }

    /// What the attribute of a row `t` is, and the letter of the column in which it comes.
    pub(super) fn value(self, conditions: &Conditions) -> (char, String) {
        let met = conditions.iter().flatten().cloned().collect::<Vec<_>>().join(" OR ");
        let met = if met.is_empty() { "FALSE".to_owned() } else { met };
        match self {
            Look::Text(column) | Look::AddressText(column) | Look::Subnet(column) => ('t', column.to_owned()),
            Look::Id => ('t', "CAST(t.id AS TEXT)".to_owned()),
            Look::Uuid => ('u', "t.uuid".to_owned()),
            Look::Owner => ('t', "(SELECT o.name FROM accounts o WHERE o.id = t.account_id)".to_owned()),
            Look::HostMac => (
                't',
                format!(
                    "(SELECT m.mac FROM host_nics m WHERE m.host_id = t.id AND ({met}) ORDER BY m.id LIMIT 1)"
                ),
            ),
            Look::GuestMac => (
                'm',
                format!(
                    "(SELECT i.id FROM interfaces i WHERE i.guest_id = t.id AND ({met}) ORDER BY i.id LIMIT 1)"
                ),
            ),
            Look::GuestAddress => (
                'a',
                format!(
                    "(SELECT a.address FROM addresses a JOIN interfaces i ON i.id = a.interface_id \
                     WHERE i.guest_id = t.id AND ({met}) ORDER BY a.address LIMIT 1)"
                ),
            ),
        }
    }
}

/// A guest's MAC address is made of its interface's id, and read back into it.
fn guest_mac(needle: &Needle, bound: &mut Bound) -> Conditions {
    let Some(part) = &needle.mac else { return [None, None, None] };
    let (mut exact, mut prefix) = (None, None);
    match part.interfaces() {
        Some((first, last)) if first == last => exact = Some(format!("i.id = {}", bound.bind(first.0))),
        Some((first, last)) => {
            let (first, last) = (bound.bind(first.0), bound.bind(last.0));
            prefix = Some(format!("i.id BETWEEN {first} AND {last}"));
        }
        None => {}
    }
    let contains = part.low_bits().map(|(mask, bits)| {
        let (mask, bits) = (bound.bind(mask), bound.bind(bits));
        format!("(i.id & {mask}) = {bits}")
    });
    [exact, prefix, contains]
}
