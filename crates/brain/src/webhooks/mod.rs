//! Webhooks: what goes out to receivers, and what never does.
//!
//! ```text
//!   events --(after the webhook's position, in its scope, of its kinds)--> controllers/telling.rs
//!                                                                              | one at a time per webhook
//!   address.rs  is this URL, is each address that it resolves to, outside? <---|
//!   signature.rs  Standard Webhooks: HMAC-SHA256 of id.timestamp.body          |
//!   send.rs     one attempt: deadline, no redirect, no proxy  <----------------'
//!                                                                              | what came of it, and the position:
//!                                                                              v one transaction
//! ```
//!
//! Never: an answer's body beyond a few KiB, a redirect, an address that is ours or nobody's.

mod address;
mod send;
mod signature;
#[cfg(test)]
mod tests;

#[cfg(test)]
use address::Lookup;
pub(crate) use address::{Guard, check_url};
pub(crate) use send::{Message, Webhooks};
pub(crate) use signature::secret;
