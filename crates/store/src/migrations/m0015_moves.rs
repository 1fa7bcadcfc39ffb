//! Moves of guests from host to host.

use super::schema::{id, index, references, table};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, text_null, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // One move of a guest at a time. What has arrived or was given up may still have a copy that is to go.
    "CREATE UNIQUE INDEX moves_under_way ON moves (guest_id) WHERE moved_at IS NULL AND given_up_at IS NULL",
    "CREATE INDEX moves_pending ON moves (id) WHERE ended_at IS NULL",
    "CREATE INDEX moves_claims_host ON moves (claims_host_id) WHERE claims_host_id IS NOT NULL",
    "CREATE INDEX moves_claims_pool ON moves (claims_pool_id) WHERE claims_pool_id IS NOT NULL",
    // Observed: how the host that a guest is to arrive at gets on.
    "CREATE TABLE move_observed (move_id BIGINT NOT NULL PRIMARY KEY REFERENCES moves (id), progress TEXT, failure TEXT)",
];

fn moves() -> TableCreateStatement {
    table("moves")
        .col(id())
        .col(big_integer("guest_id"))
        .col(big_integer("operation_id"))
        .col(big_integer("from_host_id"))
        .col(big_integer("from_pool_id"))
        .col(big_integer("to_host_id"))
        // From here to the ticket: NULL while it waits for its turn.
        .col(big_integer_null("to_pool_id"))
        .col(big_integer_null("epoch"))
        // Of what is listed as absent, once there is a copy that is to go.
        .col(big_integer_null("generation"))
        .col(text_null("ticket"))
        .col(text_null("ticket_hash"))
        .col(big_integer("volume_id"))
        .col(uuid("volume_uuid"))
        .col(big_integer("size"))
        // The host and pool that it takes room of, besides those that its guest is on.
        .col(big_integer_null("claims_host_id"))
        .col(big_integer_null("claims_pool_id"))
        // Where the host that the guest leaves is reached by other agents.
        .col(text_null("address"))
        // Why the guest goes there, for when it is there.
        .col(text_null("decision"))
        .col(big_integer("ordered_at"))
        .col(big_integer_null("begun_at"))
        .col(big_integer_null("held_at"))
        .col(big_integer_null("moved_at"))
        .col(big_integer_null("given_up_at"))
        .col(big_integer_null("ended_at"))
        .foreign_key(&mut references("guest_id", "guests"))
        .foreign_key(&mut references("from_host_id", "hosts"))
        .foreign_key(&mut references("to_host_id", "hosts"))
        .to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(moves()).await?;
        for columns in [["from_host_id", "ended_at"], ["to_host_id", "ended_at"]] {
            let name = format!("moves_{}", columns[0]);
            manager.create_index(index(&name, "moves", &columns)).await?;
        }
        manager.create_index(index("moves_guest_id", "moves", &["guest_id"])).await?;
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
