//! What is known of a package's build before anything is built: its source, the steps, and what they may reach.

use super::*;

fn build_of<'a>(source: &'a PackageSource, recipe: &'a Recipe, options: &'a str) -> PackageBuild<'a> {
    let base = BaseChroot::Kept;
    PackageBuild { source, made: Made::Binary, recipe, base, options, directory: Path::new("/nowhere") }
}

fn hello(directory: &Path) -> PackageSource {
    std::fs::create_dir(directory.join("debian")).unwrap();
    for (name, text) in [
        ("control", "Source: hello\n\nPackage: hello\n"),
        ("changelog", "hello (1.0) stable; urgency=low\n"),
        ("rules", "#!/usr/bin/make -f\n"),
    ] {
        std::fs::write(directory.join("debian").join(name), text).unwrap();
    }
    PackageSource::read(directory).unwrap()
}

#[test]
fn the_stages_of_a_build_are_told_in_order() {
    let place = tempfile::tempdir().unwrap();
    let (source, recipe) = (hello(place.path()), Recipe::parse(RECIPE).unwrap());
    let steps = steps::stage(&build_of(&source, &recipe, ""), Path::new("/b.tar.zst"), place.path()).unwrap();
    let said = steps.arguments.iter().filter_map(|argument| {
        let (hook, script) = argument.strip_prefix("--")?.split_once("-hook=")?;
        steps::stage_of_line(&format!("I: running --{hook}-hook in shell: sh -c '{script}' exec /root"))
    });
    let said: Vec<(String, u8)> = said.collect();
    let stages: Vec<&str> = said.iter().map(|(stage, _)| stage.as_str()).collect();
    let all = [
        "unpacking the chroot",
        "unpacking the source",
        steps::DEPENDENCIES,
        steps::BUILDING,
        "taking what was made",
    ];
    assert_eq!(stages, all);
    assert!(said.is_sorted_by_key(|(_, percent)| *percent));
    let (stage, _) = steps::stage_of_line("   dh_auto_test -O--parallel").unwrap();
    assert_eq!(stage, "building the package: dh_auto_test");
    assert_eq!(steps::stage_of_line("   cc -o hello hello.c"), None);
}

#[test]
fn why_a_build_failed_comes_with_the_next_step() {
    let place = tempfile::tempdir().unwrap();
    let (source, recipe) = (hello(place.path()), Recipe::parse(RECIPE).unwrap());
    let build = build_of(&source, &recipe, "");
    let check = |stage: &str, said: &str, expected: &[&str]| {
        let lines = said.lines().map(str::to_owned).collect::<Vec<_>>();
        let error = lines.iter().find_map(|line| line.strip_prefix("E: ")).map(str::to_owned);
        let story = Story { stage: stage.to_owned(), error, tail: lines };
        let told = failed(&build, story, PathBuf::from("/x.log")).to_string();
        for words in expected {
            assert!(told.contains(words), "{words:?} in: {told}");
        }
        assert!(!told.contains("I: removing"), "{told}");
    };
    let end = "E: setup failed: E: command failed: unshare --net\nI: removing tempdir /x...";
    check(
        steps::DEPENDENCIES,
        &format!(
            "The following packages have unmet dependencies:\n builddeps:./ : Depends: nothing but it is not installable\nE: Unable to correct problems, you have held broken packages.\n{end}"
        ),
        &["Unable to correct problems", "Depends: nothing", "Build-Depends in debian/control", "/x.log"],
    );
    check(
        "building the package: dh_auto_build",
        &format!(
            "cc: error: no such file\ndpkg-buildpackage: error: debian/rules binary subprocess returned exit status 2\n{end}"
        ),
        &["returned exit status 2", "no network", "cc: error"],
    );
    check("unpacking the chroot", end, &["it ended with an error"]);
    check(steps::DEPENDENCIES, &format!("W: Failed to fetch x\n{end}"), &["the mirror does not answer"]);
}

#[test]
fn options_are_words_and_no_shell() {
    let place = tempfile::tempdir().unwrap();
    let (source, recipe) = (hello(place.path()), Recipe::parse(RECIPE).unwrap());
    assert!(check(&build_of(&source, &recipe, "nocheck parallel=4")).is_ok());
    let error = check(&build_of(&source, &recipe, "x'; reboot; '")).unwrap_err().to_string();
    assert!(error.contains("are no build options"), "{error}");
}

#[test]
fn nothing_runs_in_the_chroot_with_open_files_of_mmdebstrap() {
    let place = tempfile::tempdir().unwrap();
    let (source, recipe) = (hello(place.path()), Recipe::parse(RECIPE).unwrap());
    let steps = steps::stage(&build_of(&source, &recipe, ""), Path::new("/b.tar.zst"), place.path()).unwrap();
    let hooks = steps.arguments.iter().filter_map(|argument| argument.strip_prefix("--customize-hook="));
    let hooks: Vec<&str> = hooks.collect();
    assert_eq!(hooks.len(), 7);
    for hook in hooks {
        assert!(hook.starts_with(crate::staging::CLOSED), "{hook}");
    }
}

#[test]
fn a_tarball_that_is_a_link_is_packed_as_what_it_leads_to() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("hello")).unwrap();
    std::fs::write(place.path().join("hello-1.0.tar.gz"), "upstream").unwrap();
    std::os::unix::fs::symlink("hello-1.0.tar.gz", place.path().join("hello_1.0.orig.tar.gz")).unwrap();
    let (source, recipe) = (hello(&place.path().join("hello")), Recipe::parse(RECIPE).unwrap());
    steps::stage(&build_of(&source, &recipe, ""), Path::new("/b.tar.zst"), place.path()).unwrap();
    let mut packed = tar::Archive::new(std::fs::File::open(place.path().join("beside.tar")).unwrap());
    let found = packed.entries().unwrap().map(|entry| {
        let mut text = String::new();
        let mut entry = entry.unwrap();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        (entry.path().unwrap().display().to_string(), text)
    });
    assert_eq!(found.collect::<Vec<_>>(), [("hello_1.0.orig.tar.gz".to_owned(), "upstream".to_owned())]);
}
