//! Which files are in which packages, as apt-file asks for it.

use crate::world::{World, main_component, now, suite};
use honcho_archive::{Pruning, Published, Retention, Settings, files_of_package};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What apt-file's own configuration asks apt for.
const CONTENTS: &[&str] = &[
    "MetaKey=$(COMPONENT)/Contents-$(ARCHITECTURE)",
    "ShortDescription=Contents-$(ARCHITECTURE)",
    "Description=$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Contents (deb)",
    "flatMetaKey=Contents-$(ARCHITECTURE)",
    "flatDescription=$(RELEASE) Contents (deb)",
    "PDiffs=true",
    "KeepCompressed=true",
    "DefaultEnabled=true",
    "Identifier=Contents-deb",
];

impl World {
    fn with_contents(&self, wanted: bool) {
        let on = |settings: &mut Settings| {
            settings.suites.get_mut(&suite()).unwrap().contents = wanted;
            Ok(())
        };
        self.change().set(on).unwrap();
    }

    fn tool_for_contents(&self, tool: &str, arguments: &[&str]) -> (bool, String) {
        let options = CONTENTS.iter().flat_map(|option| {
            ["-o".to_owned(), format!("Acquire::IndexTargets::deb::Contents-deb::{option}")]
        });
        let all: Vec<String> = options.chain(arguments.iter().map(|it| (*it).to_owned())).collect();
        self.apt(tool, &all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Contents as apt has fetched and verified them, by line.
    fn contents(&self) -> Vec<String> {
        let (content, said) = self.tool_for_contents("apt-get", &["update", "--error-on=any"]);
        assert!(content, "{said}");
        let asked = ["indextargets", "--format", "$(FILENAME)", "Created-By: Contents-deb"];
        let (content, files) = self.tool_for_contents("apt-get", &asked);
        assert!(content && files.lines().count() == 1, "{files}");
        let (content, text) = self.apt("/usr/lib/apt/apt-helper", &["cat-file", files.trim()]);
        assert!(content, "{text}");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "it says what was left out")]
fn which_files_are_in_which_packages_apt_is_told() {
    let world = World::new();
    world.publish(&[world.deb("early", "1", "all")]);
    let index = world.root().join("public/dists/bookworm/main/Contents-amd64.gz");
    assert!(!index.exists(), "whoever does not want it does not pay for it");
    world.with_contents(true);
    // What was there before is read now; two versions of a package are one in Contents.
    let many: Vec<PathBuf> =
        (0..300).map(|number| world.deb(&format!("many-{number:03}"), "1", "all")).collect();
    world.publish(&many);
    world.publish(&[world.deb("early", "2", "all"), world.deb("tool", "1", "amd64")]);
    let lines = world.contents();
    assert_eq!(lines.len(), 302, "pieces are read to their end");
    assert_eq!(
        (lines[0].as_str(), lines[301].as_str()),
        ("usr/share/doc/early/version\tearly", "usr/share/doc/tool/version\ttool")
    );
    // One more package reads no other's data: these are half gone from the pool.
    let pool = world.root().join("public/pool/main/m");
    for number in 0..300 {
        let path = pool.join(format!("many-{number:03}/many-{number:03}_1_all.deb"));
        fs::write(&path, &fs::read(&path).unwrap()[..200]).unwrap();
    }
    world.publish(&[world.deb("more", "1", "all")]);
    assert_eq!(world.contents().len(), 303);
    let strict = Retention { newest: 1, since: i64::MAX };
    world.change().prune(strict, |_| false, Pruning::Done).unwrap();
    world.publish(&[world.deb("most", "1", "all")]);
    assert_eq!(world.contents().len(), 304, "pruning keeps the lists of what stays");
    if Command::new("apt-file").arg("--version").output().is_ok() {
        let (content, found) = world.tool_for_contents("apt-file", &["search", "doc/tool"]);
        assert!(content && found.contains("tool: /usr/share/doc/tool/version"), "{found}");
        let (content, found) = world.tool_for_contents("apt-file", &["list", "early"]);
        assert!(content && found.contains("early: /usr/share/doc/early/version"), "{found}");
    } else {
        println!("apt-file is not installed: apt alone has read it");
    }
    world.with_contents(false);
    assert!(matches!(world.change().publish(&suite(), None, now()).unwrap(), Published::New { .. }));
    assert!(!index.exists());
    assert_eq!(world.change().publish(&suite(), None, now()).unwrap(), Published::Nothing);
}

#[test]
fn a_package_whose_files_cannot_be_read_is_refused_where_they_are_told() {
    let world = World::new();
    world.with_contents(true);
    let whole = fs::read(world.deb("half", "1", "all")).unwrap();
    // However little is missing; the last byte may be there to make the length even.
    for missing in 2..200 {
        let some = &whole[..whole.len() - missing];
        let read = files_of_package(some, some.len() as u64);
        assert!(read.is_err(), "{missing} bytes are missing: {read:?}");
    }
    assert_eq!(files_of_package(&*whole, whole.len() as u64).unwrap(), "usr/share/doc/half/version\n");
    let half = world.directory.path().join("half.deb");
    fs::write(&half, &whole[..whole.len() - 60]).unwrap();
    let told = world.change().add(&suite(), &main_component(), &[half]).unwrap_err().to_string();
    assert!(told.starts_with("pool/main/h/half/half_1_all.deb: its data.tar.xz: "), "{told}");
}
