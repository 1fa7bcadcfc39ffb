//! An archive in a directory of its own, packages for it, and an apt that asks it.

use honcho_archive::{
    Architecture, Archive, Changing, Component, Digest, Published, Settings, SuiteName, SuiteSettings, Which,
    keyring,
};
use rand_core_06::OsRng;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const DAY: i64 = 86_400;

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn suite() -> SuiteName {
    "bookworm".parse().unwrap()
}

pub(crate) fn main_component() -> Component {
    "main".parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "apt compares with the clock of the machine")]
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let world = World { directory: tempfile::tempdir().unwrap() };
        let amd64: Architecture = "amd64".parse().unwrap();
        let own = SuiteSettings::new(vec![main_component()], vec![amd64]);
        let suites = BTreeMap::from([(suite(), own.clone()), ("testing".parse().unwrap(), own)]);
        let (origin, label) = ("Acme".to_owned(), "Acme hosting".to_owned());
        let settings = Settings { origin, label, keys: Vec::new(), suites };
        Archive::create(&world.root(), settings, now(), &mut OsRng).unwrap();
        world
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    pub(crate) fn archive(&self) -> Archive {
        Archive::open(&self.root()).unwrap()
    }

    pub(crate) fn change(&self) -> Changing {
        // Other tests of this process start programs, which hold our lock between fork and exec.
        self.archive().change(|| ()).unwrap()
    }

    /// A real package by dpkg-deb.
    pub(crate) fn deb(&self, name: &str, version: &str, architecture: &str) -> PathBuf {
        let tree = self.directory.path().join(format!("tree-{name}"));
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(tree.join("usr/share/doc").join(name)).unwrap();
        fs::write(tree.join("usr/share/doc").join(name).join("version"), version).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: A <a@example.org>\nDescription: {name}\n for \
             a test\n .\n   verbatim\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let path =
            self.directory.path().join(format!("{name}_{}_{architecture}.deb", version.replace(':', "%3a")));
        let made = Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zxz", "-b"])
            .arg(&tree)
            .arg(&path)
            .output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        path
    }

    /// Another hello 1 than the one that was made before.
    pub(crate) fn changed_hello(&self) -> PathBuf {
        let (tree, other) =
            (self.directory.path().join("tree-hello"), self.directory.path().join("other.deb"));
        fs::write(tree.join("usr/share/doc/hello/version"), "changed").unwrap();
        let control = fs::read_to_string(tree.join("DEBIAN/control")).unwrap();
        fs::write(tree.join("DEBIAN/control"), control.replace("Version: 2", "Version: 1")).unwrap();
        assert!(Command::new("dpkg-deb").arg("-b").arg(tree).arg(&other).output().unwrap().status.success());
        other
    }

    /// A source package's `.dsc`, with the two files that it names beside it.
    pub(crate) fn source(&self, name: &str, upstream: &str, revision: &str) -> PathBuf {
        let directory = self.directory.path();
        let (orig, debian) =
            (format!("{name}_{upstream}.orig.tar.gz"), format!("{name}_{upstream}-{revision}.debian.tar.xz"));
        fs::write(directory.join(&orig), format!("what {name} {upstream} is made of")).unwrap();
        fs::write(directory.join(&debian), format!("what Debian adds in {revision}")).unwrap();
        let listed = |file: &String| self.listed(file);
        let text = format!(
            "Format: 3.0 (quilt)\nSource: {name}\nBinary: {name}\nArchitecture: any\nVersion: {upstream}-{revision}\n\
             Maintainer: A <a@example.org>\nChecksums-Sha256:\n{}{}",
            listed(&orig),
            listed(&debian)
        );
        let path = directory.join(format!("{name}_{upstream}-{revision}.dsc"));
        fs::write(&path, text).unwrap();
        path
    }

    /// A line of Checksums-Sha256.
    pub(crate) fn listed(&self, file: &str) -> String {
        let bytes = fs::read(self.directory.path().join(file)).unwrap();
        format!(" {} {} {file}\n", Digest::of(&bytes), bytes.len())
    }

    pub(crate) fn publish(&self, packages: &[PathBuf]) -> u64 {
        let mut changing = self.change();
        changing.add(&suite(), &main_component(), packages).unwrap();
        match changing.publish(&suite(), None, now()).unwrap() {
            Published::New { number, .. } => number,
            Published::Nothing => panic!("there was something to publish"),
        }
    }

    /// Runs apt's tool of this name; what it said, both ways, and whether it was content.
    pub(crate) fn apt(&self, tool: &str, arguments: &[&str]) -> (bool, String) {
        let root = self.directory.path().join("apt");
        for below in
            ["etc/apt/apt.conf.d", "etc/apt/preferences.d", "lists/partial", "cache/archives/partial", "dpkg"]
        {
            fs::create_dir_all(root.join(below)).unwrap();
        }
        let status = root.join("dpkg/status");
        if !status.exists() {
            fs::write(&status, "").unwrap();
        }
        let sources = root.join("etc/apt/sources.list");
        if !sources.exists() {
            let keyring = self.archive().public().join(keyring::FILE);
            let (keyring, public) = (keyring.display(), self.archive().public());
            let line = format!("deb [signed-by={keyring}] copy://{} bookworm main\n", public.display());
            fs::write(&sources, line).unwrap();
        }
        // Read before anything else, so that no setting of this machine is.
        let (configuration, shown) = (root.join("apt.conf"), root.display());
        let settings = format!(
            "Dir::Etc \"{shown}/etc/apt\";\nDir::State::lists \"{shown}/lists\";\nDir::State::status \"{shown}/dpkg/status\";\n\
             Dir::Cache \"{shown}/cache\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nDebug::NoLocking \"1\";\n"
        );
        fs::write(&configuration, settings).unwrap();
        let mut command = Command::new(tool);
        command.env("LC_ALL", "C").env("APT_CONFIG", &configuration).current_dir(&root);
        let output = command.args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    pub(crate) fn update(&self) -> String {
        let (content, said) = self.apt("apt-get", &["update", "--error-on=any"]);
        assert!(content, "{said}");
        said
    }

    pub(crate) fn versions(&self, package: &str) -> Vec<String> {
        let (_, said) = self.apt("apt-cache", &["madison", package]);
        said.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect()
    }
}

pub(crate) fn which(text: &str) -> Which {
    text.parse().unwrap()
}
