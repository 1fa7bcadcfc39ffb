//! Extended attributes of ext4: in the inode, behind its fields, and in a block of their own.

use super::super::ImportError;
use super::super::acl::Acl;
use super::super::reader::{Attributes, LARGEST_XATTRS, is_kept};
use super::super::{refused, shown};
use super::ext4::{Ext4, Inode, damaged, u16_at, u32_at};

const MAGIC: u32 = 0xEA02_0000;

/// What the numbers in front of names stand for; the lists of access are apart.
const PREFIXES: &[(u8, &[u8])] = &[(1, b"user."), (4, b"trusted."), (6, b"security."), (7, b"system.")];
const ACCESS: u8 = 2;
const DEFAULT: u8 = 3;

/// All that goes with a file. `name` is what errors call it.
pub(super) fn of(ext4: &Ext4<'_>, inode: &Inode, name: &[u8]) -> Result<Attributes, ImportError> {
    let mut found = Attributes {
        mode: u32::from(inode.mode & 0o7777),
        uid: inode.uid,
        gid: inode.gid,
        mtime: inode.mtime,
        ..Attributes::default()
    };
    if u32_at(&inode.rest, 0) == MAGIC {
        // Offsets count from the first entry.
        entries(&inode.rest[4..], 0, name, &mut found)?;
    }
    if inode.attributes_block != 0 {
        let block = ext4.block(inode.attributes_block)?;
        if u32_at(&block, 0) != MAGIC {
            return Err(damaged(format!("the extended attributes of {} are none", shown(name))));
        }
        entries(&block, 32, name, &mut found)?;
    }
    within_bounds(&mut found, name)?;
    Ok(found)
}

/// No more than is kept, in order, and none twice, of which others would take the one or the other.
fn within_bounds(found: &mut Attributes, name: &[u8]) -> Result<(), ImportError> {
    let size: usize = found.xattrs.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    if size > LARGEST_XATTRS {
        return Err(refused(format!(
            "{} has larger extended attributes than are kept (3.5 kB together)",
            shown(name)
        )));
    }
    found.xattrs.sort();
    if found.xattrs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(damaged(format!("{} has an extended attribute twice", shown(name))));
    }
    Ok(())
}

/// Reads entries from `at` on; where values are counts from the beginning of `bytes`.
fn entries(bytes: &[u8], mut at: usize, of: &[u8], to: &mut Attributes) -> Result<(), ImportError> {
    let bad = || damaged(format!("the extended attributes of {} contradict themselves", shown(of)));
    while at + 4 <= bytes.len() && u32_at(bytes, at) != 0 {
        let head = bytes.get(at..at + 16).ok_or_else(bad)?;
        let (name_length, index) = (usize::from(head[0]), head[1]);
        let name = bytes.get(at + 16..at + 16 + name_length).ok_or_else(bad)?;
        let (offset, size) = (usize::from(u16_at(head, 2)), u32_at(head, 8) as usize);
        if u32_at(head, 4) != 0 {
            return Err(refused(format!(
                "{} has extended attributes in inodes of their own, which are not read here",
                shown(of)
            )));
        }
        let end = offset.checked_add(size).ok_or_else(bad)?;
        let value = if size == 0 { &[][..] } else { bytes.get(offset..end).ok_or_else(bad)? };
        take(index, name, value, to).map_err(|reason| damaged(format!("{} has {reason}", shown(of))))?;
        at += (16 + name_length).next_multiple_of(4);
    }
    Ok(())
}

fn take(index: u8, name: &[u8], value: &[u8], to: &mut Attributes) -> Result<(), String> {
    match index {
        ACCESS => to.acl = Some(list(value)?).filter(|acl| !acl.is_plain()),
        DEFAULT => to.default_acl = Some(list(value)?),
        _ => {
            let prefix = PREFIXES.iter().find(|(number, _)| *number == index);
            let full = match prefix {
                Some((_, prefix)) => [*prefix, name].concat(),
                None => [format!("{index}:").as_bytes(), name].concat(),
            };
            if is_kept(&full) {
                to.xattrs.push((full, value.to_vec()));
            } else {
                to.left_out.push(full);
            }
        }
    }
    Ok(())
}

/// A list of access, in which the disk leaves out numbers that mean nothing (fs/ext4/acl.h).
fn list(value: &[u8]) -> Result<Acl, String> {
    let bad = || "an access control list that is none".to_owned();
    if u32_at(value, 0) != 1 || value.len() < 4 {
        return Err(bad());
    }
    let (mut rest, mut whole) = (&value[4..], 2_u32.to_le_bytes().to_vec());
    while !rest.is_empty() {
        let named = matches!(u16_at(rest, 0), 0x02 | 0x08);
        let length = if named { 8 } else { 4 };
        let entry = rest.get(..length).ok_or_else(bad)?;
        whole.extend_from_slice(entry);
        if !named {
            whole.extend_from_slice(&u32::MAX.to_le_bytes());
        }
        rest = &rest[length..];
    }
    Acl::parse_binary(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_access_is_read_as_the_disk_has_it() {
        let mut disk = 1_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in
            [(1_u16, 6_u16, None), (2, 7, Some(1000_u32)), (4, 4, None), (16, 7, None), (32, 4, None)]
        {
            disk.extend_from_slice(&tag.to_le_bytes());
            disk.extend_from_slice(&permissions.to_le_bytes());
            disk.extend(id.into_iter().flat_map(u32::to_le_bytes));
        }
        let text = "user::rw-,user:1000:rwx,group::r--,mask::rwx,other::r--";
        assert_eq!(list(&disk).unwrap().to_text(), text);
        for cut in 0..disk.len() {
            assert!(list(&disk[..cut]).is_err() || cut == 4, "{cut}");
        }
    }

    #[test]
    fn too_many_and_those_that_are_there_twice_are_refused() {
        let of = |all: &[(&str, usize)]| {
            let xattrs =
                all.iter().map(|(name, length)| (name.as_bytes().to_vec(), vec![7; *length])).collect();
            let mut found = Attributes { xattrs, ..Attributes::default() };
            within_bounds(&mut found, b"f").map(|()| found.xattrs.len()).map_err(|error| error.to_string())
        };
        assert_eq!(of(&[("user.b", 1), ("user.a", 1)]), Ok(2));
        assert!(of(&[("user.b", 1), ("user.a", 1), ("user.b", 2)]).unwrap_err().contains("twice"));
        assert!(of(&[("user.b", 4000)]).unwrap_err().contains("larger"));
    }

    #[test]
    fn entries_that_lead_out_of_their_block_are_refused() {
        let entry = |offset: u16, size: u32| {
            let mut bytes = vec![3, 1];
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&size.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(b"abc\0");
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(b"value...");
            bytes
        };
        let read = |bytes: &[u8]| {
            let mut found = Attributes::default();
            entries(bytes, 0, b"f", &mut found).map(|()| found.xattrs)
        };
        assert_eq!(read(&entry(24, 5)).unwrap(), [(b"user.abc".to_vec(), b"value".to_vec())]);
        for (offset, size) in [(24, 9), (u16::MAX, 1), (0, u32::MAX)] {
            read(&entry(offset, size)).unwrap_err();
        }
        read(&entry(24, 5)[..18]).unwrap_err();
    }
}
