//! Who has what of a suite, as programs are told.

use super::people_tests::ask;
use super::suites_tests::Shop;
use crate::app::{App, Parts};
use crate::archive::{ArchiveKeep, OwnArchive};
use crate::controllers::archive_step;
use crate::operations::{AccountCreate, GuestDelete, ImageCreate};
use axum::body::Body;
use honcho_api::ImagePackage;
use honcho_model::GuestId;
use honcho_store::Scope;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A guest of this account and image; gives its id.
async fn guest(shop: &Shop, account: i64, image: i64, name: &str) -> i64 {
    let world = &shop.office.world;
    let body =
        honcho_api::GuestCreate { account_id: Some(account), image_id: Some(image), ..world.body(name) };
    world.order_as(Scope::Operator, body).await.unwrap().id
}

/// Has a guest say what it has.
async fn says(shop: &Shop, guest: i64, packages: &[(&str, &str)]) {
    let stanza = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\n")
    };
    let status: String = packages.iter().map(stanza).collect();
    let path = format!("/v1/guests/{guest}/packages");
    let (code, _, bytes) = shop.ask(&shop.office.operator, "PUT", &path, Body::from(status)).await;
    assert_eq!(code, 200, "{}", String::from_utf8_lossy(&bytes));
}

async fn image(shop: &Shop, packages: &[(&str, &str)]) -> i64 {
    let world = &shop.office.world;
    let package = |(name, version): &(&str, &str)| ImagePackage {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        architecture: "all".to_owned(),
    };
    let body = honcho_api::ImageCreate {
        name: Some("with-hello".to_owned()),
        digest: Some("ab".repeat(32)),
        unpacked_bytes: Some(1),
        packages: Some(packages.iter().map(package).collect()),
        ..Default::default()
    };
    let uuid = world.app.outside.uuid();
    world.ask(&ImageCreate { scope: Scope::Operator, uuid, blob_size: Some(1), body }).await.unwrap().id
}

async fn get(shop: &Shop, secret: &str, path: &str) -> Value {
    let (status, answer) = ask(&shop.office.world.app, secret, "GET", path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// `NAME HAVE OUTDATED: VERSION×GUESTS …` by line.
fn told(packages: &Value) -> Vec<String> {
    let versions = |package: &Value| {
        let one = |it: &Value| format!("{}×{}", it["version"].as_str().unwrap(), it["guests_count"]);
        package["installed"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let line = |package: &Value| {
        let (name, have) = (package["package"].as_str().unwrap(), &package["guests_count"]);
        format!("{name} {have} {}: {}", package["outdated_count"], versions(package))
    };
    let made_by_itself = |package: &&Value| package["package"] != json!("honcho-archive-keyring");
    packages.as_array().unwrap().iter().filter(made_by_itself).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_which_of_their_guests_have_what_a_suite_serves() {
    let shop = Shop::new().await;
    let (world, operator) = (&shop.office.world, shop.office.operator.as_str());
    let (acme, plain) = (world.account.id, world.image.id);
    let body = honcho_api::AccountCreate { name: Some("second".into()), ..Default::default() };
    let uuid = world.app.outside.uuid();
    let second = world.ask(&AccountCreate { scope: Scope::Operator, uuid, body }).await.unwrap().id;
    let made_with = image(&shop, &[("hello", "1.9"), ("elsewhere", "1")]).await;
    assert_eq!(get(&shop, operator, "/v1/suites/bookworm/packages").await, json!([]), "nothing is published");

    shop.publish(
        "a",
        &[shop.deb("hello", "1.9"), shop.deb("hello", "1.10"), shop.deb("c++", "1"), shop.deb("none", "1")],
    )
    .await;
    let old = guest(&shop, acme, plain, "old").await;
    says(&shop, old, &[("hello", "1.9"), ("c++", "1"), ("elsewhere", "1")]).await;
    let new = guest(&shop, second, plain, "new").await;
    says(&shop, new, &[("hello", "1.10")]).await;
    let silent = guest(&shop, second, made_with, "silent").await;
    guest(&shop, second, plain, "unknown").await;
    let gone = guest(&shop, acme, plain, "gone").await;
    says(&shop, gone, &[("hello", "1.9")]).await;
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(gone) }).await.unwrap();
    world.bury(gone).await;

    let suites = get(&shop, operator, "/v1/suites").await;
    let suite = &suites[0];
    assert_eq!(
        (&suite["name"], &suite["publication"], &suite["packages_count"]),
        (&json!("bookworm"), &json!(1), &json!(3))
    );
    let known = ["guests_said_count", "guests_by_image_count", "guests_unknown_count"]
        .map(|name| suite[name].as_i64().unwrap());
    assert_eq!(known, [2, 1, 1], "{suite}");

    let all = get(&shop, operator, "/v1/suites/bookworm/packages").await;
    assert_eq!(told(&all), ["c++ 1 0: 1×1", "hello 3 2: 1.9×2 1.10×1", "none 0 0: "]);
    let hello = get(&shop, operator, "/v1/suites/bookworm/packages?outdated=true").await;
    assert_eq!(hello[0]["versions"], json!(["1.9", "1.10"]), "as dpkg orders them");
    assert_eq!(hello.as_array().unwrap().len(), 1);
    let second_page = get(&shop, operator, "/v1/suites/bookworm/packages?limit=1&offset=1").await;
    assert_eq!(told(&second_page), ["hello 3 2: 1.9×2 1.10×1"]);

    let who = async |secret: &str, query: &str| {
        let found = get(&shop, secret, &format!("/v1/suites/bookworm/packages/{query}")).await;
        let one =
            |it: &Value| (it["name"].as_str().unwrap().to_owned(), it["is_outdated"].as_bool().unwrap());
        found.as_array().unwrap().iter().map(one).collect::<BTreeMap<_, _>>()
    };
    let expected = |pairs: &[(&str, bool)]| {
        pairs.iter().map(|(name, old)| ((*name).to_owned(), *old)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        who(operator, "hello/guests").await,
        expected(&[("old", true), ("new", false), ("silent", true)])
    );
    assert_eq!(who(operator, "hello/guests?outdated=true&limit=1").await, expected(&[("old", true)]));
    assert_eq!(
        who(operator, &format!("hello/guests?outdated=true&after={old}")).await,
        expected(&[("silent", true)])
    );
    assert_eq!(who(operator, "hello/guests?outdated=false").await, expected(&[("new", false)]));
    assert_eq!(who(operator, "c%2B%2B/guests").await, expected(&[("old", false)]));
    assert_eq!(who(operator, "none/guests").await, expected(&[]));
    let found = get(&shop, operator, "/v1/suites/bookworm/packages/hello/guests").await;
    let by_id = |id: i64| found.as_array().unwrap().iter().find(|it| it["guest_id"] == json!(id)).unwrap();
    assert_eq!(by_id(silent)["reported_at"], Value::Null, "by its image");
    assert_eq!(
        by_id(old)["installed"],
        json!([{ "name": "hello", "version": "1.9", "architecture": "all" }])
    );
    assert!(by_id(old)["reported_at"].is_string());

    // An account's people see their own guests, and a token of the suite none.
    shop.office.person("ann", &[(acme, "viewer")]).await;
    let ann = shop.office.login("ann").await;
    let hers = get(&shop, &ann, "/v1/suites/bookworm/packages").await;
    assert_eq!(told(&hers), ["c++ 1 0: 1×1", "hello 1 1: 1.9×1", "none 0 0: "]);
    assert_eq!(who(&ann, "hello/guests").await, expected(&[("old", true)]));
    assert_eq!(get(&shop, &ann, "/v1/suites").await[0]["guests_said_count"], json!(1));
    assert_eq!(told(&get(&shop, &shop.secret, "/v1/suites/bookworm/packages").await)[1], "hello 0 0: ");
    assert_eq!(who(&shop.secret, "hello/guests").await, expected(&[]));

    // A newer version is published: who has the one before is outdated, at once.
    shop.publish("b", &[shop.deb("hello", "1.11")]).await;
    assert_eq!(
        told(&get(&shop, operator, "/v1/suites/bookworm/packages?package=hello").await),
        ["hello 3 3: 1.9×2 1.10×1"]
    );
    says(&shop, new, &[("hello", "1.11")]).await;
    assert_eq!(
        told(&get(&shop, operator, "/v1/suites/bookworm/packages?package=hello").await),
        ["hello 3 2: 1.9×2 1.11×1"]
    );

    for (path, status) in [
        ("/v1/suites/sid/packages", 404),
        ("/v1/suites/bookworm/packages/nobody/guests", 404),
        ("/v1/suites/bookworm/packages?outdated=perhaps", 422),
        ("/v1/suites/bookworm/packages?colour=red", 422),
        ("/v1/suites/bookworm/packages?after=1", 422),
        ("/v1/suites/bookworm/packages/hello/guests?colour=red", 422),
    ] {
        assert_eq!(ask(&world.app, operator, "GET", path, Value::Null).await.0, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_living_guest_has_installed_stays_in_the_pool() {
    let shop = Shop::new().await;
    let (world, operator) = (&shop.office.world, shop.office.operator.as_str());
    shop.publish("a", &[shop.deb("hello", "1"), shop.deb("tool", "1")]).await;
    shop.publish("b", &[shop.deb("hello", "2"), shop.deb("tool", "2")]).await;
    let plain = world.image.id;
    let (old, gone) = (
        guest(&shop, world.account.id, plain, "old").await,
        guest(&shop, world.account.id, plain, "gone").await,
    );
    says(&shop, old, &[("hello", "1"), ("tool", "2")]).await;
    says(&shop, gone, &[("tool", "1")]).await;
    let root = world.directory().join("archive");
    let keeping = OwnArchive::open(&root, Some(ArchiveKeep { newest: 1, days: 0 })).unwrap();
    let app = App::from(Parts { archive: Some(Arc::new(keeping)), ..Parts::clone(&world.app) });
    let suite: honcho_archive::SuiteName = "bookworm".parse().unwrap();
    let now = world.app.now().0.div_euclid(1_000_000);
    let archive = app.archive.clone().unwrap();
    archive
        .change(move |changing| {
            let version = Some("1".to_owned());
            changing
                .remove(&suite, &["hello", "tool"].map(|name| (name.parse().unwrap(), version.clone())))?;
            changing.publish(&suite, None, now)
        })
        .await
        .unwrap();

    let ask_for =
        |name: &str, version: &str| json!({ "name": name, "version": version, "architecture": "all" });
    let asked = json!({ "packages": [ask_for("hello", "1"), ask_for("hello", "3"), ask_for("tool", "1")] });
    let (status, answer) = ask(&world.app, operator, "POST", "/v1/installed_packages", asked.clone()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["packages"],
        json!([
            { "name": "hello", "version": "1", "architecture": "all", "guests_count": 1 },
            { "name": "tool", "version": "1", "architecture": "all", "guests_count": 1 }
        ])
    );
    assert_eq!(answer["guests_said_count"], json!(2));
    let (status, _) = ask(&world.app, &shop.secret, "POST", "/v1/installed_packages", asked).await;
    assert_eq!(status, 403);

    let there = || {
        let is_there = |file: &str| root.join("public/pool/main").join(file).exists();
        [
            "h/hello/hello_1_all.deb",
            "h/hello/hello_2_all.deb",
            "t/tool/tool_1_all.deb",
            "t/tool/tool_2_all.deb",
        ]
        .map(is_there)
    };
    world.pass(1);
    archive_step(app.clone()).await.unwrap();
    assert_eq!(there(), [true, true, true, true], "both have one that no publication lists");
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(gone) }).await.unwrap();
    world.bury(gone).await;
    archive_step(app.clone()).await.unwrap();
    assert_eq!(there(), [true, true, true, true], "once a day");
    world.pass(24 * 3600);
    archive_step(app.clone()).await.unwrap();
    assert_eq!(there(), [true, true, false, true], "a guest that is gone holds nothing");
    says(&shop, old, &[("hello", "2"), ("tool", "2")]).await;
    world.pass(24 * 3600);
    archive_step(world.app.clone()).await.unwrap();
    assert_eq!(there(), [true, true, false, true], "a brain that was not told to removes nothing");
    archive_step(app.clone()).await.unwrap();
    assert_eq!(there(), [false, true, false, true]);
    assert_eq!(archive.suites().await.unwrap()[0].publication, Some(3));
}
