//! How the schema came to be. Migrations go forward only; a released one is never edited.

mod m0001_walking_skeleton;
mod m0006_life_cycle;
mod m0008_lists;

use sea_orm_migration::prelude::*;

/// Every migration, oldest first.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_walking_skeleton::Migration),
            Box::new(m0006_life_cycle::Migration),
            Box::new(m0008_lists::Migration),
        ]
    }
}
