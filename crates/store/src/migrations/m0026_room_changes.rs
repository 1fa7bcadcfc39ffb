//! Which hosts changed as placing sees them, noted by the database itself: a brain that keeps the fleet in memory reads
//! those anew and no others, and no statement can forget to say that it changed something (docs/design/0004-placement.md).
//!
//! SQLite has one writer, so that a number that rises says what came after what: one row for each host, with the newest.
//! PostgreSQL has none such: each row names the transaction that wrote it, and nobody waits for another's.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// A table of which placing reads something.
struct Watched {
    table: &'static str,
    /// The columns that it reads.
    columns: &'static [&'static str],
    /// What else of a changed row makes the change count.
    besides: Option<&'static str>,
    /// The hosts that a row is about, where ROW is the row as it was or as it is.
    hosts: &'static [&'static str],
}

const OF_POOL: &str = "SELECT p.host_id AS host FROM pools p WHERE p.id = ROW.pool_id";

const WATCHED: &[Watched] = &[
    Watched {
        table: "hosts",
        columns: &[
            "name",
            "joined_at",
            "frozen_reason",
            "unaccepted_since",
            "site_id",
            "rack_id",
            "duties",
            "draining_since",
            "deleted_at",
        ],
        besides: None,
        hosts: &["SELECT ROW.id AS host"],
    },
    Watched {
        table: "host_observed",
        columns: &["machine", "capabilities", "cpu_features"],
        // It is heard all the time, and that alone is no change; but none is heard earlier than before, and one that was
        // silent is up again. It may be silent for 45 seconds; when it was heard is written down some seconds later, and so
        // less counts.
        besides: Some(
            "NEW.last_seen_at < OLD.last_seen_at OR NEW.last_seen_at > OLD.last_seen_at + 20000000",
        ),
        hosts: &["SELECT ROW.host_id AS host"],
    },
    Watched {
        table: "racks",
        columns: &["site_id"],
        besides: None,
        hosts: &["SELECT h.id AS host FROM hosts h WHERE h.rack_id = ROW.id"],
    },
    Watched {
        table: "pools",
        columns: &["host_id", "name", "deleted_at"],
        besides: None,
        hosts: &["SELECT ROW.host_id AS host"],
    },
    Watched { table: "pool_observed", columns: &["size", "state"], besides: None, hosts: &[OF_POOL] },
    Watched {
        table: "volumes",
        columns: &["pool_id", "size", "growing_to"],
        besides: None,
        hosts: &[OF_POOL],
    },
    Watched {
        table: "guests",
        columns: &[
            "host_id",
            "account_id",
            "memory",
            "vcpus",
            "cluster",
            "role",
            "cancelled_at",
            "deleting_at",
            "memory_claimed",
        ],
        besides: None,
        // One that is under way takes room where it goes, too.
        hosts: &[
            "SELECT ROW.host_id AS host",
            "SELECT m.claims_host_id AS host FROM moves m WHERE m.guest_id = ROW.id",
        ],
    },
    Watched {
        table: "moves",
        columns: &["guest_id", "claims_host_id", "claims_pool_id", "size", "given_up_at"],
        besides: None,
        hosts: &[
            "SELECT ROW.claims_host_id AS host",
            "SELECT p.host_id AS host FROM pools p WHERE p.id = ROW.claims_pool_id",
        ],
    },
];

/// What happens to a row, and which of its two shapes are looked at.
const HAPPENINGS: [(&str, &[&str]); 3] =
    [("insert", &["NEW"]), ("delete", &["OLD"]), ("update", &["OLD", "NEW"])];

impl Watched {
    /// When an update counts, with what "differs" is called.
    fn condition(&self, differs: &str) -> String {
        let changed = self.columns.iter().map(|column| format!("OLD.{column} {differs} NEW.{column}"));
        changed.chain(self.besides.map(str::to_owned)).collect::<Vec<_>>().join(" OR ")
    }

    /// Selects the hosts that a change is about, each once.
    fn about(&self, rows: &[&str]) -> String {
        let each = rows.iter().flat_map(|row| self.hosts.iter().map(|host| host.replace("ROW", row)));
        let all = each.collect::<Vec<_>>().join(" UNION ");
        format!("SELECT host FROM ({all}) AS about WHERE host > 0")
    }

    fn on_sqlite(&self) -> Vec<String> {
        let trigger = |(happening, rows): (&str, &[&str])| {
            let when = match happening {
                "update" => format!("WHEN {} ", self.condition("IS NOT")),
                _ => String::new(),
            };
            let (table, about) = (self.table, self.about(rows));
            // Not REPLACE: the statement that fires a trigger says what becomes of conflicts in it.
            format!(
                "CREATE TRIGGER room_{table}_{happening} AFTER {happening} ON {table} {when}BEGIN \
                 DELETE FROM room_changes WHERE host_id IN ({about}); \
                 INSERT INTO room_changes (host_id) {about}; END"
            )
        };
        HAPPENINGS.map(trigger).into()
    }

    fn on_postgres(&self) -> Vec<String> {
        let statements = |(happening, rows): (&str, &[&str])| {
            let when = match happening {
                "update" => format!("WHEN ({}) ", self.condition("IS DISTINCT FROM")),
                _ => String::new(),
            };
            let (table, about) = (self.table, self.about(rows));
            let name = format!("room_{table}_{happening}");
            [
                format!(
                    "CREATE OR REPLACE FUNCTION {name}() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
                     INSERT INTO room_changes (host_id) {about} ON CONFLICT DO NOTHING; RETURN NULL; END $$"
                ),
                format!(
                    "CREATE TRIGGER {name} AFTER {happening} ON {table} FOR EACH ROW {when}EXECUTE FUNCTION {name}()"
                ),
            ]
        };
        HAPPENINGS.map(statements).into_iter().flatten().collect()
    }
}

/// What has one table watched as it is above, in place of how it was watched before.
pub(super) fn watched_anew(backend: DbBackend, table: &str) -> Vec<String> {
    let postgres = backend == DbBackend::Postgres;
    let on = if postgres { format!(" ON {table}") } else { String::new() };
    let drop =
        |(happening, _): (&str, &[&str])| format!("DROP TRIGGER IF EXISTS room_{table}_{happening}{on}");
    let watched = || WATCHED.iter().filter(|watched| watched.table == table);
    let made: Vec<String> = if postgres {
        watched().flat_map(Watched::on_postgres).collect()
    } else {
        watched().flat_map(Watched::on_sqlite).collect()
    };
    HAPPENINGS.map(drop).into_iter().chain(made).collect()
}

/// All of them, for a file.
pub(super) fn on_sqlite() -> Vec<String> {
    WATCHED.iter().flat_map(Watched::on_sqlite).collect()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        let table = if postgres {
            "CREATE TABLE room_changes (xid BIGINT NOT NULL DEFAULT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), \
             host_id BIGINT NOT NULL, PRIMARY KEY (xid, host_id))"
        } else {
            "CREATE TABLE room_changes (id INTEGER PRIMARY KEY AUTOINCREMENT, host_id BIGINT NOT NULL UNIQUE)"
        };
        let connection = manager.get_connection();
        connection.execute_unprepared(table).await?;
        if postgres {
            // The type of a column that a trigger looks at cannot be changed any more.
            let widened = super::widen_texts(connection).await;
            widened.map_err(|error| DbErr::Migration(error.to_string()))?;
        }
        let statements =
            if postgres { WATCHED.iter().flat_map(Watched::on_postgres).collect() } else { on_sqlite() };
        for statement in statements {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
