//! Why there is no room, in words: which filter refused how many hosts, what is short, where, and by how much.

use super::{ARCHITECTURE, Decided, FEATURE, show};
use honcho_model::{HostId, NetworkKind};
use honcho_placement::{Filter, Fleet, Host, Refusal, Request, Verdict};
use honcho_store::Scope;
use std::collections::BTreeMap;

/// Of so many hosts each says why not; of more, each filter does.
const FEW: usize = 8;

/// Why there is no room, in the words that the caller may hear: customers are not shown the machine room.
pub(crate) fn said_to(scope: Scope, why: String) -> String {
    if scope.is_operator() { why } else { "there is no room for that just now".to_owned() }
}

impl Decided {
    /// Why no host can take it, for whoever asks: a sentence, or one for each filter.
    pub(crate) fn refused(&self, scope: Scope) -> Vec<String> {
        let whole = if scope.is_operator() { self.why() } else { Vec::new() };
        if whole.is_empty() { vec![said_to(scope, "no host has room for it".to_owned())] } else { whole }
    }

    fn why(&self) -> Vec<String> {
        if self.fleet.hosts().is_empty() {
            return vec!["there is no host to place it on: add one with \"honcho host add\"".to_owned()];
        }
        let refused: Vec<(usize, Refusal)> = self
            .decision
            .verdicts
            .iter()
            .enumerate()
            .filter_map(|(host, verdict)| match verdict {
                Verdict::Refused(Refusal::NotWanted) | Verdict::Scored(_) => None,
                Verdict::Refused(refusal) => Some((host, *refusal)),
            })
            .collect();
        if refused.is_empty() {
            return vec!["no host has room for it: there is none where it is wanted".to_owned()];
        }
        if refused.len() <= FEW {
            let texts = refused.iter().map(|(host, refusal)| self.of_host(*host, refusal));
            return vec![format!("no host has room for it ({})", texts.collect::<Vec<_>>().join("; "))];
        }
        let mut filters: BTreeMap<Filter, Vec<(usize, Refusal)>> = BTreeMap::new();
        for one in &refused {
            filters.entry(one.1.filter()).or_default().push(*one);
        }
        let first = format!("none of {} hosts has room for it", refused.len());
        let lines = filters.into_iter().map(|(filter, refused)| self.of_filter(filter, &refused));
        std::iter::once(first).chain(lines).collect()
    }

    fn of_host(&self, host: usize, refusal: &Refusal) -> String {
        let name = &self.fleet.hosts()[host].name;
        format!("{name}: {}", text(&self.fleet, &self.request, host, refusal))
    }

    /// "memory: 90 hosts; least is short on h7: 512M of memory free, 1G needed".
    fn of_filter(&self, filter: Filter, refused: &[(usize, Refusal)]) -> String {
        let count = match refused.len() {
            1 => "1 host".to_owned(),
            count => format!("{count} hosts"),
        };
        let nearest = refused.iter().min_by_key(|(_, refusal)| lacking(refusal).unwrap_or(0));
        let Some((host, refusal)) = nearest else { return format!("{}: {count}", filter.as_str()) };
        let one = self.of_host(*host, refusal);
        match lacking(refusal) {
            Some(short) => {
                let short = if filter == Filter::Vcpus { short.to_string() } else { show(short).to_string() };
                format!("{}: {count}; nearest is {one}, so {short} too little", filter.as_str())
            }
            None => format!("{}: {count}, as {one}", filter.as_str()),
        }
    }
}

/// How much is short, where something can be: bytes, or vCPUs.
fn lacking(refusal: &Refusal) -> Option<i64> {
    match refusal {
        Refusal::Memory { free, needed }
        | Refusal::Disk { free, needed, .. }
        | Refusal::Vcpus { free, needed } => Some(needed - (*free).max(0)),
        _ => None,
    }
}

/// What a host lacks, in words.
fn lack(host: &Host, lacking: &str) -> Option<String> {
    if let Some(kind) = NetworkKind::ALL.into_iter().find(|kind| kind.capability() == lacking) {
        return Some(format!("its agent cannot carry a {} network", kind.words()));
    }
    if let Some(feature) = lacking.strip_prefix(FEATURE) {
        return Some(format!("its processors have no {feature}"));
    }
    let needed = lacking.strip_prefix(ARCHITECTURE)?;
    let its =
        host.capabilities.iter().find_map(|word| word.0.strip_prefix(ARCHITECTURE)).unwrap_or("unknown");
    Some(format!("its processors are {its}, {needed} needed"))
}

/// What a host says, as a person reads it behind its name.
pub(super) fn text(fleet: &Fleet, request: &Request, host: usize, refusal: &Refusal) -> String {
    if let Refusal::Lacks(at) = refusal {
        match request.capabilities.iter().nth(*at).map(|lacking| lacking.0.as_str()) {
            Some(honcho_wire::MOVES) => {
                return "its agent is too old to take guests from other hosts".to_owned();
            }
            Some(honcho_wire::CAPTURES) => {
                return "its agent is too old to read the disk, of which an image is made".to_owned();
            }
            _ => {}
        }
    }
    if let Refusal::Lacks(at) = refusal
        && let Some(lacking) = request.capabilities.iter().nth(*at)
        && let Some(text) = lack(&fleet.hosts()[host], &lacking.0)
    {
        return text;
    }
    let name = |id: HostId| {
        fleet.position(id).map_or_else(|| format!("host {id}"), |host| fleet.hosts()[host].name.clone())
    };
    refusal.text(&fleet.hosts()[host], request, name)
}
