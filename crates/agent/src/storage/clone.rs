//! Copies an image into a volume: shared blocks where the filesystem can, else a copy that leaves holes as holes.

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How a clone was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloned {
    /// Blocks are shared until one side writes.
    Reflink,
    /// Everything was copied.
    Copy,
}

/// Makes `to` hold what `from` holds. `progress` hears per cent.
pub(super) fn clone(from: &File, to: &File, progress: impl Fn(u8)) -> io::Result<Cloned> {
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => Ok(Cloned::Reflink),
        // Filesystems without reflinks, and pairs of files that cannot share, say so in one of these ways.
        Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::TXTBSY) => {
            copy_sparsely(from, to, progress)?;
            Ok(Cloned::Copy)
        }
        Err(error) => Err(error.into()),
    }
}

fn copy_sparsely(from: &File, to: &File, progress: impl Fn(u8)) -> io::Result<()> {
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let (mut at, mut buffer) = (0, vec![0; 1 << 20]);
    while at < length {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data from here to the end.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(from, SeekFrom::Hole(start))?;
        at = start;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            from.read_exact_at(&mut buffer[..wanted], at)?;
            to.write_all_at(&buffer[..wanted], at)?;
            at += wanted as u64;
            progress(u8::try_from(at * 100 / length.max(1)).unwrap_or(100));
        }
    }
    Ok(())
}

/// Whether files in a directory can share blocks; found out by trying, and leaving nothing.
pub(super) fn can_reflink(directory: &std::path::Path) -> io::Result<bool> {
    let (from, to) = (tempfile::tempfile_in(directory)?, tempfile::tempfile_in(directory)?);
    from.write_all_at(&[1; 4096], 0)?;
    Ok(rustix::fs::ioctl_ficlone(&to, &from).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_equal_and_keeps_holes() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"begin", 0).unwrap();
        from.write_all_at(&vec![7; 3 << 20], 20 << 20).unwrap();
        let seen = std::cell::Cell::new(0);
        copy_sparsely(&from, &to, |percent| seen.set(percent)).unwrap();
        assert!(seen.get() > 0);
        let read = |file: &File| {
            let mut content = vec![0; 64 << 20];
            file.read_exact_at(&mut content, 0).unwrap();
            content
        };
        assert!(read(&from) == read(&to));
        let blocks = std::os::unix::fs::MetadataExt::blocks(&to.metadata().unwrap());
        assert!(blocks * 512 < 8 << 20, "{blocks} blocks");
    }
}
