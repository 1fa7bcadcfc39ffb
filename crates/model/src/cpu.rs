//! What processors are and can: the kernel's words for it, in small letters.

use std::fmt;
use std::str::FromStr;

/// A feature of a processor, as `/proc/cpuinfo` names it: `avx2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CpuFeature(String);

/// Why a text names no feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must each be one word of the kernel's, as avx2 is in /proc/cpuinfo")]
pub struct NoCpuFeature;

/// No word of the kernel's is as long.
const LONGEST: usize = 40;

impl CpuFeature {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CpuFeature {
    type Err = NoCpuFeature;
    fn from_str(text: &str) -> Result<Self, NoCpuFeature> {
        let proper = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(proper);
        if fits { Ok(CpuFeature(text.to_owned())) } else { Err(NoCpuFeature) }
    }
}

impl fmt::Display for CpuFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the kernel calls the processors for which Debian builds packages of this architecture; `None` for `all` and for what
/// is not known here. A PC's processors run both of its kinds.
pub fn architecture_of_debian(architecture: &str) -> Option<&'static str> {
    Some(match architecture {
        "amd64" | "i386" => "x86_64",
        "arm64" => "aarch64",
        "ppc64el" => "ppc64le",
        "riscv64" => "riscv64",
        "s390x" => "s390x",
        _ => return None,
    })
}

/// Every architecture that [`architecture_of_debian`] gives.
pub const ARCHITECTURES: [&str; 5] = ["x86_64", "aarch64", "ppc64le", "riscv64", "s390x"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_a_word() {
        assert_eq!("sse4_2".parse::<CpuFeature>().unwrap().as_str(), "sse4_2");
        for bad in ["", "AVX2", "avx 2", "avx%", &"a".repeat(41)] {
            assert_eq!(bad.parse::<CpuFeature>(), Err(NoCpuFeature), "{bad}");
        }
    }

    #[test]
    fn what_packages_are_built_for_says_where_they_run() {
        assert_eq!(architecture_of_debian("amd64"), Some("x86_64"));
        for debian in ["amd64", "i386", "arm64", "ppc64el", "riscv64", "s390x"] {
            assert!(ARCHITECTURES.contains(&architecture_of_debian(debian).unwrap()), "{debian}");
        }
        assert_eq!((architecture_of_debian("all"), architecture_of_debian("vax")), (None, None));
    }
}
