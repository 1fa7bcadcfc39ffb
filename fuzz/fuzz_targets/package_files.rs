//! What a package brings along: refused with a reason, or names of which each is a line of Contents.
#![no_main]

use honcho_archive::files_of_package;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let check = |package: &[u8]| {
        let Ok(list) = files_of_package(package, package.len() as u64) else { return };
        assert!(list.is_empty() || list.ends_with('\n'));
        for line in list.lines() {
            assert!(
                !line.is_empty() && !line.starts_with('/') && !line.chars().any(char::is_control),
                "{line:?}"
            );
        }
    };
    check(bytes);
    // A tarball is met more often where the package around it is whole, and where the sums of its headers are right.
    let mut package = b"!<arch>\n".to_vec();
    package.extend(
        format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "data.tar", 0, 0, 0, 100_644, bytes.len()).bytes(),
    );
    package.extend(honcho_fuzz::with_good_sums(bytes));
    check(&package);
});
