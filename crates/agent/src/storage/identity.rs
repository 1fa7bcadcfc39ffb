//! Who a guest is, as files in its filesystem, and how they get there without mounting it.
//!
//! [`files`] is pure: it renders them. [`script`] is what debugfs is told to do. debugfs ends with success whatever went
//! wrong, so [`verify`] reads everything back with another program's eyes; that is what counts.
//!
//! What strangers wrote (SSH keys) only ever is the content of a file; no file name and no word of the script comes
//! from them.

use crate::drivers::GuestIdentity;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use honcho_wire::{AddressWanted, InterfaceWanted};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

/// What is made anew for each volume, and where names are looked up from it.
pub struct Fresh {
    /// The private half of the SSH host key, in OpenSSH's format. It lives in the volume and nowhere else.
    pub host_key: ssh_key::PrivateKey,
    /// 32 hexadecimal digits.
    pub machine_id: String,
    /// Name servers, in order of preference.
    pub nameservers: Vec<IpAddr>,
}

/// A file that is put into a guest's filesystem; root owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedFile {
    /// Its directory, without the slash in front.
    pub directory: &'static str,
    /// Its name.
    pub name: String,
    /// Its permission bits.
    pub mode: u16,
    /// What is in it.
    pub content: String,
}

/// Directories that the files are in, from the top, with their permission bits.
const DIRECTORIES: [(&str, u16); 6] = [
    ("etc", 0o755),
    ("etc/ssh", 0o755),
    ("etc/systemd", 0o755),
    ("etc/systemd/network", 0o755),
    ("root", 0o700),
    ("root/.ssh", 0o700),
];

/// Why an identity makes no files. It will not make any later either.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The host name is none.
    #[error("the host name {0:?} is no DNS label: rename the guest")]
    Hostname(String),
    /// A key is none.
    #[error(
        "SSH key number {number} is not an OpenSSH public key ({reason}): give the guest a line as in ~/.ssh/id_ed25519.pub"
    )]
    SshKey {
        /// From 1.
        number: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key could not be written out.
    #[error("the SSH host key could not be encoded: {0}")]
    HostKey(#[from] ssh_key::Error),
}

/// The files that make a filesystem this guest's.
pub fn files(identity: &GuestIdentity, fresh: &Fresh) -> Result<Vec<SeedFile>, IdentityError> {
    let hostname = honcho_model::Name::new(&identity.hostname)
        .map_err(|_| IdentityError::Hostname(identity.hostname.clone()))?;
    let file = |directory, name: &str, mode, content: String| SeedFile {
        directory,
        name: name.to_owned(),
        mode,
        content,
    };
    let private = fresh.host_key.to_openssh(ssh_key::LineEnding::LF)?;
    let mut files = vec![
        file("etc", "hostname", 0o644, format!("{hostname}\n")),
        file("etc", "hosts", 0o644, hosts(hostname.as_str())),
        file("etc", "machine-id", 0o444, format!("{}\n", fresh.machine_id)),
        file("etc", "resolv.conf", 0o644, resolv_conf(&fresh.nameservers)),
        file("etc/ssh", "ssh_host_ed25519_key", 0o600, private.to_string()),
        file("etc/ssh", "ssh_host_ed25519_key.pub", 0o644, format!("{}\n", public_key(fresh)?)),
        file("root/.ssh", "authorized_keys", 0o600, authorized_keys(&identity.ssh_keys)?),
    ];
    for (number, interface) in identity.interfaces.iter().enumerate() {
        let name = format!("10-honcho-{number}.network");
        files.push(file("etc/systemd/network", &name, 0o644, network(interface)));
    }
    Ok(files)
}

/// The public half of the host key, one line.
pub fn public_key(fresh: &Fresh) -> Result<String, IdentityError> {
    Ok(fresh.host_key.public_key().to_openssh()?.trim().to_owned())
}

fn hosts(hostname: &str) -> String {
    format!("127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost ip6-loopback\n")
}

fn resolv_conf(nameservers: &[IpAddr]) -> String {
    nameservers.iter().fold(String::new(), |mut text, server| {
        let _ = writeln!(text, "nameserver {server}");
        text
    })
}

/// systemd-networkd's file for one card, found by its hardware address whatever the kernel calls it.
fn network(interface: &InterfaceWanted) -> String {
    let InterfaceWanted { mac, addresses, .. } = interface;
    let mut text =
        format!("# Written by Honcho when this disk was made.\n[Match]\nMACAddress={mac}\n\n[Network]\n");
    for AddressWanted { address, prefix, .. } in addresses {
        let _ = writeln!(text, "Address={address}/{prefix}");
    }
    let gateways: BTreeSet<IpAddr> = addresses.iter().filter_map(|address| address.gateway).collect();
    for gateway in gateways {
        let _ = writeln!(text, "Gateway={gateway}");
    }
    // IPv6 does not work without an address of the link's own. A neighbour is no router: nobody's advertisements are
    // believed.
    let link_local = if addresses.iter().any(|wanted| wanted.address.is_ipv6()) { "ipv6" } else { "no" };
    let _ = writeln!(text, "LinkLocalAddressing={link_local}\nIPv6AcceptRA=no");
    text
}

/// The keys, one a line. A key is accepted if it is one line, starts with a key type, and its base64 holds that type
/// again (RFC 4253, section 6.6); options in front are refused, for they could run commands.
fn authorized_keys(keys: &[String]) -> Result<String, IdentityError> {
    let mut text = String::new();
    for (index, key) in keys.iter().enumerate() {
        let line = key.trim();
        check_key(line).map_err(|reason| IdentityError::SshKey { number: index + 1, reason })?;
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

/// Whether a line is an OpenSSH public key.
pub fn check_key(line: &str) -> Result<(), &'static str> {
    if line.len() > 16 << 10 {
        return Err("it is longer than 16 KiB");
    }
    if line.chars().any(char::is_control) {
        return Err("it holds line breaks or control characters");
    }
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let (Some(kind), Some(body)) = (words.next(), words.next()) else {
        return Err("it has no two words");
    };
    if !["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| kind.starts_with(start)) {
        return Err("it does not start with a key type, as in ssh-ed25519");
    }
    let bytes = STANDARD
        .decode(body)
        .or_else(|_| STANDARD_NO_PAD.decode(body))
        .map_err(|_| "its second word is no base64")?;
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or("its second word is too short")?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| "its second word is too short")?;
    if rest.get(..length) == Some(kind.as_bytes()) && rest.len() > length {
        Ok(())
    } else {
        Err("its two words do not fit each other")
    }
}

/// What debugfs is told: each file is written from `stage`/NUMBER, a path without blanks.
pub fn script(files: &[SeedFile], stage: &str) -> String {
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{words}");
    };
    for (directory, mode) in DIRECTORIES {
        line(format_args!("mkdir /{directory}"));
        if mode == 0o700 {
            line(format_args!("sif /{directory} mode 040{mode:o}"));
        }
    }
    for (number, SeedFile { directory, name, mode, .. }) in files.iter().enumerate() {
        line(format_args!("cd /{directory}"));
        line(format_args!("rm {name}"));
        line(format_args!("write {stage}/{number} {name}"));
        line(format_args!("sif {name} mode 0100{mode:o}"));
        line(format_args!("sif {name} uid 0"));
        line(format_args!("sif {name} gid 0"));
    }
    // The filesystem's own identity: clones of one image must not be taken for each other.
    line(format_args!("set_super_value uuid random"));
    text
}

/// Whether every file is in the filesystem as it should be; if not, which one and why.
pub fn verify(volume: &std::path::Path, files: &[SeedFile]) -> Result<(), String> {
    let fs = ext4_view::Ext4::load_from_path(volume).map_err(|error| error.to_string())?;
    for file in files {
        let path = format!("/{}/{}", file.directory, file.name);
        let about = |error: ext4_view::Ext4Error| format!("{path}: {error}");
        let meta = fs.symlink_metadata(path.as_str()).map_err(about)?;
        let owned = (meta.uid(), meta.gid()) == (0, 0) && meta.mode() & 0o7777 == file.mode;
        if !meta.file_type().is_regular_file() || !owned || meta.len() != file.content.len() as u64 {
            return Err(format!("{path} is not as it was written"));
        }
        if fs.read(path.as_str()).map_err(about)? != file.content.as_bytes() {
            return Err(format!("{path} does not hold what was written"));
        }
    }
    for (directory, mode) in DIRECTORIES.into_iter().filter(|(_, mode)| *mode == 0o700) {
        let meta =
            fs.symlink_metadata(format!("/{directory}").as_str()).map_err(|error| error.to_string())?;
        if !meta.is_dir() || meta.mode() & 0o7777 != mode {
            return Err(format!("/{directory} is not a directory for root alone"));
        }
    }
    Ok(())
}

/// The name servers in a resolv.conf that others than this machine can reach; public ones if there are none.
pub fn nameservers(resolv_conf: &str) -> Vec<IpAddr> {
    let reachable =
        |server: &IpAddr| !server.is_loopback() && !server.is_unspecified() && !server.is_multicast();
    let found: Vec<IpAddr> = resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.split_whitespace().next()?.parse().ok())
        .filter(reachable)
        .take(3)
        .collect();
    // Cloudflare's and Quad9's.
    if found.is_empty() { vec![IpAddr::from([1, 1, 1, 1]), IpAddr::from([9, 9, 9, 9])] } else { found }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
pub(super) mod tests;
