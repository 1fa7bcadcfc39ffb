//! Seals a stream of tar: compresses it, names it by the digest of what comes out, and reads what is in it on the way.
//!
//! One pass: the tar reader pulls bytes from the builder, and each byte it sees goes to the compressor as well.

use crate::debian::{Package, parse_dpkg_status};
use crate::import::{Distribution, parse_os_release};
use honcho_model::{Bytes, Digest};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// What a sealed stream was.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) digest: Digest,
    pub(crate) compressed: Bytes,
    pub(crate) unpacked: Bytes,
    pub(crate) packages: Vec<Package>,
    pub(crate) paths: Paths,
    pub(crate) facts: Facts,
}

/// What an image says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Facts {
    /// Which distribution it is, if it says so.
    pub distribution: Option<Distribution>,
    /// Where its first program is.
    pub init: Option<String>,
    /// Where its kernel is.
    pub kernel: Option<String>,
    /// How many files, directories and links there are.
    pub files: u64,
}

/// Strong enough to save a tenth of what level 3 makes, and still as fast as the tarball comes.
const LEVEL: i32 = 9;

const QUICK_LEVEL: i32 = 1;

/// os-release is some lines.
const LONGEST_OS_RELEASE: u64 = 64 << 10;

/// dpkg's list of some hundred packages is under a megabyte.
const LONGEST_STATUS: u64 = 64 << 20;

/// Reads tar from `tar` to its end and writes it, compressed, to `out`.
pub(crate) fn seal(tar: impl Read, out: impl Write) -> io::Result<Sealed> {
    let mut tee = Tee { from: tar, to: Compressor::new(out)? };
    let (unpacked, packages, paths, facts) = take_stock(&mut tee)?;
    // The reader stops at the end mark; tar pads after it.
    io::copy(&mut tee, &mut io::sink())?;
    let (digest, compressed) = tee.to.finish()?;
    Ok(Sealed { digest, compressed, unpacked: Bytes(unpacked), packages, paths, facts })
}

/// A tarball that was sealed before, looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// SHA-256 of the compressed bytes.
    pub digest: Digest,
    /// How many they are.
    pub compressed: Bytes,
    /// The sum of the sizes of the files in it.
    pub unpacked: Bytes,
    /// The packages installed in it, if it is a Debian's.
    pub packages: Vec<Package>,
    /// What it says of itself.
    pub facts: Facts,
}

/// Reads a tar.zst to its end. Nothing of it is written anywhere.
pub fn inspect(compressed: impl Read) -> io::Result<Inspected> {
    let hashing = HashingReader { from: compressed, hash: Sha256::new(), read: 0 };
    let mut decoder = zstd::stream::read::Decoder::new(hashing)?;
    let (unpacked, packages, _, facts) = take_stock(&mut decoder)?;
    // The reader stops at the end mark; tar pads after it.
    io::copy(&mut decoder, &mut io::sink())?;
    let hashing = decoder.finish().into_inner();
    Ok(Inspected {
        digest: Digest(hashing.hash.finalize().into()),
        compressed: Bytes(hashing.read),
        unpacked: Bytes(unpacked),
        packages,
        facts,
    })
}

fn take_stock(tar: &mut impl Read) -> io::Result<(u64, Vec<Package>, Paths, Facts)> {
    let mut archive = tar::Archive::new(tar);
    let mut distribution = None;
    let (mut unpacked, mut packages, mut paths) = (0_u64, Vec::new(), Paths::default());
    for entry in archive.entries()? {
        let mut entry = entry?;
        unpacked = unpacked.saturating_add(entry.size());
        let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
        let link = (entry.header().entry_type() == tar::EntryType::Symlink)
            .then(|| entry.link_name_bytes().map(|to| String::from_utf8_lossy(&to).into_owned()))
            .flatten();
        if path == "/var/lib/dpkg/status" {
            packages = parse_dpkg_status(&text(&mut entry, LONGEST_STATUS)?);
        }
        // The former leads to the latter in most systems.
        if ["/etc/os-release", "/usr/lib/os-release"].contains(&path.as_str()) && link.is_none() {
            distribution = Some(parse_os_release(&text(&mut entry, LONGEST_OS_RELEASE)?));
        }
        paths.0.insert(path, link);
    }
    let (init, kernel, files) = (paths.init(), paths.kernel(), paths.0.len() as u64);
    Ok((unpacked, packages, paths, Facts { distribution, init, kernel, files }))
}

/// The beginning of a file as text, whatever bytes it holds.
fn text(from: &mut impl Read, longest: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(longest).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where systems have their first program, the likeliest first.
pub(crate) const INIT: [&str; 4] = ["/sbin/init", "/usr/sbin/init", "/etc/init", "/bin/init"];

/// The paths of an image, each with where it leads if it is a symbolic link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths(BTreeMap<String, Option<String>>);

impl Paths {
    fn init(&self) -> Option<String> {
        INIT.into_iter().find(|path| self.leads_somewhere(path)).map(str::to_owned)
    }

    fn kernel(&self) -> Option<String> {
        if self.leads_somewhere("/vmlinuz") {
            return Some("/vmlinuz".to_owned());
        }
        self.0.keys().rfind(|path| path.starts_with("/boot/vmlinuz-")).cloned()
    }

    /// Whether something is at `path`, links followed as the guest would.
    pub(crate) fn leads_somewhere(&self, path: &str) -> bool {
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(part),
            }
            match self.0.get(&format!("/{}", at.join("/"))) {
                // Directories need not be listed; what is in them is.
                None if rest.is_empty() => return false,
                None | Some(None) => {}
                Some(Some(target)) => {
                    links += 1;
                    if links > 40 {
                        return false;
                    }
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    rest.extend(target.split('/').rev().map(str::to_owned));
                }
            }
        }
        true
    }
}

/// `./etc/` as `/etc`.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

/// Compresses what is written into it, and names it in the end.
pub(crate) struct Compressor<W: Write>(zstd::stream::write::Encoder<'static, Hashing<W>>);

impl<W: Write> Compressor<W> {
    pub(crate) fn new(out: W) -> io::Result<Self> {
        Self::at_level(out, LEVEL)
    }

    /// As fast as a disk is read, for what is compressed anew where it comes to.
    pub(crate) fn quick(out: W) -> io::Result<Self> {
        Self::at_level(out, QUICK_LEVEL)
    }

    fn at_level(out: W, level: i32) -> io::Result<Self> {
        let hashing = Hashing { out, hash: Sha256::new(), written: 0 };
        Ok(Compressor(zstd::stream::write::Encoder::new(hashing, level)?))
    }

    /// The digest and the size of what came out.
    pub(crate) fn finish(self) -> io::Result<(Digest, Bytes)> {
        let mut hashing = self.0.finish()?;
        hashing.out.flush()?;
        Ok((Digest(hashing.hash.finalize().into()), Bytes(hashing.written)))
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

struct Hashing<W> {
    out: W,
    hash: Sha256,
    written: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.written += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct HashingReader<R> {
    from: R,
    hash: Sha256,
    read: u64,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.read += n as u64;
        Ok(n)
    }
}

struct Tee<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.to.write_all(&buffer[..n])?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tarball() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |path: &str, content: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        };
        add("./usr/sbin/init", "#!");
        add("./boot/vmlinuz-1", "kernel");
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5\nArchitecture: amd64\n";
        add("./var/lib/dpkg/status", status);
        add("./usr/lib/os-release", "ID=debian\nVERSION_ID=12\n");
        for (path, target) in [
            ("./sbin", "usr/sbin"),
            ("./vmlinuz", "boot/vmlinuz-1"),
            ("./lost", "/nowhere"),
            ("./loop", "loop"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_stream_is_compressed_counted_and_looked_through() {
        let tar = tarball();
        let mut out = Vec::new();
        let sealed = seal(tar.as_slice(), &mut out).unwrap();
        assert_eq!(zstd::decode_all(out.as_slice()).unwrap(), tar);
        assert_eq!(sealed.digest, Digest(Sha256::digest(&out).into()));
        assert_eq!(sealed.compressed, Bytes(out.len() as u64));
        assert_eq!(sealed.packages.len(), 1);
        assert_eq!(sealed.unpacked.0, 2 + 6 + 74 + 24);
        let Facts { distribution, init, kernel, files } = &sealed.facts;
        assert_eq!((init.as_deref(), kernel.as_deref(), files), (Some("/sbin/init"), Some("/vmlinuz"), &8));
        assert_eq!(distribution.as_ref().unwrap().name, "debian 12");
        assert!(sealed.paths.leads_somewhere("/vmlinuz"));
        for missing in ["/lost", "/loop", "/usr/bin/none"] {
            assert!(!sealed.paths.leads_somewhere(missing), "{missing}");
        }
    }

    #[test]
    fn what_was_sealed_reads_as_it_was_sealed() {
        let mut out = Vec::new();
        let sealed = seal(tarball().as_slice(), &mut out).unwrap();
        let inspected = inspect(out.as_slice()).unwrap();
        assert_eq!((inspected.digest, inspected.compressed), (sealed.digest, sealed.compressed));
        assert_eq!((inspected.unpacked, inspected.packages), (sealed.unpacked, sealed.packages));
        // What is no tar.zst, or not all of one.
        for bad in [tarball().as_slice(), &out[..out.len() / 2], b""] {
            assert!(inspect(bad).is_err());
        }
        assert!(inspect(zstd::encode_all(&b"no tar"[..], 1).unwrap().as_slice()).is_err());
    }

    #[test]
    fn what_is_no_text_in_it_keeps_it_from_nothing() {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in [
            ("etc/os-release", b"ID=debian\nPRETTY_NAME=\"D\xe9bian\"\n".as_slice()),
            (
                "var/lib/dpkg/status",
                b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nX: \xff\n",
            ),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content).unwrap();
        }
        let sealed = seal(builder.into_inner().unwrap().as_slice(), io::sink()).unwrap();
        assert_eq!(sealed.facts.distribution.unwrap().name, "D\u{fffd}bian");
        assert_eq!(sealed.packages.len(), 1);
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error() {
        let tar = tarball();
        assert!(seal(&tar[..700], io::sink()).is_err());
    }
}
