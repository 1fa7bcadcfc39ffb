//! Quotas, checked in the transaction that would use what is asked for: on PostgreSQL it is SERIALIZABLE, on SQLite the
//! only one, so that of many at the limit exactly as many succeed as fit.

use honcho_model::quota::{Amounts, Kind};
use honcho_model::{AccountId, Bytes, GuestId};
use honcho_store::{Refusal, StoreResult, Tx, quotas};
use std::collections::BTreeMap;

/// What is asked for beyond what the account has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra {
    pub(super) guests: u32,
    pub(super) vcpus: u32,
    pub(super) memory: Bytes,
    pub(super) disk: Bytes,
    pub(super) public_addresses: u32,
    pub(super) images: Bytes,
}

impl Extra {
    fn amounts(self) -> Amounts {
        Amounts {
            guests: self.guests.into(),
            vcpus: self.vcpus.into(),
            memory: signed(self.memory),
            disk: signed(self.disk),
            public_addresses: self.public_addresses.into(),
            images: signed(self.images),
        }
    }
}

/// The attribute that a refusal is about.
fn attribute(kind: Kind) -> &'static str {
    match kind {
        Kind::Guests => "base",
        Kind::Vcpus => "vcpus",
        Kind::Memory => "memory_bytes",
        Kind::Disk => "disk_bytes",
        Kind::PublicAddresses => "network_id",
        Kind::Images => "size_bytes",
    }
}

fn signed(bytes: Bytes) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX)
}

/// Refuses what goes beyond the account's limits. Call it before the rows are written that use it.
pub(super) async fn check(tx: &Tx, account: AccountId, extra: Extra) -> StoreResult<()> {
    refuse(tx, account, &extra.amounts(), &Amounts::default()).await
}

/// The same for what has been written already, for which it was not known before.
pub(super) async fn check_taken(tx: &Tx, account: AccountId, taken: Extra) -> StoreResult<()> {
    let taken = taken.amounts();
    refuse(tx, account, &taken, &taken).await
}

/// The same for the public addresses of a guest that has just been given them: which they are was not known before.
pub(super) async fn check_addresses_of(tx: &Tx, account: AccountId, guest: GuestId) -> StoreResult<()> {
    let taken = quotas::public_addresses_of_guest(tx, guest).await?;
    let taken = Amounts { public_addresses: taken, ..Amounts::default() };
    refuse(tx, account, &taken, &taken).await
}

/// `counted` is what of `asked` is in the books already.
async fn refuse(tx: &Tx, account: AccountId, asked: &Amounts, counted: &Amounts) -> StoreResult<()> {
    let (_, limits) = quotas::limits(tx, account).await?;
    if Kind::ALL.iter().all(|kind| limits.of(*kind).is_none() || asked.of(*kind) <= 0) {
        return Ok(());
    }
    let mut used = quotas::used(tx, account).await?;
    used.public_addresses -= counted.public_addresses;
    used.images -= counted.images;
    let mut errors = BTreeMap::<String, Vec<String>>::new();
    for exceeded in limits.exceeded(&used, asked) {
        errors.entry(attribute(exceeded.kind).to_owned()).or_default().push(exceeded.to_string());
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors).into()) }
}
