//! Quotas, and how accounts end: limits, suspension, cancellation; what of that stands at each guest.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // Quotas; NULL is no limit.
    "ALTER TABLE accounts ADD COLUMN limit_guests BIGINT",
    "ALTER TABLE accounts ADD COLUMN limit_vcpus BIGINT",
    "ALTER TABLE accounts ADD COLUMN limit_memory BIGINT",
    "ALTER TABLE accounts ADD COLUMN limit_disk BIGINT",
    "ALTER TABLE accounts ADD COLUMN limit_public_addresses BIGINT",
    "ALTER TABLE accounts ADD COLUMN suspended_at BIGINT",
    "ALTER TABLE accounts ADD COLUMN suspended_reason TEXT",
    "ALTER TABLE accounts ADD COLUMN cancelled_at BIGINT",
    "ALTER TABLE accounts ADD COLUMN deletes_at BIGINT",
    "ALTER TABLE accounts ADD COLUMN deleting_at BIGINT",
    // The suspension of its account, at each guest, so that its generation covers it.
    "ALTER TABLE guests ADD COLUMN suspended_at BIGINT",
    // Restoring the account takes back those that its own cancellation cancelled, and no others.
    "ALTER TABLE guests ADD COLUMN cancelled_with_account BOOLEAN NOT NULL DEFAULT FALSE",
    // FALSE for one that was taken back where its host had no room: its memory is claimed when it is started.
    "ALTER TABLE guests ADD COLUMN memory_claimed BOOLEAN NOT NULL DEFAULT TRUE",
    "CREATE INDEX accounts_deletes ON accounts (deletes_at) WHERE deletes_at IS NOT NULL AND deleted_at IS NULL",
    "CREATE INDEX guests_deletes ON guests (deletes_at) WHERE deletes_at IS NOT NULL AND deleted_at IS NULL",
    // Usage: the events that tell of a guest's size or state, by guest.
    "CREATE INDEX events_guest_change ON events (resource_id, id) \
     WHERE resource = 'guest' AND after IS NOT NULL",
    // Every guest an account ever had, also those that are gone: a month's usage is about them, too.
    "CREATE INDEX guests_account ON guests (account_id, id)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
