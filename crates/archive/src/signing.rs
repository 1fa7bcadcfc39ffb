//! Keys that sign, by `OpenPGP`.
//!
//! Version 4 with Ed25519 in its old encoding (algorithm 22), for the gpgv of Debian 12 knows no other. No key ever signs with
//! RSA. Secret keys lie in `keys/`, for their owner alone, without a passphrase: whoever publishes by night has nobody to ask.

use crate::error::Tried as _;
use crate::{ArchiveError, ArchiveResult, files};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, Deserializable as _, DetachedSignature, EncryptionCaps, KeyType,
    SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, Timestamp};
use rand_core_06::CryptoRngCore;
use std::path::Path;

/// A key that signs.
pub(crate) struct Key {
    secret: SignedSecretKey,
}

/// Seconds since 1970, as `OpenPGP` counts them: until 2106.
fn timestamp(now: i64) -> Timestamp {
    Timestamp::from_secs(u32::try_from(now).unwrap_or(u32::MAX))
}

fn failed(key: &str) -> impl Fn(pgp::errors::Error) -> ArchiveError {
    let key = key.to_owned();
    move |error| ArchiveError::Key { key: key.clone(), why: error.to_string() }
}

impl Key {
    /// A new one of this name.
    pub(crate) fn generate(name: &str, now: i64, rng: &mut impl CryptoRngCore) -> ArchiveResult<Self> {
        let mut parameters = SecretKeyParamsBuilder::default();
        let parameters = parameters
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .can_encrypt(EncryptionCaps::None)
            .created_at(timestamp(now))
            .primary_user_id(name.to_owned())
            .build()
            .map_err(|error| ArchiveError::Key { key: name.to_owned(), why: error.to_string() })?;
        Ok(Key { secret: parameters.generate(rng).map_err(failed(name))? })
    }

    /// Reads the key of this fingerprint.
    pub(crate) fn read(directory: &Path, fingerprint: &str) -> ArchiveResult<Self> {
        let path = directory.join(format!("{fingerprint}.asc"));
        let why = || "it is not in the archive's keys/: put it back from where it is kept".to_owned();
        let bytes = files::read(&path)?
            .ok_or_else(|| ArchiveError::Key { key: fingerprint.to_owned(), why: why() })?;
        let (secret, _) =
            SignedSecretKey::from_armor_single(bytes.as_slice()).map_err(failed(fingerprint))?;
        Ok(Key { secret })
    }

    /// Keeps it.
    pub(crate) fn write(&self, directory: &Path) -> ArchiveResult<()> {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::create_dir_all(directory).tried("making", directory)?;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
            .tried("making", directory)?;
        let fingerprint = self.fingerprint();
        let armored = self.secret.to_armored_bytes(ArmorOptions::default()).map_err(failed(&fingerprint))?;
        files::write_secret(&directory.join(format!("{fingerprint}.asc")), &armored)
    }

    /// Its name among keys: 40 hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> String {
        hex::encode_upper(self.secret.fingerprint().as_bytes())
    }

    /// What everybody may have of it.
    pub(crate) fn public(&self) -> ArchiveResult<Vec<u8>> {
        SignedPublicKey::from(self.secret.clone()).to_bytes().map_err(failed(&self.fingerprint()))
    }

    fn sign(&self, kind: SignatureType, bytes: &[u8], now: i64) -> pgp::errors::Result<Signature> {
        let key = &self.secret.primary_key;
        let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha512);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(timestamp(now)))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        ];
        config.unhashed_subpackets =
            vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
        config.sign(key, &Password::empty(), bytes)
    }
}

/// A text with signatures around it, by every key.
pub(crate) fn sign_inline(keys: &[Key], text: &str, now: i64) -> ArchiveResult<Vec<u8>> {
    CleartextSignedMessage::new_many(text, |text| {
        keys.iter().map(|key| key.sign(SignatureType::Text, text.as_bytes(), now)).collect()
    })
    .and_then(|message| message.to_armored_bytes(ArmorOptions::default()))
    .map_err(failed(&fingerprints(keys)))
}

/// Signatures of a text, by every key.
pub(crate) fn sign_apart(keys: &[Key], text: &str, now: i64) -> ArchiveResult<Vec<u8>> {
    let signed = || {
        let mut signatures = Vec::new();
        for key in keys {
            signatures.push(DetachedSignature::new(key.sign(SignatureType::Binary, text.as_bytes(), now)?));
        }
        let mut armored = Vec::new();
        pgp::armor::write(&signatures, pgp::armor::BlockType::Signature, &mut armored, None, true)?;
        Ok(armored)
    };
    signed().map_err(failed(&fingerprints(keys)))
}

fn fingerprints(keys: &[Key]) -> String {
    keys.iter().map(Key::fingerprint).collect::<Vec<_>>().join(", ")
}
