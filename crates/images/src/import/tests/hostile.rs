//! Each of these is looked at: what is said of it, and that nothing outside has changed.

use super::*;
use expect_test::{Expect, expect};
use std::os::unix::fs::MetadataExt;

/// What becomes of a tarball, in words.
fn outcome(bytes: &[u8], options: &ImportOptions) -> String {
    match import_bytes(bytes, options) {
        Ok((image, packed)) => {
            check_reader(&packed);
            let mut text = String::from("taken");
            for note in &image.notes {
                text = text + "\n    " + note;
            }
            text
        }
        Err(error) => format!("refused: {error}"),
    }
}

fn check(cases: Vec<(&str, Vec<u8>)>, expected: &Expect) {
    let small = ImportOptions { largest: Bytes::mib(64), most_files: 2000, ..ImportOptions::default() };
    let lines: Vec<String> =
        cases.into_iter().map(|(what, bytes)| format!("{what}: {}\n", outcome(&bytes, &small))).collect();
    expected.assert_eq(&lines.concat());
}

fn with(more: impl FnOnce(Tarball) -> Tarball) -> Vec<u8> {
    more(Tarball::system()).end()
}

#[test]
fn no_path_leads_anywhere_else() {
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary");
    std::fs::write(&canary, "alive").unwrap();
    let out = outside.path().to_str().unwrap();
    let before = std::fs::metadata("/etc/shadow").map(|shadow| (shadow.nlink(), shadow.ctime())).ok();
    let cases = vec![
        ("absolute", with(|tar| tar.file("/etc/cron.d/x", b"x"))),
        ("upwards", with(|tar| tar.file("../../etc/x", b"x"))),
        ("upwards inside", with(|tar| tar.file("etc/../../x", b"x"))),
        ("up and down", with(|tar| tar.file("etc/../x", b"x"))),
        ("the root upwards", with(|tar| tar.directory(".."))),
        (
            "symlink, then through it",
            with(|tar| tar.entry("./way", b'2', "/tmp", 0o777, b"").file("./way/x", b"x")),
        ),
        (
            "symlink, then over it",
            with(|tar| tar.entry("./way", b'2', "/etc/shadow", 0o777, b"").file("./way", b"x")),
        ),
        (
            "directory, then symlink in its place",
            with(|tar| tar.directory("way").entry("way", b'2', "/tmp", 0o777, b"")),
        ),
        (
            "symlink, then directory in its place",
            with(|tar| tar.entry("way", b'2', "/tmp", 0o777, b"").directory("way")),
        ),
        ("hard link to the host's shadow", with(|tar| tar.entry("./x", b'1', "/etc/shadow", 0o644, b""))),
        ("hard link upwards", with(|tar| tar.entry("./x", b'1', "../../etc/shadow", 0o644, b""))),
        (
            "hard link through a symlink",
            with(|tar| tar.entry("way", b'2', "/etc", 0o777, b"").entry("x", b'1', "way/shadow", 0o644, b"")),
        ),
        ("hard link to a directory", with(|tar| tar.entry("./x", b'1', "etc", 0o644, b""))),
        ("hard link to itself", with(|tar| tar.entry("./x", b'1', "./x", 0o644, b""))),
        ("below a file", with(|tar| tar.file("etc/passwd/x", b"x"))),
        ("the root as a file", with(|tar| tar.file("./", b"x"))),
        ("the root as a symlink", with(|tar| tar.entry(".", b'2', "/", 0o777, b""))),
        ("an absolute symlink alone", with(|tar| tar.entry("./x", b'2', "/etc/shadow", 0o777, b""))),
    ];
    check(
        cases,
        &expect![[r"
            absolute: taken
                absolute names, taken as within the image (1): /etc/cron.d/x
            upwards: refused: ../../etc/x leads upwards, by ..
            upwards inside: refused: etc/../../x leads upwards, by ..
            up and down: refused: etc/../x leads upwards, by ..
            the root upwards: refused: .. leads upwards, by ..
            symlink, then through it: refused: ./way/x leads through the symbolic link way -> /tmp
            symlink, then over it: taken
                names that came twice, of which the later file counts (1): ./way
            directory, then symlink in its place: refused: way was a directory before, and is something else now
            symlink, then directory in its place: refused: way is a directory, and was something else before
            hard link to the host's shadow: refused: ./x is a hard link to /etc/shadow, which the tarball does not hold before it
            hard link upwards: refused: ./x is a hard link to ../../etc/shadow, outside of the image
            hard link through a symlink: refused: x is a hard link to way/shadow, which the tarball does not hold before it
            hard link to a directory: refused: ./x is a hard link to the directory etc
            hard link to itself: refused: ./x is a hard link to ./x, which the tarball does not hold before it
            below a file: refused: etc/passwd/x is below passwd, which is no directory
            the root as a file: refused: ./ is the root, and no directory
            the root as a symlink: refused: . is the root, and no directory
            an absolute symlink alone: taken
        "]],
    );
    // The same towards a place that can be looked at.
    let up = "../".repeat(12) + out.trim_start_matches('/');
    let small = ImportOptions::default();
    for tar in [
        with(|tar| tar.file(format!("{out}/x"), b"x")),
        with(|tar| tar.file(format!("{up}/x"), b"x")),
        with(|tar| tar.entry("./way", b'2', out, 0o777, b"").file("./way/canary", b"dead")),
        with(|tar| tar.entry("./x", b'1', canary.to_str().unwrap(), 0o644, b"")),
        with(|tar| tar.entry("./x", b'2', canary.to_str().unwrap(), 0o777, b"").file("./x", b"dead")),
    ] {
        outcome(&tar, &small);
        let names: Vec<_> =
            std::fs::read_dir(outside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["canary"]);
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "alive");
        assert_eq!(canary.metadata().unwrap().nlink(), 1);
    }
    let after = std::fs::metadata("/etc/shadow").map(|shadow| (shadow.nlink(), shadow.ctime())).ok();
    assert_eq!(before, after);
}

#[test]
fn what_files_may_do_is_told() {
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let cases = vec![
        (
            "a disk",
            with(|tar| tar.entry("./tmp/sda1", b'4', "", 0o666, b"").entry("dev/null", b'3', "", 0o666, b"")),
        ),
        (
            "setuid",
            with(|tar| {
                tar.entry("usr/bin/sudo", b'0', "", 0o4755, b"x")
                    .entry("tmp/.x", b'0', "", 0o4755, b"x")
                    .entry("usr/bin/backdoor", b'0', "", 0o2755, b"x")
                    .records(&[("SCHILY.xattr.security.capability", &capability)])
                    .entry("usr/bin/vim", b'0', "", 0o755, b"x")
            }),
        ),
        (
            "names",
            with(|tar| {
                tar.file("./a\nb", b"x")
                    .file(b"./caf\xe9", b"x")
                    .file("./\u{1b}[31mred", b"x")
                    .file("./größe", b"x")
            }),
        ),
        ("a name twice", with(|tar| tar.file("etc/motd", b"old").file("etc/motd", b"new"))),
        (
            "attributes of another machine",
            with(|tar| {
                tar.records(&[("SCHILY.xattr.trusted.overlay.opaque", b"y"), ("SCHILY.xattr.user.a", b"b")])
                    .directory("var")
            }),
        ),
        (
            "too large attributes",
            with(|tar| tar.records(&[("SCHILY.xattr.user.a", &[7; 5000])]).file("x", b"")),
        ),
        (
            "a list of somebody unknown",
            with(|tar| {
                tar.records(&[(
                    "SCHILY.acl.access",
                    b"user::rw-,user:mallory:rwx,group::r--,mask::rwx,other::r--",
                )])
                .file("x", b"")
            }),
        ),
        ("an owner who is none", with(|tar| tar.records(&[("uid", b"4294967295")]).file("x", b""))),
    ];
    check(
        cases,
        &expect![[r"
            a disk: taken
                device nodes left out (--devices keeps them) (2): ./tmp/sda1, dev/null
            setuid: taken
                programs with rights of their own in unusual places (besides 1 such as su and passwd); look at them (3): /tmp/.x (setuid root), /usr/bin/backdoor (setgid), /usr/bin/vim (capabilities)
            names: taken
                names that are no text or hold control characters, kept as they are (3): ./a\nb, ./caf\xe9, ./\u{1b}[31mred
            a name twice: taken
                names that came twice, of which the later file counts (1): etc/motd
            attributes of another machine: taken
                extended attributes left out, which mean nothing in a guest (1): trusted.overlay.opaque of var
            too large attributes: refused: x has larger extended attributes than ext4 can hold (3.5 kB together)
            a list of somebody unknown: refused: a file of it has an access control list that names mallory, whom its own /etc/passwd does not know
            an owner who is none: refused: x is owned by uid 4294967295, which no Linux knows
        "]],
    );
}

#[test]
fn two_readers_of_tar_are_given_nothing_to_disagree_on() {
    let gnu = |kind, name: &[u8], tar: Tarball| tar.entry("././@LongLink", kind, "", 0, name);
    let cases = vec![
        // TARmageddon's (CVE-2025-62518): one reader takes what the other skips for headers.
        ("another size in a record", {
            let inner = Tarball::default().file("etc/smuggled", b"").0;
            with(|tar| tar.records(&[("size", b"512")]).lying("x", b'0', "", 0o644, &inner, 0))
        }),
        ("data behind a directory", with(|tar| tar.entry("x", b'5', "", 0o755, &[7; 512]))),
        ("data behind a hard link", with(|tar| tar.entry("x", b'1', "etc/passwd", 0o644, &[7; 512]))),
        ("data behind a symlink", with(|tar| tar.entry("x", b'2', "y", 0o644, &[7; 512]))),
        (
            "two names",
            with(|tar| gnu(b'L', b"etc/one\0", tar.records(&[("path", b"etc/two")])).file("x", b"")),
        ),
        ("two long names", with(|tar| gnu(b'L', b"etc/two\0", gnu(b'L', b"etc/one\0", tar)).file("x", b""))),
        ("a path for all", with(|tar| tar.entry("g", b'g', "", 0, b"12 path=abc\n").file("x", b""))),
        ("a comment for all", with(|tar| tar.entry("g", b'g', "", 0, b"15 comment=abc\n").file("x", b""))),
        ("a name with a zero byte", with(|tar| tar.records(&[("path", b"a\0b")]).file("x", b""))),
        ("a negative size", with(|tar| tar.records(&[("size", b"-1")]).file("x", b""))),
        (
            "the largest size there is",
            with(|tar| tar.records(&[("size", b"18446744073709551615")]).file("x", b"")),
        ),
        (
            "the largest size of a directory",
            with(|tar| tar.records(&[("size", b"18446744073709551615")]).directory("x")),
        ),
        (
            "the largest size of a list",
            with(|tar| tar.records(&[("size", b"18446744073709551615")]).entry("x", b'D', "", 0, b"")),
        ),
        ("a type of its own", with(|tar| tar.entry("x", b'Z', "", 0o644, b""))),
        (
            "an archive after the end",
            [with(|tar| tar), Tarball::default().file("etc/late", b"x").end()].concat(),
        ),
        (
            "a sparse file with overlapping pieces",
            with(|tar| {
                tar.records(&[
                    ("GNU.sparse.map", b"0,4,2,4"),
                    ("GNU.sparse.size", b"10"),
                    ("GNU.sparse.name", b"s"),
                ])
                .file("x", b"12345678")
            }),
        ),
        (
            "a sparse file that leads out of itself",
            with(|tar| {
                tar.records(&[("GNU.sparse.map", b"18446744073709551615,8"), ("GNU.sparse.size", b"10")])
                    .file("x", b"12345678")
            }),
        ),
        (
            "a sparse file without an end of its map",
            with(|tar| {
                tar.records(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.realsize", b"9"),
                ])
                .file("x", b"99999999\n")
            }),
        ),
    ];
    check(
        cases,
        &expect![[r"
            another size in a record: taken
            data behind a directory: refused: x carries data, though only files have some: readers of tar disagree on it
            data behind a hard link: refused: x carries data, though only files have some: readers of tar disagree on it
            data behind a symlink: refused: x carries data, though only files have some: readers of tar disagree on it
            two names: refused: an entry has two names, etc/two and etc/one
            two long names: refused: an entry has two extensions of one kind
            a path for all: refused: it says path of all its files at once, which readers of tar disagree on
            a comment for all: taken
            a name with a zero byte: refused: a\u{0}b has a name that no filesystem takes
            a negative size: refused: x size=-1 is no number
            the largest size there is: refused: its files have more than 64M (6 of them): if that is meant, raise --max-size
            the largest size of a directory: refused: x carries data, though only files have some: readers of tar disagree on it
            the largest size of a list: refused: it breaks off within x: it was not copied whole
            a type of its own: refused: x is of type Z, which is none of a file's
            an archive after the end: refused: something follows tar's end mark: unpack it with --ignore-zeros and pack it anew
            a sparse file with overlapping pieces: refused: s is a sparse file whose pieces overlap or lead out of it
            a sparse file that leads out of itself: refused: x is a sparse file whose pieces overlap or lead out of it
            a sparse file without an end of its map: refused: x is a sparse file whose map does not end
        "]],
    );
}

/// The data that a record makes longer is data: what looks like a header in it is none.
#[test]
fn what_is_smuggled_in_data_stays_data() {
    let inner = Tarball::default().file("etc/smuggled", b"").0;
    let tar = with(|tar| tar.records(&[("size", b"512")]).lying("x", b'0', "", 0o644, &inner, 0));
    let (_, packed) = import_bytes(&tar, &ImportOptions::default()).unwrap();
    let mut archive = tar::Archive::new(packed.as_slice());
    let names: Vec<(String, u64)> = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| (entry.path().unwrap().display().to_string(), entry.size()))
        .collect();
    assert!(names.contains(&("./x".to_owned(), 512)), "{names:?}");
    assert!(!names.iter().any(|(name, _)| name.contains("smuggled")), "{names:?}");
}

#[test]
fn what_is_too_much_is_refused_before_it_is_held() {
    let huge = 100 << 30;
    let zeros = |tar: Tarball| {
        // What follows is never read: the header has said enough.
        let tar = tar.lying("zeros", b'0', "", 0o644, &[], huge);
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(&tar.0).unwrap();
        encoder.write_all(&vec![0; 8 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let many = (0..2100).fold(Tarball::system(), |tar, n| tar.file(format!("many/{n}"), b"")).end();
    let deep = format!("{}x", "d/".repeat(2040));
    let cases = vec![
        ("100 GB of zeros", zeros(Tarball::system())),
        (
            "a hole of 100 GB",
            with(|tar| {
                tar.records(&[("GNU.sparse.map", b""), ("GNU.sparse.size", b"107374182400")]).file("x", b"")
            }),
        ),
        ("100 GB of extension", with(|tar| tar.lying("x", b'x', "", 0, &[], huge))),
        (
            "less than 100 GB behind an old directory",
            with(|tar| tar.lying("x", b'D', "", 0, &[0; 4096], huge)),
        ),
        ("too many entries", zstd::encode_all(many.as_slice(), 1).unwrap()),
        (
            "too many directories in one path",
            with(|tar| tar.records(&[("path", deep.as_bytes())]).file("x", b"")),
        ),
        ("a name too long", with(|tar| tar.records(&[("path", &[b'n'; 256])]).file("x", b""))),
        (
            "a path too long",
            with(|tar| tar.records(&[("path", "/n".repeat(2100).as_bytes())]).file("x", b"")),
        ),
        ("zeros after the end", {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.write_all(&with(|tar| tar)).unwrap();
            (0..80).for_each(|_| encoder.write_all(&vec![0; 1 << 20]).unwrap());
            encoder.finish().unwrap()
        }),
    ];
    check(
        cases,
        &expect![[r"
            100 GB of zeros: refused: its files have more than 64M (6 of them): if that is meant, raise --max-size
            a hole of 100 GB: refused: its files have more than 64M (6 of them): if that is meant, raise --max-size
            100 GB of extension: refused: an extension of an entry is 107374182400 bytes long
            less than 100 GB behind an old directory: refused: it breaks off within x: it was not copied whole
            too many entries: refused: it holds more than 2000 files: if that is meant, raise --max-files
            too many directories in one path: refused: it holds more than 2000 files: if that is meant, raise --max-files
            a name too long: refused: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn… has a longer name than a filesystem takes (255 bytes)
            a path too long: refused: /n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n… has a name that no filesystem takes
            zeros after the end: refused: more than 64 MiB of zeros follow tar's end mark
        "]],
    );
}

#[test]
fn what_is_not_whole_or_no_root_filesystem_is_told() {
    let whole =
        with(|tar| tar.file("large", &(0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()));
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let piped = |program: &str, bytes: &[u8]| {
        let mut child = std::process::Command::new(program)
            .arg("-c")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
        let feeding = std::thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap().unwrap();
        output.stdout
    };
    let mut damaged = piped("xz", &whole);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let cases = vec![
        ("gzip", piped("gzip", &whole)),
        ("xz", piped("xz", &whole)),
        ("zstd", zstd::encode_all(whole.as_slice(), 1).unwrap()),
        ("half a tar", half(whole.clone())),
        ("half a gzip", half(piped("gzip", &whole))),
        ("half an xz", half(piped("xz", &whole))),
        ("half a zstd", half(zstd::encode_all(whole.as_slice(), 1).unwrap())),
        ("a damaged xz", damaged),
        ("without its end mark", whole[..whole.len() - 1024].to_vec()),
        ("half a header", whole[..700].to_vec()),
        ("nothing", vec![]),
        ("a text", b"hello\n".repeat(200)),
        ("a compressed text", zstd::encode_all(&b"hello\n".repeat(200)[..], 1).unwrap()),
        ("bzip2", b"BZh91AY&SY".to_vec()),
        ("a zip", b"PK\x03\x04 and so on".to_vec()),
        ("an empty tar", Tarball::default().end()),
        ("docker save", Tarball::default().file("manifest.json", b"[]").directory("blobs").end()),
        (
            "one directory too high",
            Tarball::default().directory("rootfs/etc").file("rootfs/sbin/init", b"x").end(),
        ),
        ("without an init", Tarball::default().file("./bin/sh", b"x").directory("etc").end()),
        (
            "an init that leads nowhere",
            Tarball::default().entry("sbin/init", b'2', "/sbin/init", 0o777, b"").end(),
        ),
        (
            "an init that cannot be run",
            Tarball::default().file("sbin/init", b"x").file("boot/vmlinuz-1", b"x").end(),
        ),
        ("without a kernel", Tarball::default().entry("sbin/init", b'0', "", 0o755, b"x").end()),
    ];
    check(
        cases,
        &expect![[r"
        gzip: taken
        xz: taken
        zstd: taken
        half a tar: refused: it breaks off within large: it was not copied whole
        half a gzip: refused: it is damaged, or was not copied whole (gzip: gzip: stdin: unexpected end of file)
        half an xz: refused: it is damaged, or was not copied whole (xz: /usr/bin/xz: (stdin): Unexpected end of input)
        half a zstd: refused: it is damaged, or was not copied whole (zstd: /*stdin*\ : Read error (39) : premature end )
        a damaged xz: refused: it is damaged, or was not copied whole (xz: /usr/bin/xz: (stdin): Compressed data is corrupt)
        without its end mark: refused: it breaks off after large without tar's end mark: it was not copied whole
        half a header: refused: it breaks off within the header after ./: it was not copied whole
        nothing: refused: it is empty
        a text: refused: it is no tar, compressed or not
        a compressed text: refused: it is no tar, compressed or not
        bzip2: refused: it is compressed with bzip2: `bunzip2` it first (.tar, .gz, .xz and .zst are taken)
        a zip: refused: it is a zip, and no tar
        an empty tar: refused: it has no init: neither /sbin/init nor /etc/init leads to a program. A container has none: install systemd-sysv (or what the distribution calls it) in it first
        docker save: refused: it holds the layers of a container's image, not files: use `docker export CONTAINER`, not `docker save`
        one directory too high: refused: all of it is below rootfs/: pack it from within, as in `tar -C rootfs -c .`
        without an init: refused: it has no init: neither /sbin/init nor /etc/init leads to a program. A container has none: install systemd-sysv (or what the distribution calls it) in it first
        an init that leads nowhere: refused: it has no init: neither /sbin/init nor /etc/init leads to a program. A container has none: install systemd-sysv (or what the distribution calls it) in it first
        an init that cannot be run: refused: it has no init: neither /sbin/init nor /etc/init leads to a program. A container has none: install systemd-sysv (or what the distribution calls it) in it first
        without a kernel: refused: it has no kernel: neither /vmlinuz nor /boot/vmlinuz-* is one. Install one in it (linux-image-cloud-amd64, kernel-core), or say --host-kernel, which puts this machine's into the image
    "]],
    );
}
