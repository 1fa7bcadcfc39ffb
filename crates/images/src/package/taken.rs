//! Takes what a build has made out of the tar that came from its chroot. Only plain files, under names that lead nowhere.

use crate::error::ImageError;
use std::io::BufReader;
use std::path::Path;

/// Writes them into `to`, durably, and gives their names.
pub(super) fn take(tar: &Path, to: &Path) -> Result<Vec<String>, ImageError> {
    let taking = || ImageError::io("taking what was made");
    let strange =
        |what: String| ImageError::Package(format!("the build has made {what}, which is not taken"));
    let file = std::fs::File::open(tar).map_err(taking())?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let mut names = Vec::new();
    for entry in archive.entries().map_err(taking())? {
        let mut entry = entry.map_err(taking())?;
        let path = entry.path_bytes().into_owned();
        let path = String::from_utf8_lossy(&path).into_owned();
        let name = path.strip_prefix("./").unwrap_or(&path).to_owned();
        let good = name.len() <= 200
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~_".contains(&byte));
        if !good {
            return Err(strange(format!("a file called {name:?}")));
        }
        if !entry.header().entry_type().is_file() {
            return Err(strange(format!("{name}, which is no plain file")));
        }
        let mut file = std::fs::File::create_new(to.join(&name)).map_err(taking())?;
        std::io::copy(&mut entry, &mut file).map_err(taking())?;
        file.sync_all().map_err(taking())?;
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_files_are_taken_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let tar = |fill: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
            let mut builder = tar::Builder::new(Vec::new());
            fill(&mut builder);
            let path = place.path().join("out.tar");
            std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
            let to = tempfile::tempdir().unwrap();
            take(&path, to.path()).map_err(|error| error.to_string())
        };
        let header = |size: u64| {
            let mut header = tar::Header::new_gnu();
            header.set_size(size);
            header.set_mode(0o644);
            header
        };
        let taken =
            tar(&|builder| builder.append_data(&mut header(1), "./hello_1_all.deb", &b"x"[..]).unwrap());
        assert_eq!(taken.unwrap(), ["hello_1_all.deb"]);
        let refused = tar(&|builder| {
            let mut header = header(0);
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, "hello.deb", "/etc/shadow").unwrap();
        });
        assert!(refused.unwrap_err().contains("hello.deb, which is no plain file"));
        let refused = tar(&|builder| {
            let mut header = header(1);
            header.as_gnu_mut().unwrap().name[..6].copy_from_slice(b"../a\0\0");
            header.set_cksum();
            builder.append(&header, &b"x"[..]).unwrap();
        });
        assert!(refused.unwrap_err().contains("called \"../a\""));
    }
}
