//! What a stock ActiveResource 6.1 client writes on the wire, byte by byte, and what it must read.
//!
//! That client is in no registry that the tests may use, so its requests are written here as Ruby's `Net::HTTP` writes
//! them: HTTP/1.1, a new connection for every call that is closed after the answer, pre-emptive Basic, `Accept` on what
//! reads and `Content-Type` on what writes (also on an empty body), `.json` at the end of each path. What the client
//! makes of an answer is said beside each check.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Ruby {
    address: String,
    authorization: String,
}

/// An answer, as `Net::HTTP` reads it.
struct Answer {
    code: u16,
    headers: BTreeMap<String, String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("{}: {:?}", self.code, self.text))
    }

    /// The id that `save` takes out of Location: what stands before a dot in its last part.
    fn id_from_location(&self) -> Option<&str> {
        self.headers.get("location")?.rsplit('/').next()?.split('.').next()
    }

    /// `ActiveResource::Errors#from_json`: an object of arrays of texts, or it crashes.
    fn errors_on(&self, attribute: &str) -> Result<Vec<String>> {
        let errors: BTreeMap<String, Vec<String>> = serde_json::from_value(self.json()?["errors"].clone())?;
        errors.get(attribute).cloned().with_context(|| format!("no error on {attribute}: {errors:?}"))
    }
}

impl Ruby {
    fn new(brain: &Brain, token: &str) -> Ruby {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("honcho:{token}"));
        Ruby { address: brain.address().to_string(), authorization: format!("Basic {basic}") }
    }

    async fn send(&self, head: &str, body: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let head = format!(
            "{head}User-Agent: Ruby\r\nAuthorization: {}\r\nConnection: close\r\nHost: {}\r\n",
            self.authorization, self.address
        );
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes)?;
        let (head, text) = text.split_once("\r\n\r\n").context("an answer with a head")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a code")?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        ensure!(!(300..400).contains(&code), "a redirect or a 304 turns `all` into []: {head}");
        let chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
        let text = if chunked { unchunk(text)? } else { text.to_owned() };
        Ok(Answer { code, headers, text })
    }

    /// find, where, all, get(:x).
    async fn get(&self, path: &str) -> Result<Answer> {
        self.send(&reading("GET", path), "").await
    }

    /// exists?
    async fn head(&self, path: &str) -> Result<Answer> {
        self.send(&reading("HEAD", path), "").await
    }

    /// destroy, delete(:x).
    async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(&reading("DELETE", path), "").await
    }

    /// create, save of what is new, post(:x).
    async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let body = body.to_string();
        self.send(&writing("POST", path, &body), &body).await
    }

    /// save of what is known.
    async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        let body = body.to_string();
        self.send(&writing("PUT", path, &body), &body).await
    }

    /// put(:x): the arguments in the query, an empty body, and a content type all the same.
    async fn put_action(&self, path: &str) -> Result<Answer> {
        self.send(&writing("PUT", path, ""), "").await
    }
}

fn reading(method: &str, path: &str) -> String {
    let encodings = "gzip;q=1.0,deflate;q=0.6,identity;q=0.3";
    format!("{method} {path} HTTP/1.1\r\nAccept-Encoding: {encodings}\r\nAccept: application/json\r\n")
}

fn writing(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nAccept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\nAccept: */*\r\nContent-Length: {}\r\n",
        body.len()
    )
}

fn unchunk(mut text: &str) -> Result<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n").context("a chunk's size")?;
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 {
            return Ok(whole);
        }
        whole.push_str(rest.get(..size).context("a whole chunk")?);
        text = rest.get(size + 2..).context("the next chunk")?;
    }
}

/// No answer may be what the client would take for an envelope: an object whose only key holds an object or array.
fn no_envelope(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            !(object.len() == 1 && object.values().all(|v| v.is_object() || v.is_array()))
        }
        _ => true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_verb_by_verb() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let ruby = Ruby::new(&brain, &brain.token()?);
    let account = world.account.id;

    // Guest.all, of none; Guest.find(99), Guest.exists?(99)
    let none = ruby.get("/v1/guests.json").await?;
    assert_eq!((none.code, none.json()?), (200, json!([])));
    assert_eq!(ruby.get("/v1/guests/99.json").await?.code, 404, "ResourceNotFound");
    assert_eq!(ruby.head("/v1/guests/99.json").await?.code, 404, "exists? is false");

    // Guest.create without a name: ResourceInvalid, read by Errors#from_json; then mended and saved again.
    let mut wish = json!({"account_id": account, "image_id": world.image.id, "network_id": world.network.id,
        "memory_bytes": "67108864", "disk_bytes": 134_217_728});
    let refused = ruby.post("/v1/guests.json", &json!({ "guest": wish })).await?;
    assert_eq!(refused.code, 422);
    assert_eq!(refused.errors_on("name")?, ["can't be blank"]);
    wish["name"] = json!("web1");
    let saved = ruby.post("/v1/guests.json", &json!({ "guest": wish })).await?;
    assert_eq!(saved.code, 201, "{}", saved.text);
    let guest = saved.json()?;
    assert_eq!(saved.id_from_location().map(str::to_owned), Some(guest["id"].to_string()));
    assert!(no_envelope(&guest));
    let id = guest["id"].as_i64().context("an id")?;
    world.ended(guest["operation_id"].as_i64().context("an operation")?).await?;

    // Account.find(5).guests (has_many) and guest.account (belongs_to); nested by prefix; a nested refusal.
    let many = ruby.get(&format!("/v1/guests.json?account_id={account}")).await?.json()?;
    assert_eq!(many[0]["id"], id);
    let owner = ruby.get(&format!("/v1/accounts/{}.json", many[0]["account_id"])).await?.json()?;
    assert_eq!(owner["name"], "acme");
    let nested = ruby.get(&format!("/v1/accounts/{account}/guests.json")).await?.json()?;
    assert_eq!(nested[0]["account_id"], account);
    let nameless = json!({"guest": {"name": "web1"}});
    let refused = ruby.post(&format!("/v1/accounts/{account}/guests.json"), &nameless).await?;
    assert_eq!((refused.code, refused.errors_on("image_id")?), (422, vec!["can't be blank".to_owned()]));

    // Guest.where(status: %w[running stopped]): Rails writes the brackets as they are or escaped.
    for query in ["status[]=running&status[]=stopped", "status%5B%5D=running&status%5B%5D=stopped"] {
        let found = ruby.get(&format!("/v1/guests.json?{query}")).await?.json()?;
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{query}");
    }
    let refused = ruby.get("/v1/guests.json?colour=red").await?;
    assert_eq!(refused.code, 422, "a filter that is none is no filter that lets all through");

    // Paging
    for number in 2..=5 {
        let name = format!("web{number}");
        wish["name"] = json!(name);
        let saved = ruby.post("/v1/guests.json", &json!({ "guest": wish })).await?;
        assert_eq!(saved.code, 201, "{}", saved.text);
    }
    let names = async |query: &str| -> Result<Vec<String>> {
        let page = ruby.get(&format!("/v1/guests.json?{query}")).await?.json()?;
        let page = page.as_array().context("a bare array")?.iter();
        Ok(page.filter_map(|guest| guest["name"].as_str().map(str::to_owned)).collect())
    };
    assert_eq!(names("limit=2").await?, ["web1", "web2"]);
    assert_eq!(names("limit=2&offset=2").await?, ["web3", "web4"]);
    assert_eq!(names(&format!("after={id}&limit=1")).await?, ["web2"]);
    assert_eq!(names("").await?.len(), 5);

    // guest.save: every attribute that was loaded goes back, nested objects and the id too.
    assert_eq!(ruby.head(&format!("/v1/guests/{id}.json")).await?.code, 200, "exists?");
    let mut loaded = ruby.get(&format!("/v1/guests/{id}.json")).await?.json()?;
    loaded["name"] = json!("front1");
    let saved = ruby.put(&format!("/v1/guests/{id}.json"), &json!({ "guest": loaded })).await?;
    assert_eq!((saved.code, &saved.json()?["name"]), (200, &json!("front1")));
    let mut old = std::mem::replace(&mut loaded, saved.json()?);
    loaded["name"] = json!("Front 1");
    let refused = ruby.put(&format!("/v1/guests/{id}.json"), &json!({ "guest": loaded })).await?;
    assert!(refused.code == 422 && !refused.errors_on("name")?.is_empty());
    old["name"] = json!("front2");
    let stale = ruby.put(&format!("/v1/guests/{id}.json"), &json!({ "guest": old })).await?;
    assert_eq!(stale.code, 409, "ResourceConflict: lock_version is that of before");

    // guest.put(:stop), guest.put(:reboot, hard: true), guest.post(:start) with the whole record
    let acted = ruby.put_action(&format!("/v1/guests/{id}/reboot.json?hard=true")).await?;
    assert_eq!((acted.code, &acted.json()?["kind"]), (202, &json!("reboot")));
    let acted = ruby.put_action(&format!("/v1/guests/{id}/stop.json?hard=true")).await?;
    assert_eq!(acted.code, 202);
    world.ended(acted.json()?["id"].as_i64().context("an operation")?).await?;
    let refused = ruby.put_action(&format!("/v1/guests/{id}/reboot.json")).await?;
    assert_eq!(refused.code, 422, "rebooting a stopped guest");
    let acted = ruby.post(&format!("/v1/guests/{id}/start.json"), &json!({ "guest": loaded })).await?;
    assert_eq!(acted.code, 202);
    let missing = ruby.put_action(&format!("/v1/guests/{id}/explode.json")).await?;
    assert_eq!(missing.code, 404);
    let missing = ruby.delete("/v1/guests.json").await?;
    assert_eq!(missing.code, 405, "MethodNotAllowed");

    // guest.destroy; find afterwards is ResourceGone, exists? is false
    assert_eq!(ruby.delete(&format!("/v1/guests/{id}.json")).await?.code, 202);
    let gone = ruby.get(&format!("/v1/guests/{id}.json")).await?;
    assert_eq!((gone.code, &gone.json()?["id"]), (410, &json!(id)));
    assert_eq!(ruby.head(&format!("/v1/guests/{id}.json")).await?.code, 410);
    assert_eq!(ruby.put_action(&format!("/v1/guests/{id}/restore.json")).await?.code, 202);
    assert_eq!(ruby.head(&format!("/v1/guests/{id}.json")).await?.code, 200);

    // A wrong password: UnauthorizedAccess
    let stranger = Ruby::new(&brain, "nonsense");
    assert_eq!(stranger.get("/v1/guests.json").await?.code, 401);
    Ok(())
}

/// Addresses are nested under networks and accounts, and have an attribute of their own name: rooted and flat bodies are
/// told apart all the same.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_verb_by_verb() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let ruby = Ruby::new(&brain, &brain.token()?);
    let (account, network) = (world.account.id, world.network.id);
    let held = format!("/v1/accounts/{account}/addresses.json");

    // Address.find(:all, params: {account_id: 5}) by prefix, of none
    let none = ruby.get(&held).await?;
    assert_eq!((none.code, none.json()?), (200, json!([])));

    // Address.new(prefix).save, rooted; and the same flat, where the only key is the attribute of the same name
    let wish =
        json!({"address": {"address": "10.77.0.9", "name": "www.acme.example", "account_id": account}});
    let saved = ruby.post(&format!("/v1/networks/{network}/addresses.json"), &wish).await?;
    assert_eq!(saved.code, 201, "{}", saved.text);
    let first = saved.json()?;
    assert_eq!(saved.id_from_location().map(str::to_owned), Some(first["id"].to_string()));
    assert!(no_envelope(&first));
    assert_eq!((&first["address"], &first["status"]), (&json!("10.77.0.9"), &json!("allocated")));
    let flat = json!({"address": "10.77.0.10", "network_id": network, "account_id": account.to_string()});
    let saved = ruby.post("/v1/addresses.json", &flat).await?;
    assert_eq!((saved.code, &saved.json()?["address"]), (201, &json!("10.77.0.10")), "{}", saved.text);
    let only = json!({"address": "10.77.0.11"});
    let refused = ruby.post(&held, &only).await?;
    assert_eq!((refused.code, refused.errors_on("network_id")?.len()), (422, 1), "{}", refused.text);

    // Refusals that Errors#from_json reads: taken, outside, no address at all
    let taken = ruby.post("/v1/addresses.json", &flat).await?;
    assert_eq!(taken.code, 422);
    ensure!(taken.errors_on("address")?[0].contains("10.77.0.10"), "{}", taken.text);
    for nonsense in ["192.0.2.1", "10.77.0.256", ""] {
        let body = json!({"address": nonsense, "network_id": network, "account_id": account});
        let refused = ruby.post("/v1/addresses.json", &body).await?;
        assert_eq!(refused.code, 422, "{nonsense:?}: {}", refused.text);
        ensure!(!refused.errors_on("address")?.is_empty(), "{}", refused.text);
    }

    // find, exists?, where, paging
    let path = format!("/v1/addresses/{}.json", first["id"]);
    assert_eq!(ruby.get(&path).await?.json()?, first);
    assert_eq!(ruby.head(&path).await?.code, 200);
    assert_eq!(ruby.head("/v1/addresses/999999.json").await?.code, 404);
    let found = ruby.get("/v1/addresses.json?name=www.acme.example").await?.json()?;
    assert_eq!(found, json!([first]));
    let found = ruby.get(&format!("{held}?status[]=used&status[]=allocated&limit=1")).await?.json()?;
    assert_eq!(found, json!([first]));
    let rest = ruby.get(&format!("{held}?after={}", first["id"])).await?.json()?;
    assert_eq!((rest.as_array().map(Vec::len), &rest[0]["address"]), (Some(1), &json!("10.77.0.10")));

    // address.save: all that was loaded goes back; what is read-only is let pass, and a stale copy is not
    let mut loaded = first.clone();
    loaded["reverse_name"] = json!("mail.acme.example");
    loaded["status"] = json!("free");
    let saved = ruby.put(&path, &json!({ "address": loaded })).await?;
    assert_eq!(saved.code, 200, "{}", saved.text);
    let now = saved.json()?;
    assert_eq!(
        (&now["reverse_name"], &now["status"], &now["name"]),
        (&json!("mail.acme.example"), &json!("allocated"), &json!("www.acme.example"))
    );
    loaded["name"] = json!("ftp.acme.example");
    let stale = ruby.put(&path, &json!({ "address": loaded })).await?;
    assert_eq!(stale.code, 409, "{}", stale.text);
    let mut bad = now.clone();
    bad["name"] = json!("not a name");
    let refused = ruby.put(&path, &json!({ "address": bad })).await?;
    ensure!(refused.code == 422 && !refused.errors_on("name")?.is_empty(), "{}", refused.text);

    // destroy: it is released, and is there still as one that is free
    assert_eq!(ruby.delete(&path).await?.code, 200);
    let free = ruby.get(&path).await?.json()?;
    assert_eq!(
        (&free["status"], &free["account_id"], &free["name"]),
        (&json!("free"), &Value::Null, &Value::Null)
    );
    let left = ruby.get(&held).await?.json()?;
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    Ok(())
}

/// Attributes that such a client cannot bear, whatever they hold; and those it cannot bear with an object in them.
const UNBEARABLE: &[&str] = &[
    "load", "method", "hash", "class", "schema", "display", "errors", "get", "put", "post", "patch",
    "delete", "head", "reload", "save", "destroy", "send", "encode", "clone", "dup", "freeze", "prefix",
];
const UNBEARABLE_OBJECTS: &[&str] =
    &["file", "set", "dir", "time", "date", "process", "thread", "timeout", "socket"];

#[tokio::test]
async fn no_attribute_is_one_that_the_client_cannot_bear() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let document = Ruby::new(&brain, "").get("/v1/openapi.json").await?.json()?;
    let mut seen = 0;
    for (name, schema) in document["components"]["schemas"].as_object().context("schemas")? {
        // The shape of refusals is read by a reader of its own.
        if name == "ErrorBody" {
            continue;
        }
        for (attribute, kind) in schema["properties"].as_object().into_iter().flatten() {
            let plain = kind["type"].is_string() || kind["type"].is_array();
            ensure!(!UNBEARABLE.contains(&attribute.as_str()), "{name}.{attribute}");
            ensure!(
                plain || !UNBEARABLE_OBJECTS.contains(&attribute.as_str()),
                "{name}.{attribute} holds an object"
            );
            seen += 1;
        }
    }
    ensure!(seen > 80, "only {seen} attributes were looked at");
    Ok(())
}
