//! An archive, as a real apt sees it.
//!
//! apt runs on directories of its own: nothing of this machine's is read or changed, and what it "installs" it only fetches.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod contents;
mod world;

use honcho_archive::index::Stanza;
use honcho_archive::{Changing, Loose, Pruning, Published, Retention, SuiteName, keyring};
use rand_core_06::OsRng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use world::{DAY, World, main_component, now, suite, which};

#[test]
fn what_is_published_apt_fetches_and_verifies() {
    let world = World::new();
    let mut packages: Vec<PathBuf> =
        (0..300).map(|number| world.deb(&format!("many-{number:03}"), "1.0", "all")).collect();
    packages.push(world.deb("hello", "1:2.10-3~bpo12+1", "amd64"));
    assert_eq!(world.publish(&packages), 1);
    world.update();
    assert_eq!(world.versions("hello"), ["1:2.10-3~bpo12+1"]);
    assert_eq!(world.versions("many-299"), ["1.0"], "an index of several chunks is read to its end");
    // Fetched, its digest is compared; what dpkg says of it is what was built.
    let (content, said) = world.apt("apt-get", &["install", "-y", "--download-only", "hello"]);
    assert!(content, "{said}");
    let (_, shown) = world.apt("apt-cache", &["show", "hello"]);
    assert!(shown.contains("Description: hello\n for a test\n .\n   verbatim\n"), "{shown}");
    assert!(shown.contains("Filename: pool/main/h/hello/hello_2.10-3~bpo12+1_amd64.deb\n"), "{shown}");
    // A newer version beside the older one: both can be had, and pinned.
    world.publish(&[world.deb("hello", "1:2.11-1", "amd64")]);
    world.update();
    assert_eq!(world.versions("hello"), ["1:2.11-1", "1:2.10-3~bpo12+1"]);
    let (_, policy) = world.apt("apt-cache", &["policy"]);
    assert!(
        policy.contains("release o=Acme,a=bookworm,n=bookworm,l=Acme hosting,c=main,b=amd64"),
        "{policy}"
    );
    let preferences = world.directory.path().join("apt/etc/apt/preferences.d");
    fs::create_dir_all(&preferences).unwrap();
    let candidate = |pin: &str| {
        fs::write(preferences.join("acme"), format!("Package: hello\n{pin}\n")).unwrap();
        let (_, policy) = world.apt("apt-cache", &["policy", "hello"]);
        let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: ").map(str::to_owned));
        line.unwrap_or(policy)
    };
    assert_eq!(candidate("Pin: version 1:2.10*\nPin-Priority: 1001"), "1:2.10-3~bpo12+1");
    assert_eq!(candidate("Pin: release n=bookworm\nPin-Priority: 990"), "1:2.11-1");
    assert_eq!(candidate("Pin: release o=Acme,l=Acme hosting\nPin-Priority: -1"), "(none)");
}

#[test]
fn sources_come_with_what_was_built_of_them_and_apt_fetches_both() {
    let world = World::new();
    let dsc = world.source("hello", "2.10", "1");
    world.deb("hello", "2.10-1", "amd64");
    let changes = world.directory.path().join("hello_2.10-1_amd64.changes");
    let listed = ["hello_2.10-1.dsc", "hello_2.10.orig.tar.gz", "hello_2.10-1_amd64.deb"]
        .map(|file| world.listed(file));
    fs::write(
        &changes,
        format!("Format: 1.8\nSource: hello\nVersion: 2.10-1\nChecksums-Sha256:\n{}", listed.concat()),
    )
    .unwrap();
    assert_eq!(world.publish(&[changes]), 1);
    let sources = world.directory.path().join("apt/etc/apt/sources.list");
    world.update();
    let line = fs::read_to_string(&sources).unwrap();
    fs::write(&sources, format!("{line}{}", line.replace("deb [", "deb-src ["))).unwrap();
    world.update();
    assert_eq!(world.versions("hello"), ["2.10-1", "2.10-1"], "the package and its source");
    let (content, said) = world.apt("apt-get", &["source", "--download-only", "hello"]);
    assert!(content, "{said}");
    for file in ["hello_2.10-1.dsc", "hello_2.10.orig.tar.gz", "hello_2.10-1.debian.tar.xz"] {
        let fetched = fs::read(world.directory.path().join("apt").join(file)).unwrap();
        assert_eq!(fetched, fs::read(world.directory.path().join(file)).unwrap(), "{file}");
    }

    // The next revision is of the same upstream; one of another is refused, and so is a file that is not the one that is named.
    let mut changing = world.change();
    let next = world.source("hello", "2.10", "2");
    let added = changing.add(&suite(), &main_component(), &[next]).unwrap();
    assert_eq!(
        (added[0].architecture.as_str(), added[0].place.as_str()),
        ("source", "pool/main/h/hello/hello_2.10-2.dsc")
    );
    let orig = world.directory.path().join("hello_2.10.orig.tar.gz");
    let genuine = fs::read(&orig).unwrap();
    fs::write(&orig, "something else").unwrap();
    let refused = changing.add(&suite(), &main_component(), &[dsc]).unwrap_err().to_string();
    assert!(refused.contains("hello_2.10.orig.tar.gz has 14 bytes"), "{refused}");
    fs::write(&orig, vec![b'x'; genuine.len()]).unwrap();
    let other = world.directory.path().join("hello_2.10-2.dsc");
    let refused = changing.add(&suite(), &main_component(), &[other]).unwrap_err().to_string();
    assert!(refused.contains("it is another file, or half of it"), "{refused}");
    let renewed = world.source("hello", "2.10", "3");
    let text = fs::read_to_string(&renewed).unwrap();
    let before = world.listed("hello_2.10.orig.tar.gz");
    fs::write(&orig, "another upstream of the same version").unwrap();
    fs::write(&renewed, text.replace(&before, &world.listed("hello_2.10.orig.tar.gz"))).unwrap();
    let refused = changing.add(&suite(), &main_component(), &[renewed]).unwrap_err().to_string();
    assert!(refused.contains("is in the pool with other contents"), "{refused}");
    changing.publish(&suite(), None, now()).unwrap();

    // Another suite takes them over; they go from the pool when nothing lists them any more.
    let testing: SuiteName = "testing".parse().unwrap();
    changing.promote(&which("bookworm"), &testing, &[]).unwrap();
    changing.publish(&testing, None, now()).unwrap();
    let told: Vec<String> =
        world.archive().pending(&testing).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(told, Vec::<String>::new());
    let pool = world.root().join("public/pool/main/h/hello");
    for suite in [suite(), testing] {
        changing.remove(&suite, &[("hello".parse().unwrap(), Some("2.10-1".to_owned()))]).unwrap();
        changing.publish(&suite, None, now()).unwrap();
    }
    changing.prune(Retention { newest: 1, since: now() + 1 }, |_| false, Pruning::Done).unwrap();
    let mut left: Vec<String> =
        fs::read_dir(&pool).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["hello_2.10-2.debian.tar.xz", "hello_2.10-2.dsc", "hello_2.10.orig.tar.gz"]);
}

#[test]
fn a_reader_between_two_publications_sees_one_of_them() {
    let world = World::new();
    world.publish(&[world.deb("hello", "1", "all")]);
    world.update();
    let lists = world.directory.path().join("apt/lists");
    let release = fs::read_to_string(world.root().join("public/dists/bookworm/InRelease")).unwrap();
    let digest = release
        .lines()
        .find(|line| line.ends_with(" main/binary-amd64/Packages.gz"))
        .and_then(|line| line.split_whitespace().next())
        .unwrap();
    let by_hash = world.root().join("public/dists/bookworm/main/binary-amd64/by-hash/SHA256").join(digest);
    let before = fs::read(&by_hash).unwrap();
    for version in 2..6 {
        world.publish(&[world.deb("hello", &version.to_string(), "all")]);
        assert_eq!(fs::read(&by_hash).unwrap(), before, "whoever read the first release finds its index");
    }
    // Forgotten in the end: six hours after it was replaced, once two newer ones are there.
    let mut changing = world.change();
    for (days, version) in [(1, "7"), (2, "8")] {
        changing.add(&suite(), &main_component(), &[world.deb("hello", version, "all")]).unwrap();
        changing.publish(&suite(), None, now() + days * DAY).unwrap();
    }
    assert!(!by_hash.exists());
    assert!(lists.read_dir().unwrap().count() > 1);
}

#[test]
fn a_forged_and_an_expired_release_are_refused() {
    let world = World::new();
    world.publish(&[world.deb("hello", "1", "all")]);
    world.update();
    let release = world.root().join("public/dists/bookworm/InRelease");
    let genuine = fs::read_to_string(&release).unwrap();
    fs::write(&release, genuine.replace("Label: Acme hosting", "Label: Evil hosting")).unwrap();
    fs::remove_file(world.root().join("public/dists/bookworm/Release.gpg")).unwrap();
    let (content, said) = world.apt("apt-get", &["update", "--error-on=any"]);
    assert!(!content && said.contains("BADSIG"), "{said}");
    // Another archive's key, however well it signs.
    let other = World::new();
    other.publish(&[other.deb("hello", "9", "all")]);
    fs::copy(other.root().join("public/dists/bookworm/InRelease"), &release).unwrap();
    let (content, said) = world.apt("apt-get", &["update", "--error-on=any"]);
    assert!(!content && said.contains("NO_PUBKEY"), "{said}");
    // Published long ago and never refreshed.
    let world = World::new();
    let mut changing = world.change();
    changing.add(&suite(), &main_component(), &[world.deb("hello", "1", "all")]).unwrap();
    changing.publish(&suite(), None, now() - 15 * DAY).unwrap();
    let (content, said) = world.apt("apt-get", &["update", "--error-on=any"]);
    assert!(!content && said.contains("expired"), "{said}");
    // Published anew without any change, it is believed again.
    assert!(matches!(changing.publish(&suite(), None, now()).unwrap(), Published::New { number: 2, .. }));
    world.update();
    assert_eq!(changing.publish(&suite(), None, now()).unwrap(), Published::Nothing);
}

#[test]
fn a_new_key_comes_by_an_upgrade_and_the_old_one_goes() {
    let world = World::new();
    let old = world.archive().settings().keys[0].clone();
    world.publish(&[world.deb("hello", "1", "all")]);
    // The machine has the keyring as it was then.
    let known = world.directory.path().join("known.gpg");
    fs::copy(world.root().join("public").join(keyring::FILE), &known).unwrap();
    world.update();
    let sources = world.directory.path().join("apt/etc/apt/sources.list");
    let line = fs::read_to_string(&sources).unwrap();
    let public = world.root().join("public").join(keyring::FILE);
    fs::write(&sources, line.replace(&public.display().to_string(), &known.display().to_string())).unwrap();
    let mut changing = world.change();
    changing.add_key(now(), &mut OsRng).unwrap();
    changing.add_keyring(&[suite()], now()).unwrap();
    changing.publish(&suite(), None, now()).unwrap();
    // Signed with both: who knows the old key alone is content, and gets the package with both.
    world.update();
    let (content, said) = world.apt("apt-get", &["install", "-y", "--download-only", keyring::PACKAGE]);
    assert!(content, "{said}");
    let fetched = fs::read_dir(world.directory.path().join("apt/cache/archives")).unwrap();
    let deb = fetched
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let (deb, unpacked) = (deb.unwrap(), world.directory.path().join("unpacked"));
    assert!(Command::new("dpkg-deb").arg("-x").args([&deb, &unpacked]).status().unwrap().success());
    fs::copy(unpacked.join("usr/share/keyrings").join(keyring::FILE), &known).unwrap();
    changing.retire_key(&old).unwrap();
    assert!(changing.retire_key(&old).is_err());
    changing.add(&suite(), &main_component(), &[world.deb("hello", "2", "all")]).unwrap();
    changing.publish(&suite(), None, now()).unwrap();
    world.update();
    assert_eq!(world.versions("hello"), ["2", "1"]);
    let last = changing.archive().settings().keys[0].clone();
    let told = changing.retire_key(&last).unwrap_err().to_string();
    assert!(told.contains("the only key that signs"), "{told}");
}

#[test]
fn what_was_published_is_gone_back_to_and_taken_over() {
    let world = World::new();
    world.publish(&[world.deb("hello", "1", "all"), world.deb("tool", "1", "amd64")]);
    world.publish(&[world.deb("hello", "2", "all")]);
    let mut changing = world.change();
    changing.remove(&suite(), &[("hello".parse().unwrap(), Some("1".to_owned()))]).unwrap();
    let told = changing.remove(&suite(), &[("none".parse().unwrap(), None)]).unwrap_err().to_string();
    assert_eq!(told, "there is no package none in bookworm");
    changing.publish(&suite(), Some("without the first".to_owned()), now()).unwrap();
    let changed = |from: &str, to: &str| -> Vec<String> {
        let changes = world.archive().changes(&which(from), &which(to)).unwrap();
        changes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(changed("bookworm@1", "bookworm"), ["main amd64 hello upgraded 1 -> 2"]);
    assert_eq!(changed("bookworm@3", "bookworm@2"), ["main amd64 hello added 1"]);
    // Another suite takes one package over, then all of them, and then goes back.
    let testing: SuiteName = "testing".parse().unwrap();
    changing.promote(&which("bookworm"), &testing, &["hello".parse().unwrap()]).unwrap();
    changing.publish(&testing, None, now()).unwrap();
    changing.promote(&which("bookworm@1"), &testing, &[]).unwrap();
    let pending = changing.archive().pending(&testing).unwrap();
    let pending: Vec<String> = pending.iter().map(ToString::to_string).collect();
    assert_eq!(pending, ["main amd64 hello downgraded 2 -> 1", "main amd64 tool added 1"]);
    changing.publish(&testing, None, now()).unwrap();
    changing.promote(&which("testing@1"), &testing, &[]).unwrap();
    changing.publish(&testing, None, now()).unwrap();
    assert_eq!(changed("testing@1", "testing"), [""; 0]);
    assert_eq!(changed("bookworm", "testing"), ["main amd64 tool removed 1"]);
    // What no publication names goes; what one still names stays.
    let kept = |name: &str| world.root().join("public/pool/main").join(name).exists();
    let forecast =
        changing.prune(Retention { newest: 2, since: i64::MAX }, |_| false, Pruning::DryRun).unwrap();
    assert_eq!((forecast.publications, forecast.packages), (2, 0), "{forecast:?}");
    let ever = || {
        let mut versions = Vec::new();
        let seen = |stanza: Stanza| {
            if stanza.name() == "hello" && !versions.contains(&stanza.version().to_owned()) {
                versions.push(stanza.version().to_owned());
            }
        };
        world.archive().packages_ever(&suite(), seen).unwrap();
        versions
    };
    assert_eq!(ever(), ["1", "2"]);
    // What a guest has installed stays; nothing else that none lists.
    let strict = Retention { newest: 1, since: i64::MAX };
    let loose: Vec<String> = changing.loose(strict).unwrap().into_iter().map(|one| one.version).collect();
    assert_eq!(loose, ["1"]);
    let held = |one: &Loose| (one.package.as_str(), one.architecture.as_str()) == ("hello", "all");
    let pruned = changing.prune(strict, held, Pruning::Done).unwrap();
    assert_eq!((pruned.packages, pruned.held.len()), (0, 1), "{pruned:?}");
    assert!(kept("h/hello/hello_1_all.deb"));
    // Nor does another with its name take its place.
    let other = world.changed_hello();
    let told = changing.add(&suite(), &main_component(), &[other]).unwrap_err().to_string();
    assert!(told.contains("is in the pool with other contents"), "{told}");
    changing.prune(strict, |_| false, Pruning::Done).unwrap();
    assert!(
        !kept("h/hello/hello_1_all.deb")
            && kept("h/hello/hello_2_all.deb")
            && kept("t/tool/tool_1_amd64.deb")
    );
    assert_eq!(ever(), ["2"]);
    world.update();
    assert_eq!(world.versions("hello"), ["2"]);
    let gone = world.archive().publication(&which("bookworm@1")).unwrap_err().to_string();
    assert_eq!(gone, "there is no publication bookworm@1; the newest is 3");
}

#[test]
fn a_version_is_what_it_was_and_bad_packages_change_nothing() {
    let world = World::new();
    let hello = world.deb("hello", "1", "all");
    world.publish(std::slice::from_ref(&hello));
    let other = world.changed_hello();
    let mut changing = world.change();
    let mut refused = |path: &Path| {
        let new = world.deb("new", "1", "all");
        changing.add(&suite(), &main_component(), &[new, path.to_owned()]).unwrap_err().to_string()
    };
    let told = refused(&other);
    assert!(
        told.starts_with("pool/main/h/hello/hello_1_all.deb is in the pool with other contents"),
        "{told}"
    );
    let told = refused(&world.deb("tool", "1", "arm64"));
    assert!(told.contains("is for arm64, and bookworm is not"), "{told}");
    assert!(refused(Path::new("/dev/null")).contains("it is no file"));
    assert!(world.archive().pending(&suite()).unwrap().is_empty());
    assert!(!world.root().join("public/pool/main/n").exists());
    // The same once more is nothing new.
    let again = changing.add(&suite(), &main_component(), &[hello]).unwrap();
    assert_eq!(again[0].taken, honcho_archive::Taken::Already);
    assert_eq!(changing.publish(&suite(), None, now()).unwrap(), Published::Nothing);
}

#[test]
fn a_machine_of_another_kind_gets_what_is_for_all() {
    let world = World::new();
    world.publish(&[world.deb("hello", "1", "all"), world.deb("tool", "1", "amd64")]);
    let mut changing = world.change();
    changing
        .set(|settings| {
            let own = settings.suites.get_mut(&suite()).unwrap();
            own.architectures.push("arm64".parse().unwrap());
            Ok(())
        })
        .unwrap();
    changing.publish(&suite(), None, now()).unwrap();
    let index = world.root().join("public/dists/bookworm/main/binary-arm64/Packages.gz");
    let shown = Command::new("zcat").arg(index).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("Package: hello\n") && !shown.contains("Package: tool\n"), "{shown}");
    // Gone back to what was published before there was such a machine: it keeps what is for all.
    let told = |changing: &Changing, from: &str, to: &str| -> Vec<String> {
        let changes = changing.would_promote(&which(from), &to.parse().unwrap(), &[]).unwrap();
        changes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(told(&changing, "bookworm@1", "bookworm"), [""; 0]);
    // Of a component that the other suite has not, nothing is left out silently.
    changing
        .set(|settings| {
            settings.suites.get_mut(&suite()).unwrap().components.push("contrib".parse().unwrap());
            Ok(())
        })
        .unwrap();
    changing.add(&suite(), &"contrib".parse().unwrap(), &[world.deb("extra", "1", "all")]).unwrap();
    changing.publish(&suite(), None, now()).unwrap();
    let refused = changing.would_promote(&which("bookworm"), &"testing".parse().unwrap(), &[]).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.starts_with("bookworm has packages in contrib, and testing has no such component"),
        "{refused}"
    );
}

#[test]
fn two_keyrings_of_one_second_are_two_versions() {
    let world = World::new();
    let (mut changing, at) = (world.change(), now());
    let suites = [suite(), "testing".parse().unwrap()];
    let mut versions = Vec::new();
    for _ in 0..2 {
        changing.add_key(at, &mut OsRng).unwrap();
        let added = changing.add_keyring(&suites, at).unwrap();
        assert_eq!((added.len(), &added[0].version), (2, &added[1].version));
        versions.push(added[0].version.clone());
    }
    assert!(versions[0] < versions[1], "{versions:?}");
}

#[test]
fn what_a_dying_machine_has_left_is_not_taken_for_a_package_or_an_index() {
    let world = World::new();
    let hello = world.deb("hello", "1", "all");
    // Half of it, under the name that it was to have; and chunks of that name, empty, as a disk without power leaves them.
    world.publish(std::slice::from_ref(&hello));
    let index = world.root().join("public/dists/bookworm/main/binary-amd64/Packages.gz");
    let served = fs::read(&index).unwrap();
    let pool = world.root().join("public/pool/main/h/hello/hello_1_all.deb");
    fs::write(&pool, "half").unwrap();
    let mut chunks = 0;
    for directory in fs::read_dir(world.root().join("chunks")).unwrap() {
        for chunk in fs::read_dir(directory.unwrap().path()).unwrap() {
            fs::write(chunk.unwrap().path(), "").unwrap();
            chunks += 1;
        }
    }
    assert_eq!(chunks, 3, "one, in each form");
    for forgotten in ["public/dists", "public/.publications", "publications"] {
        fs::rename(world.root().join(forgotten), world.directory.path().join("forgotten")).unwrap();
        fs::remove_dir_all(world.directory.path().join("forgotten")).unwrap();
    }
    let mut changing = world.change();
    let (added, published) = changing
        .add_and_publish(&suite(), &main_component(), std::slice::from_ref(&hello), None, now())
        .unwrap();
    assert_eq!(added[0].taken, honcho_archive::Taken::New);
    assert!(matches!(published, Published::New { number: 1, .. }));
    assert_eq!((fs::read(&pool).unwrap(), fs::read(&index).unwrap()), (fs::read(&hello).unwrap(), served));
    world.update();
    assert_eq!(world.versions("hello"), ["1"]);
}

#[test]
fn what_was_drafted_is_published_with_what_is_added_and_published_in_one_step() {
    let world = World::new();
    let mut changing = world.change();
    changing.add(&suite(), &main_component(), &[world.deb("hello", "1", "all")]).unwrap();
    let more = [world.deb("tool", "1", "amd64")];
    changing.add_and_publish(&suite(), &main_component(), &more, None, now()).unwrap();
    assert!(changing.archive().pending(&suite()).unwrap().is_empty());
    world.update();
    assert_eq!(
        (world.versions("hello"), world.versions("tool")),
        (vec!["1".to_owned()], vec!["1".to_owned()])
    );
    let again = changing.add_and_publish(&suite(), &main_component(), &more, None, now()).unwrap();
    assert_eq!(again.1, Published::Nothing);
}
