//! Access control lists: as tar writes them (text, acl(5)), and as a filesystem keeps them (`system.posix_acl_access`).

/// Whom an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whom {
    Owner,
    User(Id),
    Group,
    OfGroup(Id),
    Mask,
    Other,
}

/// A user or group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Number(u32),
    /// To be looked up in the image's own lists.
    Name(String),
}

/// A list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acl(Vec<(Whom, u16)>);

/// A list of a whole directory tree's users: more than the filesystem holds anyhow.
const MOST_ENTRIES: usize = 512;

const VERSION: u32 = 2;

impl Acl {
    /// Reads the text form, entries parted by commas or line breaks: `user:lisa:r-x` or `user:lisa:r-x:1000`.
    pub(super) fn parse_text(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "an access control list that is no text")?;
        let mut entries = Vec::new();
        for entry in text.split([',', '\n']) {
            let entry = entry.split('#').next().unwrap_or_default().trim();
            if !entry.is_empty() {
                entries.push(parse_entry(entry).ok_or_else(|| {
                    format!("an access control list with the entry {}", super::shown(entry.as_bytes()))
                })?);
            }
        }
        Acl(entries).sorted()
    }

    /// Reads the binary form.
    pub(super) fn parse_binary(bytes: &[u8]) -> Result<Self, String> {
        let bad = || "an access control list that is none".to_owned();
        let (version, rest) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
        let (entries, odd) = rest.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !odd.is_empty() {
            return Err(bad());
        }
        let entry = |[t0, t1, p0, p1, i0, i1, i2, i3]: &[u8; 8]| {
            let id = Id::Number(u32::from_le_bytes([*i0, *i1, *i2, *i3]));
            let whom = match u16::from_le_bytes([*t0, *t1]) {
                0x01 => Whom::Owner,
                0x02 => Whom::User(id),
                0x04 => Whom::Group,
                0x08 => Whom::OfGroup(id),
                0x10 => Whom::Mask,
                0x20 => Whom::Other,
                _ => return None,
            };
            let permissions = u16::from_le_bytes([*p0, *p1]);
            (permissions <= 7).then_some((whom, permissions))
        };
        Acl(entries.iter().map(entry).collect::<Option<_>>().ok_or_else(bad)?).sorted()
    }

    fn sorted(mut self) -> Result<Self, String> {
        self.0.sort();
        if self.0.len() > MOST_ENTRIES {
            return Err(format!("an access control list of more than {MOST_ENTRIES} entries"));
        }
        if self.0.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("an access control list that says two things of one".to_owned());
        }
        let has = |whom: &Whom| self.0.iter().any(|(other, _)| other == whom);
        let named = self.0.iter().any(|(whom, _)| matches!(whom, Whom::User(_) | Whom::OfGroup(_)));
        let whole = self.0.is_empty()
            || has(&Whom::Owner) && has(&Whom::Group) && has(&Whom::Other) && (has(&Whom::Mask) || !named);
        if whole { Ok(self) } else { Err("an access control list that is not whole".to_owned()) }
    }

    /// Whether it says no more than permission bits do.
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|(whom, _)| matches!(whom, Whom::Owner | Whom::Group | Whom::Other))
    }

    /// The list with names replaced by the numbers that `user` and `group` know.
    pub(super) fn resolved(
        self,
        user: impl Fn(&str) -> Option<u32>,
        group: impl Fn(&str) -> Option<u32>,
    ) -> Result<Self, String> {
        let number = |id: Id, find: &dyn Fn(&str) -> Option<u32>, list: &str| match id {
            Id::Number(_) => Ok(id),
            Id::Name(name) => find(&name).map(Id::Number).ok_or_else(|| {
                format!(
                    "an access control list that names {}, whom its own {list} does not know",
                    super::shown(name.as_bytes())
                )
            }),
        };
        let entry = |(whom, permissions)| {
            let whom = match whom {
                Whom::User(id) => Whom::User(number(id, &user, "/etc/passwd")?),
                Whom::OfGroup(id) => Whom::OfGroup(number(id, &group, "/etc/group")?),
                other => other,
            };
            Ok((whom, permissions))
        };
        Acl(self.0.into_iter().map(entry).collect::<Result<_, String>>()?).sorted()
    }

    /// The text form, on one line, by numbers.
    pub(super) fn to_text(&self) -> String {
        let entry = |(whom, permissions): &(Whom, u16)| {
            let (tag, id) = match whom {
                Whom::Owner => ("user", None),
                Whom::User(id) => ("user", Some(id)),
                Whom::Group => ("group", None),
                Whom::OfGroup(id) => ("group", Some(id)),
                Whom::Mask => ("mask", None),
                Whom::Other => ("other", None),
            };
            let id = id.map(Id::to_text).unwrap_or_default();
            let bit = |bit: u16, letter: char| if permissions & bit == 0 { '-' } else { letter };
            format!("{tag}:{id}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x'))
        };
        self.0.iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// The binary form.
    pub(super) fn to_binary(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (whom, permissions) in &self.0 {
            let (tag, id) = match whom {
                Whom::Owner => (0x01_u16, None),
                Whom::User(id) => (0x02, Some(id)),
                Whom::Group => (0x04, None),
                Whom::OfGroup(id) => (0x08, Some(id)),
                Whom::Mask => (0x10, None),
                Whom::Other => (0x20, None),
            };
            let id = match id {
                Some(Id::Number(id)) => *id,
                _ => u32::MAX,
            };
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&permissions.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }
}

impl Id {
    fn parse(text: &str) -> Self {
        let number = text
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
            .map(Id::Number);
        number.unwrap_or_else(|| Id::Name(text.to_owned()))
    }

    fn to_text(&self) -> String {
        match self {
            Id::Number(number) => number.to_string(),
            Id::Name(name) => name.clone(),
        }
    }
}

fn parse_entry(entry: &str) -> Option<(Whom, u16)> {
    let mut parts = entry.split(':');
    let (tag, name, permissions) = (parts.next()?, parts.next()?, parts.next()?);
    // Some archivers write the number behind; it is what counts.
    let id = parts.next().map_or_else(|| Id::parse(name), Id::parse);
    if parts.next().is_some() {
        return None;
    }
    let whom = match (tag, name.is_empty()) {
        ("user" | "u", true) => Whom::Owner,
        ("user" | "u", false) => Whom::User(id),
        ("group" | "g", true) => Whom::Group,
        ("group" | "g", false) => Whom::OfGroup(id),
        ("mask" | "m", true) => Whom::Mask,
        ("other" | "o", true) => Whom::Other,
        _ => return None,
    };
    let mut bits = 0;
    for letter in permissions.chars() {
        bits |= match letter {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => 0,
            _ => return None,
        };
    }
    (permissions.len() <= 3).then_some((whom, bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_the_same_in_both_forms() {
        let text = "user::rw-\nuser:1000:r-x\nuser:lisa:rwx:1001\ngroup::r--\ngroup:staff:---\nmask::rwx\nother::r--\n";
        let acl = Acl::parse_text(text.as_bytes()).unwrap();
        assert!(!acl.is_plain());
        assert!(acl.clone().resolved(|_| None, |_| None).unwrap_err().contains("staff"));
        let acl = acl.resolved(|_| None, |name| (name == "staff").then_some(50)).unwrap();
        let expected = "user::rw-,user:1000:r-x,user:1001:rwx,group::r--,group:50:---,mask::rwx,other::r--";
        assert_eq!(acl.to_text(), expected);
        assert_eq!(Acl::parse_binary(&acl.to_binary()).unwrap(), acl);
        assert_eq!(Acl::parse_text(expected.as_bytes()).unwrap(), acl);
        assert!(Acl::parse_text(b"u::rwx,g::r-x,o::---").unwrap().is_plain());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in [
            "user::rw-",
            "user::rwx,user::r--,group::r--,other::---",
            "a:b",
            "user:x:rwxr",
            "user::q,group::r,other::r",
            "user:1:rwx,user::rwx,group::r--,other::---",
        ] {
            assert!(Acl::parse_text(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [&b""[..], &[3, 0, 0, 0], &[2, 0, 0, 0, 1], &[2, 0, 0, 0, 3, 0, 7, 0, 0, 0, 0, 0]] {
            assert!(Acl::parse_binary(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(acl) = Acl::parse_text(&bytes)
                && let Ok(acl) = acl.resolved(|_| Some(7), |_| Some(8))
            {
                prop_assert_eq!(Acl::parse_binary(&acl.to_binary()).unwrap(), acl);
            }
            let _ = Acl::parse_binary(&bytes);
        }
    }
}
