//! Whether samples of an account's slow queries keep their values: its own decision, for they are its customers' data.

use super::account::record;
use honcho_api::Account;
use honcho_model::AccountId;
use honcho_model::account::SampleValues;
use honcho_store::{Change, Scope, StoreResult, Tx, accounts, slow};

/// Keeps the values from now on; or no more, and removes those that were kept.
pub(crate) struct AccountSampleValues {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    pub(crate) sample_values: SampleValues,
}

impl Change for AccountSampleValues {
    type Out = Account;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        let before = accounts::get(tx, self.scope, self.id).await?;
        if before.sample_values == self.sample_values {
            return Ok(before);
        }
        slow::keep_sample_values(tx, self.id, self.sample_values).await?;
        let after = accounts::get(tx, self.scope, self.id).await?;
        let (kind, text) = match self.sample_values {
            SampleValues::Kept => {
                ("account.keep_sample_values", "keeps the values in samples of its slow queries")
            }
            SampleValues::Redacted => (
                "account.redact_sample_values",
                "keeps no values in samples of its slow queries, and those that were kept are gone",
            ),
        };
        record(tx, kind, &after, text, Some(&before)).await?;
        Ok(after)
    }
}
