//! A rack as a table: a row for each unit, the highest first; a host is a cell over as many rows as it fills units, and over both
//! columns unless it leaves one side free.

use super::shown::{self, Badge};
use honcho_api::{Host, Rack};

/// A cell of the drawing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// `None`: nothing is there.
    pub(super) host: Option<Standing>,
    pub(super) rows: i64,
    pub(super) columns: i64,
}

/// A host, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) status: Badge,
    pub(super) said: String,
}

/// A unit and what begins there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) number: i64,
    pub(super) cells: Vec<Cell>,
}

/// A whole rack.
pub(super) struct Drawn {
    pub(super) name: String,
    pub(super) site: String,
    pub(super) height: i64,
    pub(super) used: i64,
    pub(super) units: Vec<Unit>,
    /// Those that are in it nobody knows where.
    pub(super) elsewhere: Vec<Standing>,
}

fn standing(host: &Host) -> Standing {
    let mut said = vec![if host.guests_count == 1 {
        "1 guest".to_owned()
    } else {
        format!("{} guests", host.guests_count)
    }];
    said.extend(host.busy_percent.map(|busy| format!("{busy} % busy")));
    if host.draining_since.is_some() {
        said.push("being emptied".to_owned());
    }
    Standing {
        id: host.id,
        name: host.name.clone(),
        status: shown::host_status(host.status),
        said: said.join(" · "),
    }
}

/// What a side of a unit holds.
fn at<'h>(hosts: &[&'h Host], unit: i64, side: &str) -> Option<&'h Host> {
    let covers = |host: &Host| {
        let lowest = host.position.unwrap_or(i64::MAX);
        (lowest..lowest.saturating_add(host.height_units)).contains(&unit)
            && host.face.as_deref().is_none_or(|face| face == side)
    };
    hosts.iter().copied().find(|host| covers(host))
}

fn units(height: i64, hosts: &[&Host]) -> Vec<Unit> {
    let free = |columns| Cell { host: None, rows: 1, columns };
    // A host is drawn once, in its highest unit, which may be above the rack's own height.
    let begins = |host: &Host, unit: i64| {
        let highest = host.position.unwrap_or(0) + host.height_units - 1;
        unit == highest.min(height)
    };
    let cell = |host: &Host, unit: i64, columns| Cell {
        host: Some(standing(host)),
        rows: unit - host.position.unwrap_or(unit) + 1,
        columns,
    };
    let row = |number: i64| {
        let mut cells = Vec::new();
        match (at(hosts, number, "front"), at(hosts, number, "rear")) {
            (None, None) => cells.push(free(2)),
            (Some(front), Some(rear)) if front.id == rear.id => {
                cells.extend(begins(front, number).then(|| cell(front, number, 2)));
            }
            (front, rear) => {
                for side in [front, rear] {
                    match side {
                        None => cells.push(free(1)),
                        Some(host) => cells.extend(begins(host, number).then(|| cell(host, number, 1))),
                    }
                }
            }
        }
        Unit { number, cells }
    };
    (1..=height).rev().map(row).collect()
}

/// Draws a rack with the hosts in it.
pub(super) fn drawn(rack: &Rack, site: String, hosts: &[&Host]) -> Drawn {
    Drawn {
        name: rack.name.clone(),
        site,
        height: rack.height_units,
        used: rack.units_used,
        units: units(rack.height_units, hosts),
        elsewhere: hosts.iter().filter(|host| host.position.is_none()).map(|host| standing(host)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn host(id: i64, position: i64, height: i64, face: Option<&str>) -> Host {
        let text = serde_json::json!({
            "id": id, "uuid": uuid::Uuid::nil(), "name": format!("h{id}"), "status": "up", "memory_placed_bytes": 0,
            "guests_count": 0, "generation": 1, "orphans": [], "position": position, "height_units": height,
            "face": face, "duties": [], "nics": [], "created_at": "2026-11-29T00:00:00Z", "lock_version": 0,
        });
        serde_json::from_value(text).unwrap()
    }

    fn check(height: i64, hosts: &[Host], expected: &Expect) {
        let hosts: Vec<&Host> = hosts.iter().collect();
        let line = |unit: Unit| {
            let cells = unit.cells.iter().map(|cell| {
                let name = cell.host.as_ref().map_or("-", |host| host.name.as_str());
                format!("{name} {}x{}", cell.rows, cell.columns)
            });
            format!("{}: {}\n", unit.number, cells.collect::<Vec<_>>().join(", "))
        };
        let text: String = units(height, &hosts).into_iter().map(line).collect();
        expected.assert_eq(&text);
    }

    #[test]
    fn a_rack_is_drawn_as_it_stands() {
        let hosts = [host(1, 1, 2, None), host(2, 4, 1, Some("front")), host(3, 3, 2, Some("rear"))];
        check(
            5,
            &hosts,
            &expect![[r"
                5: - 1x2
                4: h2 1x1, h3 2x1
                3: - 1x1
                2: h1 2x2
                1: 
            "]],
        );
    }
}
