//! Whose a mail that is to be sent is: it does not go once its account is gone, or wants it elsewhere.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE outgoing_mails ADD COLUMN account_id BIGINT REFERENCES accounts (id)",
    // Until now all mails were written to the address of an account.
    "UPDATE outgoing_mails SET account_id = (SELECT MIN(w.account_id) FROM slow_settings w WHERE w.mail_to = outgoing_mails.recipient)",
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
