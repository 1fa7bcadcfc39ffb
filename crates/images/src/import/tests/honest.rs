//! What honest tarballs hold survives: the image, made a filesystem by mke2fs, is what the tarball is once GNU tar has
//! unpacked it (`tar --acls --xattrs`).

use super::*;
use crate::directory::unpack_into;
use std::process::Command;

fn run(program: &str, arguments: &[&str], within: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(within).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const TREE: &str = r"
mkdir -p sbin boot etc usr/bin var/log/deep run usr/share
printf '#!/bin/sh\n' > usr/bin/init; chmod 755 usr/bin/init
ln -s ../usr/bin/init sbin/init
echo kernel > boot/vmlinuz-6.1
printf 'ID=rocky\nVERSION_ID=9.4\nPRETTY_NAME=Rocky\n' > etc/os-release
printf 'root:x:0:0::/root:/bin/sh\nlisa:x:1234:1234::/:/bin/sh\n' > etc/passwd
echo shared > etc/one; ln etc/one etc/two; ln etc/one usr/three
ln -s /absolute/target usr/link; ln etc/../usr/link usr/link-again
truncate -s 40M var/log/lastlog; printf end >> var/log/lastlog; printf middle | dd of=var/log/lastlog bs=1 seek=20M conv=notrunc status=none
truncate -s 3M var/log/hole
mkfifo run/fifo
chown 70000:80000 etc/passwd; chown 3000000:5 etc/os-release; chmod 4711 usr/bin/init; chmod 1777 run
long=$(printf 'n%.0s' $(seq 200)); mkdir -p usr/share/$long/$long; echo deep > usr/share/$long/$long/$long
ln -s $long/$long/$long usr/share/far
echo text > usr/share/größe; printf x > $(printf 'usr/share/caf\351'); printf x > $(printf 'usr/share/%s\351' $long)
touch -d '1969-12-31 12:00:00 UTC' etc/one; touch -d '2001-02-03 04:05:06.123456789 UTC' boot/vmlinuz-6.1
";

const ATTRIBUTES: &str = r#"
setfattr -n user.note -v "two
lines" etc/passwd
setcap cap_net_raw+ep usr/three
setfacl -m u:1234:rwx,g:77:r-- etc/os-release
setfacl -d -m u:1234:r-x var/log/deep
setfattr -n security.selinux -v system_u:object_r:bin_t:s0 usr/bin/init || true
"#;

/// All that is known of a tree; of directories neither size nor links, which are the filesystem's.
fn told(tree: &Path) -> String {
    let script = r"
find . -printf '%p %y %m %U %G %s %n %Ts %l\n' | grep -v lost+found | LC_ALL=C sort | sed 's/^\(\.[^ ]* d [^ ]* [^ ]* [^ ]*\) [0-9]* [0-9]*/\1/'
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -print0 | LC_ALL=C sort -z | grep -zv lost+found | xargs -0 getfattr -h -d -m '^(user|security)' --absolute-names 2>/dev/null
";
    run("sh", &["-c", script], tree)
}

/// Its access control lists.
fn lists(tree: &Path) -> String {
    let script = "find . ! -type l -print0 | LC_ALL=C sort -z | grep -zv lost+found | xargs -0 getfacl -n -p";
    run("sh", &["-c", script], tree)
}

fn blocks(tree: &Path, name: &str) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&tree.join(name).metadata().unwrap()) * 512
}

fn unpacked(directory: &Path, tarball: &Path, name: &str) -> PathBuf {
    let tree = directory.join(name);
    std::fs::create_dir(&tree).unwrap();
    let arguments = [
        "--acls",
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "-p",
        "-xf",
        tarball.to_str().unwrap(),
    ];
    run("tar", &arguments, &tree);
    tree
}

fn same(a: &str, b: &str, what: &str) {
    for (a, b) in a.lines().zip(b.lines()) {
        assert_eq!(a, b, "{what}");
    }
    assert_eq!(a.lines().count(), b.lines().count(), "{what}");
}

#[tokio::test]
async fn everything_in_an_honest_one_survives() {
    let tools =
        ["setfacl", "setfattr", "setcap"].map(|program| Command::new(program).arg("--version").output());
    if !rustix::process::geteuid().is_root() || tools.iter().any(Result::is_err) {
        println!("skipped: needs root, acl, attr and libcap2-bin");
        return;
    }
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let tree = directory.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    run("bash", &["-ec", TREE], &tree);
    run("bash", &["-ec", ATTRIBUTES], &tree);
    // As people pack: by name and by number, in PAX with each way of writing holes, in GNU's own format.
    let everything = ["--acls", "--xattrs", "--xattrs-include=*"];
    let ways: [(&str, &[&str]); 5] = [
        ("pax.tar", &["--format=pax", "--sparse"]),
        ("pax01.tar.gz", &["--format=pax", "--sparse", "--sparse-version=0.1", "--numeric-owner", "-z"]),
        ("pax00.tar.xz", &["--format=pax", "--sparse", "--sparse-version=0.0", "-J"]),
        ("gnu.tar", &["--format=gnu", "--sparse", "--numeric-owner"]),
        ("dense.tar.zst", &["--format=pax", "--zstd"]),
    ];
    for (file, way) in ways {
        let file = directory.path().join(file);
        let mut arguments = way.to_vec();
        if !way.contains(&"--format=gnu") {
            arguments.extend(everything);
        }
        arguments.extend(["-cf", file.to_str().unwrap(), "."]);
        run("tar", &arguments, &tree);
        let (out, scratch) = (directory.path().join("out"), tempfile::tempdir_in(directory.path()).unwrap());
        let image = import(&file, &name(), &out, &ImportOptions::default(), &|_, _| {}).unwrap();
        assert_eq!(image.distribution.as_ref().unwrap().name, "Rocky");
        assert_eq!((image.init.as_str(), image.kernel.as_str()), ("/sbin/init", "/boot/vmlinuz-6.1"));
        let theirs = unpacked(scratch.path(), &file, "theirs");
        let ours = unpacked(scratch.path(), &image.path, "ours");
        let (expected, lists) = (told(&theirs), lists(&theirs));
        // GNU tar itself restores lists from text alone, and an image holds them as attributes.
        same(&expected, &told(&ours), &format!("{} by tar", file.display()));
        if way.contains(&"--sparse") {
            for name in ["var/log/lastlog", "var/log/hole"] {
                assert!(blocks(&ours, name) <= blocks(&theirs, name).max(1 << 16), "{name} keeps its holes");
            }
        }
        let expected = expected + &lists;
        same(
            &expected,
            &told_of_filesystem(scratch.path(), &image, "var/log/hole").await,
            &format!("{} by mke2fs", file.display()),
        );
        if way == ways[0].1 {
            for filesystem in ["ext4", "btrfs", "xfs"] {
                let Some(told) = told_of_directory(scratch.path(), &image, filesystem) else { continue };
                same(&expected, &told, &format!("{} in a directory on {filesystem}", file.display()));
            }
        }
        std::fs::remove_file(&image.path).unwrap();
    }
}

/// The image as files on a filesystem of this kind; nothing, where there is no program that makes such.
fn told_of_directory(scratch: &Path, image: &ImportedImage, kind: &str) -> Option<String> {
    let (disk, at) = (scratch.join(kind), scratch.join(format!("{kind}-mounted")));
    std::fs::create_dir(&at).unwrap();
    File::create(&disk).unwrap().set_len(400 << 20).unwrap();
    if !Command::new(format!("mkfs.{kind}"))
        .arg("-q")
        .arg(&disk)
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("{kind} skipped: no mkfs.{kind}");
        return None;
    }
    run("mount", &["-o", "loop", disk.to_str().unwrap(), at.to_str().unwrap()], scratch);
    let told = std::panic::catch_unwind(|| {
        unpack_into(File::open(&image.path).unwrap(), image.unpacked, &at).unwrap();
        assert!(blocks(&at, "var/log/hole") < 1 << 16, "holes stay holes");
        told(&at) + &lists(&at)
    });
    run("umount", &[at.to_str().unwrap()], scratch);
    std::fs::remove_file(&disk).unwrap();
    Some(told.unwrap())
}

/// The image as a guest's disk, looked at by the kernel: this one we made ourselves.
async fn told_of_filesystem(directory: &Path, image: &ImportedImage, hole: &str) -> String {
    let target = Partial::create(directory, "disk").unwrap();
    let expected = crate::unpack::Expected {
        digest: image.digest,
        compressed: image.compressed,
        unpacked: image.unpacked,
    };
    let bytes = std::fs::read(&image.path).unwrap();
    crate::unpack::unpack(bytes.as_slice(), expected, &target, &|_| {}).await.unwrap();
    let disk = target.finish("disk").unwrap();
    let at = directory.join("mounted");
    std::fs::create_dir(&at).unwrap();
    run("mount", &["-o", "loop,ro", disk.to_str().unwrap(), at.to_str().unwrap()], directory);
    let told = std::panic::catch_unwind(|| {
        assert!(blocks(&at, hole) < 1 << 16, "holes stay holes on a disk");
        told(&at) + &lists(&at)
    });
    run("umount", &[at.to_str().unwrap()], directory);
    std::fs::remove_file(&disk).unwrap();
    told.unwrap()
}

/// What a kernel makes of a disk, and mke2fs does not: an index of a directory, blocks that are kept and never written, holes
/// that were punched, a file in many pieces, attributes too large for an inode, a socket.
const LIVED_IN: &str = r#"
mkdir -p srv/many dev etc/ssh root/.ssh home/lisa var/log/app var/log/journal var/lib/dhcp run tmp etc/honcho/mail etc/systemd/network
touch etc/machine-id
(cd srv/many && seq 1 3000 | xargs touch)
fallocate -l 8M srv/kept; printf begin | dd of=srv/kept conv=notrunc status=none
touch srv/longer; fallocate -l 4M --keep-size srv/longer; printf some >> srv/longer
dd if=/dev/urandom of=srv/punched bs=64k count=64 status=none
for n in $(seq 1 2 63); do fallocate -p -o $((n * 65536)) -l 65536 srv/punched; done
truncate -s 600M srv/huge; printf middle | dd of=srv/huge bs=1 seek=300M conv=notrunc status=none
setfattr -n user.large -v "$(printf 'x%.0s' $(seq 2000))" srv/many/7
setfattr -n trusted.of_this_machine -v 1 srv/many/8
for i in 1 2 3; do dd if=/dev/urandom of=srv/torn$i bs=4k count=1 status=none; done
for n in $(seq 1 50); do for i in 1 2 3; do dd if=/dev/urandom of=srv/torn$i bs=4k count=1 conv=notrunc oflag=append,direct status=none; done; done
"#;

/// What makes a disk one guest's.
const OF_ONE_GUEST: &str = r#"
echo web1 > etc/hostname; echo 0123456789abcdef0123456789abcdef > etc/machine-id
echo secret > etc/ssh/ssh_host_ed25519_key; echo secret > root/.ssh/authorized_keys; echo ls > home/lisa/.bash_history
mkdir run/lock var/log/journal/0123456789abcdef0123456789abcdef; echo said > var/log/app/log; echo lease > var/lib/dhcp/dhclient.leases; echo x > run/lock/x; echo x > tmp/x
echo secret > etc/honcho/mail/key.pem; echo x > etc/systemd/network/10-honcho-0.network
mknod dev/sda b 8 1; mknod dev/tty c 5 0; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("dev/socket")'
"#;

/// What is made or removed in a directory shows in its time.
const AT_ONE_TIME: &str =
    "find . -xdev -type d -exec touch -d '2020-01-01 UTC' {} +; touch -d '2020-01-01 UTC' etc/machine-id";

#[tokio::test]
async fn everything_on_a_disk_survives_but_what_makes_it_one_guests() {
    if !rustix::process::geteuid().is_root() || Command::new("setfacl").arg("--version").output().is_err() {
        println!("skipped: needs root, acl, attr and libcap2-bin");
        return;
    }
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let (disk, at) = (directory.path().join("disk"), directory.path().join("mounted"));
    std::fs::create_dir(&at).unwrap();
    File::create(&disk).unwrap().set_len(300 << 20).unwrap();
    let (disk_name, at_name) = (disk.to_str().unwrap(), at.to_str().unwrap());
    run("mkfs.ext4", &["-q", "-b", "4096", "-N", "8000", disk_name], directory.path());
    run("mount", &["-o", "loop", disk_name, at_name], directory.path());
    let told = std::panic::catch_unwind(|| {
        // Logs and what runs go; the rest of the tree is to stay.
        for script in [TREE, ATTRIBUTES] {
            run("bash", &["-ec", &script.replace("var/log", "srv/log").replace(" run", " srun")], &at);
        }
        run("bash", &["-ec", LIVED_IN], &at);
        run("bash", &["-ec", AT_ONE_TIME], &at);
        let before = told(&at) + &lists(&at);
        run("bash", &["-ec", OF_ONE_GUEST], &at);
        run("bash", &["-ec", AT_ONE_TIME], &at);
        before
    });
    run("umount", &[at_name], directory.path());
    let told = told.unwrap();
    assert!(told.contains("user.large") && told.contains("security.capability"), "all of it is looked at");
    let options = ImportOptions { from: ImportFrom::Disk, ..ImportOptions::default() };
    let out = directory.path().join("out");
    let image = import(&disk, &name(), &out, &options, &|_, _| {}).unwrap();
    assert!(
        image.notes.iter().any(|note| note.contains("/etc/ssh/ssh_host_ed25519_key")),
        "{:?}",
        image.notes
    );
    assert!(image.notes.iter().any(|note| note.contains("trusted.of_this_machine")), "{:?}", image.notes);
    let scratch = tempfile::tempdir_in(directory.path()).unwrap();
    let after = told_of_filesystem(scratch.path(), &image, "srv/log/hole").await;
    same(&told, &after, "on the disk and of the image");
    // What is sent for sealing is the same each time, and comes to the same image.
    let mut tarball = Vec::new();
    let captured = disk::capture(File::open(&disk).unwrap(), &mut tarball, &|| true, &|_| {}).unwrap();
    let again = disk::capture(File::open(&disk).unwrap(), io::sink(), &|| true, &|_| {}).unwrap();
    assert_eq!((captured, captured.compressed.0), (again, tarball.len() as u64));
    let file = directory.path().join("sent.tar.zst");
    std::fs::write(&file, tarball).unwrap();
    let sealed = import(&file, &name(), &out, &ImportOptions::default(), &|_, _| {}).unwrap();
    assert_eq!(sealed.digest, image.digest);
}

#[test]
fn the_same_files_make_the_same_image_in_whatever_order_they_come() {
    let one = Tarball::system().file("b", b"2").file("a", b"1").entry("z", b'1', "b", 0o644, b"").end();
    let other = Tarball::default()
        .directory("./")
        .file("./z", b"2")
        .file("./a", b"1")
        .entry("./b", b'1', "./z", 0o644, b"");
    let other = Tarball([other.0, Tarball::system().0].concat()).end();
    let import = |bytes: &[u8]| import_bytes(bytes, &ImportOptions::default()).unwrap().0.digest;
    assert_eq!(import(&one), import(&other));
}

/// As the `tar` crate's headers are while nobody sets them.
#[test]
fn fields_that_were_left_out_are_none() {
    let mut tar = Tarball::system();
    for (path, kind, content) in [("./blank", b'0', &b"content"[..]), ("./link", b'2', b"")] {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[0] = b'b';
        header.set_entry_type(tar::EntryType::new(kind));
        if !content.is_empty() {
            header.set_size(content.len() as u64);
        }
        header.set_cksum();
        tar.0.extend_from_slice(header.as_bytes());
        tar.0.extend_from_slice(content);
        tar.0.resize(tar.0.len().next_multiple_of(512), 0);
    }
    let (_, packed) = import_bytes(&tar.end(), &ImportOptions::default()).unwrap();
    let mut archive = tar::Archive::new(packed.as_slice());
    let blank = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|e| e.path().unwrap().ends_with("blank"))
        .unwrap();
    let header = blank.header();
    assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
}

#[test]
fn a_tree_without_a_kernel_takes_the_machines() {
    let machine = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &str| {
        let path = machine.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let options =
        ImportOptions { kernel: KernelFrom::Machine(machine.path().to_owned()), ..ImportOptions::default() };
    let container = Tarball::default()
        .entry("usr/sbin/init", b'0', "", 0o755, b"x")
        .entry("sbin", b'2', "usr/sbin", 0o777, b"")
        .entry("lib", b'2', "usr/lib", 0o777, b"")
        .directory("usr/lib")
        .end();
    let error = import_bytes(&container, &options).unwrap_err().to_string();
    assert!(error.contains("install linux-image-cloud-amd64"), "{error}");
    put("boot/vmlinuz-6.1", "kernel");
    put("boot/initrd.img-6.1", "initrd");
    let error = import_bytes(&container, &options).unwrap_err().to_string();
    assert!(error.contains("modules are not in"), "{error}");
    put("lib/modules/6.1/kernel/virtio.ko", "module");
    let (image, packed) = import_bytes(&container, &options).unwrap();
    assert_eq!(image.kernel, "/boot/vmlinuz-6.1");
    assert!(image.notes.iter().any(|note| note.contains("this machine's, 6.1")), "{:?}", image.notes);
    let mut archive = tar::Archive::new(packed.as_slice());
    let names: Vec<String> =
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    for wanted in ["./boot/initrd.img-6.1", "./usr/lib/modules/6.1/kernel/virtio.ko"] {
        assert!(names.iter().any(|name| name == wanted), "{names:?}");
    }
}

/// `HONCHO_IMPORT=rootfs.tar.xz cargo test -p honcho-images -- --ignored --nocapture real_file`
#[test]
#[ignore = "imports the file that HONCHO_IMPORT names, and tells how much memory that took"]
fn a_real_file_is_imported_or_refused() {
    let file = PathBuf::from(std::env::var_os("HONCHO_IMPORT").unwrap());
    let out = tempfile::tempdir_in("/var/tmp").unwrap();
    match import(&file, &name(), out.path(), &ImportOptions::default(), &|_, _| {}) {
        Ok(image) => {
            println!("{} packages", image.packages.len());
            println!("{:?}", ImportedImage { packages: vec![], ..image });
        }
        Err(error) => println!("refused: {error}"),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{peak}");
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 1 << 20, "a gigabyte is enough for whatever comes");
}
