//! What makes a disk one guest's: left out of an image of it.
//!
//! The same as [`crate::build`] removes of a chroot, and besides what a guest gathers as it lives: leases, logs, seeds, and
//! what Honcho put in when the disk was made, which the next guest is given its own of.

use super::super::sparse::Map;
use super::super::tree::{Content, Tree};
use super::super::{Sample, shown};

/// Files that go. `*` stands for any letters in a name.
const GONE: &[&str] = &[
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/ssh/ssh_host_*",
    "/etc/systemd/network/10-honcho-*.network",
    "/root/.ssh/authorized_keys",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/urandom/random-seed",
    "/var/lib/random-seed",
    "/var/lib/dhcp/*",
    "/var/lib/dhclient/*",
    "/var/lib/dhcpcd/*.lease*",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/NetworkManager/timestamps",
    "/root/.bash_history",
    "/home/*/.bash_history",
];

/// Directories of which nothing stays: they are empty after a boot, or could be.
const EMPTIED: &[&str] = &["/run", "/tmp", "/var/tmp"];

/// Directories of which the directories stay, for who writes there does not make them.
const FILES_GONE: &[&str] = &[
    "/var/log",
    // Tokens, keys and certificates by which a guest speaks to the brain and to its receivers; what it was to send.
    "/etc/honcho",
    "/var/spool/honcho-guest",
];

/// Files of which the name stays: systemd takes an empty one for a machine that has no name yet.
const BLANK: &[&str] = &["/etc/machine-id"];

/// So many links are followed on the way to what goes: a home may hold any number.
const MOST_FOLLOWED: u32 = 1000;

/// Removes it, wherever links put it; notes what there was.
pub(super) fn remove(tree: &mut Tree, gone: &mut Sample) {
    for path in EMPTIED {
        if let Some(directory) = resolved(tree, path.as_bytes()) {
            clear(tree, directory);
        }
    }
    for path in FILES_GONE {
        if let Some(directory) = resolved(tree, path.as_bytes()) {
            clear_files(tree, directory);
        }
    }
    let mut followed = 0;
    for path in GONE {
        let parts: Vec<&[u8]> = path[1..].split('/').map(str::as_bytes).collect();
        remove_matching(tree, 0, &parts, &mut Vec::new(), gone, &mut followed);
    }
    for path in BLANK {
        if let Some(inode) = resolved(tree, path.as_bytes())
            && let Content::File { map, .. } = &mut tree.node_mut(inode).content
        {
            *map = Map::dense(0);
            gone.add(path);
        }
    }
}

/// Where a path leads in the tree; what leads to the root is nobody's to remove.
fn resolved(tree: &Tree, path: &[u8]) -> Option<usize> {
    tree.resolve(path).filter(|inode| *inode != 0)
}

fn clear(tree: &mut Tree, directory: usize) {
    if let Content::Directory(children) = &mut tree.node_mut(directory).content {
        children.clear();
    }
}

fn clear_files(tree: &mut Tree, directory: usize) {
    let mut open = vec![directory];
    while let Some(directory) = open.pop() {
        let Content::Directory(children) = &tree.node(directory).content else { continue };
        let is_file = |inode: &usize| matches!(tree.node(*inode).content, Content::File { .. });
        let files: Vec<Box<[u8]>> =
            children.iter().filter(|(_, inode)| is_file(inode)).map(|(name, _)| name.clone()).collect();
        open.extend(children.values().filter(|inode| !is_file(inode)));
        for name in files {
            tree.remove(directory, &name);
        }
    }
}

fn remove_matching(
    tree: &mut Tree,
    directory: usize,
    parts: &[&[u8]],
    path: &mut Vec<u8>,
    gone: &mut Sample,
    followed: &mut u32,
) {
    let Some((pattern, rest)) = parts.split_first() else { return };
    let Content::Directory(children) = &tree.node(directory).content else { return };
    let found: Vec<(Box<[u8]>, usize)> = children
        .iter()
        .filter(|(name, _)| matches(pattern, name))
        .map(|(name, inode)| (name.clone(), *inode))
        .collect();
    for (name, inode) in found {
        let length = path.len();
        path.push(b'/');
        path.extend_from_slice(&name);
        if !rest.is_empty() {
            let is_link = matches!(tree.node(inode).content, Content::Symlink(_));
            *followed += u32::from(is_link);
            let directory = if is_link {
                resolved(tree, path).filter(|_| *followed <= MOST_FOLLOWED)
            } else {
                Some(inode)
            };
            if let Some(directory) = directory {
                remove_matching(tree, directory, rest, path, gone, followed);
            }
        } else if !matches!(tree.node(inode).content, Content::Directory(_)) {
            tree.remove(directory, &name);
            gone.add(&shown(path));
        }
        path.truncate(length);
    }
}

/// Whether a name fits a pattern with any number of `*`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        Some((letter, rest)) => name.first() == Some(letter) && matches(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, fits) in [
            ("ssh_host_*", "ssh_host_rsa_key.pub", true),
            ("ssh_host_*", "ssh_hosts", false),
            ("10-honcho-*.network", "10-honcho-0.network", true),
            ("10-honcho-*.network", "10-honcho-0.netdev", false),
            ("*", "", true),
            ("*.lease*", "a.lease.b", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }
}
