//! `honcho cluster create`.

use super::{account_id, guests_of, roles_text};
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::{accounts, images, networks, sites};
use crate::context::Context;
use crate::output::Tone;
use crate::resolve;
use crate::table::{Cell, table};
use crate::values;
use crate::waiting::{self, Patience};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{
    Cluster, ClusterCreate, ClusterGuestPlacement, ClusterPlacement, ClusterRoleCreate, Image,
    InterfaceCreate, Network, Resource, Site,
};
use honcho_model::guest::Power;
use honcho_model::operation::OperationState;
use std::path::PathBuf;
use tokio::time::Instant;

const AFTER_HELP: &str = "\
All its guests are made, or none: they are placed together, and where there is no room for one
of them nothing is made. Those of one role are kept on different hosts, racks and sites while
others have room.

A role is ROLE=COUNT, or ROLE=NAME+NAME to say what its guests are called (else CLUSTER-ROLE-1
and so on). What differs from the rest of the cluster follows, each behind a comma: memory=SIZE,
disk=SIZE, vcpus=N, image=IMAGE, network=NETWORK+NETWORK.

With --wait the command ends when the brain has seen all of them run.

Examples:
  honcho cluster create shop --account acme --image debian-12 \\
      --memory 1G --disk 10G --network office --role front=2 --role app=6,memory=2G,vcpus=2 \\
      --role db=2,memory=8G,disk=80G,network=office+db --ssh-key team.pub --wait
  honcho cluster create shop --account acme --image debian-12 \\
      --memory 1G --disk 10G --network office --role front=www1+www2 --role db=1 --dry-run";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CreateArguments {
    /// Its name: lower-case letters, digits and hyphens
    name: String,

    /// Who owns it (a token of one account needs no word of it)
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,

    /// A role with its guests; again for each further role
    #[arg(long = "role", value_name = "ROLE=COUNT[,…]", required = true, value_parser = role)]
    roles: Vec<Role>,

    /// What their disks are made from
    #[arg(long, value_name = "IMAGE", add = ArgValueCandidates::new(images))]
    image: Option<String>,

    /// Memory of each, as in 512M
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory: Option<i64>,

    /// Disk of each, as in 3G; larger than the image
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    disk: Option<i64>,

    /// Virtual processors of each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    vcpus: i64,

    /// The network of a card of each; again for each further card
    #[arg(long = "network", value_name = "NETWORK", add = ArgValueCandidates::new(networks))]
    networks: Vec<String>,

    /// What their hosts' processors must be able to do, as in avx2; may be repeated
    #[arg(long = "cpu-feature", value_name = "FEATURE")]
    cpu_features: Vec<String>,

    /// A file of public keys that may log in as root; may be repeated
    #[arg(long = "ssh-key", value_name = "FILE")]
    ssh_keys: Vec<PathBuf>,

    /// Make them and do not start them
    #[arg(long)]
    stopped: bool,

    /// They may start after their host's boot while the brain cannot be reached
    #[arg(long)]
    start_alone: bool,

    /// The site to put them in
    #[arg(long, value_name = "SITE", add = ArgValueCandidates::new(sites))]
    site: Option<String>,

    /// A key of your own: asked again with it, the brain answers with the same cluster
    #[arg(long, value_name = "KEY")]
    reference: Option<String>,

    /// Say where each guest would go and why, and make nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,

    /// Wait until every guest's operation has ended
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    patience: Patience,
}

/// A role, as it is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Role {
    word: String,
    count: Option<i64>,
    names: Vec<String>,
    memory: Option<i64>,
    disk: Option<i64>,
    vcpus: Option<i64>,
    image: Option<String>,
    networks: Vec<String>,
}

fn role(text: &str) -> Result<Role, String> {
    let mut parts = text.split(',');
    let first = parts.next().unwrap_or_default();
    let (word, guests) = first
        .split_once('=')
        .filter(|(word, guests)| !word.is_empty() && !guests.is_empty())
        .ok_or("write ROLE=COUNT, as in app=6, or ROLE=NAME+NAME")?;
    let mut role = Role { word: word.to_owned(), ..Role::default() };
    match guests.parse::<i64>() {
        Ok(count @ 1..) => role.count = Some(count),
        Ok(_) => return Err(format!("{word}: the count must be 1 at least")),
        Err(_) => role.names = listed(guests),
    }
    for part in parts {
        let (key, value) = part.split_once('=').ok_or(format!("{part:?} is no KEY=VALUE"))?;
        match key {
            "memory" => role.memory = Some(values::size(value)?),
            "disk" => role.disk = Some(values::size(value)?),
            "vcpus" => {
                let vcpus = value.parse::<i64>().ok().filter(|vcpus| *vcpus > 0);
                role.vcpus = Some(vcpus.ok_or(format!("vcpus={value} is no number of processors"))?);
            }
            "image" => role.image = Some(value.to_owned()),
            "network" => role.networks = listed(value),
            _ => return Err(format!("{key:?} is none of memory, disk, vcpus, image, network")),
        }
    }
    Ok(role)
}

fn listed(text: &str) -> Vec<String> {
    text.split('+').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

pub(crate) async fn run(context: &Context, arguments: &CreateArguments) -> Result<(), CommandError> {
    let body = body(context, arguments).await?;
    let client = context.client()?;
    if arguments.dry_run {
        let placement: ClusterPlacement = client.post("/v1/clusters.json?dry_run=true", &body).await?;
        return tried(context, &placement);
    }
    let cluster = client.create::<Cluster>(&body).await?;
    if !arguments.wait {
        return ordered(context, &cluster);
    }
    let deadline = Instant::now() + arguments.patience.wait_timeout;
    let mut failed = None;
    for guest in guests_of(context, &cluster).await? {
        let Some(id) = guest.operation_id else { continue };
        let operation = client.operation(id).await?;
        let ended = waiting::until_ended(context, operation, arguments.patience, deadline).await?;
        if !context.output.json {
            context.output.print(&waiting::ended_line(&ended))?;
        }
        // The others go on: all of them are waited for before it is said that one went wrong.
        if ended.state != OperationState::Done {
            failed.get_or_insert(ended);
        }
    }
    if let Some(failed) = failed {
        return waiting::judge(&failed);
    }
    let cluster: Cluster = client.get(cluster.id).await?;
    super::show::print(context, &cluster).await
}

async fn body(context: &Context, arguments: &CreateArguments) -> Result<ClusterCreate, CommandError> {
    // Files first: a mistake there needs no brain.
    let mut ssh_keys = Vec::new();
    for file in &arguments.ssh_keys {
        ssh_keys.extend(values::ssh_keys(file)?);
    }
    let mut roles = Vec::new();
    for role in &arguments.roles {
        let (network_id, interfaces) = cards(context, &role.networks).await?;
        roles.push(ClusterRoleCreate {
            role: Some(role.word.clone()),
            count: role.count,
            names: (!role.names.is_empty()).then(|| role.names.clone()),
            image_id: resolve::optional_id::<Image>(context, role.image.as_deref()).await?,
            network_id,
            interfaces,
            vcpus: role.vcpus,
            memory_bytes: role.memory,
            disk_bytes: role.disk,
            ..ClusterRoleCreate::default()
        });
    }
    let (network_id, interfaces) = cards(context, &arguments.networks).await?;
    Ok(ClusterCreate {
        account_id: account_id(context, arguments.account.as_deref()).await?,
        name: Some(arguments.name.clone()),
        reference: arguments.reference.clone(),
        roles: Some(roles),
        image_id: resolve::optional_id::<Image>(context, arguments.image.as_deref()).await?,
        network_id,
        interfaces,
        vcpus: Some(arguments.vcpus),
        memory_bytes: arguments.memory,
        disk_bytes: arguments.disk,
        cpu_features: (!arguments.cpu_features.is_empty()).then(|| arguments.cpu_features.clone()),
        ssh_keys: Some(ssh_keys),
        power: Some(if arguments.stopped { Power::Stopped } else { Power::Running }),
        start_alone: Some(arguments.start_alone),
        site_id: resolve::optional_id::<Site>(context, arguments.site.as_deref()).await?,
    })
}

/// The networks of cards: a single one is said as ever.
async fn cards(
    context: &Context,
    networks: &[String],
) -> Result<(Option<i64>, Option<Vec<InterfaceCreate>>), CommandError> {
    let mut cards = Vec::new();
    for network in networks {
        let network: Network = resolve::one(context, network).await?;
        cards.push(InterfaceCreate { network_id: Some(network.id()), ..InterfaceCreate::default() });
    }
    Ok(match cards.as_slice() {
        [] => (None, None),
        [single] => (single.network_id, None),
        _ => (None, Some(cards)),
    })
}

fn ordered(context: &Context, cluster: &Cluster) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(cluster);
    }
    let name = clean(&cluster.name);
    output.print(&format!(
        "cluster {name} is being made (id {}): {}",
        cluster.id,
        clean(&roles_text(cluster))
    ))?;
    output
        .note(&format!("`honcho cluster show {name}` shows how it goes; --wait waits for all of its guests"));
    Ok(())
}

/// Where each guest would go; of the one that finds no host, what every host says.
fn tried(context: &Context, placement: &ClusterPlacement) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(placement);
    }
    let mut parts = Vec::new();
    let headings = ["GUEST", "ROLE", "HOST", "SCORE", "NEXT BEST", "REFUSED BY"];
    parts.push(table(output, &headings, placement.guests.iter().map(row).collect()));
    if let Some(lacking) = placement.guests.iter().find(|guest| !guest.placement.placed) {
        parts.push(super::super::placement::table_of(output, &lacking.placement));
    }
    let name = clean(&placement.name);
    parts.push(if placement.placed {
        format!("{name} would find room. Nothing was made.")
    } else {
        format!("{name}: {}.", clean(placement.reason.as_deref().unwrap_or("nobody says why")))
    });
    output.page(&parts.join("\n\n"))
}

fn row(guest: &ClusterGuestPlacement) -> Vec<Cell> {
    let placement = &guest.placement;
    let scored = |host: Option<&honcho_api::PlacementHost>| {
        host.and_then(|host| host.score).map_or_else(Cell::none, |score| Cell::number(format!("{score:.4}")))
    };
    let best = placement.best.as_deref().unwrap_or_default();
    let chosen = best.iter().find(|host| Some(host.host_id) == placement.host_id);
    let next = best.iter().find(|host| Some(host.host_id) != placement.host_id);
    let refused: Vec<String> = placement
        .refused
        .iter()
        .flatten()
        .map(|count| format!("{} by {}", count.hosts, count.filter))
        .collect();
    vec![
        Cell::text(&guest.name),
        Cell::text(&guest.role),
        match &placement.host {
            Some(host) => Cell::text(host),
            None if placement.placed => Cell::none(),
            None => Cell::text("no room").tone(Tone::Bad),
        },
        scored(chosen).tone(Tone::Good),
        Cell::maybe(next.map(|host| &host.host)),
        Cell::maybe((!refused.is_empty()).then(|| refused.join(", "))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_count_or_names_and_what_differs() {
        let front = role("front=2").unwrap();
        assert_eq!((front.word.as_str(), front.count, front.names.len()), ("front", Some(2), 0));
        let db = role("db=db1+db2,memory=8G,disk=80G,vcpus=4,network=office+db,image=debian-13").unwrap();
        assert_eq!((db.count, db.names), (None, vec!["db1".to_owned(), "db2".to_owned()]));
        assert_eq!((db.memory, db.disk, db.vcpus), (Some(8 << 30), Some(80 << 30), Some(4)));
        assert_eq!((db.networks.len(), db.image.as_deref()), (2, Some("debian-13")));
        for (wrong, why) in [
            ("front", "write ROLE=COUNT, as in app=6, or ROLE=NAME+NAME"),
            ("front=0", "front: the count must be 1 at least"),
            ("front=2,memory", "\"memory\" is no KEY=VALUE"),
            ("front=2,colour=red", "\"colour\" is none of memory, disk, vcpus, image, network"),
            ("front=2,vcpus=0", "vcpus=0 is no number of processors"),
        ] {
            assert_eq!(role(wrong), Err(why.to_owned()), "{wrong}");
        }
    }
}
