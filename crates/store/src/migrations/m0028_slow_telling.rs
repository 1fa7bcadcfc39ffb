//! Marks on the time line of slow queries; whom to tell of what is new or worse; and mails that are to be sent.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // Of one server, or of all of an account.
    "CREATE TABLE slow_marks (id {id}, account_id BIGINT REFERENCES accounts (id), slow_server_id BIGINT REFERENCES slow_servers (id), \
     at BIGINT NOT NULL, text TEXT NOT NULL, actor TEXT NOT NULL, created_at BIGINT NOT NULL)",
    "CREATE INDEX slow_marks_account ON slow_marks (account_id, at)",
    "CREATE INDEX slow_marks_server ON slow_marks (slow_server_id, at)",
    // What of an account is not as usual.
    "CREATE TABLE slow_settings (account_id BIGINT PRIMARY KEY REFERENCES accounts (id), top_queries BIGINT NOT NULL, mail_to TEXT, \
     weekly_mail BOOLEAN NOT NULL, weekly_mail_at BIGINT NOT NULL)",
    // When a query was told of: as new once, as worse once for each time it becomes so.
    "ALTER TABLE slow_classes ADD COLUMN told_new_at BIGINT",
    "ALTER TABLE slow_classes ADD COLUMN told_worse_at BIGINT",
    // The last mail up to which a server's queries were looked through.
    "ALTER TABLE slow_servers ADD COLUMN looked_through_at BIGINT NOT NULL DEFAULT 0",
    // A row is a mail that no mail daemon has yet.
    "CREATE TABLE outgoing_mails (id {id}, recipient TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, created_at BIGINT NOT NULL, \
     failures BIGINT NOT NULL, next_try_at BIGINT NOT NULL)",
    "CREATE INDEX outgoing_mails_next ON outgoing_mails (next_try_at)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == sea_orm::DbBackend::Postgres;
        let id =
            if postgres { "BIGSERIAL PRIMARY KEY" } else { "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT" };
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(&statement.replace("{id}", id)).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
