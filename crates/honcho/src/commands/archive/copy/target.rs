//! Where a copy is to be: a directory, or a bucket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a copy is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands::archive) enum Target {
    Directory(PathBuf),
    /// The prefix is what all names in it begin with: empty, or with a slash at its end.
    Bucket {
        name: String,
        prefix: String,
    },
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.split_once("://") {
                Some((scheme, _)) => {
                    Err(format!("{scheme}:// is neither a directory nor s3://BUCKET/PREFIX"))
                }
                None => Ok(Target::Directory(PathBuf::from(text))),
            };
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Dots alone would lead out of the bucket, and what else a URL has to write otherwise is read otherwise by some.
        let is_plain = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphanumeric())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        };
        let prefix = prefix.trim_end_matches('/');
        if !is_plain(name) {
            return Err("a bucket has to be named, as in s3://apt.example.com/debian".to_owned());
        }
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err(format!(
                "{prefix:?} is no prefix: words of letters, digits, dots, - and _ with a slash between them, as in s3://apt.example.com/debian"
            ));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Target::Bucket { name: name.to_owned(), prefix })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Directory(path) => path.display().fmt(f),
            Target::Bucket { name, prefix } => write!(f, "s3://{name}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_directory_or_a_bucket() {
        let read = |text: &str| text.parse::<Target>();
        let bucket = |name: &str, prefix: &str| {
            Ok(Target::Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(read("/srv/www"), Ok(Target::Directory("/srv/www".into())));
        assert_eq!(read("s3:/here"), Ok(Target::Directory("s3:/here".into())));
        assert_eq!(read("s3://apt.example.com"), bucket("apt.example.com", ""));
        assert_eq!(read("s3://apt/"), bucket("apt", ""));
        assert_eq!(read("s3://apt/a/b_1/"), bucket("apt", "a/b_1/"));
        assert_eq!(read("s3://apt/a").unwrap().to_string(), "s3://apt/a/");
        for bad in
            ["s3://", "s3:///x", "s3://../b", "s3://a/../b", "s3://a/b//c", "s3://a b", "s3://a/ü", "gs://a"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
