//! Where room is: every host as a cell of a map, coloured by how full it is; and what would be if a guest of some size came, or a host
//! were lost.
//!
//! The map is made of what placing itself decides by, so it shows what an order would be told.

use super::capacity::{bytes, count, size_said, thought_lost};
use super::failure::PanelResult;
use super::shell::{Section, Shell, page};
use super::shown;
use super::visitor::{Asking, Guarded};
use crate::app::App;
use crate::http::{ApiError, ApiResult};
use crate::placing::{Seen, Size, Told};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use honcho_api::{Capacity, PlacementHost};
use honcho_model::host::HostStatus;
use honcho_placement::{Draining, Heat, Host, heat};
use honcho_store::names::{self, Named};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// So many hosts are drawn on a page.
const CELLS: usize = 1_000;

/// So many of the hosts that refuse, or of guests that would be homeless, are named.
const NAMED: usize = 50;

/// How many shades there are.
const SHADES: i64 = 10;

/// What is asked. Empty fields of the form ask for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    by: String,
    memory: String,
    vcpus: String,
    disk: String,
    if_lost: String,
    from: String,
}

/// What hosts are coloured by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Memory,
    Disk,
    Vcpus,
    Loss,
    Verdict,
}

impl By {
    const ALL: [(By, &'static str, &'static str); 5] = [
        (By::Verdict, "verdict", "what it would say"),
        (By::Memory, "memory", "memory"),
        (By::Disk, "disk", "disk"),
        (By::Vcpus, "vcpus", "vCPUs"),
        (By::Loss, "loss", "N+1"),
    ];

    fn of(asked: &Asked, has_size: bool) -> ApiResult<By> {
        match (asked.by.as_str(), has_size) {
            ("", true) => Ok(By::Verdict),
            ("" | "verdict", false) => Ok(By::Memory),
            (word, _) => By::ALL
                .iter()
                .find(|(_, known, _)| *known == word)
                .map(|(by, ..)| *by)
                .ok_or_else(|| ApiError::invalid("by", "must be memory, disk, vcpus, loss or verdict")),
        }
    }
}

impl Asked {
    /// As an address, with something else in place.
    fn with(&self, change: impl FnOnce(&mut Asked)) -> String {
        let mut asked = Asked { from: String::new(), ..self.clone() };
        change(&mut asked);
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("by", &asked.by),
            ("memory", &asked.memory),
            ("vcpus", &asked.vcpus),
            ("disk", &asked.disk),
            ("if_lost", &asked.if_lost),
            ("from", &asked.from),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/placement".to_owned() } else { format!("/placement?{query}") }
    }

    fn size(&self) -> ApiResult<Option<Size>> {
        if [&self.memory, &self.vcpus, &self.disk].into_iter().all(|text| text.trim().is_empty()) {
            return Ok(None);
        }
        let memory = bytes("memory", &self.memory)?;
        if memory.0 < 1 << 20 {
            return Err(ApiError::invalid("memory", "must be 1M at least: that many would fit without end"));
        }
        let vcpus = self.vcpus.trim().parse();
        let vcpus = vcpus.map_err(|_| ApiError::invalid("vcpus", "must be a whole number"))?;
        Ok(Some(Size { memory, vcpus, disk: bytes("disk", &self.disk)? }))
    }
}

/// A host on the map.
struct Cell {
    id: i64,
    name: String,
    /// Its colour.
    tone: String,
    /// What stands in it.
    value: String,
    /// The whole of it, for whoever points there or cannot see it.
    said: String,
}

/// The hosts of a rack.
struct Rack {
    name: String,
    cells: Vec<Cell>,
}

/// A way to colour the map, and where that is.
struct Choice {
    label: &'static str,
    address: String,
    is_chosen: bool,
}

/// What a guest of a size would be told.
struct WhatIf {
    size: String,
    /// The host that would take it.
    goes_to: Option<(i64, String)>,
    fit: String,
    fit_with_n_plus_one: String,
    runs_out: String,
    best: Vec<(i64, String, String)>,
    /// How many hosts each filter refuses.
    refused: Vec<(String, i64)>,
    /// Those that do, and why.
    reasons: Vec<(i64, String, String)>,
    unnamed: usize,
}

/// What the loss of a host would mean.
struct LostHost {
    id: i64,
    name: String,
    restarted: i64,
    homeless: Vec<honcho_api::Homeless>,
    unnamed: usize,
    all_homeless: usize,
}

#[derive(Template)]
#[template(path = "placement.html")]
struct PlacementPage {
    shell: Shell,
    asked: Asked,
    choices: Vec<Choice>,
    racks: Vec<Rack>,
    /// What the colours mean: a class and a word for each.
    legend: Vec<(String, String)>,
    sums: Vec<(&'static str, String)>,
    hosts: Vec<(i64, String, bool)>,
    what_if: Option<WhatIf>,
    lost: Option<LostHost>,
    more: Option<String>,
}

fn percent(part: i64, whole: i64) -> Option<i64> {
    let percent = i64::try_from(i128::from(part) * 100 / i128::from(whole.max(1))).ok();
    percent.filter(|_| whole > 0)
}

fn shade(percent: i64) -> String {
    format!("heat-{}", (percent * SHADES / 100).clamp(0, SHADES - 1))
}

/// How many vCPUs for each processor are as many as can be.
#[derive(Clone, Copy)]
struct Scale {
    /// In percent of the processors.
    hottest: i64,
}

impl Scale {
    /// As many as the rules let be promised; where they know no end, as many as the fullest host has promised.
    fn of(heats: &[Heat], limit: Option<f64>) -> Scale {
        let promised = heats.iter().filter_map(|heat| percent(heat.cpus.1, i64::from(heat.cpus.0)));
        let most = || promised.max().unwrap_or(100);
        #[expect(clippy::cast_possible_truncation, reason = "a ratio of processors is far below 2^63")]
        let hottest = limit.map_or_else(most, |limit| (limit * 100.0) as i64);
        Scale { hottest: hottest.max(1) }
    }

    fn shade(self, promised: i64) -> String {
        shade(percent(promised, self.hottest).unwrap_or(0))
    }
}

/// What keeps a host from taking any guest, whatever its size.
fn shut(host: &Host) -> Option<&'static str> {
    if host.status != HostStatus::Up {
        return Some(host.status.as_str());
    }
    if host.draining == Draining::Yes {
        return Some("being emptied");
    }
    (!host.duties.contains(&honcho_model::host::Duty::Hypervisor)).then_some("runs no guests")
}

/// Colour, what stands in the cell, and the whole of it.
fn drawn(
    by: By,
    host: &Host,
    heat: &Heat,
    verdict: Option<&PlacementHost>,
    scale: Scale,
) -> (String, String, String) {
    let of = |what: &str, (whole, part): (i64, i64)| match percent(part, whole) {
        Some(percent) => {
            let said = format!("{percent} % of {what}: {} of {}", shown::size(part), shown::size(whole));
            (shade(percent), format!("{percent} %"), said)
        }
        None => ("unknown".to_owned(), "–".to_owned(), format!("its {what} is not known")),
    };
    let (tone, value, said) = match by {
        By::Memory => of("memory", heat.memory),
        By::Disk => of("disk", heat.disk),
        By::Vcpus => {
            let (cpus, vcpus) = heat.cpus;
            match percent(vcpus, i64::from(cpus)) {
                Some(percent) => {
                    let ratio = format!("{}.{}", percent / 100, percent % 100 / 10);
                    (scale.shade(percent), format!("{ratio}×"), format!("{vcpus} vCPUs on {cpus} processors"))
                }
                None => ("unknown".to_owned(), "–".to_owned(), "its processors are not known".to_owned()),
            }
        }
        By::Loss if heat.short > 0 => {
            let short = shown::size(heat.short);
            (
                "bad".to_owned(),
                short.clone(),
                format!("if it were lost, {short} of its guests’ memory would fit nowhere"),
            )
        }
        By::Loss => {
            ("good".to_owned(), "ok".to_owned(), "if it were lost, its guests would find room".to_owned())
        }
        By::Verdict => match verdict {
            Some(PlacementHost { filter: Some(filter), reason, .. }) => {
                ("no".to_owned(), shown::filter(filter), reason.clone().unwrap_or_default())
            }
            Some(_) => ("good".to_owned(), "fits".to_owned(), "it could take it".to_owned()),
            None => ("unknown".to_owned(), "–".to_owned(), String::new()),
        },
    };
    match shut(host) {
        Some(why) if by != By::Verdict => (format!("{tone} shut"), value, format!("{said}; {why}")),
        _ => (tone, value, said),
    }
}

fn legend(by: By, scale: Scale, is_one_lost: bool) -> Vec<(String, String)> {
    let mut legend: Vec<(String, String)> = match by {
        By::Memory | By::Disk => {
            [0, 2, 4, 6, 8, 9].map(|shade| (format!("heat-{shade}"), format!("from {} %", shade * 10))).into()
        }
        By::Vcpus => [0, 3, 6, 9]
            .map(|shade| {
                let from = scale.hottest * shade / SHADES;
                (format!("heat-{shade}"), format!("from {}.{}×", from / 100, from % 100 / 10))
            })
            .into(),
        By::Loss => [("good", "its guests would find room"), ("bad", "they would not all")].map(owned).into(),
        By::Verdict => [("good", "could take it"), ("no", "refuses, and by what")].map(owned).into(),
    };
    if by != By::Verdict {
        legend.push(owned(("shut", "takes no guests now")));
    }
    if is_one_lost {
        legend.push(owned(("lost", "thought lost")));
    }
    legend
}

fn owned((class, word): (&str, &str)) -> (String, String) {
    (class.to_owned(), word.to_owned())
}

/// What all hosts that take guests come to.
fn sums(heats: &[Heat], lost: Option<&LostHost>) -> Vec<(&'static str, String)> {
    let open = || heats.iter().filter(|heat| heat.open);
    let of = |pair: fn(&Heat) -> (i64, i64)| {
        let (whole, part) = open().map(pair).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        let percent = percent(part, whole).unwrap_or(0);
        format!("{percent} %, {} of {}", shown::size(part), shown::size(whole))
    };
    let (cpus, vcpus) = open().fold((0, 0), |(a, b), heat| (a + i64::from(heat.cpus.0), b + heat.cpus.1));
    let short = heats.iter().filter(|heat| heat.short > 0).count();
    vec![
        ("Hosts that take guests", format!("{} of {}", open().count(), heats.len())),
        ("Memory promised", of(|heat| heat.memory)),
        ("Disk promised", of(|heat| heat.disk)),
        ("vCPUs", format!("{} on {} processors", shown::count(vcpus), shown::count(cpus))),
        (
            "N+1",
            match short {
                0 if lost.is_some_and(|lost| lost.all_homeless > 0) => {
                    "broken: some of those that were on it find no room already".to_owned()
                }
                0 if lost.is_some() => "whichever host dies besides, its guests find room".to_owned(),
                0 => "whichever host dies, its guests find room".to_owned(),
                1 => "one host’s guests would not all find room".to_owned(),
                more => format!("{more} hosts’ guests would not all find room"),
            },
        ),
    ]
}

fn what_if(
    seen: &Seen,
    size: Size,
    counted: &Capacity,
    is_one_lost: bool,
) -> (WhatIf, HashMap<i64, PlacementHost>) {
    let decided = seen.decide(size.request());
    let placement = decided.shown(None, jiff::Timestamp::UNIX_EPOCH, "", Told::Whole);
    let verdicts: HashMap<i64, PlacementHost> =
        placement.hosts.unwrap_or_default().into_iter().map(|host| (host.host_id, host)).collect();
    let mut reasons: Vec<(i64, String, String)> = verdicts
        .values()
        .filter(|host| host.filter.is_some())
        .map(|host| (host.host_id, host.host.clone(), host.reason.clone().unwrap_or_default()))
        .collect();
    reasons.sort_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
    let unnamed = reasons.len().saturating_sub(NAMED);
    reasons.truncate(NAMED);
    let best = placement.best.unwrap_or_default().into_iter().map(|host| {
        (host.host_id, host.host, host.score.map(|score| format!("{score:.3}")).unwrap_or_default())
    });
    let refused = placement.refused.unwrap_or_default();
    // One filter refuses both.
    let chip = |filter: &str| match filter {
        "enabled" if is_one_lost => "lost or not up".to_owned(),
        filter => shown::filter(filter),
    };
    let what_if = WhatIf {
        size: size_said(&size),
        goes_to: placement.host_id.zip(placement.host),
        fit: count(counted.fit, counted.capped),
        fit_with_n_plus_one: shown::count(counted.fit_with_n_plus_one),
        runs_out: super::capacity::runs_out(counted),
        best: best.collect(),
        refused: refused.into_iter().map(|one| (chip(&one.filter), one.hosts)).collect(),
        reasons,
        unnamed,
    };
    (what_if, verdicts)
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    guarded.visitor.operator()?;
    let size = asked.size()?;
    let by = By::of(&asked, size.is_some())?;
    let from: usize = match asked.from.as_str() {
        "" => 0,
        from => from.parse().map_err(|_| ApiError::invalid("from", "must be a whole number"))?,
    };
    let lost = thought_lost(&app, &asked.if_lost).await?;
    let lost_id = lost.as_ref().map(|lost| lost.host);
    let mut seen = app.standing.seen(&app.store, app.now(), app.rules).await?;
    if let Some(lost) = &lost {
        seen = seen.without(lost);
    }
    let counted = match size {
        None => None,
        Some(size) => Some(super::capacity::counted(&app, vec![size], lost.as_ref()).await?),
    };
    let fleet = seen.fleet.clone();
    let reckon = move || {
        let capacity = counted.as_ref().and_then(|counted| counted.first());
        let told =
            size.zip(capacity).map(|(size, capacity)| what_if(&seen, size, capacity, lost_id.is_some()));
        (heat(&seen.fleet), told)
    };
    let (heats, told) = tokio::task::spawn_blocking(reckon).await.map_err(|error| {
        tracing::error!(%error, "the map of hosts could not be made");
        ApiError::internal("the map could not be made")
    })?;
    let (what_if, verdicts) = told.map_or((None, HashMap::new()), |(told, by_host)| (Some(told), by_host));
    let hosts = fleet.hosts();
    let racks =
        names::of(app.store.reader(), Named::Rack, hosts.iter().filter_map(|host| host.rack.map(|id| id.0)))
            .await?;
    let lost = lost.map(|lost| {
        let mut homeless = lost.homeless.clone();
        let all_homeless = homeless.len();
        homeless.truncate(NAMED);
        LostHost {
            id: lost.host.0,
            name: lost.name.clone(),
            restarted: lost.restarted,
            unnamed: all_homeless - homeless.len(),
            homeless,
            all_homeless,
        }
    });
    let scale = Scale::of(&heats, app.rules.vcpus_per_cpu);
    let mut groups: BTreeMap<(bool, String), Vec<Cell>> = BTreeMap::new();
    let shown = from..from.saturating_add(CELLS);
    for (place, (host, heat)) in hosts.iter().zip(&heats).enumerate() {
        let is_lost = lost_id == Some(host.id);
        // The one that it is about is on every page of the map.
        if !is_lost && !shown.contains(&place) {
            continue;
        }
        let (tone, value, said) = if is_lost {
            ("lost".to_owned(), "lost".to_owned(), format!("{} is thought lost", host.name))
        } else {
            drawn(by, host, heat, verdicts.get(&host.id.0), scale)
        };
        let rack = host.rack.and_then(|id| racks.get(&id.0).cloned());
        let key = (rack.is_none(), rack.unwrap_or_else(|| "in no rack".to_owned()));
        let cell = Cell { id: host.id.0, name: host.name.clone(), tone, value, said };
        groups.entry(key).or_default().push(cell);
    }
    let choices = By::ALL.into_iter().filter(|(one, ..)| *one != By::Verdict || size.is_some());
    page(&PlacementPage {
        shell: Shell::new(&app, &guarded.visit, Section::Placement, "Placement"),
        choices: choices
            .map(|(one, word, label)| Choice {
                label,
                address: asked.with(|asked| word.clone_into(&mut asked.by)),
                is_chosen: one == by,
            })
            .collect(),
        racks: groups.into_iter().map(|((_, name), cells)| Rack { name, cells }).collect(),
        legend: legend(by, scale, lost_id.is_some()),
        sums: sums(&heats, lost.as_ref()),
        hosts: hosts
            .iter()
            .enumerate()
            .map(|(place, host)| (place, host, lost_id == Some(host.id)))
            .filter(|(place, _, is_lost)| *is_lost || *place < CELLS)
            .map(|(_, host, is_lost)| (host.id.0, host.name.clone(), is_lost))
            .collect(),
        more: (hosts.len() > from + CELLS)
            .then(|| asked.with(|asked| asked.from = (from + CELLS).to_string())),
        what_if,
        lost,
        asked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_go_from_empty_to_full_and_no_further() {
        let shades = [-5, 0, 9, 10, 55, 99, 100, 250].map(shade);
        assert_eq!(shades, ["heat-0", "heat-0", "heat-0", "heat-1", "heat-5", "heat-9", "heat-9", "heat-9"]);
        assert_eq!((percent(1, 0), percent(3, 4), percent(i64::MAX, 1)), (None, Some(75), None));
    }

    #[test]
    fn processors_are_shaded_by_how_many_may_be_promised() {
        let heat = |cpus| Heat {
            host: honcho_model::HostId(1),
            open: true,
            memory: (1, 1),
            disk: (1, 1),
            cpus,
            short: 0,
        };
        let heats = [heat((4, 8)), heat((0, 0)), heat((2, 1))];
        let shades = |limit| {
            let scale = Scale::of(&heats, limit);
            [0, 50, 200, 400].map(|promised| scale.shade(promised))
        };
        assert_eq!(shades(Some(4.0)), ["heat-0", "heat-1", "heat-5", "heat-9"]);
        assert_eq!(shades(None), ["heat-0", "heat-2", "heat-9", "heat-9"], "the fullest host has 2 for each");
        assert_eq!(legend(By::Vcpus, Scale::of(&heats, Some(4.0)), false)[3].1, "from 3.6×");
    }

    #[test]
    fn an_address_keeps_what_is_asked() {
        let asked = Asked { memory: "1G".into(), from: "1000".into(), ..Asked::default() };
        assert_eq!(asked.with(|asked| asked.by = "loss".into()), "/placement?by=loss&memory=1G");
        assert_eq!(Asked::default().with(|_| {}), "/placement");
    }
}
