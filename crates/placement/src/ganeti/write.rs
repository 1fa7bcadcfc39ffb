//! The writer: each line as it was read, but for what moves change.

use super::cluster::{Cluster, NodeState};
use std::fmt::Write as _;

/// The same format as [`super::read`] takes.
pub fn write(cluster: &Cluster) -> String {
    let mut text = String::new();
    let mut line = |fields: &str| {
        text.push_str(fields);
        text.push('\n');
    };
    for group in &cluster.groups {
        line(&group.line);
    }
    line("");
    for node in &cluster.nodes {
        let mut fields = node.fields.clone();
        if node.state == NodeState::Online {
            fields[3] = node.memory_free.to_string();
            fields[5] = node.disk_free.to_string();
        }
        line(&fields.join("|"));
    }
    line("");
    for instance in &cluster.instances {
        let mut fields = instance.fields.clone();
        fields[6].clone_from(&cluster.nodes[instance.primary].name);
        fields[7] = instance.secondary.map_or(String::new(), |node| cluster.nodes[node].name.clone());
        line(&fields.join("|"));
    }
    line("");
    for tag in &cluster.tags {
        line(tag);
    }
    line("");
    for policy in &cluster.policies {
        line(&policy.line);
    }
    for rest in &cluster.rest {
        let _ = writeln!(text, "{rest}");
    }
    text
}
