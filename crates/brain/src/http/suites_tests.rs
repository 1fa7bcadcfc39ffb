//! Uploads into the archive, and what is served of it.

use super::people_tests::Office;
use super::router;
use crate::controllers::archive_step;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use tower::ServiceExt as _;

pub(crate) struct Shop {
    pub(crate) office: Office,
    directory: tempfile::TempDir,
    /// A token of bookworm.
    pub(crate) secret: String,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        let office = Office::new().await;
        let token = office.operate("POST", "/v1/tokens", json!({ "name": "ci", "suite": "bookworm" })).await;
        assert_eq!((&token["scope"], &token["suite"]), (&json!("suite"), &json!("bookworm")));
        let secret = token["secret"].as_str().unwrap().to_owned();
        Shop { office, directory: tempfile::tempdir().unwrap(), secret }
    }

    /// A real package.
    pub(crate) fn deb(&self, name: &str, version: &str) -> PathBuf {
        let tree = self.directory.path().join(format!("tree-{name}"));
        std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: {name}\n"
        );
        std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let path = self.directory.path().join(format!("{name}_{version}_all.deb"));
        let made = Command::new("dpkg-deb").arg("-b").args([&tree, &path]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        path
    }

    pub(crate) async fn ask(
        &self,
        secret: &str,
        method: &str,
        path: &str,
        body: Body,
    ) -> (u16, HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        if !secret.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
        }
        let response =
            router(self.office.world.app.clone()).oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap())
    }

    async fn send(&self, secret: &str, to: &str, file: &Path) -> u16 {
        let name = file.file_name().unwrap().to_str().unwrap();
        let body = Body::from(std::fs::read(file).unwrap());
        self.ask(secret, "PUT", &format!("/v1/suites/{to}/files/{name}"), body).await.0
    }

    async fn add(&self, secret: &str, to: &str, body: Value) -> (u16, Value) {
        let path = format!("/v1/suites/{to}");
        let (status, _, bytes) = self.ask(secret, "POST", &path, Body::from(body.to_string())).await;
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    /// Uploads and publishes.
    pub(crate) async fn publish(&self, upload: &str, files: &[PathBuf]) {
        let to = format!("bookworm/uploads/{upload}");
        for file in files {
            assert_eq!(self.send(&self.secret, &to, file).await, 201);
        }
        let (status, answer) = self.add(&self.secret, &to, json!({})).await;
        assert_eq!(status, 201, "{answer}");
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Bytes) {
        let request = headers
            .iter()
            .fold(Request::builder().uri(path), |request, (name, value)| request.header(*name, *value));
        let response = router(self.office.world.app.clone())
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap())
    }
}

fn listed(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap();
    let digest = hex::encode(Sha256::digest(&bytes));
    format!(" {digest} {} {}\n", bytes.len(), file.file_name().unwrap().to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_of_a_suite_uploads_everybody_reads() {
    let shop = Shop::new().await;
    let hello = shop.deb("hello", "1");
    assert_eq!(shop.send(&shop.secret, "bookworm/uploads/one", &hello).await, 201);
    let (status, answer) =
        shop.add(&shop.secret, "bookworm/uploads/one", json!({ "note": "the first" })).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!((&answer["publication"], &answer["packages"][0]["package"]), (&json!(1), &json!("hello")));
    let left =
        std::fs::read_dir(shop.office.world.directory().join("archive/uploads/bookworm")).unwrap().count();
    assert_eq!(left, 0, "nothing of it waits any more");

    // Its own suite and nothing else: neither another's, nor anything that is stored.
    assert_eq!(shop.send(&shop.secret, "testing/uploads/one", &hello).await, 403);
    assert_eq!(shop.add(&shop.secret, "testing/uploads/one", json!({})).await.0, 403);
    assert_eq!(shop.send("", "bookworm/uploads/one", &hello).await, 401);
    for list in ["guests", "accounts", "images", "networks", "events"] {
        let (status, _, bytes) = shop.ask(&shop.secret, "GET", &format!("/v1/{list}"), Body::empty()).await;
        assert_eq!((status, bytes.as_ref()), (200, b"[]".as_slice()), "{list}");
    }
    for forbidden in ["hosts", "tokens", "pools"] {
        assert_eq!(
            shop.ask(&shop.secret, "GET", &format!("/v1/{forbidden}"), Body::empty()).await.0,
            403,
            "{forbidden}"
        );
    }
    let events = shop.office.operate("GET", "/v1/events?kind=suite.upload", Value::Null).await;
    assert_eq!(
        (&events[0]["resource_name"], &events[0]["message"]),
        (&json!("bookworm"), &json!("has hello 1, published"))
    );
    assert!(events[0]["actor"].as_str().unwrap().ends_with("(suite bookworm)"), "{events}");

    // What is served says how long it stays, and is not sent to who has it.
    let (status, headers, release) = shop.get("/apt/dists/bookworm/InRelease", &[]).await;
    assert_eq!((status, &headers["cache-control"]), (200, &"public, no-cache".parse().unwrap()));
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(shop.get("/apt/dists/bookworm/InRelease", &[("if-none-match", &tag)]).await.0, 304);
    let since = headers["last-modified"].to_str().unwrap().to_owned();
    assert_eq!(shop.get("/apt/dists/bookworm/InRelease", &[("if-modified-since", &since)]).await.0, 304);
    let text = String::from_utf8(release.to_vec()).unwrap();
    let line = text.lines().find(|line| line.ends_with("main/binary-amd64/Packages.gz")).unwrap();
    let digest = line.split_whitespace().next().unwrap();
    let by_hash = format!("/apt/dists/bookworm/main/binary-amd64/by-hash/SHA256/{digest}");
    let (status, headers, index) = shop.get(&by_hash, &[]).await;
    assert_eq!((status, hex::encode(Sha256::digest(&index)).as_str()), (200, digest));
    assert!(headers["cache-control"].to_str().unwrap().contains("immutable"));
    let whole = std::fs::read(&hello).unwrap();
    let (status, headers, part) =
        shop.get("/apt/pool/main/h/hello/hello_1_all.deb", &[("range", "bytes=100-199")]).await;
    assert_eq!((status, part.as_ref()), (206, &whole[100..200]));
    assert_eq!(headers["content-range"], format!("bytes 100-199/{}", whole.len()));
    let (status, headers, body) =
        shop.ask("", "HEAD", "/apt/pool/main/h/hello/hello_1_all.deb", Body::empty()).await;
    assert_eq!(
        (status, headers["content-length"].to_str().unwrap(), body.len()),
        (200, whole.len().to_string().as_str(), 0)
    );
    for nothing in [
        "/apt/dists/bookworm",
        "/apt/archive.toml",
        "/apt/.publications/bookworm/1/Release",
        "/apt/dists/../archive.toml",
        "/apt/pool/main/h/none",
    ] {
        assert_eq!(shop.get(nothing, &[]).await.0, 404, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_changes_names_is_there_and_what_it_says_or_nothing_is_added() {
    let shop = Shop::new().await;
    let (hello, tool) = (shop.deb("hello", "1"), shop.deb("tool", "1"));
    let info = shop.directory.path().join("hello_1_all.buildinfo");
    std::fs::write(&info, "Format: 1.0\n").unwrap();
    let changes = shop.directory.path().join("hello_1_all.changes");
    let text = format!(
        "Format: 1.8\nSource: hello\nVersion: 1\nChecksums-Sha256:\n{}{}{}",
        listed(&hello),
        listed(&tool),
        listed(&info)
    );
    std::fs::write(&changes, text).unwrap();
    let to = "bookworm/uploads/build-7";
    for file in [&changes, &hello, &tool] {
        assert_eq!(shop.send(&shop.secret, to, file).await, 201);
    }
    let (status, answer) = shop.add(&shop.secret, to, json!({})).await;
    assert_eq!(
        (status, &answer["errors"]["base"][0]),
        (422, &json!("a file that is named was not uploaded"))
    );
    std::fs::write(&info, "Format: 1.1\n").unwrap();
    for file in [&changes, &hello, &tool, &info] {
        assert_eq!(shop.send(&shop.secret, to, file).await, 201);
    }
    let (status, answer) = shop.add(&shop.secret, to, json!({})).await;
    let told = answer["errors"]["base"][0].as_str().unwrap();
    assert!(status == 422 && told.starts_with("hello_1_all.buildinfo has the digest "), "{told}");
    std::fs::write(&info, "Format: 1.0\n").unwrap();
    let other = shop.deb("other", "1");
    for file in [&changes, &hello, &tool, &info, &other] {
        assert_eq!(shop.send(&shop.secret, to, file).await, 201);
    }
    let (status, answer) = shop.add(&shop.secret, to, json!({})).await;
    let told = answer["errors"]["base"][0].as_str().unwrap();
    assert!(
        status == 422 && told.ends_with("other_1_all.deb: named by no .changes of this upload"),
        "{told}"
    );
    assert_eq!(shop.ask(&shop.secret, "DELETE", &format!("/v1/suites/{to}"), Body::empty()).await.0, 204);
    for file in [&changes, &hello, &tool, &info] {
        assert_eq!(shop.send(&shop.secret, to, file).await, 201);
    }
    let (status, answer) = shop.add(&shop.secret, to, json!({})).await;
    assert_eq!((status, answer["packages"].as_array().unwrap().len()), (201, 2), "{answer}");
    // What is no package, has no proper name or no file at all.
    let odd = shop.directory.path().join("odd.deb");
    std::fs::write(&odd, "no package").unwrap();
    assert_eq!(shop.send(&shop.secret, "bookworm/uploads/odd", &odd).await, 201);
    let (status, answer) = shop.add(&shop.secret, "bookworm/uploads/odd", json!({})).await;
    let told = answer["errors"]["base"][0].as_str().unwrap();
    assert!(status == 422 && told.starts_with("odd.deb: it is no Debian package"), "{told}");
    assert_eq!(shop.add(&shop.secret, "bookworm/uploads/none", json!({})).await.0, 422);
    for bad in ["..%2f..%2fx", ".hidden", "a%20b"] {
        let path = format!("/v1/suites/bookworm/uploads/odd/files/{bad}");
        assert_eq!(shop.ask(&shop.secret, "PUT", &path, Body::from("x")).await.0, 422, "{bad}");
    }
    assert_eq!(
        shop.ask(&shop.secret, "PUT", "/v1/suites/bookworm/uploads/..%2fx/files/a.deb", Body::from("x"))
            .await
            .0,
        422
    );
    assert_eq!(shop.send(&shop.office.operator, "sid/uploads/one", &odd).await, 404);
    // What is no text names nothing, here as elsewhere.
    let (status, _, bytes) =
        shop.ask(&shop.secret, "DELETE", "/v1/suites/%ff/uploads/one", Body::empty()).await;
    assert!(status == 404 && bytes.starts_with(b"{"), "{status} {bytes:?}");
    assert_eq!(shop.get("/apt/dists/%ff/InRelease", &[]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_once_queue_and_none_is_lost() {
    let shop = std::sync::Arc::new(Shop::new().await);
    let mut adding = Vec::new();
    for number in 0..6 {
        let (shop, deb) = (shop.clone(), shop.deb(&format!("many-{number}"), "1"));
        adding.push(tokio::spawn(async move {
            let to = format!("bookworm/uploads/u{number}");
            assert_eq!(shop.send(&shop.secret, &to, &deb).await, 201);
            let (status, answer) = shop.add(&shop.secret, &to, json!({})).await;
            assert_eq!(status, 201, "{answer}");
            answer["publication"].as_i64().unwrap()
        }));
    }
    let mut numbers = Vec::new();
    for one in adding {
        numbers.push(one.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let index = shop.get("/apt/dists/bookworm/main/binary-amd64/Packages.zst", &[]).await.2;
    let index = String::from_utf8(zstd::decode_all(index.as_ref()).unwrap()).unwrap();
    assert_eq!(index.matches("Package: many-").count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_signed_anew_before_it_is_believed_no_more_and_drafts_stay_drafts() {
    let shop = Shop::new().await;
    let (hello, tool) = (shop.deb("hello", "1"), shop.deb("tool", "1"));
    let app = &shop.office.world.app;
    shop.send(&shop.secret, "bookworm/uploads/a", &hello).await;
    assert_eq!(shop.add(&shop.secret, "bookworm/uploads/a", json!({})).await.1["publication"], json!(1));
    shop.send(&shop.secret, "bookworm/uploads/b", &tool).await;
    let drafted = shop.add(&shop.secret, "bookworm/uploads/b", json!({ "publish": false })).await.1;
    assert_eq!((&drafted["publication"], &drafted["packages"][0]["is_new"]), (&Value::Null, &json!(true)));
    let until = async || {
        let text = shop.get("/apt/dists/bookworm/Release", &[]).await.2;
        let text = String::from_utf8(text.to_vec()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Valid-Until: ").map(str::to_owned)).unwrap()
    };
    let first = until().await;
    for (hours, anew) in [(24 * 6, false), (24 * 2, true), (1, false)] {
        let before = until().await;
        shop.office.world.pass(hours * 3600);
        archive_step(app.clone()).await.unwrap();
        assert_eq!(until().await != before, anew, "after {hours} hours");
    }
    assert_ne!(until().await, first);
    let index = shop.get("/apt/dists/bookworm/main/binary-amd64/Packages.zst", &[]).await.2;
    let index = String::from_utf8(zstd::decode_all(index.as_ref()).unwrap()).unwrap();
    assert!(index.contains("Package: hello\n") && !index.contains("Package: tool\n"), "{index}");
}
