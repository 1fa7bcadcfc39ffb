//! Source packages: a `.dsc` with the files that it names, and a `.changes` that names all that a build has made.
//!
//! Both come from strangers. What they name must lie beside them under a name that is strict, and have the digest that they say.
//! That somebody has signed them is not looked at: who may add to an archive is not decided by keys here.

use crate::deb::version;
use crate::digests::Digest;
use crate::names::pool_prefix;
use crate::{ArchiveError, ArchiveResult, Component, PackageName, Paragraph};
use debversion::Version;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// So long is a `.dsc` or a `.changes` at most.
pub(crate) const LONGEST: u64 = 1 << 20;

/// What an index says in place of these, or leaves out: of digests SHA-256 is enough for every apt since 2009.
const LEFT_OUT: &[&str] =
    &["Source", "Files", "Checksums-Sha1", "Checksums-Sha256", "Checksums-Sha512", "Directory", "Package"];

/// A file that is named with its length and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) length: u64,
    pub(crate) digest: Digest,
}

/// A source package, as its `.dsc` has it.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) name: PackageName,
    version: Version,
    /// What it is made of, besides the `.dsc`.
    pub(crate) files: Vec<NamedFile>,
    paragraph: Paragraph,
}

impl Source {
    /// Reads a `.dsc`; `path` is for what is said if there is something wrong with it.
    pub fn read(path: &Path, bytes: &[u8]) -> ArchiveResult<Self> {
        Self::of(bytes).map_err(|why| ArchiveError::NoPackage { path: path.to_owned(), why })
    }

    fn of(bytes: &[u8]) -> Result<Self, String> {
        let paragraph = Paragraph::parse(&unsigned(bytes)?)?;
        let field = |name: &str| {
            let value = paragraph.get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("it has no {name}"))
        };
        let name = field("Source")?.parse().map_err(|error: ArchiveError| error.to_string())?;
        let version = version(field("Version")?)?;
        let files = named_files(&paragraph)?;
        if files.is_empty() {
            return Err("it names no files by SHA-256".to_owned());
        }
        Ok(Source { name, version, files, paragraph })
    }

    /// The directory below `public/` in which all of its files lie.
    pub fn directory(&self, component: &Component) -> String {
        format!("pool/{component}/{}/{}", pool_prefix(&self.name), self.name)
    }

    /// As its `.dsc` is called there.
    pub fn dsc(&self) -> String {
        let version = self.version.to_string();
        let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
        format!("{}_{version}.dsc", self.name)
    }

    /// What an index says of it.
    pub fn stanza(&self, directory: &str, length: u64, digest: Digest) -> String {
        let mut text = format!(
            "Package: {}\n{}Directory: {directory}\nChecksums-Sha256:\n",
            self.name,
            self.paragraph.without(LEFT_OUT)
        );
        // Nothing can fail where text is written into memory.
        let _ = writeln!(text, " {digest} {length} {}", self.dsc());
        for file in &self.files {
            let _ = writeln!(text, " {} {} {}", file.digest, file.length, file.name);
        }
        text
    }
}

/// What a `.changes` names.
pub(crate) struct Changes {
    /// What an archive lists: packages and sources, each with the digest that it must have.
    pub(crate) listed: Vec<(PathBuf, Digest)>,
    /// The rest, which must be there and be what it says: what sources name themselves, and what was noted about the build.
    pub(crate) others: Vec<(PathBuf, Digest)>,
}

/// Reads what a `.changes` names.
pub(crate) fn named_by_changes(path: &Path, bytes: &[u8]) -> ArchiveResult<Changes> {
    let wrong = |why: String| ArchiveError::NoPackage { path: path.to_owned(), why };
    let paragraph = unsigned(bytes).and_then(|bytes| Paragraph::parse(&bytes)).map_err(wrong)?;
    let files = named_files(&paragraph).map_err(wrong)?;
    let directory = crate::files::parent(path);
    let ends = |name: &str, ending: &str| Path::new(name).extension().is_some_and(|own| own == ending);
    let (listed, others): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| ends(&file.name, "deb") || ends(&file.name, "dsc"));
    if listed.is_empty() {
        return Err(wrong("it names no .deb and no .dsc by SHA-256".to_owned()));
    }
    let beside = |files: Vec<NamedFile>| {
        files.into_iter().map(|file| (directory.join(file.name), file.digest)).collect()
    };
    Ok(Changes { listed: beside(listed), others: beside(others) })
}

/// The files beside a `.dsc` or a `.changes` that it names.
pub fn named_beside(path: &Path) -> ArchiveResult<Vec<PathBuf>> {
    use crate::error::Tried as _;
    use std::io::Read as _;
    let wrong = |why: String| ArchiveError::NoPackage { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).tried("opening", path)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).tried("reading", path)?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(format!("it has more than {LONGEST} bytes")));
    }
    let paragraph = unsigned(&bytes).and_then(|bytes| Paragraph::parse(&bytes)).map_err(wrong)?;
    let files = named_files(&paragraph).map_err(wrong)?;
    let directory = crate::files::parent(path);
    Ok(files.into_iter().map(|file| directory.join(file.name)).collect())
}

/// Whether a `.dsc` or a `.changes` may name a file so: it lies beside it, whatever comes of the name.
pub fn is_file_name(name: &str) -> bool {
    name.len() <= 200
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~_".contains(&byte))
}

fn named_files(paragraph: &Paragraph) -> Result<Vec<NamedFile>, String> {
    let (mut files, mut names) = (Vec::new(), BTreeSet::new());
    for line in paragraph.continued("Checksums-Sha256") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [digest, length, name] = words.as_slice() else {
            return Err(format!(
                "{:?} among its Checksums-Sha256 is no digest, length and name",
                line.trim()
            ));
        };
        if !is_file_name(name) {
            return Err(format!("it names {name:?}, which is no name of a file beside it"));
        }
        if !names.insert(*name) {
            return Err(format!("it names {name} a second time"));
        }
        let digest = Digest::try_from((*digest).to_owned())
            .map_err(|_| format!("the digest of {name} is no SHA-256"))?;
        let length = length.parse().map_err(|_| format!("the length of {name} is no number"))?;
        files.push(NamedFile { name: (*name).to_owned(), length, digest });
    }
    Ok(files)
}

/// What was signed, out of what it was signed in (RFC 9580, 7); all of it where nobody signed.
fn unsigned(bytes: &[u8]) -> Result<Vec<u8>, String> {
    const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    let mut lines = text.lines();
    if lines.next().is_none_or(|first| first.trim_end() != BEGIN) {
        return Ok(bytes.to_owned());
    }
    // Which hash it was, and a blank line.
    for line in lines.by_ref() {
        if line.trim_end().is_empty() {
            break;
        }
        if !line.starts_with("Hash:") {
            return Err("what comes before its signed text is no Hash".to_owned());
        }
    }
    let mut signed = String::new();
    for line in lines {
        if line.trim_end() == "-----BEGIN PGP SIGNATURE-----" {
            return Ok(signed.into_bytes());
        }
        signed.push_str(line.strip_prefix("- ").unwrap_or(line));
        signed.push('\n');
    }
    Err("its signed text does not end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn dsc(files: &str) -> String {
        format!(
            "Format: 3.0 (quilt)\nSource: hello\nBinary: hello\nVersion: 1:2.10-3\nFiles:\n d41d8cd98f00b204e9800998ecf8427e 0 x\nChecksums-Sha256:\n{files}"
        )
    }

    #[test]
    fn an_index_says_what_its_dsc_says_and_where_it_lies() {
        let text = dsc(&format!(" {DIGEST} 0 hello_2.10.orig.tar.gz\n"));
        let signed = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}\n-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
        );
        let source = Source::of(signed.as_bytes()).unwrap();
        let directory = source.directory(&"main".parse().unwrap());
        assert_eq!(
            source.stanza(&directory, 7, Digest::of(b"")),
            format!(
                "Package: hello\nFormat: 3.0 (quilt)\nBinary: hello\nVersion: 1:2.10-3\nDirectory: pool/main/h/hello\n\
                 Checksums-Sha256:\n {DIGEST} 7 hello_2.10-3.dsc\n {DIGEST} 0 hello_2.10.orig.tar.gz\n"
            )
        );
        assert_eq!(Source::of(text.as_bytes()).unwrap().files, source.files);
    }

    #[test]
    fn what_names_anything_but_files_beside_it_is_refused() {
        for (files, why) in [
            (String::new(), "names no files"),
            (format!(" {DIGEST} 0 ../x.tar.gz\n"), "no name of a file beside it"),
            (format!(" {DIGEST} 0 /etc/passwd\n"), "no name of a file beside it"),
            (format!(" {DIGEST} 0 .hidden\n"), "no name of a file beside it"),
            (format!(" {DIGEST} 0 a\n {DIGEST} 0 a\n"), "a second time"),
            (format!(" {DIGEST} -1 a\n"), "no number"),
            (" abc 0 a\n".to_owned(), "no SHA-256"),
            (format!(" {DIGEST} a\n"), "no digest, length and name"),
        ] {
            let error = Source::of(dsc(&files).as_bytes()).unwrap_err();
            assert!(error.contains(why), "{files:?}: {error}");
        }
        assert!(
            Source::of(b"-----BEGIN PGP SIGNED MESSAGE-----\n\nSource: a\n")
                .unwrap_err()
                .contains("does not end")
        );
    }
}
