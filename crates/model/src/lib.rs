//! The nouns of the data centre and the rules they obey.
//!
//! Owns: ids, names, sizes, the status rules, address arithmetic. Pure: no clock, no randomness, no I/O, no SQL,
//! no HTTP. Whatever needs one of those takes its result as an argument.
#![forbid(unsafe_code)]

pub mod account;
pub mod address;
pub mod cpu;
pub mod digest;
pub mod domain_name;
pub mod event;
pub mod grant;
pub mod guest;
pub mod host;
pub mod ids;
pub mod load;
pub mod mac;
pub mod name;
pub mod needle;
pub mod network;
pub mod operation;
pub mod password;
pub mod printed;
pub mod quota;
pub mod rack;
pub mod range;
pub mod size;
pub mod slow;
pub mod subnet;
pub mod text;
pub mod time;
pub mod usage;

pub use cpu::CpuFeature;
pub use digest::Digest;
pub use domain_name::DomainName;
pub use grant::Right;
pub use ids::*;
pub use mac::Mac;
pub use name::Name;
pub use network::{Family, NetworkKind};
pub use range::AddressRange;
pub use size::Bytes;
pub use time::Timestamp;
