//! What an image must have, and what its owner should know of it.

use super::acl::Acl;
use super::tree::{Content, Inode, Tree};
use super::{ImportError, Sample, Stored, refused, shown};
use crate::debian::{Package, parse_dpkg_status};
use serde::{Deserialize, Serialize};

/// Which distribution an image is, as its os-release says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// As in `debian`.
    pub id: String,
    /// As in `12`; empty for those that have none.
    pub version: String,
    /// As in `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
}

/// Kernels are named as the agent looks for them.
const KERNEL: &[u8] = b"/vmlinuz";

/// The texts that are read here are short in any system.
const LONGEST_TEXT: u64 = 64 << 20;

/// The content of a file, if it is one and not too long.
pub(super) fn text(tree: &Tree, stored: &impl Stored, path: &[u8]) -> Result<Option<String>, ImportError> {
    let Some(inode) = tree.resolve(path) else { return Ok(None) };
    let Content::File { map, at } = &tree.node(inode).content else { return Ok(None) };
    if map.is_sparse() || map.size > LONGEST_TEXT {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(map.size).unwrap_or_default()];
    stored.read_exact_at(&mut bytes, *at)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Which distribution it is.
pub(super) fn distribution(tree: &Tree, stored: &impl Stored) -> Result<Option<Distribution>, ImportError> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(text) = text(tree, stored, path.as_bytes())? {
            return Ok(Some(parse_os_release(&text)));
        }
    }
    Ok(None)
}

/// Reads os-release(5): assignments, as a shell would take them.
pub(crate) fn parse_os_release(text: &str) -> Distribution {
    let value = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        let plain = line.unwrap_or_default().trim().trim_matches(['"', '\'']);
        plain.chars().filter(|c| !c.is_control() && *c != '\\').take(120).collect::<String>()
    };
    let (id, version, name) = (value("ID"), value("VERSION_ID"), value("PRETTY_NAME"));
    let name = if name.is_empty() { format!("{id} {version}").trim().to_owned() } else { name };
    Distribution { id, version, name }
}

/// Whose processors its programs are made for, in the kernel's words.
pub(super) fn architecture(
    tree: &Tree,
    stored: &impl Stored,
    init: &str,
) -> Result<Option<&'static str>, ImportError> {
    // An init may be a script.
    for path in [init, "/bin/sh", "/usr/bin/env"] {
        let Some(inode) = tree.resolve(path.as_bytes()) else { continue };
        let Content::File { map, at } = &tree.node(inode).content else { continue };
        let mut head = [0; 20];
        if map.is_sparse() || map.size < head.len() as u64 {
            continue;
        }
        stored.read_exact_at(&mut head, *at)?;
        if let Some(architecture) = architecture_of_elf(&head) {
            return Ok(Some(architecture));
        }
    }
    Ok(None)
}

/// From the head of a program (elf(5)): class, byte order, machine.
fn architecture_of_elf(head: &[u8; 20]) -> Option<&'static str> {
    let [0x7f, b'E', b'L', b'F', class, order, ..] = *head else { return None };
    let (wide, little) = (class == 2, order == 1);
    let machine = [head[18], head[19]];
    let machine = if little { u16::from_le_bytes(machine) } else { u16::from_be_bytes(machine) };
    Some(match (machine, wide, little) {
        // A PC's processors run both of its kinds.
        (62, true, true) | (3, false, true) => "x86_64",
        (183, true, true) => "aarch64",
        (21, true, true) => "ppc64le",
        (243, true, true) => "riscv64",
        (22, true, false) => "s390x",
        _ => return None,
    })
}

/// The packages that dpkg lists.
pub(super) fn packages(tree: &Tree, stored: &impl Stored) -> Result<Vec<Package>, ImportError> {
    let status = text(tree, stored, b"/var/lib/dpkg/status")?;
    Ok(status.map(|text| parse_dpkg_status(&text)).unwrap_or_default())
}

/// Where the first program of the system is.
pub(super) fn init(tree: &Tree) -> Result<String, ImportError> {
    let found = crate::seal::INIT.into_iter().find(|path| is_program(tree, path.as_bytes()));
    found.map(str::to_owned).ok_or_else(|| refused(why_no_init(tree)))
}

/// The three things that are taken for a root filesystem most often.
fn why_no_init(tree: &Tree) -> String {
    let top = tree.names(b"/");
    let has = |name: &str| top.contains(&name.as_bytes());
    if has("manifest.json") || has("oci-layout") {
        return "it holds the layers of a container's image, not files: use `docker export CONTAINER`, not `docker save`".to_owned();
    }
    if let [one] = top.as_slice()
        && tree.resolve(&[b"/", *one, b"/etc"].concat()).is_some()
    {
        return format!("all of it is below {0}/: pack it from within, as in `tar -C {0} -c .`", shown(one));
    }
    "it has no init: neither /sbin/init nor /etc/init leads to a program. A container has none: install systemd-sysv \
     (or what the distribution calls it) in it first"
        .to_owned()
}

fn is_program(tree: &Tree, path: &[u8]) -> bool {
    tree.resolve(path).is_some_and(|inode| {
        let node = tree.node(inode);
        matches!(&node.content, Content::File { map, .. } if map.size > 0)
            && node.attributes.mode & 0o111 != 0
    })
}

/// Where its kernel is, if it has one.
pub(super) fn kernel(tree: &Tree) -> Option<String> {
    let is_file = |path: &[u8]| {
        let node = tree.resolve(path).map(|inode| &tree.node(inode).content);
        matches!(node, Some(Content::File { map, .. }) if map.size > 0)
    };
    if is_file(KERNEL) {
        return Some("/vmlinuz".to_owned());
    }
    let names = tree.names(b"/boot");
    // Nobody has a thousand, and each may be a link that leads far.
    let mut kernels = names.into_iter().rev().filter(|name| name.starts_with(b"vmlinuz-")).take(1000);
    kernels.find(|name| is_file(&[b"/boot/", *name].concat())).map(|name| format!("/boot/{}", shown(name)))
}

/// Programs that every system has with the rights of root; what else has them should be known.
const USUAL: &[&str] = &[
    "at",
    "bsd-write",
    "cgexec",
    "chage",
    "chfn",
    "chsh",
    "crontab",
    "dbus-daemon-launch-helper",
    "dotlockfile",
    "exim4",
    "expiry",
    "fusermount",
    "fusermount3",
    "gpasswd",
    "lockdev",
    "locate",
    "mlocate",
    "mount",
    "mount.nfs",
    "netreport",
    "newgidmap",
    "newgrp",
    "newuidmap",
    "ntfs-3g",
    "pam_extrausers_chkpwd",
    "pam_timestamp_check",
    "passwd",
    "ping",
    "ping6",
    "pkexec",
    "plocate",
    "polkit-agent-helper-1",
    "postdrop",
    "postqueue",
    "screen",
    "ssh-agent",
    "ssh-keysign",
    "staprun",
    "su",
    "sudo",
    "sudoedit",
    "umount",
    "unix2_chkpwd",
    "unix_chkpwd",
    "userhelper",
    "usernetctl",
    "utempter",
    "wall",
    "write",
    "write.ul",
];

/// Programs that give rights to whoever runs them, and are not where one expects them.
pub(super) fn surprises(tree: &Tree) -> (u64, Sample) {
    let (mut usual, mut unusual) = (0, Sample::default());
    // No error to begin with, so that none can come of it.
    let _ = tree.walk::<std::convert::Infallible>(&mut |path, inode| {
        let Some(rights) = rights(tree, inode) else { return Ok(()) };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let expected =
            ["/usr/", "/bin/", "/sbin/", "/lib/"].iter().any(|top| path.starts_with(top.as_bytes()))
                && !path.starts_with(b"/usr/local/")
                && USUAL.iter().any(|usual| usual.as_bytes() == name);
        if expected {
            usual += 1;
        } else {
            unusual.add(&format!("{} ({rights})", shown(path)));
        }
        Ok(())
    });
    (usual, unusual)
}

fn rights(tree: &Tree, inode: Inode) -> Option<&'static str> {
    let node = tree.node(inode);
    let Content::File { .. } = node.content else { return None };
    let mode = node.attributes.mode;
    let capable = node.attributes.xattrs.iter().any(|(name, _)| name == b"security.capability");
    match (mode & 0o4000 != 0, mode & 0o2010 == 0o2010, capable) {
        (true, ..) if node.attributes.uid == 0 => Some("setuid root"),
        (true, ..) => Some("setuid"),
        (_, true, _) => Some("setgid"),
        (.., true) => Some("capabilities"),
        _ => None,
    }
}

/// Replaces names in access control lists by the numbers that the image's own lists give them.
pub(super) fn resolve_acls(tree: &mut Tree, stored: &impl Stored) -> Result<(), ImportError> {
    let list = |path: &[u8]| -> Result<Vec<(String, u32)>, ImportError> {
        let entry = |line: &str| {
            let mut parts = line.split(':');
            Some((parts.next()?.to_owned(), parts.nth(1)?.parse().ok()?))
        };
        Ok(text(tree, stored, path)?.unwrap_or_default().lines().filter_map(entry).collect())
    };
    let (users, groups) = (list(b"/etc/passwd")?, list(b"/etc/group")?);
    let find = |list: &[(String, u32)], name: &str| {
        list.iter().find(|(other, _)| other == name).map(|(_, number)| *number)
    };
    for node in tree.nodes_mut() {
        let resolve = |acl: Option<Acl>| -> Result<Option<Acl>, ImportError> {
            let resolved = acl.map(|acl| acl.resolved(|name| find(&users, name), |name| find(&groups, name)));
            resolved.transpose().map_err(|reason| refused(format!("a file of it has {reason}")))
        };
        let attributes = &mut node.attributes;
        // One that says what the permission bits say is none.
        attributes.acl = resolve(attributes.acl.take())?.filter(|acl| !acl.is_plain());
        attributes.default_acl = resolve(attributes.default_acl.take())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_which_processors_run_it() {
        let head = |class: u8, order: u8, machine: [u8; 2]| {
            let mut head = [0; 20];
            head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
            head[18..].copy_from_slice(&machine);
            architecture_of_elf(&head)
        };
        assert_eq!((head(2, 1, [62, 0]), head(1, 1, [3, 0])), (Some("x86_64"), Some("x86_64")));
        assert_eq!((head(2, 1, [183, 0]), head(2, 2, [0, 22])), (Some("aarch64"), Some("s390x")));
        assert_eq!(
            (head(2, 2, [62, 0]), head(2, 1, [99, 0]), architecture_of_elf(&[b'#'; 20])),
            (None, None, None)
        );
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(architecture_of_elf(own[..20].try_into().unwrap()), Some(std::env::consts::ARCH));
    }

    #[test]
    fn os_release_is_read_as_a_shell_would() {
        let text =
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\nID_LIKE=x\n";
        let Distribution { id, version, name } = parse_os_release(text);
        assert_eq!(
            (id.as_str(), version.as_str(), name.as_str()),
            ("debian", "12", "Debian GNU/Linux 12 (bookworm)")
        );
        let odd = parse_os_release("ID='arch'\nNAME=\"\u{1b}[31m\"\n");
        assert_eq!((odd.id.as_str(), odd.version.as_str(), odd.name.as_str()), ("arch", "", "arch"));
        assert_eq!(parse_os_release("").name, "");
    }
}
