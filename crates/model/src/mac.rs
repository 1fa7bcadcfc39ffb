//! MAC addresses of guests.

use crate::InterfaceId;
use serde::{Deserialize, Serialize};

/// An Ethernet address; text form `02:00:00:00:00:07`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// A text that is no MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a MAC address: write six hexadecimal pairs, as in 02:00:00:00:00:07")]
pub struct MacError;

impl Mac {
    /// The address of an interface: locally administered and unicast (IEEE 802, U/L bit set), then the low 40 bits of
    /// the id. Unique because ids are never used twice.
    pub fn of_interface(id: InterfaceId) -> Self {
        let mut bytes = [0x02; 6];
        bytes[1..].copy_from_slice(&id.0.to_be_bytes()[3..]);
        Mac(bytes)
    }

    /// Reads an address in any of the spellings that people and machines use: `02:00:00:00:00:07`, `02-00-00-00-00-07`,
    /// `0200.0000.0007`, `020000000007`; letters of either case.
    pub fn of_any_spelling(text: &str) -> Result<Self, MacError> {
        let groups: Vec<&str> = text.trim().split([':', '-', '.']).collect();
        let separators = text.matches([':', '-', '.']).collect::<std::collections::BTreeSet<_>>().len();
        let length = match groups.len() {
            6 => 2,
            3 => 4,
            1 => 12,
            _ => return Err(MacError),
        };
        let digits = |group: &&str| group.len() == length && group.bytes().all(|b| b.is_ascii_hexdigit());
        if separators > 1 || !groups.iter().all(digits) {
            return Err(MacError);
        }
        let number = u64::from_str_radix(&groups.concat(), 16).map_err(|_| MacError)?.to_be_bytes();
        let mut bytes = [0; 6];
        bytes.copy_from_slice(&number[2..]);
        Ok(Mac(bytes))
    }

    /// The interface whose address this is, if it is one's.
    pub fn interface(self) -> Option<InterfaceId> {
        let [first, id @ ..] = self.0;
        let id = id.iter().fold(0, |id, byte| id << 8 | i64::from(*byte));
        (first == 0x02).then_some(InterfaceId(id))
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Lists show one for every card, so it is written without an allocation.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b':'; 17];
        for (pair, byte) in text.chunks_mut(3).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
    }
}
impl std::str::FromStr for Mac {
    type Err = MacError;
    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|p| p.len() == 2 && !p.starts_with('+')).ok_or(MacError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| MacError)?;
        }
        if pairs.next().is_some() { Err(MacError) } else { Ok(Mac(bytes)) }
    }
}
impl TryFrom<String> for Mac {
    type Error = MacError;
    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}
impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_read_in_every_spelling() {
        let mac = Mac([0x02, 0, 0, 0, 0xab, 7]);
        for text in [
            "02:00:00:00:ab:07",
            "02-00-00-00-AB-07",
            "0200.0000.ab07",
            "02000000AB07",
            " 02:00:00:00:ab:07 ",
        ] {
            assert_eq!(Mac::of_any_spelling(text), Ok(mac), "{text}");
        }
        for bad in
            ["", "02:00:00:00:ab", "2:0:0:0:ab:7", "02:00-00:00:ab:07", "0200.0000.ab0g", "+2000000ab07", "é"]
        {
            assert_eq!(Mac::of_any_spelling(bad), Err(MacError), "{bad}");
        }
        assert_eq!(mac.interface(), Some(InterfaceId(0xab07)));
        assert_eq!(Mac([4, 0, 0, 0, 0, 7]).interface(), None);
    }

    #[test]
    fn a_mac_is_made_from_the_interface_and_reads_back() {
        let mac = Mac::of_interface(InterfaceId(0x01_02_03_04_05));
        assert_eq!(mac.to_string(), "02:01:02:03:04:05");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for bad in ["", "02:00", "02:00:00:00:00:0g", "02:00:00:00:00:00:00", "+2:00:00:00:00:00"] {
            assert_eq!(bad.parse::<Mac>(), Err(MacError), "{bad}");
        }
    }
}
