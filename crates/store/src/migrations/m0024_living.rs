//! The indexes of living guests also hold what makes a guest one: SQLite asks the table for columns that only an index's
//! condition is about, at each entry that a page by `offset=` passes. Without, passing one takes a fourth of the time.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "DROP INDEX guests_living",
    "CREATE INDEX guests_living ON guests (id, cancelled_at, deleting_at, deleted_at) \
     WHERE cancelled_at IS NULL AND deleting_at IS NULL AND deleted_at IS NULL",
    "DROP INDEX guests_account_living",
    "CREATE INDEX guests_account_living ON guests (account_id, id, cancelled_at, deleting_at, deleted_at) \
     WHERE cancelled_at IS NULL AND deleting_at IS NULL AND deleted_at IS NULL",
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
