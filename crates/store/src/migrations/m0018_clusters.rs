//! Clusters are things of their own: what was a word of guests gets an id, so that all its guests are ordered, shown and
//! ended as one.

use super::schema::{id, references, table, unique};
use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, string_null, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let clusters = table("clusters")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer("account_id"))
            .col(string("name"))
            .col(string_null("reference"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .foreign_key(&mut references("account_id", "accounts"))
            .to_owned();
        manager.create_table(clusters).await?;
        let living = Some("deleted_at");
        manager.create_index(unique("clusters_name", "clusters", &["account_id", "name"], living)).await?;
        manager
            .create_index(unique("clusters_reference", "clusters", &["account_id", "reference"], None))
            .await?;
        let connection = manager.get_connection();
        // Guests that have a cluster and no role are in no index of it yet.
        let index = "CREATE INDEX guests_cluster ON guests (account_id, cluster) WHERE cluster IS NOT NULL AND deleted_at IS NULL";
        connection.execute_unprepared(index).await?;
        let random = match manager.get_database_backend() {
            DbBackend::Postgres => "gen_random_uuid()",
            _ => "randomblob(16)",
        };
        let known = format!(
            "INSERT INTO clusters (uuid, account_id, name, created_at) \
             SELECT {random}, g.account_id, g.cluster, MIN(g.created_at) FROM guests g \
             WHERE g.cluster IS NOT NULL AND g.deleted_at IS NULL GROUP BY g.account_id, g.cluster"
        );
        connection.execute_unprepared(&known).await.map(drop)
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
