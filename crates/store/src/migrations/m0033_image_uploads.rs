//! Customers' own images: what is on its way to become one, how much of it an account may have, and what is known of each.

use super::schema::{id, index, references, table};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string, string_null, text_null, uuid,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE accounts ADD COLUMN limit_images BIGINT",
    // What the root filesystem says that it is, and what was found in it; nobody knows of images that are older.
    "ALTER TABLE images ADD COLUMN distribution_id TEXT",
    "ALTER TABLE images ADD COLUMN distribution_version TEXT",
    "ALTER TABLE images ADD COLUMN distribution_name TEXT",
    "ALTER TABLE images ADD COLUMN init TEXT",
    "ALTER TABLE images ADD COLUMN kernel TEXT",
    "ALTER TABLE images ADD COLUMN files_count BIGINT",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        let uploads = table("image_uploads")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer_null("account_id"))
            .col(string("name"))
            .col(big_integer("size"))
            .col(string("digest"))
            .col(boolean("host_kernel"))
            .col(big_integer("created_at"))
            // When more of it came last.
            .col(big_integer("touched_at"))
            // Desired: all of it was sent, and it shall be sealed.
            .col(big_integer_null("finished_at"))
            // Observed of the sealing.
            .col(string_null("stage"))
            .col(big_integer_null("progress"))
            // How it ended: with an image, or a problem.
            .col(big_integer_null("ended_at"))
            .col(big_integer_null("image_id"))
            .col(text_null("problem"))
            .col(text_null("notes"))
            .foreign_key(&mut references("account_id", "accounts"))
            .foreign_key(&mut references("image_id", "images"))
            .to_owned();
        manager.create_table(uploads).await?;
        manager.create_index(index("image_uploads_ended", "image_uploads", &["ended_at"])).await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
