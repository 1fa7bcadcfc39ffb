//! A rack as text, from the top.

use crate::clean::clean;
use honcho_api::Host;
use serde::Serialize;

/// One unit of a rack and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "it is what --json calls it")]
pub(super) struct Unit {
    /// Counted from the bottom.
    unit: i64,
    /// What is seen from the front.
    host: Option<String>,
    /// What is behind it, if that is something else.
    rear: Option<String>,
    /// What it is.
    #[serde(skip)]
    what: String,
    /// Whether it is the highest unit of what is seen from the front.
    #[serde(skip)]
    top: bool,
}

/// Every unit, from the top.
pub(super) fn units(height: i64, hosts: &[Host]) -> Vec<Unit> {
    let at = |unit: i64, faces: [Option<&str>; 2]| {
        hosts.iter().find(|host| {
            let from = host.position.unwrap_or(i64::MAX);
            (from..from.saturating_add(host.height_units)).contains(&unit)
                && faces.contains(&host.face.as_deref())
        })
    };
    let unit = |unit: i64| {
        let front = at(unit, [None, Some("front")]);
        let rear = at(unit, [Some("rear"), Some("rear")]);
        Unit {
            unit,
            host: front.map(|host| host.name.clone()),
            rear: rear.map(|host| host.name.clone()),
            what: front.map(what).unwrap_or_default(),
            top: front.is_some_and(|host| host.position.unwrap_or(0) + host.height_units - 1 == unit),
        }
    };
    (1..=height.clamp(0, honcho_model::rack::HIGHEST)).rev().map(unit).collect()
}

fn what(host: &Host) -> String {
    let made = [host.vendor.as_deref(), host.model.as_deref()].into_iter().flatten();
    let made = made.collect::<Vec<_>>().join(" ");
    let duties = host.duties.join(", ");
    [made, duties].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The drawing: a frame, a line for each unit, and for each host its name once.
pub(super) fn draw(units: &[Unit]) -> String {
    let texts: Vec<(String, String)> = units.iter().map(|unit| (clean(&front(unit)), rear(unit))).collect();
    let width = texts.iter().map(|(front, _)| front.chars().count()).max().unwrap_or(0).max(24);
    let edge = format!("    +{}+", "-".repeat(width + 2));
    let mut lines = vec![edge.clone()];
    for (unit, (front, rear)) in units.iter().zip(&texts) {
        let pad = " ".repeat(width - front.chars().count());
        lines.push(format!("{:>3} | {front}{pad} |{}", unit.unit, clean(rear)).trim_end().to_owned());
    }
    lines.push(edge);
    lines.join("\n")
}

fn front(unit: &Unit) -> String {
    match &unit.host {
        Some(name) if unit.top && unit.what.is_empty() => name.clone(),
        Some(name) if unit.top => format!("{name} ({})", unit.what),
        Some(_) => "'".to_owned(),
        None => String::new(),
    }
}

fn rear(unit: &Unit) -> String {
    unit.rear.as_ref().map(|name| format!(" behind: {name}")).unwrap_or_default()
}
