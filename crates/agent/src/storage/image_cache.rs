//! The images kept in a pool, and what becomes of them: each can be fetched again, so they make room for what cannot.
//!
//! An image is used when it is fetched or cloned, and its times say when that was last. Who clones one holds a lock on
//! it. Images are deleted when room is short, longest unused first, and when nobody has used them for a month.

use super::layout::{Layout, image_name};
use honcho_model::{Bytes, Digest};
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nobody orders what nobody has ordered for so long; and who does waits a minute longer.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// An image that was fetched or cloned just now is about to be cloned: two guests that want different images would
/// otherwise take them from each other for ever.
const IN_USE: Duration = Duration::from_mins(10);

/// Notes that an image is used.
pub(super) fn touch(image: &File) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(rustix::fs::futimens(image, &Timestamps { last_access: now, last_modification: now })?)
}

/// Opens an image for cloning, so that it stays while the file is open; `None` if it is not there.
pub(super) fn open(layout: &Layout, digest: Digest) -> io::Result<Option<File>> {
    let image = match File::open(layout.image(digest)) {
        Ok(image) => image,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    rustix::fs::flock(&image, FlockOperation::LockShared)?;
    if image.metadata()?.nlink() == 0 {
        return Ok(None);
    }
    touch(&image)?;
    Ok(Some(image))
}

/// Deletes images that have not been used for long.
pub(super) fn forget_unused(layout: &Layout) -> io::Result<()> {
    for image in images(layout)?.into_iter().filter(|image| image.unused > UNUSED) {
        image.delete("nobody has used this image for a month: it is deleted")?;
    }
    Ok(())
}

/// Deletes images, longest unused first, until so much is free; gives what is free in the end.
pub(super) fn make_room(layout: &Layout, needed: Bytes, keep: Digest) -> io::Result<Bytes> {
    let mut images = images(layout)?;
    images.retain(|image| image.unused > IN_USE && image.path != layout.image(keep));
    images.sort_by_key(|image| image.unused);
    loop {
        let free = super::directory::space(layout)?.1;
        if free >= needed {
            return Ok(free);
        }
        let Some(image) = images.pop() else { return Ok(free) };
        image.delete("room is short: the image used least recently is deleted")?;
    }
}

struct Image {
    path: PathBuf,
    unused: Duration,
}

impl Image {
    /// Deletes it, unless somebody clones it.
    fn delete(&self, why: &str) -> io::Result<()> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        tracing::info!(image = %self.path.display(), "{why}");
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The images in a pool, and how long each has been unused. What is not named as we name images is left alone.
fn images(layout: &Layout) -> io::Result<Vec<Image>> {
    let mut images = Vec::new();
    for entry in std::fs::read_dir(layout.images())? {
        let path = entry?.path();
        let Some(metadata) = is_image(&path).then(|| path.metadata().ok()).flatten() else { continue };
        // A file from the future, after the clock was set back, was used just now.
        let unused = metadata.modified()?.elapsed().unwrap_or_default();
        images.push(Image { path, unused });
    }
    Ok(images)
}

fn is_image(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let digest = name.split('.').next().and_then(|digest| digest.parse::<Digest>().ok());
    digest.is_some_and(|digest| image_name(digest) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cache {
        layout: Layout,
        _directory: tempfile::TempDir,
    }

    impl Cache {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let layout = Layout { root: directory.path().to_owned() };
            layout.make_directories().unwrap();
            Cache { layout, _directory: directory }
        }

        /// An image that was used so long ago.
        fn add(&self, number: u8, unused: Duration) {
            let file = File::create(self.layout.image(Digest([number; 32]))).unwrap();
            touch(&file).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - unused).unwrap();
        }

        fn check(&self, expected: &[u8]) {
            let there = |number: &u8| self.layout.image(Digest([*number; 32])).exists();
            assert_eq!((1..9).filter(there).collect::<Vec<_>>(), expected);
        }
    }

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn room_is_made_by_what_nobody_uses() {
        let cache = Cache::new();
        for (number, days) in [(1, 3), (2, 1), (3, 2), (4, 9), (5, 0)] {
            cache.add(number, DAY * days);
        }
        std::fs::write(cache.layout.images().join("notes.ext4"), "somebody's").unwrap();
        let free = make_room(&cache.layout, Bytes(0), Digest([9; 32])).unwrap();
        assert!(free.0 > 0);
        cache.check(&[1, 2, 3, 4, 5]);
        let cloned = open(&cache.layout, Digest([3; 32])).unwrap().unwrap();
        cloned.set_modified(std::time::UNIX_EPOCH).unwrap();
        make_room(&cache.layout, Bytes(u64::MAX), Digest([4; 32])).unwrap();
        cache.check(&[3, 4, 5]);
        drop(cloned);
        make_room(&cache.layout, Bytes(u64::MAX), Digest([4; 32])).unwrap();
        cache.check(&[4, 5]);
        assert!(cache.layout.images().join("notes.ext4").exists());
        assert!(open(&cache.layout, Digest([3; 32])).unwrap().is_none());
    }

    #[test]
    fn what_is_used_is_not_forgotten() {
        let cache = Cache::new();
        for (number, days) in [(1, 31), (2, 29), (3, 31)] {
            cache.add(number, DAY * days);
        }
        assert!(open(&cache.layout, Digest([3; 32])).unwrap().is_some());
        forget_unused(&cache.layout).unwrap();
        cache.check(&[2, 3]);
    }
}
