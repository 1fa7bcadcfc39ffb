//! Blobs that nothing names, since when, and which of them are being deleted.

use super::schema::{id, table, unique};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let blobs = table("unnamed_blobs")
            .col(id())
            .col(string("digest"))
            .col(big_integer("since"))
            .col(big_integer_null("collecting_at"))
            .to_owned();
        manager.create_table(blobs).await?;
        manager.create_index(unique("unnamed_blobs_digest", "unnamed_blobs", &["digest"], None)).await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
