//! Slow logs out of the post: which servers send them, which mails came, and what the events in them add up to.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // Whether a token of one machine may hand in the post of all: that machine is a receiver. Operators alone give it.
    "ALTER TABLE tokens ADD COLUMN receives_post BOOLEAN NOT NULL DEFAULT FALSE",
    // A server is known by the name that receivers know its certificate by.
    "CREATE TABLE slow_servers (id {id}, node TEXT NOT NULL, guest_id BIGINT REFERENCES guests (id), reported_name TEXT NOT NULL, \
     first_mail_at BIGINT NOT NULL, last_mail_at BIGINT NOT NULL, last_event_at BIGINT, usual_pause BIGINT NOT NULL, \
     mails BIGINT NOT NULL, events BIGINT NOT NULL, left_out BIGINT NOT NULL, bytes BIGINT NOT NULL, \
     silent_since BIGINT, late_since BIGINT)",
    "CREATE UNIQUE INDEX slow_servers_node ON slow_servers (node)",
    "CREATE INDEX slow_servers_guest ON slow_servers (guest_id)",
    "CREATE TABLE slow_spools (id {id}, slow_server_id BIGINT NOT NULL REFERENCES slow_servers (id), uuid {bytes} NOT NULL, \
     highest BIGINT NOT NULL, last_mail_at BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX slow_spools_uuid ON slow_spools (slow_server_id, uuid)",
    // The mails of the last months. Older ones are known by their numbers: all up to the highest but for the gaps.
    "CREATE TABLE slow_mails (slow_spool_id BIGINT NOT NULL REFERENCES slow_spools (id), sequence BIGINT NOT NULL, \
     digest {bytes} NOT NULL, imported_at BIGINT NOT NULL, PRIMARY KEY (slow_spool_id, sequence))",
    "CREATE INDEX slow_mails_imported ON slow_mails (imported_at)",
    "CREATE TABLE slow_gaps (id {id}, slow_spool_id BIGINT NOT NULL REFERENCES slow_spools (id), first BIGINT NOT NULL, \
     last BIGINT NOT NULL, since BIGINT NOT NULL, told BOOLEAN NOT NULL)",
    "CREATE INDEX slow_gaps_spool ON slow_gaps (slow_spool_id, first)",
    "CREATE TABLE slow_classes (id {id}, slow_server_id BIGINT NOT NULL REFERENCES slow_servers (id), query_id {bytes} NOT NULL, \
     fingerprint TEXT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL, worst_query_time BIGINT NOT NULL, \
     worst_at BIGINT NOT NULL, worst_user TEXT NOT NULL, worst_host TEXT NOT NULL, worst_database TEXT NOT NULL, \
     worst_statement TEXT NOT NULL, worst_explain TEXT NOT NULL, advice TEXT NOT NULL)",
    "CREATE UNIQUE INDEX slow_classes_query ON slow_classes (slow_server_id, query_id)",
    // Span 0 is an hour, 1 a day (UTC). What can be added up by the database is in columns, all else in `measures`.
    "CREATE TABLE slow_periods (slow_class_id BIGINT NOT NULL REFERENCES slow_classes (id), span BIGINT NOT NULL, \
     begins BIGINT NOT NULL, events BIGINT NOT NULL, query_time BIGINT NOT NULL, measures {bytes} NOT NULL, \
     PRIMARY KEY (slow_class_id, span, begins))",
    // Who asked, each day: kind 0 is a database, 1 a user, 2 a host.
    "CREATE TABLE slow_shares (slow_class_id BIGINT NOT NULL REFERENCES slow_classes (id), begins BIGINT NOT NULL, \
     kind BIGINT NOT NULL, name TEXT NOT NULL, events BIGINT NOT NULL, query_time BIGINT NOT NULL, \
     PRIMARY KEY (slow_class_id, begins, kind, name))",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == sea_orm::DbBackend::Postgres;
        let (id, bytes) = if postgres {
            ("BIGSERIAL PRIMARY KEY", "BYTEA")
        } else {
            ("INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "BLOB")
        };
        for statement in STATEMENTS {
            let sql = statement.replace("{id}", id).replace("{bytes}", bytes);
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
