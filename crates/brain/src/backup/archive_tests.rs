//! Archives that are none.

use super::*;
use proptest::prelude::*;
use tar::EntryType;

/// A part as it is put into an archive.
#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    kind: EntryType,
    bytes: Vec<u8>,
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry { name: name.as_bytes().to_vec(), kind: EntryType::Regular, bytes: bytes.to_vec() }
}

fn announced(name: &str, bytes: &[u8]) -> Part {
    let sha256 = hex::encode(Sha256::digest(bytes));
    Part { name: name.to_owned(), bytes: bytes.len() as u64, sha256 }
}

const BLOB: &[u8] = b"a blob";

fn contents() -> Vec<(String, &'static [u8])> {
    let blob = format!("{BLOBS}{}", hex::encode(Sha256::digest(BLOB)));
    vec![
        ("ca/certificate.pem".to_owned(), b"certificate".as_slice()),
        ("ca/key.pem".to_owned(), b"key"),
        (DATABASE.to_owned(), b"not a database, which is not asked here"),
        (blob, BLOB),
    ]
}

fn manifest() -> BackupManifest {
    BackupManifest {
        format: FORMAT,
        honcho: "0.1.0".to_owned(),
        made_at: jiff::Timestamp::UNIX_EPOCH,
        brain: Uuid::from_u128(1),
        incarnation: 1,
        engine: "sqlite".to_owned(),
        schema: vec!["m0001".to_owned()],
        tables: BTreeMap::from([("guests".to_owned(), 7)]),
        parts: contents().iter().map(|(name, bytes)| announced(name, bytes)).collect(),
        blobs: Vec::new(),
    }
}

/// A tar archive of these entries, whatever they are called.
fn tarred(entries: &[Entry]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        let name = &mut header.as_old_mut().name;
        let length = entry.name.len().min(name.len());
        name[..length].copy_from_slice(&entry.name[..length]);
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(0o600);
        header.set_entry_type(entry.kind);
        if entry.kind.is_symlink() || entry.kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, entry.bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn whole(manifest: &BackupManifest) -> Vec<Entry> {
    let first = entry(FIRST, &serde_json::to_vec(manifest).unwrap());
    std::iter::once(first).chain(contents().iter().map(|(name, bytes)| entry(name, bytes))).collect()
}

fn packed(tar: &[u8]) -> Vec<u8> {
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    packed.include_checksum(true).unwrap();
    packed.write_all(tar).unwrap();
    packed.finish().unwrap()
}

/// Keeps what it is given.
#[derive(Default)]
struct Keeps(BTreeMap<String, Vec<u8>>);

impl Receiver for Keeps {
    fn begin(&mut self, _: &BackupManifest) -> anyhow::Result<()> {
        Ok(())
    }
    fn part(&mut self, part: &Part, bytes: &mut dyn Read) -> anyhow::Result<()> {
        let mut read = Vec::new();
        bytes.read_to_end(&mut read)?;
        assert!(self.0.insert(part.name.clone(), read).is_none(), "{} came twice", part.name);
        Ok(())
    }
}

fn refused(archive: &[u8]) -> String {
    let mut keeps = Keeps::default();
    let error = read(archive, &mut keeps).unwrap_err();
    let known: Vec<String> = contents().into_iter().map(|(name, _)| name).collect();
    assert!(keeps.0.keys().all(|name| known.contains(name)), "{:?}", keeps.0.keys());
    format!("{error:#}")
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut sources = BTreeMap::new();
    for (index, (name, bytes)) in contents().into_iter().enumerate() {
        let path = directory.path().join(index.to_string());
        std::fs::write(&path, bytes).unwrap();
        sources.insert(name, path);
    }
    let path = directory.path().join("backup");
    let file = std::fs::File::create(&path).unwrap();
    write(&manifest(), &sources, &file, &|_| {}).unwrap();
    let mut keeps = Keeps::default();
    let found = read(std::fs::File::open(&path).unwrap(), &mut keeps).unwrap();
    assert_eq!(found, manifest());
    let expected: BTreeMap<String, Vec<u8>> =
        contents().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect();
    assert_eq!(keeps.0, expected);

    // What changes between being announced and being written makes no backup.
    std::fs::write(directory.path().join("2"), "not a database; which is not asked here").unwrap();
    write(&manifest(), &sources, &file, &|_| {}).unwrap_err();
    std::fs::write(directory.path().join("2"), "short").unwrap();
    write(&manifest(), &sources, &file, &|_| {}).unwrap_err();
}

#[test]
fn nothing_but_what_was_announced_is_taken() {
    read(packed(&tarred(&whole(&manifest()))).as_slice(), &mut Keeps::default()).unwrap();
    let check = |what: &str, change: &dyn Fn(&mut Vec<Entry>), said: &str| {
        let mut entries = whole(&manifest());
        change(&mut entries);
        let error = refused(&packed(&tarred(&entries)));
        assert!(error.contains(said), "{what}: {error}");
    };
    for name in ["../evil", "/etc/cron.d/evil", "ca/../../evil", "ca/key.pem/../x", "./ca/key.pem", "", "ca"]
    {
        check(name, &|entries| entries[2].name = name.as_bytes().to_vec(), "where ca/key.pem should be");
    }
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Char,
        EntryType::GNULongName,
        EntryType::XHeader,
        EntryType::GNUSparse,
    ] {
        check("a kind", &|entries| entries[2].kind = kind, "where ca/key.pem should be");
    }
    check("one more", &|entries| entries.push(entry("evil", b"")), "something follows");
    check("one twice", &|entries| entries.push(entries[4].clone()), "something follows");
    check("one less", &|entries| drop(entries.pop()), "cut off");
    check("another order", &|entries| entries.swap(1, 2), "where ca/certificate.pem should be");
    check("too long", &|entries| entries[2].bytes.push(b'!'), "which is too much");
    check("too short", &|entries| entries[2].bytes.truncate(1), "not as long as was announced");
    check("another's", &|entries| entries[2].bytes[0] ^= 1, "damaged");
    check("no first", &|entries| drop(entries.remove(0)), "where backup.json should be");
}

#[test]
fn nothing_that_no_backup_holds_is_announced() {
    let check = |change: &dyn Fn(&mut BackupManifest), said: &str| {
        let mut manifest = manifest();
        change(&mut manifest);
        let error = refused(&packed(&tarred(&whole(&manifest))));
        assert!(error.contains(said), "{error}");
    };
    for name in
        ["../x", "/x", "ca/../x", "x", "blobs/sha256/../../x", "blobs/sha256/", "CA/key.pem", "ca/key.pem\0"]
    {
        check(&|manifest| manifest.parts[3].name = name.to_owned(), "which no backup holds");
    }
    check(&|manifest| manifest.parts[3].sha256 = "00".repeat(32), "which no backup holds");
    check(&|manifest| manifest.parts[1].sha256 = "no".to_owned(), "the digest of");
    check(&|manifest| manifest.parts.push(manifest.parts[1].clone()), "twice");
    check(&|manifest| drop(manifest.parts.remove(1)), "it lacks ca/key.pem");
    check(&|manifest| manifest.parts[1].bytes = 2 << 20, "would be 2097152 bytes long");
    check(&|manifest| manifest.format = 2, "is of format 2");
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    // A terabyte of zeros, announced as it is: whoever unpacks is told before the first of them.
    struct Small;
    impl Receiver for Small {
        fn begin(&mut self, manifest: &BackupManifest) -> anyhow::Result<()> {
            ensure!(manifest.unpacked() < 1 << 30, "too much");
            Ok(())
        }
        fn part(&mut self, _: &Part, _: &mut dyn Read) -> anyhow::Result<()> {
            panic!("it was unpacked");
        }
    }
    let mut large = manifest();
    large.parts[2].bytes = 1 << 40;
    let error = read(packed(&tarred(&whole(&large))).as_slice(), &mut Small).unwrap_err();
    assert!(error.to_string().contains("too much"), "{error}");
    // And a first part that is said to be endless is not read.
    let mut endless = tarred(&whole(&manifest()));
    endless[124..136].copy_from_slice(b"77777777777\0");
    let sum: u32 = endless[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    endless[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = refused(&packed(&endless));
    assert!(error.contains("which is too much"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn one_that_is_cut_off_is_refused(at in 0.0..1.0_f64) {
        let archive = packed(&tarred(&whole(&manifest())));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in it")]
        let at = (archive.len() as f64 * at) as usize;
        refused(&archive[..at]);
    }

    /// Whatever is changed in the packed file is found; in the tar archive within it what is not found changes no part.
    #[test]
    fn damage_is_found(at in any::<prop::sample::Index>(), bit in 0..8_u32, packed_too in any::<bool>()) {
        let mut tar = tarred(&whole(&manifest()));
        if packed_too {
            let mut archive = packed(&tar);
            let at = at.index(archive.len());
            archive[at] ^= 1 << bit;
            let mut keeps = Keeps::default();
            if let Ok(found) = read(archive.as_slice(), &mut keeps) {
                prop_assert_eq!(found, manifest());
            }
        } else {
            let at = at.index(tar.len());
            tar[at] ^= 1 << bit;
            let mut keeps = Keeps::default();
            if let Ok(found) = read(packed(&tar).as_slice(), &mut keeps) {
                for part in &found.parts {
                    prop_assert_eq!(hex::encode(Sha256::digest(&keeps.0[&part.name])), part.sha256.clone());
                }
            }
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(read(bytes.as_slice(), &mut Keeps::default()).is_err());
        prop_assert!(read_for_nobody(bytes.as_slice()).is_err());
    }
}
