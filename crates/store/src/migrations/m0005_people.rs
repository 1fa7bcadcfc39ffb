//! People, what they may, their sessions; tokens that may less.

use super::schema::{id, index, references, table, unique};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string, string_null, text_null, uuid,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

fn tables() -> Vec<TableCreateStatement> {
    vec![
        table("people")
            .col(id())
            .col(uuid("uuid"))
            .col(string("login"))
            .col(string_null("name"))
            .col(boolean("operator"))
            .col(text_null("password_hash"))
            // Wrong passwords since the last right one.
            .col(big_integer("failures"))
            .col(big_integer_null("locked_until"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .to_owned(),
        table("grants")
            .col(id())
            .col(big_integer("person_id"))
            .col(big_integer("account_id"))
            .col(string("scope"))
            .col(big_integer("created_at"))
            .foreign_key(&mut references("person_id", "people"))
            .foreign_key(&mut references("account_id", "accounts"))
            .to_owned(),
        table("sessions")
            .col(id())
            .col(big_integer("person_id"))
            .col(string("secret_hash"))
            .col(string_null("source"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .col(big_integer("last_used_at"))
            .foreign_key(&mut references("person_id", "people"))
            .to_owned(),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        unique("people_login", "people", &["login"], Some("deleted_at")),
        unique("grants_person_account", "grants", &["person_id", "account_id"], None),
        index("grants_account", "grants", &["account_id"]),
        unique("sessions_secret_hash", "sessions", &["secret_hash"], None),
        index("sessions_person", "sessions", &["person_id"]),
    ]
}

/// What tokens have besides: the machine that one is limited to, when it was last shown, and a version.
fn of_tokens() -> Vec<ColumnDef> {
    let mut version = ColumnDef::new("lock_version");
    version.big_integer().not_null().default(1);
    vec![big_integer_null("guest_id"), big_integer_null("last_used_at"), version]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        for column in of_tokens() {
            manager.alter_table(Table::alter().table("tokens").add_column(column).to_owned()).await?;
        }
        // What was "everything of one account" is an admin's token now.
        let connection = manager.get_connection();
        connection.execute_unprepared("UPDATE tokens SET scope = 'admin' WHERE scope = 'account'").await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
