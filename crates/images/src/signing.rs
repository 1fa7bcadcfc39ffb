//! Who vouches for an image: a manifest of what it is, and a signature of that by an Ed25519 key.
//!
//! Keys and signatures have OpenSSH's forms, so that nobody needs Honcho to check one:
//! `ssh-keygen -Y verify -f allowed_signers -I NAME -n honcho-image -s image.sig < image.manifest`. The manifest is signed as
//! the text that it is, and kept so. Whether a key is to be trusted is not known here.

use crate::debian::Package;
use crate::import::Distribution;
use honcho_model::{Bytes, Digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

/// What signatures are made for; one that was made for anything else is none.
pub const NAMESPACE: &str = "honcho-image";

/// The version of [`ImageManifest`].
pub const FORMAT: u32 = 1;

/// A key with its comment.
const LONGEST_KEY: usize = 16_384;

/// A signature is some three hundred bytes.
const LONGEST_SIGNATURE: usize = 4096;

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the tarball.
    pub digest: Digest,
    /// Its size.
    pub compressed: Bytes,
    /// The sum of the sizes of the files in it.
    pub unpacked: Bytes,
    /// When it was signed, in seconds since 1970.
    pub signed_at: i64,
    /// Which distribution it is, if it says so.
    pub distribution: Option<Distribution>,
    /// SHA-256 of the text of the recipe it was built from, if it was built from one.
    pub recipe: Option<Digest>,
    /// What is installed in it.
    pub packages: Vec<Package>,
}

/// A manifest's text, and the signature of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The text of an [`ImageManifest`].
    pub manifest: String,
    /// As `ssh-keygen -Y sign` writes it.
    pub signature: String,
}

/// Why a signature vouches for nothing.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// It is no signature of an image's manifest.
    #[error("the signature is none that is made for images: {0}")]
    NoSignature(String),
    /// What was signed is something else.
    #[error("the manifest is not what was signed: it was changed, or the signature is that of another")]
    Changed,
    /// What was signed cannot be read.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(String),
    /// It is no key that images are signed by.
    #[error("is no Ed25519 key in OpenSSH's form (`ssh-ed25519 AAAA…`): {0}")]
    NoKey(String),
    /// The key cannot be made or used.
    #[error("the key cannot be used: {0}")]
    Unusable(String),
}

impl ImageManifest {
    /// In what this image is another than `found`, if it is: what people call it.
    pub fn differs_from(&self, found: &ImageManifest) -> Option<&'static str> {
        let same = [
            ("name", self.name == found.name),
            ("digest", self.digest == found.digest),
            ("size", self.compressed == found.compressed),
            ("unpacked size", self.unpacked == found.unpacked),
            ("distribution", self.distribution == found.distribution),
            ("recipe", self.recipe == found.recipe),
            ("package list", self.packages == found.packages),
        ];
        same.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}

/// How a recipe stands in a manifest.
pub fn recipe_digest(recipe: &str) -> Digest {
    Digest(Sha256::digest(recipe).into())
}

/// A key that signs.
pub struct SigningKey(PrivateKey);

impl SigningKey {
    /// Reads the key in a file; makes one there if there is none. Nobody but its owner may be able to read it.
    pub fn open_or_make(path: &Path, comment: &str) -> io::Result<Self> {
        match std::fs::File::open(path) {
            Ok(file) => Self::read(&file, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path, comment),
            Err(error) => Err(error),
        }
    }

    fn read(mut file: &std::fs::File, path: &Path) -> io::Result<Self> {
        let said = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let about = file.metadata()?;
        if about.mode() & 0o077 != 0 {
            let text =
                format!("others can read {0}: chmod 600 {0}, or delete it for a new one", path.display());
            return Err(said(text));
        }
        let mut text = String::new();
        io::Read::read_to_string(&mut file, &mut text)?;
        let key =
            PrivateKey::from_openssh(&text).map_err(|error| said(format!("{}: {error}", path.display())))?;
        if key.algorithm() != Algorithm::Ed25519 || key.is_encrypted() {
            return Err(said(format!("{} holds no plain Ed25519 key", path.display())));
        }
        Ok(SigningKey(key))
    }

    /// Of several that make one at once, one's stays: it gets its name when it is whole.
    fn make(path: &Path, comment: &str) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut key = PrivateKey::random(&mut ssh_key::rand_core::OsRng, Algorithm::Ed25519)
            .map_err(io::Error::other)?;
        key.set_comment(comment);
        let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        // Made with mode 0600, under a name of its own, and removed where it is not to stay.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Err(failed) if failed.error.kind() != io::ErrorKind::AlreadyExists => return Err(failed.error),
            _ => {}
        }
        std::fs::File::open(directory)?.sync_all()?;
        Self::read(&std::fs::File::open(path)?, path)
    }

    /// The public half, as a line.
    pub fn public_key(&self) -> Result<String, SigningError> {
        self.0.public_key().to_openssh().map_err(|error| SigningError::Unusable(error.to_string()))
    }

    /// By which people know it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Signs a manifest.
    pub fn sign(&self, manifest: &ImageManifest) -> Result<Signed, SigningError> {
        let unusable = |error: &dyn std::fmt::Display| SigningError::Unusable(error.to_string());
        let manifest = serde_json::to_string_pretty(manifest).map_err(|error| unusable(&error))? + "\n";
        let signature = self.0.sign(NAMESPACE, HashAlg::Sha512, manifest.as_bytes());
        let signature = signature.and_then(|signature| signature.to_pem(LineEnding::LF));
        Ok(Signed { signature: signature.map_err(|error| unusable(&error))?, manifest })
    }
}

/// A public key that somebody gave, as a line and as people know it.
pub fn read_public_key(text: &str) -> Result<(String, String), SigningError> {
    let no_key = |why: &dyn std::fmt::Display| SigningError::NoKey(why.to_string());
    // What follows the key is its comment to whoever parses it, and a further key to whoever reads a file by line.
    let line = honcho_model::text::line_of(text.trim(), LONGEST_KEY).map_err(|error| no_key(&error))?;
    let key = PublicKey::from_openssh(line).map_err(|error| no_key(&error))?;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(no_key(&format!("it is of the kind {}", key.algorithm())));
    }
    let line = key.to_openssh().map_err(|error| no_key(&error))?;
    Ok((line, key.fingerprint(HashAlg::Sha256).to_string()))
}

fn read_signature(text: &str) -> Result<SshSig, SigningError> {
    let none = |why: String| SigningError::NoSignature(why);
    if text.len() > LONGEST_SIGNATURE {
        return Err(none("it is too long".to_owned()));
    }
    let signature = SshSig::from_pem(text).map_err(|error| none(error.to_string()))?;
    if signature.namespace() != NAMESPACE {
        return Err(none(format!("it was made for {:?}", signature.namespace())));
    }
    Ok(signature)
}

/// The fingerprint of the key that a signature says it was made by. Whether it was, [`verify`] tells.
pub fn signer(signature: &str) -> Result<String, SigningError> {
    Ok(read_signature(signature)?.public_key().fingerprint(HashAlg::Sha256).to_string())
}

/// Reads a manifest that was signed by the key in `public_key`.
pub fn verify(public_key: &str, signed: &Signed) -> Result<ImageManifest, SigningError> {
    let key = PublicKey::from_openssh(public_key).map_err(|error| SigningError::NoKey(error.to_string()))?;
    let signature = read_signature(&signed.signature)?;
    key.verify(NAMESPACE, signed.manifest.as_bytes(), &signature).map_err(|_| SigningError::Changed)?;
    let manifest: ImageManifest = serde_json::from_str(&signed.manifest)
        .map_err(|error| SigningError::Unreadable(error.to_string()))?;
    if manifest.format != FORMAT {
        let text = format!("it is of format {}, and this program knows {FORMAT}", manifest.format);
        return Err(SigningError::Unreadable(text));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn manifest() -> ImageManifest {
        let package =
            |name: &str| Package { name: name.into(), version: "1".into(), architecture: "all".into() };
        ImageManifest {
            format: FORMAT,
            name: "debian-12".into(),
            digest: Digest([7; 32]),
            compressed: Bytes(5),
            unpacked: Bytes(50),
            signed_at: 1_700_000_000,
            distribution: None,
            recipe: Some(recipe_digest("name = \"x\"")),
            packages: vec![package("bash"), package("zsh")],
        }
    }

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/image-key");
        let made = SigningKey::open_or_make(&path, "ann").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path().join("keys")).unwrap().count(), 1);
        let again = SigningKey::open_or_make(&path, "eve").unwrap();
        assert_eq!(again.public_key().unwrap(), made.public_key().unwrap());
        let (line, fingerprint) = read_public_key(&made.public_key().unwrap()).unwrap();
        assert_eq!((line.as_str(), fingerprint), (made.public_key().unwrap().as_str(), made.fingerprint()));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let error = SigningKey::open_or_make(&path, "ann").err().unwrap().to_string();
        assert!(error.contains("others can read"), "{error}");
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let key = |name: &str| SigningKey::open_or_make(&directory.path().join(name), name).unwrap();
        let (own, other) = (key("own"), key("other"));
        let signed = own.sign(&manifest()).unwrap();
        let line = own.public_key().unwrap();
        assert_eq!(verify(&line, &signed).unwrap(), manifest());
        assert_eq!(signer(&signed.signature).unwrap(), own.fingerprint());
        let refused = |line: &str, signed: &Signed| verify(line, signed).unwrap_err().to_string();
        let changed = Signed { manifest: signed.manifest.replace("bash", "dash"), ..signed.clone() };
        assert!(refused(&line, &changed).contains("is not what was signed"));
        assert!(refused(&other.public_key().unwrap(), &signed).contains("is not what was signed"));
        for bad in [String::new(), "x".repeat(5000), signed.signature.replace("BEGIN", "END")] {
            let signed = Signed { signature: bad, ..signed.clone() };
            assert!(refused(&line, &signed).contains("is none that is made for images"));
        }
        let elsewhere = own.0.sign("file", HashAlg::Sha512, signed.manifest.as_bytes()).unwrap();
        let signature = elsewhere.to_pem(LineEnding::LF).unwrap();
        let elsewhere = Signed { signature, ..signed.clone() };
        assert!(refused(&line, &elsewhere).contains("made for \"file\""));
        let later = own.sign(&ImageManifest { format: 2, ..manifest() }).unwrap();
        assert!(refused(&line, &later).contains("format 2"));
        for bad in ["", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ== x"] {
            assert!(matches!(read_public_key(bad), Err(SigningError::NoKey(_))), "{bad}");
        }
        let more = ImageManifest { packages: vec![], recipe: None, ..manifest() };
        assert_eq!(
            (manifest().differs_from(&more), manifest().differs_from(&manifest())),
            (Some("recipe"), None)
        );
    }

    /// Nobody needs Honcho to check it, and what OpenSSH has signed is as good.
    #[test]
    fn openssh_verifies_it_and_is_verified() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let key = SigningKey::open_or_make(&at("key"), "ann").unwrap();
        let signed = key.sign(&manifest()).unwrap();
        std::fs::write(at("allowed"), format!("ann {}\n", key.public_key().unwrap())).unwrap();
        std::fs::write(at("sig"), &signed.signature).unwrap();
        std::fs::write(at("manifest"), &signed.manifest).unwrap();
        let run = |arguments: &[&str]| {
            let manifest = std::fs::File::open(at("manifest")).unwrap();
            let mut command = Command::new("ssh-keygen");
            command.current_dir(directory.path()).args(arguments).stdin(Stdio::from(manifest));
            command.output().unwrap()
        };
        let verify_it = ["-Y", "verify", "-f", "allowed", "-I", "ann", "-n", NAMESPACE, "-s", "sig"];
        let output = run(&verify_it);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = run(&["-Y", "sign", "-f", "key", "-n", NAMESPACE, "manifest"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let signature = std::fs::read_to_string(at("manifest.sig")).unwrap();
        let theirs = Signed { signature, ..signed };
        assert_eq!(verify(&key.public_key().unwrap(), &theirs).unwrap(), manifest());
    }

    #[test]
    fn a_key_is_one_line() {
        let key = SigningKey(PrivateKey::random(&mut ssh_key::rand_core::OsRng, Algorithm::Ed25519).unwrap());
        let line = key.public_key().unwrap();
        assert_eq!(read_public_key(&format!("  {line}\n")).unwrap().0, line);
        // Its parser takes all that follows for a comment, and ssh-keygen a second line for a second key.
        let two = format!("{line} builder\n* {line}\n");
        assert!(matches!(read_public_key(&two), Err(SigningError::NoKey(_))));
    }

    #[test]
    fn of_many_who_make_a_key_all_have_the_same_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/key");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || SigningKey::open_or_make(&path, "test").unwrap().fingerprint())
            })
            .collect();
        let made: std::collections::BTreeSet<String> =
            makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        assert_eq!(made.len(), 1, "{made:?}");
        let state = path.parent().unwrap();
        assert_eq!(std::fs::read_dir(state).unwrap().count(), 1);
        assert_eq!(std::fs::metadata(state).unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}
