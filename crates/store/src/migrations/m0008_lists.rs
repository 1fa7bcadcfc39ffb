//! Indexes by which pages of long lists are found: narrow, so that an offset passes over many rows cheaply.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const INDEXES: &[&str] = &[
    // What a list of guests shows unless it is asked for what is cancelled, too.
    "CREATE INDEX guests_living ON guests (id) \
     WHERE cancelled_at IS NULL AND deleting_at IS NULL AND deleted_at IS NULL",
    "CREATE INDEX guests_account_living ON guests (account_id, id) \
     WHERE cancelled_at IS NULL AND deleting_at IS NULL AND deleted_at IS NULL",
    "CREATE INDEX operations_account ON operations (account_id, id)",
    "CREATE INDEX events_account ON events (account_id, id)",
    // The newest operation of a guest, without reading the others.
    "CREATE INDEX operations_guest_newest ON operations (guest_id, id)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in INDEXES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
