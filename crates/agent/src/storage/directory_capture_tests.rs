//! Disks that are captured: what is sent of them, after cuts too, and what is told of those that cannot be.

use super::*;
use crate::capture::{self, CaptureSink};
use honcho_wire::{CaptureEnd, CaptureState};

/// A brain that takes what comes, until it has had so much at a time.
struct Taker {
    taken: Mutex<Vec<u8>>,
    end: Mutex<Option<CaptureEnd>>,
    wanted: Mutex<bool>,
    /// It is away after so many requests.
    patience: Mutex<u32>,
}

impl Taker {
    fn new(patience: u32) -> Self {
        let (taken, end) = (Mutex::default(), Mutex::default());
        Taker { taken, end, wanted: Mutex::new(true), patience: Mutex::new(patience) }
    }

    fn answer(&self) -> DriverResult<CaptureState> {
        let mut patience = self.patience.lock().unwrap();
        *patience =
            patience.checked_sub(1).ok_or_else(|| DriverError::Later("the brain is away".to_owned()))?;
        let received = self.taken.lock().unwrap().len() as u64;
        Ok(CaptureState { wanted: *self.wanted.lock().unwrap(), received })
    }
}

#[async_trait]
impl CaptureSink for Taker {
    async fn state(&self, _: Uuid) -> DriverResult<CaptureState> {
        self.answer()
    }

    async fn piece(&self, _: Uuid, offset: u64, _: u8, piece: Vec<u8>) -> DriverResult<CaptureState> {
        self.answer()?;
        {
            let mut taken = self.taken.lock().unwrap();
            assert_eq!(taken.len() as u64, offset, "from where it has it");
            taken.extend(piece);
        }
        *self.patience.lock().unwrap() += 1;
        self.answer()
    }

    async fn end(&self, _: Uuid, end: &CaptureEnd) -> DriverResult<CaptureState> {
        *self.end.lock().unwrap() = Some(end.clone());
        *self.wanted.lock().unwrap() = false;
        self.answer()
    }
}

async fn captured(bench: &Bench, volume: &VolumeWanted, taker: &Taker) -> DriverResult<()> {
    let of = capture::Volume { pool: &bench.pool, id: volume.id, uuid: volume.uuid };
    capture::capture(&bench.storage, &of, Uuid::from_u128(5), taker, &silent()).await
}

fn names(tarball: &[u8]) -> Vec<String> {
    let tar = zstd::decode_all(tarball).unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let name =
        |entry: io::Result<tar::Entry<'_, &[u8]>>| entry.unwrap().path().unwrap().display().to_string();
    archive.entries().unwrap().map(name).collect()
}

#[tokio::test]
async fn what_is_on_a_disk_is_sent_without_whose_it_is_though_it_is_cut() {
    let (bench, volume) = Bench::with_volume().await;
    // More than a piece of what cannot be squeezed.
    let much = tempfile::NamedTempFile::new().unwrap();
    let mut random = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open("/dev/urandom").unwrap(), 20 << 20), &mut random)
        .unwrap();
    std::fs::write(much.path(), &random).unwrap();
    debugfs(
        &bench.path(&volume),
        &format!("mkdir /srv\nwrite {} /srv/much\nset_super_value state 0\n", much.path().display()),
    );
    let taker = Taker::new(2);
    let cut = captured(&bench, &volume, &taker).await;
    assert!(matches!(&cut, Err(DriverError::Later(why)) if why.contains("away")), "{cut:?}");
    let had = taker.taken.lock().unwrap().len();
    assert!(had >= 8 << 20 && taker.end.lock().unwrap().is_none(), "{had}");
    *taker.patience.lock().unwrap() = 100;
    captured(&bench, &volume, &taker).await.unwrap();
    let sent = taker.taken.lock().unwrap().clone();
    let digest = Digest(Sha256::digest(&sent).into());
    assert!(sent.len() > had);
    let size = Bytes(sent.len() as u64);
    assert_eq!(taker.end.lock().unwrap().clone(), Some(CaptureEnd::Whole { size, digest }));
    let names = names(&sent);
    for there in ["./srv/much", "./boot/vmlinuz-6.1.0-9", "./etc/machine-id", "./etc/hosts", "./root/.ssh/"] {
        assert!(names.iter().any(|name| name == there), "{there}: {names:?}");
    }
    for gone in ["hostname", "ssh_host", "authorized_keys", "10-honcho", "lost+found"] {
        assert!(!names.iter().any(|name| name.contains(gone)), "{gone}: {names:?}");
    }
    fsck(&bench.path(&volume));
    // Nothing more is wanted, and nothing more is read.
    captured(&bench, &volume, &taker).await.unwrap();
    assert_eq!(taker.taken.lock().unwrap().len(), sent.len());
}

#[tokio::test]
async fn a_disk_of_which_no_image_can_be_made_is_told_with_the_reason() {
    let (bench, volume) = Bench::with_volume().await;
    let path = bench.path(&volume);
    let told = async || {
        let taker = Taker::new(10);
        captured(&bench, &volume, &taker).await.unwrap();
        let end = taker.end.lock().unwrap().clone();
        let Some(CaptureEnd::Impossible { problem }) = end else { panic!("{end:?}") };
        problem
    };
    debugfs(&path, "set_inode_field /boot block[0] 7\nset_inode_field /boot block[1] 7\n");
    let problem = told().await;
    assert!(problem.contains("damaged"), "{problem}");
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    let problem = told().await;
    assert!(problem.contains("no ext4 filesystem"), "{problem}");
    let mut names = bench.names("volumes");
    names.retain(|name| !name.starts_with("v7-"));
    assert_eq!(names, Vec::<String>::new(), "nothing of it lies around");
}

#[tokio::test]
async fn a_disk_that_nobody_wants_any_more_is_left_as_it_was() {
    let (bench, volume) = Bench::with_volume().await;
    // e2fsck has all of it to look at.
    debugfs(&bench.path(&volume), "set_super_value state 0\n");
    let unwanted = async || {
        let (pieces, taken) = tokio::sync::mpsc::channel(1);
        drop(taken);
        let progress = silent();
        let read = bench.storage.read_files(&bench.pool, volume.id, volume.uuid, pieces, &progress);
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap()
    };
    let error = unwanted().await;
    assert!(matches!(&error, Err(DriverError::Later(why)) if why.contains("nobody wants it")), "{error:?}");
    // It is nobody else's, and read from its beginning when it is wanted again.
    let owner = std::os::unix::fs::MetadataExt::uid(&bench.path(&volume).metadata().unwrap());
    assert_eq!(owner, rustix::process::getuid().as_raw(), "the sandbox gave it back");
    let taker = Taker::new(10);
    captured(&bench, &volume, &taker).await.unwrap();
    assert!(matches!(*taker.end.lock().unwrap(), Some(CaptureEnd::Whole { .. })));
    fsck(&bench.path(&volume));
}
