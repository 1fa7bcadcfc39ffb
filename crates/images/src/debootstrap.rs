//! A system by debootstrap, where a recipe says so: it runs as the first hook of an mmdebstrap that installs nothing itself, and so in
//! the same namespaces, with the same log, steps and end. It reads one mirror; what the others have is installed, and upgraded
//! to, by the system's own apt.

use crate::recipe::{ArchiveBase, Variant};
use crate::staging::{CLOSED, quoted};
use crate::tool::{Tool, ToolMissing};
use std::path::Path;

const DEBOOTSTRAP: Tool = Tool { program: "debootstrap", package: "debootstrap" };

/// The hook that unpacks and installs it.
pub(crate) fn hook(base: &ArchiveBase) -> Result<String, ToolMissing> {
    let (url, components) = origin(base);
    let variant = match base.variant {
        Variant::Minbase | Variant::Apt => " --variant=minbase",
        // What it does by itself; the recipe's reader takes no other.
        Variant::Important | Variant::Standard => "",
    };
    let word = |text: &str| quoted(Path::new(text));
    let command = format!(
        "{CLOSED} {}{variant} --arch={} --components={} --keyring={} {} \"$1.system\" {}",
        quoted(&DEBOOTSTRAP.find()?),
        base.architecture,
        word(&components),
        word(&base.keyring),
        base.suite,
        word(&url)
    );
    // Beside mmdebstrap's own directory, in which it finds what it does not expect; and then laid over that.
    let told = "{ tail -n 20 \"$1.system/debootstrap/debootstrap.log\" >&2; exit 1; }";
    Ok(format!("{command} || {told}; cp -a \"$1.system/.\" \"$1/\" && rm -rf \"$1.system\""))
}

/// Of the first mirror, which is an URL or a line of sources.list(5): where it is, and its components, separated by commas.
fn origin(base: &ArchiveBase) -> (String, String) {
    let first = base.mirrors.first().map(String::as_str).unwrap_or_default();
    let Some(line) = first.strip_prefix("deb ") else { return (first.to_owned(), "main".to_owned()) };
    let line = line.trim_start();
    let line = if line.starts_with('[') { line.split_once(']').map_or("", |(_, rest)| rest) } else { line };
    let mut words = line.split_whitespace();
    let url = words.next().unwrap_or_default().to_owned();
    // The suite.
    words.next();
    let components = words.collect::<Vec<_>>().join(",");
    (url, if components.is_empty() { "main".to_owned() } else { components })
}

/// The system's sources.list: all of the mirrors.
pub(crate) fn sources_list(base: &ArchiveBase) -> String {
    let line = |mirror: &String| {
        if mirror.starts_with("deb ") {
            format!("{mirror}\n")
        } else {
            format!("deb {mirror} {} main\n", base.suite)
        }
    };
    base.mirrors.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Bootstrap;

    fn base(mirrors: &[&str]) -> ArchiveBase {
        ArchiveBase {
            suite: "bookworm".to_owned(),
            architecture: "amd64".to_owned(),
            tool: Bootstrap::Debootstrap,
            variant: Variant::Minbase,
            keyring: "/k".to_owned(),
            mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
            of_one_moment: false,
        }
    }

    #[test]
    fn its_mirror_is_the_first() {
        let told =
            |mirror: &str| origin(&base(&[mirror, "deb http://b/debian-security bookworm-security main"]));
        let (url, main) = ("http://a/debian".to_owned(), "main".to_owned());
        assert_eq!(told("http://a/debian"), (url.clone(), main.clone()));
        assert_eq!(told("deb http://a/debian bookworm main"), (url.clone(), main.clone()));
        assert_eq!(
            told("deb [arch=amd64 signed-by=/k] http://a/debian bookworm main contrib"),
            (url.clone(), "main,contrib".to_owned())
        );
        assert_eq!(
            sources_list(&base(&["http://a/debian", "deb http://b/x y main"])),
            "deb http://a/debian bookworm main\ndeb http://b/x y main\n"
        );
    }

    #[test]
    fn a_mirror_is_one_word_of_a_shell() {
        let hook = hook(&base(&["http://a/'; touch /x; '"]));
        // Where debootstrap is not installed there is none.
        if let Ok(hook) = hook {
            assert!(hook.contains(r#" bookworm "$1.system" 'http://a/'\''; touch /x; '\''' || "#), "{hook}");
            assert!(hook.starts_with(CLOSED), "scripts of packages have no open file of mmdebstrap's");
        }
    }
}
