//! `honcho image register`, `import` and what is asked of package lists, against a real brain.

use crate::real::RealBrain;
use crate::transcript;
use expect_test::expect;
use serde_json::Value;

/// A guest's files, with one package among them.
fn tarball() -> Vec<u8> {
    tarball_with(&[("bash", "5.2")])
}

/// A guest's files, with these packages.
fn tarball_with(packages: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let stanza = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n\n")
    };
    let status: String = packages.iter().map(stanza).collect();
    for (path, content) in [("./etc/hostname", "web\n"), ("./var/lib/dpkg/status", status.as_str())] {
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
    assert!(text.contains("image own\n") && text.contains("packages      1\n"), "{text}");
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

#[tokio::test]
async fn an_image_is_unpacked_into_an_empty_directory() {
    let brain = RealBrain::start().await;
    let file = brain.write("own.tar.zst", &tarball());
    brain.operate(&["image", "register", &file, "--name", "own"], b"").await;
    let place = tempfile::tempdir().unwrap();
    let work = place.path().join("work").display().to_string();
    for image in ["own", file.as_str()] {
        let at = place.path().join("at");
        let shown = at.display().to_string();
        let unpack = ["image", "unpack", image, &shown, "--work", &work];
        let told = brain.operate_anyway(&unpack, b"").await;
        let text = transcript(&told);
        if !rustix::process::geteuid().is_root() {
            assert!(text.contains("an image is unpacked as root"), "{text}");
            return;
        }
        assert!(text.contains("own@") && text.contains(&format!(" is in {shown}: ")), "{text}");
        assert_eq!(std::fs::read_to_string(at.join("etc/hostname")).unwrap(), "web\n");
        let again = transcript(&brain.operate_anyway(&unpack, b"").await);
        assert!(again.contains(&format!("{shown} is not empty: it holds ")), "{again}");
        std::fs::remove_dir_all(&at).unwrap();
    }
    assert!(std::fs::read_dir(&work).unwrap().next().is_none(), "what was fetched is gone");
    let stranger = brain.write("stranger.tar.zst", &tarball_with(&[("evil", "1")]));
    let refused = brain.operate_anyway(&["image", "unpack", &stranger, "/nowhere"], b"").await;
    assert!(transcript(&refused).contains("is no image of the brain's"), "{}", transcript(&refused));
    let none = ["image", "unpack", "own@000000000000", "/nowhere"];
    let refused = transcript(&brain.operate_anyway(&none, b"").await);
    assert!(refused.contains("error: own is own@") && refused.contains("not own@000000000000"), "{refused}");
}

#[tokio::test]
async fn an_image_is_signed_and_verified_and_what_was_changed_is_refused() {
    let brain = RealBrain::start().await;
    let file = brain.write("own.tar.zst", &tarball());
    let told = transcript(&brain.operate(&["image", "register", &file, "--name", "own"], b"").await);
    assert!(told.contains("images from here are signed by ") && told.contains(", verified"), "{told}");
    for image in ["own", &file] {
        let told = brain.operate(&["image", "verify", image, "--json"], b"").await;
        let verified: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!((verified["name"].as_str(), verified["bytes_read"].as_bool()), (Some("own"), Some(true)));
    }
    let listed = brain.operate(&["image", "keys", "--json"], b"").await;
    let keys: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let key = keys[0]["name"].as_str().unwrap();
    let refused = async |words: &[&str], why: &str| {
        let refused = brain.operate_anyway(words, b"").await;
        let told = transcript(&refused);
        assert!(refused.code == Some(4) && told.contains(why), "{told}");
    };
    // One that was packed anew, with something else in it; one that is no longer whole where the brain keeps it.
    let other = brain.write("other.tar.zst", &tarball_with(&[("bash", "5.3")]));
    refused(&["image", "verify", &other], "is no image of the brain's").await;
    refused(&["image", "verify", "own@0123456789ab"], "own is own@").await;
    let digest = brain.operate(&["image", "show", "own", "--json"], b"").await;
    let digest: Value = serde_json::from_slice(&digest.stdout).unwrap();
    let blob = brain.data().join("blobs/blobs/sha256").join(digest["digest"].as_str().unwrap());
    std::fs::write(&blob, &tarball()[1..]).unwrap();
    refused(&["image", "verify", "own"], "what the brain keeps has the digest").await;
    std::fs::write(&blob, tarball()).unwrap();
    brain.operate(&["image", "verify", "own"], b"").await;
    brain.operate(&["image", "distrust-key", key], b"").await;
    refused(&["image", "verify", "own"], "is not trusted any more").await;
    let told = transcript(&brain.operate(&["image", "show", "own"], b"").await);
    assert!(told.contains("NOT verified"), "{told}");
    refused(&["image", "register", &other, "--name", "other"], "trust-key").await;
    let public = keys[0]["public_key"].as_str().unwrap();
    brain.operate(&["image", "trust-key", "again", public], b"").await;
    brain.operate(&["image", "register", &other, "--name", "other"], b"").await;
    brain.operate(&["image", "verify", "own"], b"").await;
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
    let refused = transcript(&brain.operate_anyway(&words, b"").await).replace(&evil, "EVIL");
    // The key is named for this machine.
    let key =
        refused.split("are signed by ").nth(1).and_then(|rest| rest.split(" from now on").next()).unwrap();
    expect![[r#"
        --- stderr
        images from here are signed by KEY from now on
        import theirs: read the files
        import theirs: read the files 25%
        error: EVIL was not imported
        caused by: ../../etc/cron.d/x leads upwards, by ..
        --- exit 1
    "#]]
    .assert_eq(&refused.replace(key, "KEY"));
    let words = import(&file);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = transcript(&brain.operate(&words, b"").await);
    assert!(told.contains("image theirs\n"), "{told}");
    assert!(told.contains("imported Rocky Linux 9: 9 files"), "{told}");
    assert!(told.contains("/opt/shell (setuid root)"), "{told}");
    assert!(std::fs::read_dir(&out).unwrap().next().is_none(), "the brain has it");
}

#[tokio::test]
async fn two_images_are_compared_and_guests_are_found_by_what_they_were_made_with() {
    let brain = RealBrain::start().await;
    let recipe = "name = \"old\"\nfrom = \"debian-12\"\n";
    let recipe_file = brain.write("old.toml", recipe.as_bytes());
    let old = brain
        .write("old.tar.zst", &tarball_with(&[("bash", "5.2-15"), ("openssl", "3.0.9-1"), ("gone", "1")]));
    let new = brain.write(
        "new.tar.zst",
        &tarball_with(&[("bash", "5.2-15"), ("openssl", "3.0.15-1~deb12u1"), ("more", "1")]),
    );
    brain.operate(&["image", "register", &old, "--name", "old", "--recipe", &recipe_file], b"").await;
    brain.operate(&["image", "register", &new, "--name", "new"], b"").await;
    let told = brain.operate(&["image", "diff", "old", "new"], b"").await;
    expect![[r#"
        WHAT      NAME     ARCHITECTURE  BEFORE   AFTER
        removed   gone     amd64         1        -
        added     more     amd64         -        1
        upgraded  openssl  amd64         3.0.9-1  3.0.15-1~deb12u1
    "#]]
    .assert_eq(&transcript(&told));
    let none = brain.operate(&["image", "diff", "old", "old", "--json"], b"").await;
    assert_eq!(serde_json::from_slice::<Value>(&none.stdout).unwrap(), serde_json::json!([]));
    assert_eq!(
        String::from_utf8_lossy(&brain.operate(&["image", "recipe", "old"], b"").await.stdout),
        recipe
    );
    let none = brain.operate_anyway(&["image", "recipe", "new"], b"").await;
    assert!(transcript(&none).contains("was built from no recipe"), "{}", transcript(&none));
    // Its recipe names an image that is not there: what is newest is not to be known.
    let unknown = brain.operate_anyway(&["image", "packages", "old", "--outdated"], b"").await;
    assert!(transcript(&unknown).contains("debian-12"), "{}", transcript(&unknown));
    brain.operate(&["account", "create", "acme"], b"").await;
    brain.operate(&["network", "create", "office", "--subnet", "10.77.0.0/24"], b"").await;
    let found = async |with: &str| {
        let told = brain.operate(&["guest", "list", "--json", "--with", with], b"").await;
        let guests: Value = serde_json::from_slice(&told.stdout).unwrap();
        guests.as_array().unwrap().len()
    };
    assert_eq!(found("openssl").await, 0);
    let refused = brain.operate_anyway(&["guest", "list", "--with", "openssl<"], b"").await;
    expect![[r#"
        --- stderr
        error: with "openssl<" is no package with a version, as in openssl<3.0.15 (also <=, =, >=, >)
        --- exit 4
    "#]]
    .assert_eq(&transcript(&refused));
}

/// Files of some kinds, each with its mode, owner and content.
fn tarball_of(files: &[(&str, u8, u32, u64, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, uid, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(*mode);
        header.set_uid(*uid);
        header.set_gid(0);
        let data = if *kind == b'0' { content.as_bytes() } else { b"" };
        header.set_size(data.len() as u64);
        if *kind == b'2' {
            header.set_link_name(content).unwrap();
        }
        builder.append_data(&mut header, path, data).unwrap();
    }
    zstd::encode_all(builder.into_inner().unwrap().as_slice(), 3).unwrap()
}

#[tokio::test]
async fn files_of_two_images_are_compared() {
    let brain = RealBrain::start().await;
    let register = async |name: &str, tarball: &[u8]| {
        let file = brain.write(&format!("{name}.tar.zst"), tarball);
        brain.operate(&["image", "register", &file, "--name", name], b"").await;
    };
    let same = ("./etc/hosts", b'0', 0o644, 0, "127.0.0.1 localhost\n");
    let before = [
        same,
        ("./etc/gone", b'0', 0o644, 0, "gone"),
        ("./etc/shadow", b'0', 0o640, 0, "root:*"),
        ("./etc/text", b'0', 0o644, 0, "one"),
        ("./srv", b'5', 0o755, 0, ""),
        ("./vmlinuz", b'2', 0o777, 0, "boot/vmlinuz-6.1"),
    ];
    let after = [
        same,
        ("./etc/shadow", b'0', 0o4640, 42, "root:*"),
        ("./etc/text", b'0', 0o644, 0, "other"),
        ("./srv", b'0', 0o644, 0, "a file now"),
        ("./usr/new", b'0', 0o755, 0, "#!/bin/sh\n"),
        ("./vmlinuz", b'2', 0o777, 0, "boot/vmlinuz-6.2"),
    ];
    register("old", &tarball_of(&before)).await;
    register("new", &tarball_of(&after)).await;
    let diff = ["image", "diff", "old", "new", "--files"];
    expect![[r#"
        WHAT     PATH         IN                         BEFORE       AFTER
        removed  /etc/gone                               0644 0:0 4   -
        changed  /etc/shadow  mode, owner                0640 0:0 6   4640 42:0 6
        changed  /etc/text    size, content              0644 0:0 3   0644 0:0 5
        changed  /srv         kind, mode, size, content  0755 0:0 0   0644 0:0 10
        added    /usr/new                                -            0755 0:0 10
        changed  /vmlinuz     content                    0777 0:0 16  0777 0:0 16
    "#]]
    .assert_eq(&transcript(&brain.operate(&diff, b"").await));
    let told = brain.operate(&[&diff[..], &["--json", "--limit", "2"]].concat(), b"").await;
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 2);
    let shadow = &told[1];
    assert_eq!((shadow["path"].as_str(), shadow["what"].as_str()), (Some("/etc/shadow"), Some("changed")));
    assert_eq!(shadow["differs_in"], serde_json::json!(["mode", "owner"]));
    assert_eq!(shadow["before"]["digest"], shadow["after"]["digest"]);
    assert_eq!((shadow["after"]["mode"].as_str(), shadow["after"]["uid"].as_i64()), (Some("4640"), Some(42)));
    let none = transcript(&brain.operate(&["image", "diff", "old", "old", "--files"], b"").await);
    assert!(none.contains("They hold the same files."), "{none}");

    // Whose blob is not what it was is not compared; and tarballs are for operators alone.
    let shown = brain.operate(&["image", "show", "new", "--json"], b"").await;
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let blob = brain.data().join("blobs/blobs/sha256").join(shown["digest"].as_str().unwrap());
    std::fs::write(&blob, tarball_of(&before)).unwrap();
    let refused = transcript(&brain.operate_anyway(&diff, b"").await);
    assert!(
        refused.contains("image new cannot be read") && refused.contains("honcho image verify"),
        "{refused}"
    );
    brain.operate(&["account", "create", "acme"], b"").await;
    let token = brain.operate(&["token", "create", "acmes", "--account", "acme", "--json"], b"").await;
    let token: Value = serde_json::from_slice(&token.stdout).unwrap();
    let words = [&["--token", token["secret"].as_str().unwrap()][..], &diff].concat();
    let refused = brain.run(&words, b"").await;
    let told = transcript(&refused);
    assert!(refused.code == Some(4) && told.contains("compared by operators alone"), "{told}");
}

#[tokio::test]
async fn a_root_filesystem_is_uploaded_and_the_brain_makes_an_image_of_it() {
    let brain = RealBrain::start().await;
    brain.operate(&["account", "create", "acme"], b"").await;
    let file = brain.write("rootfs.tar", &root_filesystem(&[("./usr/bin/odd", 0o4755)]));
    let upload = ["image", "upload", &file, "--name", "own", "--account", "acme"];
    let told = transcript(&brain.operate(&upload, b"").await);
    for line in
        ["distribution  Rocky Linux 9\n", "init          /sbin/init\n", "kernel        /boot/vmlinuz-6.1\n"]
    {
        assert!(told.contains(line), "{told}");
    }
    assert!(told.contains("/usr/bin/odd (setuid root)"), "{told}");
    // The name is taken by now, and what is no root filesystem is refused with the reason.
    let again = brain.operate_anyway(&upload, b"").await;
    assert!(transcript(&again).contains("is taken by the account's image own"), "{}", transcript(&again));
    let none = brain.write("none.tar", b"no tar");
    let refused = brain.operate_anyway(&["image", "upload", &none, "--name", "none"], b"").await;
    let told = transcript(&refused);
    assert!(refused.code == Some(4) && told.contains("none became no image: it breaks off"), "{told}");
    let later = brain.operate(&["image", "upload", &none, "--name", "later", "--no-wait"], b"").await;
    assert!(transcript(&later).contains("all of it was sent (upload 3)"), "{}", transcript(&later));
    let told = transcript(&brain.operate(&["image", "uploads"], b"").await);
    assert!(told.contains("1  own") && told.contains("2  none") && told.contains("done"), "{told}");
    let told = transcript(&brain.operate(&["image", "cancel-upload", "1"], b"").await);
    assert!(told.contains("upload 1 had become image 1 already, which stays"), "{told}");
}
