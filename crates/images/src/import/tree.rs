//! The root filesystem that a tarball describes, as names and inodes in memory. It is never made on a disk.
//!
//! Each entry is placed as an honest archiver would have meant it: in a directory, under a name that is free or that it
//! replaces. What would have to go through a symbolic link, above the root, or to a file that the tarball does not hold,
//! is refused. The data of files lies in one spool file without a name.

use super::reader::{Attributes, Entry, Kind, LONGEST_PATH};
use super::sparse::Map;
use super::{ImportError, refused, shown};
use std::collections::BTreeMap;

/// Index of an inode.
pub(super) type Inode = usize;

/// The whole of it; inode 0 is the root.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Names and links, including those that were replaced: what memory is spent on.
    spent: usize,
}

/// A file of any kind.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) attributes: Attributes,
}

/// What is in it.
#[derive(Debug)]
pub(super) enum Content {
    Directory(BTreeMap<Box<[u8]>, Inode>),
    /// Which of its bytes are there, and where they begin in the spool file.
    File {
        map: Map,
        at: u64,
    },
    Symlink(Box<[u8]>),
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// What came of placing an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// Its name was free, or a directory's that is there.
    New,
    /// Another file had its name.
    Replaced,
}

/// What is called for each name.
pub(super) type Visit<'v, E> = &'v mut dyn FnMut(&[u8], Inode) -> Result<(), E>;

/// Names of a million files have 60 MB.
const MOST_SPENT: usize = 512 << 20;

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

impl Tree {
    pub(super) fn new() -> Self {
        Tree { nodes: vec![implied()], spent: 0 }
    }

    pub(super) fn node(&self, inode: Inode) -> &Node {
        &self.nodes[inode]
    }

    pub(super) fn node_mut(&mut self, inode: Inode) -> &mut Node {
        &mut self.nodes[inode]
    }

    /// The attributes of what is there already.
    pub(super) fn set_attributes(&mut self, inode: Inode, attributes: Attributes) {
        self.nodes[inode].attributes = attributes;
    }

    /// Adds a file of any kind to a directory in which its name is free.
    pub(super) fn add(
        &mut self,
        directory: Inode,
        name: &[u8],
        content: Content,
        attributes: Attributes,
    ) -> Result<Inode, ImportError> {
        self.spend(content_length(&content) + attributes_length(&attributes), name)?;
        self.nodes.push(Node { content, attributes });
        let inode = self.nodes.len() - 1;
        self.add_name(directory, name, inode)?;
        Ok(inode)
    }

    /// Adds another name of what is there already.
    pub(super) fn add_name(
        &mut self,
        directory: Inode,
        name: &[u8],
        inode: Inode,
    ) -> Result<(), ImportError> {
        match self.link(directory, name, inode, name)? {
            Placed::New => Ok(()),
            Placed::Replaced => Err(refuse(name, "is twice in one directory")),
        }
    }

    /// Takes a name away.
    pub(super) fn remove(&mut self, directory: Inode, name: &[u8]) {
        if let Content::Directory(children) = &mut self.nodes[directory].content {
            children.remove(name);
        }
    }

    /// Every inode's attributes, to be completed once all is known.
    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut()
    }

    /// Places an entry. `at` is where the spool file will have a file's data.
    pub(super) fn place(&mut self, entry: Entry, at: u64) -> Result<Placed, ImportError> {
        let Entry { path, kind, attributes } = entry;
        let parts = parts(&path)?;
        let Some((name, parents)) = parts.split_last() else {
            if kind != Kind::Directory {
                return Err(refuse(&path, "is the root, and no directory"));
            }
            self.nodes[0].attributes = attributes;
            return Ok(Placed::New);
        };
        let parent = self.directory(parents, &path)?;
        let content = match kind {
            Kind::Directory => Content::Directory(BTreeMap::new()),
            Kind::File(map) => Content::File { map, at },
            Kind::Symlink(target) if target.is_empty() => {
                return Err(refuse(&path, "is a symbolic link to nothing"));
            }
            Kind::Symlink(target) => Content::Symlink(target.into()),
            Kind::Device { block, major, minor } => Content::Device { block, major, minor },
            Kind::Fifo => Content::Fifo,
            Kind::HardLink(target) => {
                let inode = self.target(&path, &target)?;
                return self.link(parent, name, inode, &path);
            }
        };
        // A directory that is there keeps what is in it.
        if let (Some(there), Content::Directory(_)) = (self.child(parent, name), &content) {
            let node = &mut self.nodes[there];
            if !matches!(node.content, Content::Directory(_)) {
                return Err(refuse(&path, "is a directory, and was something else before"));
            }
            node.attributes = attributes;
            return Ok(Placed::New);
        }
        self.spend(content_length(&content) + attributes_length(&attributes), &path)?;
        self.nodes.push(Node { content, attributes });
        self.link(parent, name, self.nodes.len() - 1, &path)
    }

    /// Gives an inode a name. One that had it before loses it.
    fn link(&mut self, parent: Inode, name: &[u8], inode: Inode, path: &[u8]) -> Result<Placed, ImportError> {
        if let Some(there) = self.child(parent, name)
            && matches!(self.nodes[there].content, Content::Directory(_))
        {
            return Err(refuse(path, "was a directory before, and is something else now"));
        }
        self.spend(name.len(), path)?;
        let Content::Directory(children) = &mut self.nodes[parent].content else {
            return Err(refuse(path, "is in no directory"));
        };
        Ok(if children.insert(name.into(), inode).is_some() { Placed::Replaced } else { Placed::New })
    }

    fn spend(&mut self, length: usize, path: &[u8]) -> Result<(), ImportError> {
        // What an inode and a name cost beside their texts.
        self.spent += length + 64;
        if self.spent > MOST_SPENT {
            return Err(refuse(
                path,
                "is one too many: the names and attributes up to here have more than 512 MiB",
            ));
        }
        Ok(())
    }

    /// The file that a hard link names.
    fn target(&self, path: &[u8], target: &[u8]) -> Result<Inode, ImportError> {
        let found = parts(target)
            .map_err(|_| refuse(path, &format!("is a hard link to {}, outside of the image", shown(target))))?
            .iter()
            .try_fold(0, |at, part| self.child(at, part));
        match found {
            Some(inode) if matches!(self.nodes[inode].content, Content::Directory(_)) => {
                Err(refuse(path, &format!("is a hard link to the directory {}", shown(target))))
            }
            Some(inode) => Ok(inode),
            None => Err(refuse(
                path,
                &format!("is a hard link to {}, which the tarball does not hold before it", shown(target)),
            )),
        }
    }

    /// The directory of these names, made where it is missing.
    fn directory(&mut self, parts: &[&[u8]], path: &[u8]) -> Result<Inode, ImportError> {
        let mut at = 0;
        for part in parts {
            let Some(child) = self.child(at, part) else {
                self.nodes.push(implied());
                let inode = self.nodes.len() - 1;
                self.link(at, part, inode, path)?;
                at = inode;
                continue;
            };
            at = match &self.nodes[child].content {
                Content::Directory(_) => child,
                Content::Symlink(to) => {
                    let text = format!("leads through the symbolic link {} -> {}", shown(part), shown(to));
                    return Err(refuse(path, &text));
                }
                _ => return Err(refuse(path, &format!("is below {}, which is no directory", shown(part)))),
            };
        }
        Ok(at)
    }

    /// How many inodes there are, and were.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn child(&self, inode: Inode, name: &[u8]) -> Option<Inode> {
        match &self.nodes[inode].content {
            Content::Directory(children) => children.get(name).copied(),
            _ => None,
        }
    }

    /// What is at a path, links followed as the guest would.
    pub(super) fn resolve(&self, path: &[u8]) -> Option<Inode> {
        let mut steps = u64::MAX;
        self.trail(path, &mut steps).and_then(|trail| trail.last().copied())
    }

    /// What is on the way to what is at a path, the root first. `steps` is how many names may be looked up, and 0 where they did not
    /// do.
    pub(super) fn trail(&self, path: &[u8], steps: &mut u64) -> Option<Vec<Inode>> {
        let mut rest: Vec<&[u8]> = path.split(|byte| *byte == b'/').rev().collect();
        let mut at: Vec<Inode> = vec![0];
        let mut links = 0;
        while let Some(part) = rest.pop() {
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                return None;
            }
            let here = *at.last()?;
            match part {
                b"" | b"." => {}
                b".." => {
                    if at.len() > 1 {
                        at.pop();
                    }
                }
                _ => {
                    let child = self.child(here, part)?;
                    match &self.nodes[child].content {
                        Content::Symlink(to) => {
                            links += 1;
                            if links > MOST_LINKS {
                                return None;
                            }
                            if to.starts_with(b"/") {
                                at.truncate(1);
                            }
                            rest.extend(to.split(|byte| *byte == b'/').rev());
                        }
                        _ => at.push(child),
                    }
                }
            }
        }
        Some(at)
    }

    /// The names in the directory at a path.
    pub(super) fn names(&self, path: &[u8]) -> Vec<&[u8]> {
        match self.resolve(path).map(|inode| &self.nodes[inode].content) {
            Some(Content::Directory(children)) => children.keys().map(AsRef::as_ref).collect(),
            _ => vec![],
        }
    }

    /// Calls `visit` for each name, parents first, in the order of their bytes. The root's path is empty.
    pub(super) fn walk<E>(&self, visit: Visit<'_, E>) -> Result<(), E> {
        self.walk_below(0, b"", visit)
    }

    /// The same of a directory, and of what is in it.
    pub(super) fn walk_below<E>(&self, directory: Inode, path: &[u8], visit: Visit<'_, E>) -> Result<(), E> {
        visit(path, directory)?;
        // A path of directories that are being read; a stack of our own, for a stranger says how deep it is.
        let mut path = path.to_vec();
        let mut open = vec![(path.len(), self.children(directory))];
        while let Some((length, children)) = open.last_mut() {
            path.truncate(*length);
            let Some((name, inode)) = children.next() else {
                open.pop();
                continue;
            };
            path.push(b'/');
            path.extend_from_slice(name);
            visit(&path, *inode)?;
            open.push((path.len(), self.children(*inode)));
        }
        Ok(())
    }

    fn children(&self, inode: Inode) -> std::collections::btree_map::Iter<'_, Box<[u8]>, Inode> {
        static NONE: BTreeMap<Box<[u8]>, Inode> = BTreeMap::new();
        match &self.nodes[inode].content {
            Content::Directory(children) => children.iter(),
            _ => NONE.iter(),
        }
    }
}

/// A directory that the tarball does not list, though something is in it.
fn implied() -> Node {
    Node {
        content: Content::Directory(BTreeMap::new()),
        attributes: Attributes { mode: 0o755, ..Attributes::default() },
    }
}

/// The names in a path; a slash in front is the image's root, as is none.
fn parts(path: &[u8]) -> Result<Vec<&[u8]>, ImportError> {
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err(refuse(path, "leads upwards, by .."));
    }
    if parts.iter().any(|part| part.len() > 255) || path.len() > LONGEST_PATH {
        return Err(refuse(path, "has a longer name than a filesystem takes (255 bytes)"));
    }
    Ok(parts)
}

fn content_length(content: &Content) -> usize {
    match content {
        Content::Symlink(to) => to.len(),
        Content::File { map, .. } => map.extents.len() * size_of::<(u64, u64)>(),
        _ => 0,
    }
}

fn attributes_length(attributes: &Attributes) -> usize {
    let xattrs: usize = attributes.xattrs.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
    let acls = [&attributes.acl, &attributes.default_acl];
    let acls: usize = acls.into_iter().flatten().map(|acl| acl.to_text().len() * 3).sum();
    let left_out: usize = attributes.left_out.iter().map(|name| name.len() + 24).sum();
    xattrs + acls + left_out + size_of::<Node>()
}

fn refuse(path: &[u8], what: &str) -> ImportError {
    refused(format!("{} {what}", shown(path)))
}
