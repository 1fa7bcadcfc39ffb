//! `honcho image register` and `import`, against a real brain.

use crate::real::RealBrain;
use crate::transcript;
use expect_test::expect;
use serde_json::Value;

/// A guest's files, with one package among them.
fn tarball() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n";
    for (path, content) in [("./etc/hostname", "web\n"), ("./var/lib/dpkg/status", status)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    zstd::encode_all(builder.into_inner().unwrap().as_slice(), 3).unwrap()
}

#[tokio::test]
async fn a_tarball_becomes_an_image() {
    let brain = RealBrain::start().await;
    let file = brain.write("own.tar.zst", &tarball());
    let own = ["image", "register", &file, "--name", "own"];
    let told = brain.operate(&own, b"").await;
    let text = transcript(&told);
    assert!(text.contains("image own\n") && text.contains("packages  1\n"), "{text}");
    assert!(text.contains("sent it to "), "{text}");
    // Again, it is there already, and the same image.
    let again = brain.operate(&[&own[..], &["--json"]].concat(), b"").await;
    let image: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((image["id"].as_i64(), image["packages_count"].as_i64()), (Some(1), Some(1)));
    assert!(transcript(&again).contains("the brain has it already"));
    let packages = brain.operate(&["image", "packages", "own"], b"").await;
    assert!(transcript(&packages).contains("bash  5.2      amd64"), "{}", transcript(&packages));
    // Another tarball is not the image of that name, and what is none is said to be none.
    let other = brain.write("other.tar.zst", &zstd::encode_all(&[0_u8; 1024][..], 1).unwrap());
    let refused = brain.operate_anyway(&["image", "register", &other, "--name", "own"], b"").await;
    assert_eq!(refused.code, Some(4), "{}", transcript(&refused));
    let plain = brain.write("plain.tar", b"no tarball");
    let refused = brain.operate_anyway(&["image", "register", &plain, "--name", "new"], b"").await;
    let told = transcript(&refused).replace(&plain, "PLAIN");
    expect![[r#"
        --- stderr
        register new: read the tarball
        error: cannot read PLAIN
        caused by: Unknown frame descriptor
        hint: an image is a tar compressed with zstd: `zstd IMAGE.tar` makes one of a tar
        --- exit 1
    "#]]
    .assert_eq(&told);
}

/// A root filesystem as somebody else packs one.
fn root_filesystem(more: &[(&str, u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let own = [("./sbin/init", 0o755), ("./boot/vmlinuz-6.1", 0o644), ("./etc/os-release", 0o644)];
    for (path, mode) in own.iter().chain(more) {
        let content = "PRETTY_NAME=\"Rocky Linux 9\"\nID=rocky\n";
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn a_strangers_root_filesystem_becomes_an_image_or_is_refused() {
    let brain = RealBrain::start().await;
    let file = brain.write("theirs.tar", &root_filesystem(&[("./opt/shell", 0o4755)]));
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap().to_owned();
    let import = |file: &str| {
        ["image", "import", file, "--name", "theirs", "--directory", &out].map(str::to_owned).to_vec()
    };
    let evil = brain.write("evil.tar", &root_filesystem(&[("../../etc/cron.d/x", 0o644)]));
    let words = import(&evil);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refused = brain.operate_anyway(&words, b"").await;
    expect![[r#"
        --- stderr
        import theirs: read the files
        import theirs: read the files 25%
        error: EVIL was not imported
        caused by: ../../etc/cron.d/x leads upwards, by ..
        --- exit 1
    "#]]
    .assert_eq(&transcript(&refused).replace(&evil, "EVIL"));
    let words = import(&file);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = transcript(&brain.operate(&words, b"").await);
    assert!(told.contains("image theirs\n"), "{told}");
    assert!(told.contains("imported Rocky Linux 9: 9 files"), "{told}");
    assert!(told.contains("/opt/shell (setuid root)"), "{told}");
    assert!(std::fs::read_dir(&out).unwrap().next().is_none(), "the brain has it");
}
