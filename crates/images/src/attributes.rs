//! Extended attributes and access control lists, which mke2fs leaves out of a filesystem that it makes of a tarball
//! (capabilities excepted): read from the same stream beside it, and set by debugfs afterwards.

use crate::import::AttributeReader;
use crate::partial::PartialDirectory;
use crate::tool::{DEBUGFS, Sandbox};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Labels of a whole distribution's files have a tenth of this: equal values are kept once.
const MOST: usize = 64 << 20;

/// 100,000 attributes take seconds.
const PATIENCE: Duration = Duration::from_mins(10);

/// What mke2fs sets by itself.
const CAPABILITY: &[u8] = b"security.capability";

/// Attributes of files, by their values.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    values: BTreeMap<Vec<u8>, Vec<Attributed>>,
    spent: usize,
}

/// A file, and the name of an attribute of its.
type Attributed = (Vec<u8>, Vec<u8>);

impl Attributes {
    /// Reads a tarball of at most so many bytes up to its end mark.
    pub(crate) fn read(tar: impl Read, most: u64) -> Result<Self, String> {
        let (mut all, mut reader) = (Attributes::default(), AttributeReader::new(tar, most));
        while let Some((path, attributes)) = reader.next().map_err(|error| error.to_string())? {
            for (name, value) in attributes {
                let for_debugfs = name != CAPABILITY;
                if for_debugfs && !(can_carry_attributes(&path) && can_carry_attributes(&name)) {
                    return Err(
                        "a file whose name holds control characters or quotes has extended attributes"
                            .to_owned(),
                    );
                }
                all.spent += path.len() + name.len() + value.len() + 64;
                if all.spent > MOST {
                    return Err("its extended attributes have more than 64 MiB".to_owned());
                }
                all.values.entry(value).or_default().push((path.clone(), name));
            }
        }
        Ok(all)
    }

    #[cfg(test)]
    pub(crate) fn of(path: &[u8], name: &[u8], value: &[u8]) -> Self {
        let values = [(value.to_vec(), vec![(path.to_vec(), name.to_vec())])];
        Attributes { values: values.into(), spent: 0 }
    }

    /// Path, name and value of each.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
        self.values.iter().flat_map(|(value, files)| {
            files.iter().map(|(path, name)| (path.as_slice(), name.as_slice(), value.as_slice()))
        })
    }

    /// Sets them in the filesystem `target`, a file of the sandbox's in `directory`.
    pub(crate) async fn set(
        self,
        sandbox: &Sandbox,
        directory: &Path,
        target: &std::ffi::OsStr,
    ) -> io::Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let stage = PartialDirectory::create(directory, "attributes")?;
        std::fs::set_permissions(stage.path(), PermissionsExt::from_mode(0o711))?;
        let within = stage.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let put = |name: &str, content: &[u8]| {
            let path = stage.path().join(name);
            std::fs::write(&path, content)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
            sandbox.admit(File::open(&path)?)
        };
        let mut script = Vec::new();
        for (number, (value, files)) in self.values.iter().enumerate() {
            put(&number.to_string(), value)?;
            for (path, name) in files.iter().filter(|(_, name)| name != CAPABILITY) {
                let value = format!("ea_set -f {within}/{number} ").into_bytes();
                script.extend([&value, &quoted(path)[..], b" ", &quoted(name), b"\n"].concat());
            }
        }
        put("script", &script)?;
        let script = format!("{within}/script");
        let arguments = ["-w".as_ref(), "-f".as_ref(), script.as_ref(), target];
        let output = sandbox.run(DEBUGFS, &arguments, None, PATIENCE).await.map_err(io::Error::other)?;
        // It ends with success whatever happens, and repeats what it is told; anything else it says is a complaint.
        match output.said.lines().find(|line| !line.starts_with("debugfs")) {
            Some(complaint) => {
                Err(io::Error::other(format!("debugfs could not set extended attributes: {complaint}")))
            }
            None if output.code == Some(0) => Ok(()),
            None => Err(io::Error::other(format!("debugfs failed: {}", output.said))),
        }
    }
}

/// A word of debugfs' language. A line break or a quote cannot be said in it: who has such a name has no attributes.
fn quoted(word: &[u8]) -> Vec<u8> {
    [b"\"", word, b"\""].concat()
}

/// Whether a file of this name can be given attributes.
pub(crate) fn can_carry_attributes(path: &[u8]) -> bool {
    !path.iter().any(|byte| byte.is_ascii_control() || *byte == b'"')
}
