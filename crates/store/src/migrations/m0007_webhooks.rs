//! Webhooks, how far each has been told the event log, and what came of each attempt.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string, string_null, text, text_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

fn id() -> ColumnDef {
    let mut column = ColumnDef::new("id");
    column.big_integer().not_null().auto_increment().primary_key();
    column
}

fn tables() -> Vec<TableCreateStatement> {
    let mut owner = ForeignKey::create();
    owner.from_col("account_id").to("accounts", "id");
    let webhooks = Table::create()
        .table("webhooks")
        .col(id())
        // Whose events it is told; the operators' when null.
        .col(big_integer_null("account_id"))
        .col(text("url"))
        .col(string("description"))
        // A JSON list of kinds.
        .col(text("events"))
        .col(boolean("allow_http"))
        .col(string("secret"))
        .col(string_null("previous_secret"))
        .col(big_integer_null("previous_secret_until"))
        .col(boolean("enabled"))
        // The last event that it was told, or that is none of its business.
        .col(big_integer("position"))
        // The transaction that wrote it, and the life of the brain that this is of: ids alone are no order.
        .col(big_integer("position_xid"))
        .col(big_integer("position_incarnation"))
        // Attempts for the event after that which failed.
        .col(big_integer("failures"))
        .col(big_integer_null("failing_since"))
        .col(big_integer_null("next_try_at"))
        .col(text_null("problem"))
        .col(big_integer_null("delivered_at"))
        .col(big_integer("created_at"))
        .col(big_integer_null("deleted_at"))
        .col(big_integer("lock_version"))
        .foreign_key(&mut owner)
        .to_owned();
    let mut hook = ForeignKey::create();
    hook.from_col("webhook_id").to("webhooks", "id");
    let deliveries = Table::create()
        .table("webhook_deliveries")
        .col(id())
        .col(big_integer("webhook_id"))
        // Null for a ping.
        .col(big_integer_null("event_id"))
        .col(string("event_kind"))
        .col(big_integer("attempt"))
        .col(big_integer_null("status"))
        .col(big_integer("latency_ms"))
        .col(text_null("error"))
        .col(big_integer("created_at"))
        .col(big_integer_null("next_try_at"))
        .foreign_key(&mut hook)
        .to_owned();
    vec![webhooks, deliveries]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        let index = Index::create()
            .name("webhook_deliveries_webhook")
            .table("webhook_deliveries")
            .col("webhook_id")
            .col("id")
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
