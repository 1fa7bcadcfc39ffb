//! Packs a tree: the one form that an image has, whoever wrote the tarball it came in.
//!
//! Names in the order of their bytes, numbers for owners, PAX records where the plain header has no room. The same tree
//! always makes the same bytes. Access control lists are attributes, as a filesystem has them: of the text that GNU tar
//! restores, libarchive (in mke2fs) takes a file's permission bits too, and loses those of the mask.

use super::pax::{Records, time_text};
use super::reader::Attributes;
use super::sparse::{Map, leading_text};
use super::tree::{Content, Inode, Tree};
use super::{ImportError, Stored, refused};
use std::collections::BTreeMap;
use std::io::Write;

/// Paths of files that have more names than one are remembered: 130,000 of the longest.
const MOST_REMEMBERED: usize = 512 << 20;

const BLOCK: usize = 512;

/// Writes the tree as tar. Files' data is read from `stored`.
pub(super) fn pack(
    tree: &Tree,
    stored: &impl Stored,
    to: &mut impl Write,
    progress: &dyn Fn(u64),
) -> Result<(), ImportError> {
    pack_within(MOST_REMEMBERED, tree, stored, to, progress)
}

fn pack_within(
    most: usize,
    tree: &Tree,
    stored: &impl Stored,
    to: &mut impl Write,
    progress: &dyn Fn(u64),
) -> Result<(), ImportError> {
    let mut how_often = vec![0_u32; tree.len()];
    tree.walk(&mut |_, inode| {
        how_often[inode] += 1;
        Ok::<(), ImportError>(())
    })?;
    let mut names: BTreeMap<Inode, Vec<u8>> = BTreeMap::new();
    let (mut written, mut remembered) = (0, 0);
    tree.walk(&mut |path, inode| {
        let node = tree.node(inode);
        let mut path = [b".", path].concat();
        if let Content::Directory(_) = node.content {
            path.push(b'/');
            return member(to, b'5', &path, &[], &node.attributes, Records::default(), 0);
        }
        if let Some(first) = names.get(&inode) {
            // Attributes are the first name's.
            let bare = Attributes { xattrs: vec![], acl: None, default_acl: None, ..node.attributes.clone() };
            return member(to, b'1', &path, first, &bare, Records::default(), 0);
        }
        if how_often[inode] > 1 {
            remembered += path.len();
            if remembered > most {
                return Err(refused("the paths of its hard links have more than 512 MiB"));
            }
            names.insert(inode, path.clone());
        }
        match &node.content {
            Content::Directory(_) => Ok(()),
            Content::Symlink(target) => {
                member(to, b'2', &path, target, &node.attributes, Records::default(), 0)
            }
            Content::Fifo => member(to, b'6', &path, &[], &node.attributes, Records::default(), 0),
            Content::Device { block, major, minor } => {
                let kind = if *block { b'4' } else { b'3' };
                device(to, kind, &path, &node.attributes, (*major, *minor))
            }
            Content::File { map, at } => {
                file(to, &path, &node.attributes, map)?;
                copy(stored, *at, map.stored(), to)?;
                written += map.stored();
                progress(written);
                Ok(())
            }
        }
    })?;
    to.write_all(&[0; 2 * BLOCK])?;
    Ok(())
}

fn file(to: &mut impl Write, path: &[u8], attributes: &Attributes, map: &Map) -> Result<(), ImportError> {
    if !map.is_sparse() {
        return member(to, b'0', path, &[], attributes, Records::default(), map.size);
    }
    let mut records = Records::default();
    records.add(b"GNU.sparse.major", b"1");
    records.add(b"GNU.sparse.minor", b"0");
    records.add(b"GNU.sparse.name", path);
    records.add(b"GNU.sparse.realsize", map.size.to_string().as_bytes());
    let text = leading_text(map);
    member(to, b'0', path, &[], attributes, records, text.len() as u64 + map.stored())?;
    Ok(to.write_all(&text)?)
}

fn device(
    to: &mut impl Write,
    kind: u8,
    path: &[u8],
    attributes: &Attributes,
    (major, minor): (u32, u32),
) -> Result<(), ImportError> {
    let mut header = plain(kind, attributes);
    // Linux' numbers have 12 and 20 bits; the fields hold 21.
    let fits = |number: u32| {
        if number < 1 << 21 { Ok(number) } else { Err(refused("a device has a number that no Linux knows")) }
    };
    header.set_device_major(fits(major)?)?;
    header.set_device_minor(fits(minor)?)?;
    with_records(to, header, path, &[], attributes, Records::default(), 0)
}

fn member(
    to: &mut impl Write,
    kind: u8,
    path: &[u8],
    link: &[u8],
    attributes: &Attributes,
    records: Records,
    size: u64,
) -> Result<(), ImportError> {
    with_records(to, plain(kind, attributes), path, link, attributes, records, size)
}

fn plain(kind: u8, attributes: &Attributes) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(attributes.mode);
    header
}

/// Writes a header, and before it those records that say what it cannot.
fn with_records(
    to: &mut impl Write,
    mut header: tar::Header,
    path: &[u8],
    link: &[u8],
    attributes: &Attributes,
    mut records: Records,
    size: u64,
) -> Result<(), ImportError> {
    let mut text = |keyword: &str, text: &[u8], field: &mut [u8]| {
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
        if length < text.len() {
            records.add(keyword.as_bytes(), text);
        }
    };
    text("path", path, &mut header.as_old_mut().name);
    text("linkpath", link, &mut header.as_old_mut().linkname);
    let mut number = |keyword: &str, number: u64, largest: u64| {
        if number > largest {
            records.add(keyword.as_bytes(), number.to_string().as_bytes());
        }
        number.min(largest)
    };
    header.set_uid(number("uid", attributes.uid.into(), 0o7_777_777));
    header.set_gid(number("gid", attributes.gid.into(), 0o7_777_777));
    header.set_size(number("size", size, 0o77_777_777_777));
    let (seconds, nanos) = attributes.mtime;
    let whole = u64::try_from(seconds).ok().filter(|seconds| *seconds <= 0o77_777_777_777);
    if whole.is_none() || nanos != 0 {
        records.add(b"mtime", time_text(attributes.mtime).as_bytes());
    }
    header.set_mtime(whole.unwrap_or(0));
    for (name, value) in attributes.as_a_filesystem_has_them() {
        records.add(&[b"SCHILY.xattr.", name.as_slice()].concat(), &value);
    }
    if !records.is_empty() {
        let mut all = Records::default();
        let is_text =
            |(key, value): (&[u8], &[u8])| key.starts_with(b"SCHILY.") || std::str::from_utf8(value).is_ok();
        if !records.iter().all(is_text) {
            // Without it a reader takes names for UTF-8 and stumbles.
            all.add(b"hdrcharset", b"BINARY");
        }
        records.iter().for_each(|(key, value)| all.add(key, value));
        let bytes = all.to_bytes();
        let mut extended = tar::Header::new_ustar();
        extended.set_entry_type(tar::EntryType::XHeader);
        extended.as_old_mut().name[..7].copy_from_slice(b"records");
        extended.set_mode(0o644);
        extended.set_uid(0);
        extended.set_gid(0);
        extended.set_mtime(0);
        extended.set_size(bytes.len() as u64);
        extended.set_cksum();
        to.write_all(extended.as_bytes())?;
        to.write_all(&bytes)?;
        pad(to, bytes.len() as u64)?;
    }
    header.set_cksum();
    Ok(to.write_all(header.as_bytes())?)
}

fn copy(stored: &impl Stored, mut at: u64, length: u64, to: &mut impl Write) -> Result<(), ImportError> {
    let (mut buffer, end) = (vec![0; 128 << 10], at + length);
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        stored.read_exact_at(&mut buffer[..wanted], at)?;
        to.write_all(&buffer[..wanted])?;
        at += wanted as u64;
    }
    // A map before the data fills whole blocks.
    pad(to, length)
}

fn pad(to: &mut impl Write, length: u64) -> Result<(), ImportError> {
    let zeros = usize::try_from(length.next_multiple_of(BLOCK as u64) - length).unwrap_or_default();
    Ok(to.write_all(&[0; BLOCK][..zeros])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_files_with_more_names_are_remembered() {
        let mut tree = Tree::new();
        let packed = |tree: &Tree, most| {
            let mut bytes = Vec::new();
            let file = tempfile::tempfile().unwrap();
            pack_within(most, tree, &file, &mut bytes, &|_| {}).map(|()| bytes.len())
        };
        for name in ["a", "b", "c"] {
            tree.add(0, name.as_bytes(), Content::Fifo, Attributes::default()).unwrap();
        }
        assert_eq!(packed(&tree, 0).unwrap(), 6 * BLOCK);
        let twice = tree.resolve(b"b").unwrap();
        tree.add_name(0, b"d", twice).unwrap();
        assert_eq!(packed(&tree, "./b".len()).unwrap(), 7 * BLOCK);
        let error = packed(&tree, "./b".len() - 1).unwrap_err().to_string();
        assert!(error.contains("hard links"), "{error}");
    }
}
