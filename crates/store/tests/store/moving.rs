//! A file's whole contents in PostgreSQL.

use crate::world::{World, connect, saw, seen};
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_store::{Engine, Filters, Refusal, Scope, Store, StoreError, accounts, events, guests, moving};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The contents of every table of a database, each row as sorted text.
async fn contents(database: &DatabaseConnection) -> BTreeMap<String, Vec<String>> {
    let backend = database.get_database_backend();
    let all = async |sql: String| database.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    let postgres = backend == sea_orm::DbBackend::Postgres;
    let tables = if postgres {
        "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = current_schema()"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    };
    let mut contents = BTreeMap::new();
    for table in all(tables.to_owned()).await {
        let table: String = table.try_get("", "name").unwrap();
        // What only the engine that wrote it can read: which migrations it has had, and which hosts changed in which transaction.
        if ["seaql_migrations", "room_changes"].contains(&table.as_str()) {
            continue;
        }
        let columns = if postgres {
            format!(
                "SELECT CAST(column_name AS TEXT) AS name, CAST(data_type AS TEXT) AS kind \
                 FROM information_schema.columns WHERE table_name = '{table}' AND table_schema = current_schema()"
            )
        } else {
            format!("SELECT name, lower(type) AS kind FROM pragma_table_info('{table}')")
        };
        let mut shown: Vec<String> = Vec::new();
        for column in all(columns).await {
            let name: String = column.try_get("", "name").unwrap();
            let kind: String = column.try_get("", "kind").unwrap();
            shown.push(match (kind.as_str(), postgres) {
                ("uuid", true) => {
                    format!("'{name}=' || COALESCE(REPLACE(CAST(\"{name}\" AS TEXT), '-', ''), '-')")
                }
                ("bytea", true) => format!("'{name}=' || COALESCE(encode(\"{name}\", 'hex'), '-')"),
                ("boolean", true) => {
                    format!("'{name}=' || COALESCE(CAST(CAST(\"{name}\" AS INTEGER) AS TEXT), '-')")
                }
                (_, false) if kind.contains("blob") || kind.contains("uuid") => {
                    // hex(NULL) is an empty text there.
                    format!(
                        "'{name}=' || CASE WHEN \"{name}\" IS NULL THEN '-' ELSE lower(hex(\"{name}\")) END"
                    )
                }
                _ => format!("'{name}=' || COALESCE(CAST(\"{name}\" AS TEXT), '-')"),
            });
        }
        shown.sort();
        let rows = all(format!("SELECT {} AS row FROM \"{table}\"", shown.join(" || '|' || "))).await;
        let mut rows: Vec<String> = rows.iter().map(|row| row.try_get("", "row").unwrap()).collect();
        rows.sort();
        contents.insert(table, rows);
    }
    contents
}

fn file(world: &World) -> PathBuf {
    let Engine::Sqlite(path) = &world.engine else { panic!("these tests begin with a file") };
    path.clone()
}

async fn move_to(path: &Path, to: &Engine) -> Result<Vec<moving::TableMoved>, StoreError> {
    moving::move_everything(path, to, &|_, _, _| {}).await
}

#[tokio::test]
async fn sqlite_everything_is_carried_over() {
    let world = World::new().await;
    for number in 0..40 {
        world.guest(&format!("g{number}")).await;
    }
    let gone = world.guest("gone").await;
    world.report(saw(vec![seen(honcho_model::GuestId(1), 1), seen(gone, 1)])).await;
    world.change(gone, OperationKind::Stop, |guest| guest.power = Power::Stopped).await;
    world.delete(gone).await;
    world.report_gone(gone).await;
    // An id that no row tells of any more.
    let database = connect(&world.engine).await;
    database.execute_unprepared("INSERT INTO tokens (id, name, scope, secret_hash, created_at) VALUES (70, 't', 'operator', 'h', 0)").await.unwrap();
    database.execute_unprepared("DELETE FROM tokens").await.unwrap();
    fill_empty_tables(&database).await;
    let before = contents(&database).await;
    database.close().await.unwrap();

    let target = Engine::Postgres(honcho_test_postgres::cluster().create_empty());
    let progress = Mutex::new(Vec::new());
    let moved = moving::move_everything(&file(&world), &target, &|_, written, all| {
        progress.lock().unwrap().push((written, all));
    })
    .await
    .unwrap();
    let after = contents(&connect(&target).await).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "{table}");
        let held = i64::try_from(rows.len()).unwrap();
        let told = moved.iter().find(|moved| moved.table == *table).unwrap();
        assert_eq!((told.rows_before, told.rows_after), (held, held), "{table}");
    }
    assert_eq!(moved.len(), before.len());
    let (written, all) = *progress.lock().unwrap().last().unwrap();
    assert!(written == all && all > 250, "{written} of {all}");

    // It serves, and goes on counting above every id that was ever given.
    let store = Store::open(&target).await.unwrap();
    let all = Filters { with_cancelled: true, ..Filters::default() };
    assert_eq!(guests::list(store.reader(), Scope::System, &all, world.now()).await.unwrap().len(), 41);
    let make = crate::world::act(|tx, _| {
        Box::pin(honcho_store::tokens::create(
            tx,
            "next",
            honcho_store::tokens::TokenScope::Operator,
            "secret",
            None,
        ))
    });
    let id = store.write(honcho_store::Actor::honcho(), world.now(), &make).await.unwrap();
    assert!(id.0 > 70, "{id}");
    let last = events::list(store.reader(), Scope::System, &Filters::default()).await.unwrap();
    assert!(last.windows(2).all(|pair| pair[0].id < pair[1].id));
    // And once is enough.
    let refused = move_to(&file(&world), &target).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused(Refusal::Invalid(errors)) if errors["to"][0].contains("not empty")),
        "{refused}"
    );
}

/// Puts a row into every table that has none, so that a move which forgot one would be seen: values by the columns' types.
async fn fill_empty_tables(database: &DatabaseConnection) {
    let backend = database.get_database_backend();
    let all = async |sql: String| database.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    database.execute_unprepared("PRAGMA foreign_keys = OFF").await.unwrap();
    let tables =
        all("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'".into()).await;
    for table in tables {
        let table: String = table.try_get("", "name").unwrap();
        let held: i64 =
            all(format!("SELECT COUNT(*) AS n FROM \"{table}\"")).await[0].try_get("", "n").unwrap();
        if held > 0 {
            continue;
        }
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in all(format!("SELECT name, lower(type) AS kind FROM pragma_table_info('{table}')")).await
        {
            let name: String = column.try_get("", "name").unwrap();
            let kind: String = column.try_get("", "kind").unwrap();
            // A foreign key must hold in the target: the rows with id 1 are there.
            values.push(match kind.as_str() {
                "boolean" => "TRUE".to_owned(),
                kind if kind.contains("int") => "1".to_owned(),
                kind if kind.contains("uuid") || kind.contains("blob") => format!("x'{:032x}'", 77),
                kind if kind.contains("real") || kind.contains("double") || kind.contains("float") => {
                    "1.5".to_owned()
                }
                _ => "'[\"é\"]'".to_owned(),
            });
            names.push(format!("\"{name}\""));
        }
        let sql = format!("INSERT INTO \"{table}\" ({}) VALUES ({})", names.join(", "), values.join(", "));
        database.execute_unprepared(&sql).await.unwrap();
    }
}

#[tokio::test]
async fn sqlite_a_move_that_fails_leaves_the_target_as_it_was() {
    let world = World::new().await;
    let target = Engine::Postgres(honcho_test_postgres::cluster().create_empty());
    Store::open(&target).await.unwrap().close().await.unwrap();
    // A row that the target cannot take, in the last table.
    let database = connect(&target).await;
    database.execute_unprepared("ALTER TABLE networks ADD CHECK (name <> 'office')").await.unwrap();
    move_to(&file(&world), &target).await.unwrap_err();
    let left: usize = contents(&database).await.values().map(Vec::len).sum();
    assert_eq!(left, 0);
    let keys = "SELECT COUNT(*) AS n FROM pg_constraint WHERE contype = 'f'";
    let keys = database.query_one_raw(Statement::from_string(database.get_database_backend(), keys)).await;
    assert!(keys.unwrap().unwrap().try_get::<i64>("", "n").unwrap() > 10, "its keys are as they were");
    // The file is as it was.
    let store = Store::open(&world.engine).await.unwrap();
    assert_eq!(accounts::list(store.reader(), Scope::System, &Filters::default()).await.unwrap().len(), 1);
    let onto_a_file = move_to(&file(&world), &world.engine).await.unwrap_err();
    assert!(matches!(onto_a_file, StoreError::Refused(Refusal::Invalid(_))), "{onto_a_file}");
}
