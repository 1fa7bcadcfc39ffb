//! What libvirt's errors mean for the reader: what happened, and what mends it.

use honcho_agent_lib::drivers::DriverError;
use virt::error::{Error, ErrorNumber};

/// libvirt's error, said with the next step where one is known.
pub(crate) fn explain(doing: &str, error: &Error) -> DriverError {
    let text = format!("{doing}: {}{}", error.message(), hint(error));
    if error.code().is_known_and(|code| matches!(code, ErrorNumber::XmlError | ErrorNumber::XmlDetail)) {
        DriverError::Never(text)
    } else {
        DriverError::Later(text)
    }
}

/// Why there is no connection.
pub(crate) fn explain_open(uri: &str, error: &Error) -> DriverError {
    let message = error.message();
    let hint = if message.contains("Permission denied") || message.contains("authentication") {
        "this user may not use it: run the agent as root"
    } else {
        "start it: systemctl start libvirtd"
    };
    DriverError::Later(format!("libvirtd does not answer at {uri}: {message}; {hint}"))
}

/// What is found in messages of libvirt and QEMU, and what mends it.
const HINTS: &[(&str, &str)] = &[
    (
        "Cannot get interface MTU on",
        "the bridge is not there; the agent makes it before it starts a guest, so somebody has removed it: it will be \
         made anew",
    ),
    ("Unable to add bridge", "the bridge is not there; it will be made anew"),
    ("interface already exists", "something else holds the tap's name: `ip -d link show` tells what it is"),
    (
        "Unable to create tap device",
        "something else holds the tap's name: `ip -d link show` tells what it is",
    ),
    ("Cannot allocate memory", "the host has too little free memory: stop a guest, or resize this one"),
    (
        "Permission denied",
        "the user that QEMU runs as must be able to reach the pool's directory: chmod o+x its parents, or set user and \
         group to \"root\" in /etc/libvirt/qemu.conf",
    ),
    ("is already in use by", "another domain holds it: `virsh list` shows them"),
    ("virtlogd", "the console log needs virtlogd: systemctl start virtlogd.socket"),
    ("Failed to get \"write\" lock", "another process has the disk open: `fuser -v` on it tells which"),
];

fn hint(error: &Error) -> String {
    let known = HINTS.iter().find(|(part, _)| error.message().contains(part));
    known.map(|(_, hint)| format!("; {hint}")).unwrap_or_default()
}

/// Whether the error says that a domain is not there (any more).
pub(crate) fn is_gone(error: &Error) -> bool {
    error.code().is(ErrorNumber::NoDomain)
}

/// Whether the error says that a domain is there and does not run (any more).
pub(crate) fn is_not_running(error: &Error) -> bool {
    error.code().is(ErrorNumber::OperationInvalid)
}
