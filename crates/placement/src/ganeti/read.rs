//! The reader. Sections (groups, nodes, instances, tags, policies) are parted by an empty line; fields by `|`. Fields
//! that later versions of Ganeti added may be missing at the end of a line, and what follows the last known one is kept.

use super::cluster::{
    AutoBalance, Cluster, DiskTemplate, Group, Instance, InstanceStatus, Node, NodeState, Policy,
};
use std::collections::{HashMap, HashSet};

/// Why a text is no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ReadError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl ReadError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        ReadError { line, message: message.into() }
    }
}

/// No machine has more of anything; what is larger would overflow sums.
const MOST: f64 = 1e12;

/// Reads a file of Ganeti's htools (`hbal -t FILE`).
pub fn read(text: &str) -> Result<Cluster, ReadError> {
    let mut sections: Vec<Vec<(usize, &str)>> = vec![Vec::new()];
    let mut last = 1;
    for (number, line) in (1..).zip(text.lines()) {
        // A line may end as on Windows, however often it was converted: what is left of that is no part of a field.
        let line = line.trim_end_matches('\r');
        last = number;
        match line {
            "" => sections.push(Vec::new()),
            line => {
                if let Some(section) = sections.last_mut() {
                    section.push((number, line));
                }
            }
        }
    }
    if sections.len() < 4 {
        let what =
            "sections instead of at least 4 (groups, nodes, instances, tags), each ended by an empty line";
        return Err(ReadError::new(last, format!("the file ends after {} {what}", sections.len())));
    }
    let mut cluster = Cluster {
        groups: Vec::new(),
        nodes: Vec::new(),
        instances: Vec::new(),
        tags: Vec::new(),
        policies: Vec::new(),
        rest: Vec::new(),
    };
    read_groups(&mut cluster, &sections[0])?;
    read_nodes(&mut cluster, &sections[1])?;
    read_instances(&mut cluster, &sections[2])?;
    for (line, tag) in &sections[3] {
        let not_understood = [
            (
                "htools:nlocation:",
                "location tags are not understood, and the score would be another than Ganeti's",
            ),
            (
                "htools:desiredlocation:",
                "desired locations are not understood, and the score would be another than Ganeti's",
            ),
            ("htools:migration:", "restrictions of migration are not understood, and moves might break them"),
        ];
        if let Some((_, why)) = not_understood.iter().find(|(prefix, _)| tag.starts_with(prefix)) {
            return Err(ReadError::new(*line, format!("{tag}: {why}")));
        }
        cluster.tags.push((*tag).to_owned());
    }
    for (line, text) in sections.get(4).into_iter().flatten() {
        let policy = read_policy(*line, text)?;
        if !policy.owner.is_empty() && !cluster.groups.iter().any(|group| group.name == policy.owner) {
            return Err(ReadError::new(
                *line,
                format!("a policy of group {}, which is unknown", policy.owner),
            ));
        }
        cluster.policies.push(policy);
    }
    for section in sections.iter().skip(5) {
        cluster.rest.push(String::new());
        cluster.rest.extend(section.iter().map(|(_, line)| (*line).to_owned()));
    }
    while cluster.rest.last().is_some_and(String::is_empty) {
        cluster.rest.pop();
    }
    Ok(cluster)
}

fn read_groups(cluster: &mut Cluster, lines: &[(usize, &str)]) -> Result<(), ReadError> {
    let mut known = HashSet::new();
    for (line, text) in lines {
        let fields =
            Fields::of(*line, text, "a node group", 3, &["name", "uuid", "allocation policy", "tags"])?;
        let policy = fields.text(2);
        if !["preferred", "last_resort", "unallocable"].contains(&policy) {
            return Err(fields.wrong(2, "preferred, last_resort or unallocable"));
        }
        fields.new_name(&mut known, 1)?;
        cluster.groups.push(Group {
            name: fields.text(0).to_owned(),
            uuid: fields.text(1).to_owned(),
            line: (*text).to_owned(),
        });
    }
    Ok(())
}

const NODE: &[&str] = &[
    "name",
    "memory",
    "memory of the node",
    "free memory",
    "disk",
    "free disk",
    "CPUs",
    "offline",
    "group",
    "spindles",
    "tags",
    "exclusive storage",
    "free spindles",
    "CPUs of the node",
    "CPU speed",
];

fn read_nodes(cluster: &mut Cluster, lines: &[(usize, &str)]) -> Result<(), ReadError> {
    let groups: HashMap<String, usize> =
        cluster.groups.iter().map(|group| group.uuid.clone()).zip(0..).collect();
    let mut known = HashSet::new();
    for (line, text) in lines {
        let fields = Fields::of(*line, text, "a node", 9, NODE)?;
        fields.new_name(&mut known, 0)?;
        let group =
            *groups.get(fields.text(8)).ok_or_else(|| fields.wrong(8, "the uuid of a node group above"))?;
        if !["Y", "N", "M"].contains(&fields.text(7)) {
            return Err(fields.wrong(7, "Y, N or M (the master)"));
        }
        if fields.text(11) == "Y" {
            return Err(ReadError::new(*line, "exclusive storage is not understood"));
        }
        let unknown = (1..7).any(|field| fields.text(field) == "?");
        let offline = fields.text(7) == "Y" || unknown;
        let number = |field: usize| if unknown { Ok(0.0) } else { fields.number(field) };
        let whole = |field: usize| if unknown { Ok(0) } else { fields.whole(field) };
        cluster.nodes.push(Node {
            name: fields.text(0).to_owned(),
            memory: number(1)?,
            memory_of_node: whole(2)?,
            memory_free: whole(3)?,
            disk: number(4)?,
            disk_free: whole(5)?,
            cpus: number(6)?,
            state: if offline { NodeState::Offline } else { NodeState::Online },
            group,
            spindles: fields.whole_or(9, 1)?,
            cpus_of_node: if unknown { 0 } else { fields.whole_or(13, 1)? },
            cpu_speed: if fields.text(14).is_empty() { 1.0 } else { fields.number(14)? },
            fields: fields.owned(),
        });
        if let Some(node) = cluster.nodes.last().filter(|node| node.state == NodeState::Online) {
            let positive = [(1, node.memory), (6, node.cpus), (14, node.cpu_speed)];
            if let Some((field, _)) = positive.into_iter().find(|(_, value)| *value <= 0.0) {
                return Err(fields.wrong(field, "more than nothing, for a node that is not offline"));
            }
        }
    }
    Ok(())
}

const INSTANCE: &[&str] = &[
    "name",
    "memory",
    "disk",
    "vCPUs",
    "status",
    "auto balance",
    "primary node",
    "secondary node",
    "disk template",
    "tags",
    "spindles",
    "spindles of disks",
    "forthcoming",
];

fn read_instances(cluster: &mut Cluster, lines: &[(usize, &str)]) -> Result<(), ReadError> {
    let nodes: HashMap<String, usize> = cluster.nodes.iter().map(|node| node.name.clone()).zip(0..).collect();
    let mut known = HashSet::new();
    for (line, text) in lines {
        let fields = Fields::of(*line, text, "an instance", 10, INSTANCE)?;
        fields.new_name(&mut known, 0)?;
        let node = |field: usize| {
            nodes.get(fields.text(field)).copied().ok_or_else(|| fields.wrong(field, "a node above"))
        };
        let primary = node(6)?;
        let template = template(&fields)?;
        let secondary = if fields.text(7).is_empty() { None } else { Some(node(7)?) };
        match (template, secondary) {
            (DiskTemplate::Drbd, None) => return Err(fields.wrong(7, "a node above: drbd has two")),
            (DiskTemplate::Drbd, Some(other)) if other == primary => {
                return Err(fields.wrong(7, "another node than the primary"));
            }
            (DiskTemplate::Plain | DiskTemplate::Shared | DiskTemplate::Fixed, Some(_)) => {
                return Err(fields.wrong(7, "empty: only drbd has a secondary node"));
            }
            _ => {}
        }
        if fields.text(12) == "Y" {
            return Err(ReadError::new(*line, "forthcoming instances are not understood"));
        }
        cluster.instances.push(Instance {
            name: fields.text(0).to_owned(),
            memory: fields.whole(1)?,
            disk: fields.whole(2)?,
            vcpus: fields.whole(3)?,
            status: status(&fields)?,
            auto_balance: match fields.text(5) {
                "Y" => AutoBalance::Yes,
                "N" => AutoBalance::No,
                _ => return Err(fields.wrong(5, "Y or N")),
            },
            primary,
            secondary,
            template,
            tags: fields.text(9).split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
            spindles: fields.whole_or(10, 1)?,
            fields: fields.owned(),
        });
    }
    Ok(())
}

fn status(fields: &Fields<'_>) -> Result<InstanceStatus, ReadError> {
    match fields.text(4) {
        // Where Ganeti says that it should run, its memory counts, as htools count it.
        "running" | "ERROR_up" | "ERROR_nodedown" | "ERROR_nodeoffline" | "ERROR_wrongnode" => Ok(InstanceStatus::Running),
        "ADMIN_down" | "ERROR_down" | "USER_down" => Ok(InstanceStatus::Down),
        "ADMIN_offline" => Ok(InstanceStatus::Offline),
        _ => Err(fields.wrong(
            4,
            "running, ADMIN_down, ADMIN_offline, USER_down, ERROR_up, ERROR_down, ERROR_nodedown, ERROR_nodeoffline or ERROR_wrongnode",
        )),
    }
}

fn template(fields: &Fields<'_>) -> Result<DiskTemplate, ReadError> {
    match fields.text(8) {
        "plain" => Ok(DiskTemplate::Plain),
        "drbd" => Ok(DiskTemplate::Drbd),
        "ext" | "rbd" | "sharedfile" | "blockdev" | "gluster" => Ok(DiskTemplate::Shared),
        "file" | "diskless" => Ok(DiskTemplate::Fixed),
        _ => Err(fields.wrong(8, "plain, drbd, ext, rbd, sharedfile, blockdev, gluster, file or diskless")),
    }
}

fn read_policy(line: usize, text: &str) -> Result<Policy, ReadError> {
    let names = &["owner", "standard", "least and most", "disk templates", "vCPU ratio", "spindle ratio"];
    let fields = Fields::of(line, text, "a policy", 6, names)?;
    let specification = |field: usize, text: &str| {
        let numbers: Vec<&str> = text.split(',').collect();
        if numbers.len() == 6 && numbers.iter().all(|number| number.parse::<u32>().is_ok()) {
            Ok(())
        } else {
            Err(fields.wrong(field, "six whole numbers (memory, CPUs, disk, disks, network cards, spindles)"))
        }
    };
    specification(1, fields.text(1))?;
    let pairs: Vec<&str> = fields.text(2).split(';').collect();
    if !pairs.len().is_multiple_of(2) {
        return Err(fields.wrong(2, "pairs of a least and a most, parted by ;"));
    }
    pairs.into_iter().try_for_each(|pair| specification(2, pair))?;
    Ok(Policy {
        owner: fields.text(0).to_owned(),
        vcpu_ratio: fields.signed(4)?,
        spindle_ratio: fields.signed(5)?,
        line: text.to_owned(),
    })
}

/// The fields of a line, which can say what is wrong with one of them.
struct Fields<'a> {
    line: usize,
    names: &'static [&'static str],
    texts: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn of(
        line: usize,
        text: &'a str,
        what: &str,
        least: usize,
        names: &'static [&'static str],
    ) -> Result<Self, ReadError> {
        let texts: Vec<&str> = text.split('|').collect();
        if texts.len() < least {
            return Err(ReadError::new(
                line,
                format!("{what} has at least {least} fields parted by |, and here are {}", texts.len()),
            ));
        }
        Ok(Fields { line, names, texts })
    }

    /// A field, empty if it is missing.
    fn text(&self, field: usize) -> &'a str {
        self.texts.get(field).copied().unwrap_or_default()
    }

    fn owned(&self) -> Vec<String> {
        self.texts.iter().map(|field| (*field).to_owned()).collect()
    }

    fn wrong(&self, field: usize, wanted: &str) -> ReadError {
        let name = self.names.get(field).copied().unwrap_or("field");
        ReadError::new(self.line, format!("{name} is \"{}\" and must be {wanted}", self.text(field)))
    }

    fn new_name(&self, known: &mut HashSet<&'a str>, field: usize) -> Result<(), ReadError> {
        if self.text(field).is_empty() {
            return Err(self.wrong(field, "not empty"));
        }
        if known.insert(self.text(field)) {
            Ok(())
        } else {
            Err(self.wrong(field, "another than those above"))
        }
    }

    /// A number that is not negative.
    fn number(&self, field: usize) -> Result<f64, ReadError> {
        let number = self.signed(field)?;
        if number >= 0.0 { Ok(number) } else { Err(self.wrong(field, "a number that is not negative")) }
    }

    fn signed(&self, field: usize) -> Result<f64, ReadError> {
        match self.text(field).parse::<f64>() {
            Ok(number) if number.abs() <= MOST => Ok(number),
            _ => Err(self.wrong(field, "a number")),
        }
    }

    /// A whole number; free memory and disk may be below 0.
    fn whole(&self, field: usize) -> Result<i64, ReadError> {
        match self.text(field).parse::<i64>() {
            #[expect(clippy::cast_possible_truncation, reason = "MOST is a whole number below 2^63")]
            Ok(number) if number.abs() <= MOST as i64 => Ok(number),
            _ => Err(self.wrong(field, "a whole number")),
        }
    }

    fn whole_or(&self, field: usize, missing: i64) -> Result<i64, ReadError> {
        if self.texts.len() > field { self.whole(field) } else { Ok(missing) }
    }
}
