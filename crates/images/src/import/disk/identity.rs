//! What makes a disk one guest's: left out of an image of it.
//!
//! The same as [`crate::build`] removes of a chroot, and besides what a guest gathers as it lives: leases, logs, seeds, and
//! what Honcho put in when the disk was made, which the next guest is given its own of.

use super::super::sparse::Map;
use super::super::tree::{Content, Inode, Tree};
use super::super::{ImportError, Sample, refused, shown};

/// Files that go. `*` stands for any letters in a name. What a link there leads to, and a file that has other names, is empty
/// from then on.
const GONE: &[&str] = &[
    "/etc/hostname",
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

/// Of these the name goes, and no more: they are no secrets, and links there lead to what packages bring.
const UNNAMED: &[&str] = &["/etc/resolv.conf"];

/// Directories of which nothing stays: they are empty after a boot, or could be. What a journal is in is named by the machine.
const EMPTIED: &[&str] = &["/run", "/tmp", "/var/tmp", "/var/log/journal"];

/// Directories of which the directories stay, for who writes there does not make them; and links, with what they lead to.
const LOGS: &[&str] = &["/var/log"];

/// Directories of Honcho's own: tokens, keys and certificates by which a guest speaks to the brain and to its receivers; what it
/// was to send. The directories stay, and files that links lead to are emptied.
const OWN: &[&str] = &["/etc/honcho", "/var/spool/honcho-guest"];

/// What links lead to here is the same in every guest, and no secret: certificates of authorities, say.
const OF_THE_SYSTEM: &[&str] = &["/usr", "/etc/ssl/certs", "/etc/pki/ca-trust", "/etc/pki/tls/certs"];
const NOT_OF_THE_SYSTEM: &str = "/usr/local";

/// Files of which the name stays: systemd takes an empty one for a machine that has no name yet.
const BLANK: &[&str] = &["/etc/machine-id"];

/// So many names are looked up to find what goes: a few seconds. Five million homes behind links need half of it.
const MOST_STEPS: u64 = 64 << 20;

/// Removes it, wherever links put it; notes what there was.
pub(super) fn remove(tree: &mut Tree, gone: &mut Sample) -> Result<(), ImportError> {
    Removal { tree, gone, steps: MOST_STEPS }.all()
}

struct Removal<'r> {
    tree: &'r mut Tree,
    gone: &'r mut Sample,
    steps: u64,
}

/// What becomes of a file under other names than the one that goes: its own, or that of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elsewhere {
    Emptied,
    Kept,
}

impl Removal<'_> {
    fn all(&mut self) -> Result<(), ImportError> {
        for path in EMPTIED {
            if let Some(inode) = self.lead(path.as_bytes())?
                && let Content::Directory(children) = &mut self.tree.node_mut(inode).content
            {
                children.clear();
            }
        }
        for path in OWN {
            self.empty_behind_links(path)?;
            self.clear_files(path, Elsewhere::Emptied)?;
        }
        for path in LOGS {
            self.clear_files(path, Elsewhere::Kept)?;
        }
        for (paths, elsewhere) in [(GONE, Elsewhere::Emptied), (UNNAMED, Elsewhere::Kept)] {
            for path in paths {
                let parts: Vec<&[u8]> = path[1..].split('/').map(str::as_bytes).collect();
                self.remove_matching(0, &parts, &mut Vec::new(), elsewhere)?;
            }
        }
        for path in BLANK {
            if let Some(inode) = self.lead(path.as_bytes())?
                && empty(self.tree, inode)
            {
                self.gone.add(path);
            }
        }
        Ok(())
    }

    /// Where a path leads in the tree; what leads to the root is nobody's to remove.
    fn lead(&mut self, path: &[u8]) -> Result<Option<Inode>, ImportError> {
        Ok(trail(self.tree, path, &mut self.steps)?.and_then(|trail| trail.last().copied()))
    }

    /// Empties what links in a directory, and in those below, lead to.
    fn empty_behind_links(&mut self, own: &str) -> Result<(), ImportError> {
        let Some(directory) = self.lead(own.as_bytes())? else { return Ok(()) };
        let mut system = Vec::new();
        for path in OF_THE_SYSTEM {
            system.extend(self.lead(path.as_bytes())?);
        }
        let but_for = self.lead(NOT_OF_THE_SYSTEM.as_bytes())?;
        let Removal { tree, gone, steps } = self;
        let tree: &Tree = tree;
        let mut found = Vec::new();
        tree.walk_below(directory, own.as_bytes(), &mut |path, inode| {
            if !matches!(tree.node(inode).content, Content::Symlink(_)) {
                return Ok(());
            }
            let Some(trail) = trail(tree, path, steps)? else { return Ok(()) };
            let of_the_system = trail.iter().any(|inode| system.contains(inode))
                && !trail.iter().any(|inode| Some(*inode) == but_for);
            let last = trail.last().copied().unwrap_or_default();
            match tree.node(last).content {
                _ if of_the_system => {}
                Content::Directory(_) if !trail.contains(&directory) => {
                    return Err(refused(format!(
                        "{} is a symbolic link to a directory, and what in that is this guest's alone is not known: \
                         have it in {own} itself, or take the link away",
                        shown(path)
                    )));
                }
                Content::File { .. } => {
                    found.push(last);
                    gone.add(&shown(path));
                }
                _ => {}
            }
            Ok(())
        })?;
        for inode in found {
            empty(self.tree, inode);
        }
        Ok(())
    }

    /// Takes the names of files away in a directory, and in those below.
    fn clear_files(&mut self, path: &str, links: Elsewhere) -> Result<(), ImportError> {
        let mut open: Vec<Inode> = self.lead(path.as_bytes())?.into_iter().collect();
        while let Some(directory) = open.pop() {
            let Content::Directory(children) = &self.tree.node(directory).content else { continue };
            let goes = |inode: &Inode| match self.tree.node(*inode).content {
                Content::File { .. } => true,
                Content::Symlink(_) => links == Elsewhere::Emptied,
                _ => false,
            };
            let names: Vec<Box<[u8]>> =
                children.iter().filter(|(_, inode)| goes(inode)).map(|(name, _)| name.clone()).collect();
            open.extend(children.values().filter(|inode| !goes(inode)));
            for name in names {
                self.tree.remove(directory, &name);
            }
        }
        Ok(())
    }

    fn remove_matching(
        &mut self,
        directory: Inode,
        parts: &[&[u8]],
        path: &mut Vec<u8>,
        elsewhere: Elsewhere,
    ) -> Result<(), ImportError> {
        let Some((pattern, rest)) = parts.split_first() else { return Ok(()) };
        let Content::Directory(children) = &self.tree.node(directory).content else { return Ok(()) };
        let found: Vec<(Box<[u8]>, Inode)> = children
            .iter()
            .filter(|(name, _)| matches(pattern, name))
            .map(|(name, inode)| (name.clone(), *inode))
            .collect();
        for (name, inode) in found {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(&name);
            let is_link = matches!(self.tree.node(inode).content, Content::Symlink(_));
            let lead = if is_link { self.lead(path)? } else { Some(inode) };
            if !rest.is_empty() {
                if let Some(directory) = lead {
                    self.remove_matching(directory, rest, path, elsewhere)?;
                }
            } else if !matches!(self.tree.node(inode).content, Content::Directory(_)) {
                if let Some(inode) = lead.filter(|_| elsewhere == Elsewhere::Emptied) {
                    empty(self.tree, inode);
                }
                self.tree.remove(directory, &name);
                self.gone.add(&shown(path));
            }
            path.truncate(length);
        }
        Ok(())
    }
}

/// What is on the way to where a path leads, the root first; `None` for what leads there, or nowhere.
fn trail(tree: &Tree, path: &[u8], steps: &mut u64) -> Result<Option<Vec<Inode>>, ImportError> {
    let trail = tree.trail(path, steps);
    if *steps == 0 {
        return Err(refused(format!(
            "its symbolic links lead about too far to find what is this guest's alone: {} was one too many",
            shown(path)
        )));
    }
    Ok(trail.filter(|trail| trail.len() > 1))
}

/// Takes a file's content away, under whatever name; whether it is a file.
fn empty(tree: &mut Tree, inode: Inode) -> bool {
    let Content::File { map, .. } = &mut tree.node_mut(inode).content else { return false };
    *map = Map::dense(0);
    true
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
    use super::super::super::reader::Attributes;
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
    /// A tree of links and empty directories, by their paths.
    fn tree(links: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, to) in links {
            let mut at = 0;
            let parts: Vec<&str> = path.split('/').collect();
            for (number, part) in parts.iter().enumerate() {
                let there = match &tree.node(at).content {
                    Content::Directory(children) => children.get(part.as_bytes()).copied(),
                    _ => None,
                };
                let content = if number + 1 == parts.len() {
                    Content::Symlink(to.as_bytes().into())
                } else {
                    Content::Directory(std::collections::BTreeMap::new())
                };
                at = there.unwrap_or_else(|| {
                    tree.add(at, part.as_bytes(), content, Attributes::default()).unwrap()
                });
            }
        }
        tree
    }

    #[test]
    fn links_that_lead_about_are_followed_so_far_and_then_the_disk_is_refused() {
        let far = "a/../".repeat(800);
        let links: Vec<(String, String)> =
            (0..39).map(|n| (format!("l{n}"), format!("{far}l{}", n + 1))).collect();
        let mut links: Vec<(&str, &str)> =
            links.iter().map(|(path, to)| (path.as_str(), to.as_str())).collect();
        links.extend([("a/x", "y"), ("etc/ssh/ssh_host_a_key", "/l0"), ("etc/ssh/ssh_host_b_key", "/l0")]);
        let removed = |steps: u64| {
            let (mut tree, mut gone) = (tree(&links), Sample::default());
            Removal { tree: &mut tree, gone: &mut gone, steps }.all().map(|()| gone.first)
        };
        let gone = removed(MOST_STEPS).unwrap();
        assert_eq!(gone, ["/etc/ssh/ssh_host_a_key", "/etc/ssh/ssh_host_b_key"]);
        let error = removed(100_000).unwrap_err().to_string();
        assert!(error.contains("lead about too far") && error.contains("ssh_host_b_key"), "{error}");
    }
}
