//! A `.deb`: what its control file says, read out of the copy that the pool keeps.
//!
//! A package comes from a stranger. Nothing of it is unpacked anywhere, what is decompressed of it is bounded, and of what
//! it says of itself only names that are strict ([`crate::names`]) become part of a path.

use crate::digests::Digest;
use crate::members::Members;
use crate::names::pool_prefix;
use crate::{Architecture, ArchiveError, ArchiveResult, Component, PackageName, Paragraph};
use debversion::Version;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// So much is decompressed of a package's control archive at most.
const LONGEST_CONTROL: u64 = 16 << 20;

/// So much of what it brings along is looked through for names, of a package of this size: what honest ones hold is not compressed to
/// a two-hundredth, and a few kilobytes of noughts would take hours.
fn longest_data(size: u64) -> u64 {
    (64 << 20) + size.saturating_mul(200)
}

/// So long is one of them (`PATH_MAX` of Linux), and all of them together.
const LONGEST_NAME: u64 = 4096;
const LONGEST_LIST: usize = 16 << 20;

/// So much memory decompressing may take.
const MEMORY: u64 = 128 << 20;

/// Fields that an index adds: a package that brings them along would name its own digest and place.
const OURS: &[&str] =
    &["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5", "Status"];

/// Whom a package is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum For {
    /// Every architecture.
    All,
    /// One.
    One(Architecture),
    /// None: it is source.
    None,
}

/// A package, as its control file has it.
#[derive(Clone, Debug)]
pub struct Deb {
    /// What it is called.
    pub name: PackageName,
    /// Which version.
    pub version: Version,
    /// For which machines.
    pub architecture: For,
    /// What it was built from.
    pub source: PackageName,
    paragraph: Paragraph,
}

impl Deb {
    /// Reads a package's control file; `path` is for what is said if there is something wrong with it.
    pub fn read(path: &Path, file: impl Read) -> ArchiveResult<Self> {
        control(file)
            .and_then(|control| Self::of_control(&control))
            .map_err(|why| ArchiveError::NoPackage { path: path.to_owned(), why })
    }

    fn of_control(control: &[u8]) -> Result<Self, String> {
        let paragraph = Paragraph::parse(control)?;
        if let Some(own) = OURS.iter().find(|field| paragraph.get(field).is_some()) {
            return Err(format!("its control file says {own}, which only an index may"));
        }
        let field = |name: &str| {
            let value = paragraph.get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("its control file has no {name}"))
        };
        let name: PackageName = parse(field("Package")?)?;
        let version = version(field("Version")?)?;
        let architecture = match field("Architecture")? {
            "all" => For::All,
            "source" => return Err("\"source\" is no architecture of a package".to_owned()),
            one => For::One(parse(one)?),
        };
        // `Source: hello (2.10-2)` names a version of its own.
        let source = match paragraph.get("Source").and_then(|source| source.split_whitespace().next()) {
            Some(source) => parse(source)?,
            None => name.clone(),
        };
        Ok(Deb { name, version, architecture, source, paragraph })
    }

    /// The word for whom it is, as it stands in indexes and file names.
    pub fn architecture_word(&self) -> &str {
        match &self.architecture {
            For::All => "all",
            For::One(one) => one.as_str(),
            For::None => "source",
        }
    }

    /// Its version as dpkg's status has it: as its control file does, save an epoch of nothing and noughts before one.
    pub fn status_version(&self) -> String {
        let written = self.paragraph.get("Version").unwrap_or_default();
        match written.split_once(':').map(|(epoch, rest)| (epoch.trim_start_matches('0'), rest)) {
            None => written.to_owned(),
            Some(("", rest)) => rest.to_owned(),
            Some((epoch, rest)) => format!("{epoch}:{rest}"),
        }
    }

    /// Where it lies below `public/`. An epoch is left out, as everybody does: a colon means something in URLs.
    pub fn place(&self, component: &Component) -> String {
        let version = self.version.to_string();
        let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
        format!(
            "pool/{component}/{}/{}/{}_{version}_{}.deb",
            pool_prefix(&self.source),
            self.source,
            self.name,
            self.architecture_word(),
        )
    }

    /// What an index says of it.
    pub fn stanza(&self, place: &str, length: u64, digest: Digest) -> String {
        format!("{}Filename: {place}\nSize: {length}\nSHA256: {digest}\n", self.paragraph.text())
    }
}

fn parse<T: std::str::FromStr<Err = ArchiveError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ArchiveError| error.to_string())
}

/// A version, in the characters that Debian Policy 5.6.12 allows.
pub(crate) fn version(text: &str) -> Result<Version, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte);
    let digit_first = text.bytes().next().is_some_and(|first| first.is_ascii_digit());
    if text.len() > 200 || !digit_first || !text.bytes().all(allowed) {
        return Err(format!("{text:?} is no version"));
    }
    text.parse().map_err(|_| format!("{text:?} is no version"))
}

/// The control file out of a package: an `ar` of `debian-binary`, `control.tar` and `data.tar`, in this order (deb(5)).
fn control(file: impl Read) -> Result<Vec<u8>, String> {
    let broken = |error: std::io::Error| format!("it is no Debian package: {error}");
    let mut members = Members::new(file)?;
    if members.next()?.as_deref() != Some("debian-binary") {
        return Err("it is no Debian package: debian-binary does not come first".to_owned());
    }
    let mut format = String::new();
    members.by_ref().take(20).read_to_string(&mut format).map_err(broken)?;
    if !format.starts_with("2.") {
        return Err(format!("it is a package of format {:?}, and 2 is known", format.trim()));
    }
    let name = members.next()?.ok_or("it has no control.tar")?;
    let Some(ending) = name.strip_prefix("control.tar").filter(|ending| COMPRESSIONS.contains(ending)) else {
        return Err(format!("its second member is {name:?} and no control.tar"));
    };
    let tar = unpacked(members, ending).map_err(|why| format!("its {name} cannot be decompressed: {why}"))?;
    control_of_tar(tar.take(LONGEST_CONTROL)).map_err(|why| format!("its {name}: {why}"))
}

/// What the archives in a package are compressed by, as their names end.
const COMPRESSIONS: &[&str] = &["", ".gz", ".xz", ".zst"];

fn unpacked<'m>(member: impl Read + 'm, ending: &str) -> Result<Box<dyn Read + 'm>, String> {
    let broken = |error: std::io::Error| error.to_string();
    Ok(match ending {
        ".gz" => Box::new(flate2::read::GzDecoder::new(member)),
        ".xz" => {
            let decoder =
                liblzma::stream::Stream::new_stream_decoder(MEMORY, 0).map_err(|error| error.to_string())?;
            Box::new(liblzma::read::XzDecoder::new_stream(member, decoder))
        }
        ".zst" => {
            let mut decoder = zstd::Decoder::with_buffer(BufReader::new(member)).map_err(broken)?;
            decoder.window_log_max(MEMORY.ilog2()).map_err(broken)?;
            Box::new(decoder)
        }
        _ => Box::new(member),
    })
}

/// Whether this file is a package of which all can be read.
pub(crate) fn is_whole(path: &Path) -> bool {
    let opened = || File::open(path).map(BufReader::new).ok();
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    opened().is_some_and(|file| Deb::read(path, file).is_ok())
        && opened().is_some_and(|file| files(file, size).is_ok())
}

/// The names of all that a package of this size brings along, save directories, by line. The error says why they cannot be read, as a
/// part of a sentence.
pub fn files(file: impl Read, size: u64) -> Result<String, String> {
    let mut members = Members::new(file)?;
    while let Some(name) = members.next()? {
        let Some(ending) = name.strip_prefix("data.tar") else { continue };
        if !COMPRESSIONS.contains(&ending) {
            return Err(format!(
                "its {name} is compressed in a way that is not read here: use xz, zstd or gzip"
            ));
        }
        let tar =
            unpacked(members, ending).map_err(|why| format!("its {name} cannot be decompressed: {why}"))?;
        return files_of_tar(tar.take(longest_data(size))).map_err(|why| format!("its {name}: {why}"));
    }
    Err("it holds no data.tar".to_owned())
}

fn files_of_tar(tar: impl Read) -> Result<String, String> {
    let broken = |error: std::io::Error| error.to_string();
    let mut tar = tar::Archive::new(BufReader::with_capacity(1 << 16, tar));
    let (mut list, mut long_name) = (String::new(), None);
    // As they lie there: the reader would gather a long name however long it is.
    for entry in tar.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            let mut name = Vec::new();
            entry.by_ref().take(LONGEST_NAME + 1).read_to_end(&mut name).map_err(broken)?;
            if name.len() as u64 > LONGEST_NAME {
                return Err(format!("a name in it has more than {LONGEST_NAME} bytes"));
            }
            long_name = Some(name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            continue;
        }
        if kind.is_gnu_longlink() {
            continue;
        }
        if kind.is_pax_local_extensions() || kind.is_pax_global_extensions() {
            return Err("it has PAX headers, which dpkg does not read".to_owned());
        }
        let name = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        if kind.is_dir() {
            continue;
        }
        if let Some(line) = crate::contents::as_line(&name) {
            list.extend([line.as_str(), "\n"]);
        }
        if list.len() > LONGEST_LIST {
            return Err(format!("the names in it have more than {LONGEST_LIST} bytes"));
        }
    }
    // Behind tar's end mark is what tells that nothing is missing: the rest of what was compressed, and its checksum.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(broken)?;
    Ok(list)
}

fn control_of_tar(tar: impl Read) -> Result<Vec<u8>, String> {
    let mut tar = tar::Archive::new(tar);
    let mut found = None;
    for entry in tar.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let path = entry.path_bytes();
        if path.strip_prefix(b"./").unwrap_or(&path) != b"control" {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err("its control is no file".to_owned());
        }
        // dpkg would take the last one, and others the first.
        if found.is_some() {
            return Err("it holds control twice".to_owned());
        }
        let mut control = Vec::new();
        entry.read_to_end(&mut control).map_err(|error| error.to_string())?;
        found = Some(control);
    }
    found.ok_or_else(|| "it holds no control".to_owned())
}

/// Packages for tests, as `dpkg-deb` would make them.
#[cfg(test)]
pub(crate) mod testing {
    use std::io::Write as _;

    /// A package of this control file.
    pub(crate) fn deb(control: &str) -> Vec<u8> {
        deb_of(&[("debian-binary", b"2.0\n".to_vec()), ("control.tar.gz", tar_of(&[("./control", control)]))])
    }

    pub(crate) fn deb_of(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut builder = ar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
            builder.append(&header, bytes.as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    pub(crate) fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&tar.into_inner().unwrap()).unwrap();
        gz.finish().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use expect_test::{Expect, expect};

    fn check(bytes: &[u8], expected: &Expect) {
        let told = match Deb::read(Path::new("x.deb"), bytes) {
            Ok(deb) => {
                format!("{}\n{}", deb.place(&"main".parse().unwrap()), deb.stanza("P", 7, Digest::of(b"")))
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn a_package_is_read() {
        check(
            &deb(
                "Package: libfoo1\nVersion: 2:1.0-1~bpo12+1\nArchitecture: amd64\nSource: foo (1.0)\nDescription: x\n y\n",
            ),
            &expect![[r"
                pool/main/f/foo/libfoo1_1.0-1~bpo12+1_amd64.deb
                Package: libfoo1
                Version: 2:1.0-1~bpo12+1
                Architecture: amd64
                Source: foo (1.0)
                Description: x
                 y
                Filename: P
                Size: 7
                SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
            "]],
        );
    }

    #[test]
    fn what_is_no_package_says_why() {
        check(b"", &expect!["x.deb: it is no Debian package: it is empty"]);
        let of = |control: &str| deb(control);
        check(
            &of("Package: ../../etc\nVersion: 1\nArchitecture: all\n"),
            &expect![[
                r#"x.deb: "../../etc" is no package name: at least two of lower case letters, digits, +, - and ., of which the first is a letter or a digit"#
            ]],
        );
        check(
            &of("Package: aa\nVersion: 1/../..\nArchitecture: all\n"),
            &expect![[r#"x.deb: "1/../.." is no version"#]],
        );
        check(
            &of("Package: aa\nVersion: 1\nArchitecture: a/b\n"),
            &expect![[r#"x.deb: "a/b" is no architecture: a word like amd64 or arm64"#]],
        );
        check(
            &of("Package: aa\nVersion: 1\nArchitecture: all\nSource: /x\n"),
            &expect![[
                r#"x.deb: "/x" is no package name: at least two of lower case letters, digits, +, - and ., of which the first is a letter or a digit"#
            ]],
        );
        check(&of("Package: aa\nArchitecture: all\n"), &expect!["x.deb: its control file has no Version"]);
        check(
            &of("Package: aa\nVersion: 1\nArchitecture: all\nfilename: /etc/shadow\n"),
            &expect!["x.deb: its control file says Filename, which only an index may"],
        );
        let two = tar_of(&[("./control", "Package: aa\n"), ("control", "Package: bb\n")]);
        check(
            &deb_of(&[("debian-binary", b"2.0\n".to_vec()), ("control.tar.gz", two)]),
            &expect!["x.deb: its control.tar.gz: it holds control twice"],
        );
        check(
            &deb_of(&[("debian-binary", b"2.0\n".to_vec()), ("data.tar.gz", Vec::new())]),
            &expect![[r#"x.deb: its second member is "data.tar.gz" and no control.tar"#]],
        );
        check(
            &deb_of(&[("debian-binary", b"3.0\n".to_vec())]),
            &expect![[r#"x.deb: it is a package of format "3.0", and 2 is known"#]],
        );
        check(
            &deb_of(&[("control.tar.gz", Vec::new())]),
            &expect!["x.deb: it is no Debian package: debian-binary does not come first"],
        );
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(1 << 30), &mut bomb).unwrap();
        let bomb =
            deb_of(&[("debian-binary", b"2.0\n".to_vec()), ("control.tar.zst", bomb.finish().unwrap())]);
        let error = Deb::read(Path::new("x.deb"), bomb.as_slice()).unwrap_err().to_string();
        assert!(error.starts_with("x.deb: its control.tar.zst: "), "{error}");
    }

    /// What dpkg 1.21 writes into its status of such packages.
    #[test]
    fn a_version_is_told_as_dpkgs_status_has_it() {
        for (written, told) in [("1.0", "1.0"), ("0:1.0", "1.0"), ("1:2.0-3", "1:2.0-3"), ("01:2.0", "1:2.0")]
        {
            let control = format!(
                "Package: hello\nVersion: {written}\nArchitecture: all\nMaintainer: a\nDescription: x\n"
            );
            let read = Deb::read(Path::new("hello.deb"), deb(&control).as_slice()).unwrap();
            assert_eq!(read.status_version(), told);
        }
    }
}
