//! What can be said about a host, when it is added and later.

use crate::command_error::CommandError;
use crate::completion::{racks, sites};
use crate::context::Context;
use crate::resolve;
use crate::values::size;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{HostCreate, Nic, Rack, Site};

/// What a host is and where it stands. '' forgets what was said.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct HostArguments {
    /// The site it is in, if it is in no rack; '' for none
    #[arg(long, value_name = "SITE", add = ArgValueCandidates::new(sites))]
    site: Option<String>,
    /// The rack it is in; '' takes it out
    #[arg(long, value_name = "RACK", add = ArgValueCandidates::new(racks))]
    rack: Option<String>,
    /// The lowest unit it fills; '' for none
    #[arg(long, value_name = "UNIT")]
    position: Option<String>,
    /// How many units it fills
    #[arg(long, value_name = "UNITS")]
    height: Option<i64>,
    /// front or rear, if it leaves the other side of its units free
    #[arg(long, value_parser = ["front", "rear", ""])]
    face: Option<String>,
    /// Who made it
    #[arg(long, value_name = "TEXT")]
    vendor: Option<String>,
    /// What its maker calls it
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Its maker's number for it
    #[arg(long, value_name = "TEXT")]
    serial: Option<String>,
    /// Cores as bought
    #[arg(long, value_name = "N")]
    cores: Option<i64>,
    /// Memory as bought
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<i64>,
    /// The address of its management controller
    #[arg(long, value_name = "ADDRESS")]
    bmc: Option<String>,
    /// What it is there for; again for each. Guests are placed on hypervisors only
    #[arg(long = "duty", value_name = "DUTY", value_parser = ["hypervisor", "firewall", "storage", "builder"])]
    duties: Vec<String>,
    /// A network card, as in eth0=3c:ec:ef:00:00:07; again for each
    #[arg(long = "nic", value_name = "NAME=MAC", value_parser = nic)]
    nics: Vec<Nic>,
}

fn nic(text: &str) -> Result<Nic, String> {
    let (name, mac) = text.split_once('=').ok_or("write NAME=MAC, as in eth0=3c:ec:ef:00:00:07")?;
    let mac = honcho_model::Mac::of_any_spelling(mac).map_err(|error| error.to_string())?;
    Ok(Nic { name: name.to_owned(), mac: mac.to_string() })
}

impl HostArguments {
    /// The body that says it.
    pub(super) async fn body(self, context: &Context) -> Result<HostCreate, CommandError> {
        let site_id = match self.site.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(site) => Some(Some(resolve::one::<Site>(context, site).await?.id)),
        };
        let rack_id = match self.rack.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(rack) => Some(Some(resolve::one::<Rack>(context, rack).await?.id)),
        };
        let position =
            match self.position.as_deref() {
                // What is in no rack is at no unit of it.
                None => (rack_id == Some(None)).then_some(None),
                Some("") => Some(None),
                Some(unit) => Some(Some(unit.parse().map_err(|_| {
                    CommandError::usage(format!("--position {unit}: write a number of a unit"))
                })?)),
            };
        Ok(HostCreate {
            name: None,
            site_id,
            rack_id,
            position,
            face: self.face.map(super::super::emptied),
            vendor: self.vendor.map(super::super::emptied),
            model: self.model.map(super::super::emptied),
            serial: self.serial.map(super::super::emptied),
            cores: self.cores.map(Some),
            memory_bought_bytes: self.memory.map(Some),
            bmc_address: self.bmc.map(super::super::emptied),
            height_units: self.height,
            duties: (!self.duties.is_empty()).then_some(self.duties),
            nics: (!self.nics.is_empty()).then_some(self.nics),
        })
    }
}
