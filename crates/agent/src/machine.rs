//! Which machine this is: what a host's identity is bound to besides its key.

use honcho_wire::{DMI_UUID_HEADER, MACHINE_ID_HEADER};
use reqwest::header::{HeaderMap, HeaderValue};

/// The uuid that the firmware tells, if it does and we are root.
pub(crate) fn dmi_uuid() -> Option<String> {
    fact("/sys/class/dmi/id/product_uuid")
}

/// What systemd made when the machine was installed.
pub(crate) fn machine_id() -> Option<String> {
    // An image that was never booted has this word in the file.
    fact("/etc/machine-id").filter(|id| id != "uninitialized")
}

/// What each request says of the machine.
pub(crate) fn headers() -> HeaderMap {
    let headers = [(MACHINE_ID_HEADER, machine_id()), (DMI_UUID_HEADER, dmi_uuid())];
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(&value?).ok()?)))
        .collect()
}

fn fact(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
