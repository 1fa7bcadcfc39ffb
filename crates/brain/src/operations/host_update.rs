//! Hosts as people write them down: what they are, where they stand, what they are there for.

use super::account::refuse_stale;
use super::operators_only;
use super::problems::Problems;
use honcho_api::{Host, HostCreate};
use honcho_model::event::ResourceKind;
use honcho_model::host::Duty;
use honcho_model::rack::{Face, HIGHEST};
use honcho_model::{HostId, Mac, Name, RackId, SiteId};
use honcho_store::events::{self, NewEvent};
use honcho_store::host_places::{self, Attributes};
use honcho_store::{Change, Scope, StoreResult, Turn, Tx, hosts, racks, sites};
use std::collections::BTreeSet;
use std::net::IpAddr;

const HEIGHT: std::ops::RangeInclusive<i64> = 1..=HIGHEST;
const CORES: std::ops::RangeInclusive<i64> = 1..=65_536;
const MEMORY: std::ops::RangeInclusive<i64> = 1..=1 << 50;
const MOST_NICS: usize = 64;

/// A short text that people write down: `None` where it is empty.
pub(super) fn text(
    problems: &mut Problems,
    attribute: &str,
    wanted: Option<&Option<String>>,
    before: Option<&String>,
) -> Option<String> {
    let wanted = match wanted {
        Some(wanted) => wanted.as_ref(),
        None => before,
    };
    let text = wanted.map(|text| text.trim()).filter(|text| !text.is_empty())?;
    problems.line(attribute, Some(text));
    Some(text.to_owned())
}

/// What a host is to be: what the body says, and what it was where the body says nothing.
pub(super) async fn attributes(
    tx: &Tx,
    body: &HostCreate,
    before: Option<&Host>,
    problems: &mut Problems,
) -> StoreResult<Option<Attributes>> {
    let name = problems.name(body.name.as_deref().or(before.map(|host| host.name.as_str())));
    let rack = body.rack_id.unwrap_or(before.and_then(|host| host.rack_id)).map(RackId);
    let position = body.position.unwrap_or(before.and_then(|host| host.position));
    let height = body.height_units.or(before.map(|host| host.height_units)).unwrap_or(1);
    let whole = |wanted: Option<Option<i64>>, before: Option<i64>| wanted.unwrap_or(before);
    let cores = whole(body.cores, before.and_then(|host| host.cores));
    let memory = whole(body.memory_bought_bytes, before.and_then(|host| host.memory_bought_bytes));
    problems.within("height_units", height, HEIGHT);
    cores.and_then(|cores| problems.within("cores", cores, CORES));
    memory.and_then(|memory| problems.within("memory_bought_bytes", memory, MEMORY));
    let face = text(problems, "face", body.face.as_ref(), before.and_then(|host| host.face.as_ref()));
    let face =
        face.and_then(|word| problems.check("face", Face::parse(&word).ok_or("must be front or rear")));
    let mut short = |attribute: &str, wanted: Option<&Option<String>>, was: fn(&Host) -> Option<&String>| {
        text(problems, attribute, wanted, before.and_then(was))
    };
    let vendor = short("vendor", body.vendor.as_ref(), |host| host.vendor.as_ref());
    let model = short("model", body.model.as_ref(), |host| host.model.as_ref());
    let serial = short("serial", body.serial.as_ref(), |host| host.serial.as_ref());
    let bmc = short("bmc_address", body.bmc_address.as_ref(), |host| host.bmc_address.as_ref());
    let bmc = bmc.and_then(|text| {
        problems.check("bmc_address", text.parse::<IpAddr>().map_err(|_| "is no IP address"))
    });
    let duties = body.duties.as_ref().or(before.map(|host| &host.duties));
    let duties =
        duties.map_or_else(|| BTreeSet::from([Duty::Hypervisor]), |words| read_duties(words, problems));
    let nics = body.nics.as_deref().or(before.map(|host| host.nics.as_slice())).unwrap_or_default();
    let id = before.map(|host| HostId(host.id));
    let nics = read_nics(tx, nics, id, problems).await?;
    let site = site(tx, body, before, rack, problems).await?;
    let Some(name) = name else { return Ok(None) };
    let attributes = Attributes {
        name,
        site,
        rack,
        position,
        height,
        face,
        vendor,
        model,
        serial,
        cores,
        memory_bought: memory,
        bmc_address: bmc.map(|address| address.to_canonical().to_string()),
        duties,
        nics,
    };
    check_place(tx, &attributes, id, problems).await?;
    check_name(tx, &attributes.name, id, problems).await?;
    Ok(Some(attributes))
}

fn read_duties(words: &[String], problems: &mut Problems) -> BTreeSet<Duty> {
    let known = Duty::ALL.map(Duty::as_str).join(", ");
    let mut duties = BTreeSet::new();
    for word in words {
        match Duty::parse(word.trim()) {
            Some(duty) => drop(duties.insert(duty)),
            None => problems.add("duties", format!("may be {known}; not {word:?}")),
        }
    }
    duties
}

async fn read_nics(
    tx: &Tx,
    nics: &[honcho_api::Nic],
    host: Option<HostId>,
    problems: &mut Problems,
) -> StoreResult<Vec<(String, Mac)>> {
    if nics.len() > MOST_NICS {
        problems.add("nics", format!("are more than {MOST_NICS}"));
        return Ok(Vec::new());
    }
    let mut read: Vec<(String, Mac)> = Vec::new();
    for nic in nics {
        let name = nic.name.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@".contains(&byte);
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            problems.add("nics", format!("{name:?} is no name of a network card, as in eth0 or enp1s0f0"));
            continue;
        }
        let Ok(mac) = Mac::of_any_spelling(&nic.mac) else {
            problems.add("nics", format!("{name}: {:?} is no MAC address, as in 3c:ec:ef:00:00:07", nic.mac));
            continue;
        };
        if read.iter().any(|(other, known)| other == name || *known == mac) {
            problems.add("nics", format!("{name} ({mac}) stands there twice"));
            continue;
        }
        if let Some((other, other_name)) = host_places::with_mac(tx, mac).await?
            && host != Some(other)
        {
            problems.add("nics", format!("{mac} is host {other_name}'s"));
        }
        read.push((name.to_owned(), mac));
    }
    Ok(read)
}

/// The site: its rack's, if it is in one. One that was asked for must be that.
async fn site(
    tx: &Tx,
    body: &HostCreate,
    before: Option<&Host>,
    rack: Option<RackId>,
    problems: &mut Problems,
) -> StoreResult<Option<SiteId>> {
    let was = before.and_then(|host| host.site_id);
    let wanted = body.site_id.unwrap_or(was);
    if let Some(rack) = rack {
        let Some(rack) = problems.found("rack_id", racks::get(tx, rack).await)? else { return Ok(None) };
        if let Some(wanted) = wanted.filter(|wanted| Some(*wanted) != was && *wanted != rack.site_id) {
            problems.add(
                "site_id",
                format!(
                    "is not where rack {} stands: that is site {}, not {wanted}",
                    rack.name, rack.site_id
                ),
            );
        }
        return Ok(Some(SiteId(rack.site_id)));
    }
    match wanted {
        Some(wanted) => {
            Ok(problems.found("site_id", sites::get(tx, SiteId(wanted)).await)?.map(|site| SiteId(site.id)))
        }
        None => Ok(None),
    }
}

async fn check_place(
    tx: &Tx,
    new: &Attributes,
    host: Option<HostId>,
    problems: &mut Problems,
) -> StoreResult<()> {
    let Some(place) = new.place() else { return Ok(()) };
    let Some(rack) = new.rack else {
        problems.add("position", "is a unit of a rack: say which, by rack_id");
        return Ok(());
    };
    // Whatever is wrong with the numbers has been said; the claims of a huge host must not be written out.
    if !HEIGHT.contains(&new.height) {
        return Ok(());
    }
    if let Ok(rack) = racks::get(tx, rack).await
        && let Some(problem) = place.sticks_out(rack.height_units)
    {
        problems.add("position", problem);
        return Ok(());
    }
    for other in host_places::in_the_way(tx, rack, place, host).await? {
        let theirs =
            honcho_model::rack::Place { position: other.position, height: other.height_units, face: None };
        problems
            .add("position", format!("{place} would overlap with host {}, which fills {theirs}", other.name));
    }
    Ok(())
}

/// The index would refuse it too; but inside an import no statement may fail.
async fn check_name(tx: &Tx, name: &Name, host: Option<HostId>, problems: &mut Problems) -> StoreResult<()> {
    let known = hosts::list(tx, &honcho_store::Filters::default().and("name", name), tx.now).await?;
    if known.iter().any(|known| host != Some(HostId(known.id))) {
        problems.add("name", "is taken");
    }
    Ok(())
}

/// Writes an event with what changed.
pub(super) async fn record_change(
    tx: &Tx,
    kind: &str,
    before: Option<&Host>,
    after: &Host,
    words: &str,
) -> StoreResult<()> {
    let resource = (ResourceKind::Host, after.id, after.name.as_str());
    let before = before.and_then(|host| serde_json::to_value(host).ok());
    events::record(
        tx,
        NewEvent::info(kind, resource, words).change(before, serde_json::to_value(after).ok()),
    )
    .await?;
    Ok(())
}

/// Whether two states of a host differ in what people write down.
pub(super) fn differ(before: &Host, after: &Host) -> bool {
    let written = |host: &Host| Host { lock_version: 0, generation: 0, ..host.clone() };
    written(before) != written(after)
}

/// Changes what is written down about a host.
pub(crate) struct HostUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: HostId,
    pub(crate) body: HostCreate,
    pub(crate) lock_version: Option<i64>,
}

impl Change for HostUpdate {
    type Out = Host;
    // What it is there for, and where it stands, says whether guests may come.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Host> {
        operators_only(self.scope)?;
        let before = hosts::get(tx, self.id, tx.now).await?;
        write(tx, &before, &self.body, self.lock_version).await
    }
}

/// Makes of a host what the body says; gives it as it is then.
pub(crate) async fn write(
    tx: &Tx,
    before: &Host,
    body: &HostCreate,
    lock_version: Option<i64>,
) -> StoreResult<Host> {
    let mut problems = Problems::default();
    let new = attributes(tx, body, Some(before), &mut problems).await?;
    let Some(new) = new else { return Err(problems.into()) };
    problems.none()?;
    let id = HostId(before.id);
    host_places::update(tx, id, &new).await?;
    let after = hosts::get(tx, id, tx.now).await?;
    if !differ(before, &after) {
        return Ok(after);
    }
    refuse_stale(lock_version, before.lock_version)?;
    host_places::raise_lock_version(tx, id).await?;
    let after = hosts::get(tx, id, tx.now).await?;
    record_change(tx, "host.update", Some(before), &after, "was changed").await?;
    Ok(after)
}
