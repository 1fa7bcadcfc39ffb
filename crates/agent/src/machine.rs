//! Which machine this is: what a host's identity is bound to besides its key.

use honcho_wire::{DMI_UUID_HEADER, MACHINE_ID_HEADER};
use reqwest::header::{HeaderMap, HeaderValue};

/// What tells this machine from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineIds {
    /// The uuid that the firmware tells, if it does and we are root.
    pub dmi_uuid: Option<String>,
    /// What systemd made when the machine was installed.
    pub machine_id: Option<String>,
}

impl MachineIds {
    /// Those of the machine that this runs on.
    pub fn of_this_machine() -> Self {
        MachineIds {
            dmi_uuid: fact("/sys/class/dmi/id/product_uuid"),
            // An image that was never booted has this word in the file.
            machine_id: fact("/etc/machine-id").filter(|id| id != "uninitialized"),
        }
    }

    /// What each request says of the machine.
    pub(crate) fn headers(&self) -> HeaderMap {
        let headers = [(MACHINE_ID_HEADER, &self.machine_id), (DMI_UUID_HEADER, &self.dmi_uuid)];
        headers
            .into_iter()
            .filter_map(|(name, value)| {
                Some((name.parse().ok()?, HeaderValue::from_str(value.as_ref()?).ok()?))
            })
            .collect()
    }
}

fn fact(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
