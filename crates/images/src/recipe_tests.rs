//! Recipes that are some, and texts that are none.

use super::*;
use proptest::prelude::*;

const MINIMAL: &str = "name = \"x\"\nsuite = \"bookworm\"\narchitecture = \"amd64\"\nvariant = \"minbase\"\nkeyring \
                           = \"/k.gpg\"\nmirrors = [\"http://m/debian\"]\npackages = [\"bash\"]\n";

fn check(more: &str, expected: &str) {
    let error = Recipe::parse(&format!("{MINIMAL}{more}")).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn the_recipes_of_the_house_are_recipes() {
    for entry in std::fs::read_dir("../../recipes").unwrap() {
        let path = entry.unwrap().path();
        let recipe = Recipe::read(&path).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(recipe.name.as_str()));
        assert!(!recipe.description.is_empty());
    }
    let recipe = Recipe::read(Path::new("../../recipes/debian-12.toml")).unwrap();
    assert!(recipe.packages.iter().any(|package| package == "openssh-server"));
    assert!(recipe.files.iter().any(|file| file.path == "/etc/fstab"
        && matches!(&file.content, FileContent::Text(text) if text.starts_with("/dev/vda / "))));
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_field() {
    check("colour = \"red\"\n", "colour");
    check("[[files]]\npath = \"/etc/../../x\"\ncontent = \"\"\n", "files.path");
    check("[[files]]\npath = \"etc/x\"\ncontent = \"\"\n", "absolute");
    check("[[files]]\npath = \"/etc/x\"\nmode = \"99\"\ncontent = \"\"\n", "octal");
    check("[[scripts]]\nname = \"a\\nb\"\nrun = \"\"\n", "scripts.name");
    let swapped = |from: &str, to: &str| Recipe::parse(&MINIMAL.replace(from, to)).unwrap_err().to_string();
    assert!(swapped("\"bash\"", "\"--hook=x\"").contains("packages"));
    assert!(swapped("\"bash\"", "\"a,b\"").contains("packages"));
    assert!(swapped("bookworm", "--help").contains("suite"));
    assert!(swapped("\"http://m/debian\"", "\"-x\"").contains("mirrors"));
    assert!(swapped("[\"http://m/debian\"]", "[]").contains("mirrors"));
    assert!(swapped("\"x\"", "\"X Y\"").contains("name"));
    assert!(swapped("suite = \"bookworm\"\n", "").contains("suite is missing"));
    check("from = \"debian-12\"\n", "suite is the other image's");
    check("snapshot = \"20261101T000000Z\"\n", "no mirror holds {snapshot}");
    check("clean = [\"/../x\"]\n", "clean");
    check("[[files]]\npath = \"/etc/x\"\ncontent = \"\"\nsource = \"x\"\n", "either `content` or `source`");
    check("[[users]]\nname = \"root;reboot\"\n", "users.name");
    check("[[users]]\nname = \"app\"\nshell = \"/bin/sh -c x\"\n", "users.shell");
    let source = "[[sources]]\nname = \"own\"\nurl = \"https://apt.example.com\"\nsuites = [\"stable\"]\ncomponents = [\"main\"]\n";
    check(&format!("{source}key = \"no key\"\n"), "sources.key");
    check(&format!("{source}key = \"x\"\n").replace("https", "ftp"), "sources.url");
}

#[test]
fn another_image_is_named_by_its_digest_or_its_path() {
    let from = |text: &str| {
        let recipe = Recipe::parse(&format!("name = \"x\"\nfrom = {text:?}\n"));
        recipe.map(|recipe| recipe.base).map_err(|error| error.to_string())
    };
    let name = Name::new("debian-12").unwrap();
    let named = |version: Option<&str>| {
        Ok(Base::Image(ImageBase::Named { name: name.clone(), version: version.map(str::to_owned) }))
    };
    assert_eq!(from("debian-12"), named(None));
    assert_eq!(from("debian-12@4f2c0d9be1aa"), named(Some("4f2c0d9be1aa")));
    assert_eq!(from("./base.tar.zst"), Ok(Base::Image(ImageBase::File("./base.tar.zst".into()))));
    assert!(from("debian-12@latest").unwrap_err().contains("how its digest begins"));
    assert!(from("Debian 12").unwrap_err().contains("name"));
}

#[test]
fn a_source_carries_its_key() {
    let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----";
    let text = format!(
        "{MINIMAL}[[sources]]\nname = \"own\"\nurl = \"https://apt.example.com\"\nsuites = [\"stable\"]\ncomponents = [\"main\"]\nkey = {key:?}\n"
    );
    let recipe = Recipe::parse(&text).unwrap();
    let expected = "Types: deb\nURIs: https://apt.example.com\nSuites: stable\nComponents: main\nSigned-By:\n \
                        -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n";
    assert_eq!(recipe.sources[0].text(), expected);
}

#[test]
fn a_moment_is_put_into_the_mirrors() {
    let text = MINIMAL
        .replace("http://m/debian", "http://m/{snapshot}")
        .replace("name = \"x\"\n", "name = \"x\"\nsnapshot = \"20261101T000000Z\"\n");
    let Base::Archive(base) = Recipe::parse(&text).unwrap().base else { panic!("an archive") };
    assert_eq!(base.mirrors, ["http://m/20261101T000000Z"]);
    assert!(base.of_one_moment);
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,200}", more in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Recipe::parse(&text);
        let _ = Recipe::parse(&String::from_utf8_lossy(&more));
        let _ = Recipe::parse(&format!("{MINIMAL}{text}"));
    }

    #[test]
    fn a_path_that_passes_stays_inside(path in "[/.a-b]{0,12}") {
        let written = format!("{MINIMAL}[[files]]\npath = {path:?}\ncontent = \"\"\n");
        if let Ok(recipe) = Recipe::parse(&written) {
            prop_assert!(recipe.files.iter().all(|file| file.path.starts_with('/')));
            let climbs = path.split('/').any(|part| part == "..") || path.contains("//");
            prop_assert!(!climbs);
        }
    }
}

#[test]
fn files_that_are_not_there_are_missed_before_anything_begins() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("recipe.toml");
    let text =
        "name = \"x\"\nfrom = \"./base.tar.zst\"\n\n[[files]]\npath = \"/usr/bin/tool\"\nsource = \"tool\"\n";
    std::fs::write(&path, text).unwrap();
    let recipe = Recipe::read(&path).unwrap();
    let error = recipe.find_files().unwrap_err().to_string();
    let wanted =
        format!("/usr/bin/tool is to be {}, which cannot be read", directory.path().join("tool").display());
    assert!(error.contains(&wanted), "{error}");
    std::fs::write(directory.path().join("tool"), "").unwrap();
    recipe.find_files().unwrap();
}
