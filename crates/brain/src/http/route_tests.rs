//! Who may do what, route by route: every route and method of the OpenAPI document is walked as everybody.
//!
//! A route without a line in [`ROUTES`] fails, and so does a line without a route. Whoever adds a route adds its line:
//! method, path, the six answers, and for what needs one a body. In bodies `$account`, `$guest`, `$network`, `$image`,
//! `$host`, `$token` stand for the ids of acme's things; what `{id}` means for a new kind of thing is said in
//! [`Acme::id`]. Everything of acme's has `acme` in its name, which must never be read by a stranger.

use super::router;
use crate::app::hash_secret;
use crate::operations::tests::World;
use crate::operations::{
    AccountCancel, AccountCreate, AccountSuspend, AddressCreate, ClusterCancel, Grace, GuestCancel, HostAdd,
    ImageCreate, ImageKeyCreate, ImageUploadCreate, NetworkCreate, PoolCreate, RackCreate, SanCreate,
    SiteCreate, SlowMarkCreate, TokenCreate, WebhookCreate,
};
use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt as _;
use honcho_model::{AccountId, ClusterId, Digest, GuestId, Right};
use honcho_store::people::NewPerson;
use honcho_store::{Change, Filters, Scope, StoreResult, Tx, clusters, people, sessions, slow};
use std::collections::BTreeSet;
use std::time::Duration;
use tower::ServiceExt as _;

/// nobody; an admin of another account; a viewer of acme; one machine of acme's; an admin of acme; an operator.
const ROUTES: &str = r#"
GET    /v1/accounts                       401 200 200 200 200 200
POST   /v1/accounts                       401 403 403 403 403 201 {"name":"new"}
GET    /v1/accounts/{id}                  401 404 200 404 200 200
PUT    /v1/accounts/{id}                  401 403 403 403 403 200 {"name":"acme-two"}
PATCH  /v1/accounts/{id}                  401 403 403 403 403 200 {"grace_seconds":7}
DELETE /v1/accounts/{id}                  401 403 403 403 403 202
PUT    /v1/accounts/{id}/suspend          401 403 403 403 403 202
POST   /v1/accounts/{id}/suspend          401 403 403 403 403 202
PUT    /v1/accounts/{id}/unsuspend        401 403 403 403 403 202
POST   /v1/accounts/{id}/unsuspend        401 403 403 403 403 202
PUT    /v1/accounts/{id}/restore          401 403 403 403 403 202
POST   /v1/accounts/{id}/restore          401 403 403 403 403 202
PUT    /v1/accounts/{id}/keep_sample_values    401 404 403 403 202 202
POST   /v1/accounts/{id}/keep_sample_values    401 404 403 403 202 202
PUT    /v1/accounts/{id}/redact_sample_values  401 404 403 403 202 202
POST   /v1/accounts/{id}/redact_sample_values  401 404 403 403 202 202
GET    /v1/accounts/{id}/quota            401 404 200 404 200 200
GET    /v1/accounts/{id}/usage?month=2001-09      401 404 200 404 200 200
GET    /v1/accounts/{id}/usage.csv?month=2001-09  401 404 200 404 200 200
GET    /v1/accounts/{id}/guests           401 404 200 404 200 200
POST   /v1/accounts/{id}/guests           401 404 403 403 201 201 {"name":"acme-new","image_id":$image,"network_id":$network,"memory_bytes":67108864,"disk_bytes":3221225472}
GET    /v1/usage?month=2001-09                    401 403 403 403 403 200
GET    /v1/usage.csv?month=2001-09                401 403 403 403 403 200
GET    /v1/tokens                         401 200 403 403 200 200
POST   /v1/tokens                         401 422 403 403 201 201 {"name":"t","scope":"viewer","account_id":$account}
GET    /v1/tokens/{id}                    401 404 403 403 200 200
PUT    /v1/tokens/{id}                    401 404 403 403 200 200 {"name":"acme-renamed"}
PATCH  /v1/tokens/{id}                    401 404 403 403 200 200 {"name":"acme-renamed"}
DELETE /v1/tokens/{id}                    401 404 403 403 200 200
GET    /v1/people                         401 403 403 403 403 200
POST   /v1/people                         401 403 403 403 403 201 {"name":"bob"}
GET    /v1/people/{id}                    401 403 403 403 403 200
PUT    /v1/people/{id}                    401 403 403 403 403 200 {"name":"acme-bob"}
PATCH  /v1/people/{id}                    401 403 403 403 403 200 {"full_name":"Ann"}
DELETE /v1/people/{id}                    401 403 403 403 403 200
PUT    /v1/people/{id}/grant?account_id=1&scope=viewer   401 403 403 403 403 200
POST   /v1/people/{id}/grant?account_id=1&scope=viewer   401 403 403 403 403 200
PUT    /v1/people/{id}/revoke?account_id=1               401 403 403 403 403 200
POST   /v1/people/{id}/revoke?account_id=1               401 403 403 403 403 200
PUT    /v1/people/{id}/unlock             401 403 403 403 403 200
POST   /v1/people/{id}/unlock             401 403 403 403 403 200
PUT    /v1/people/{id}/password           401 403 403 403 403 200 {"password":"a violet fence sings"}
POST   /v1/people/{id}/password           401 403 403 403 403 200 {"password":"a violet fence sings"}
GET    /v1/sessions                       401 200 200 200 200 200
POST   /v1/sessions                       401 401 401 401 401 401 {"login":"acme-ann","password":"is not this"}
GET    /v1/sessions/{id}                  401 404 404 404 404 200
DELETE /v1/sessions/{id}                  401 404 404 404 404 200
GET    /v1/whoami                         401 200 200 200 200 200
GET    /v1/search?q=acme                  401 200 200 200 200 200
GET    /v1/hosts                          401 403 403 403 403 200
POST   /v1/hosts                          401 403 403 403 403 201 {"name":"h3"}
GET    /v1/hosts.csv                      401 403 403 403 403 200
GET    /v1/networks.csv                   401 403 403 403 403 200
GET    /v1/addresses.csv                  401 403 403 403 403 200
POST   /v1/imports/hosts                  401 403 403 403 403 200 csv
POST   /v1/imports/networks               401 403 403 403 403 200 csv
POST   /v1/imports/addresses              401 403 403 403 403 200 csv
POST   /v1/imports/netbox                 401 403 403 403 403 200 {"files":[{"name":"d.csv","text":"name,type\nsw1,7050\n"}]}
GET    /v1/hosts/{id}                     401 403 403 403 403 200
PUT    /v1/hosts/{id}                     401 403 403 403 403 200 {"vendor":"acme"}
PATCH  /v1/hosts/{id}                     401 403 403 403 403 200 {"position":null}
DELETE /v1/hosts/{id}                     401 403 403 403 403 200
GET    /v1/hosts/{id}/load                401 403 403 403 403 200
PUT    /v1/hosts/{id}/rejoin              401 403 403 403 403 200
POST   /v1/hosts/{id}/rejoin              401 403 403 403 403 200
GET    /v1/hosts/{id}/drain               401 403 403 403 403 200
PUT    /v1/hosts/{id}/drain               401 403 403 403 403 200
POST   /v1/hosts/{id}/drain               401 403 403 403 403 200
PUT    /v1/hosts/{id}/undrain             401 403 403 403 403 200
POST   /v1/hosts/{id}/undrain             401 403 403 403 403 200
GET    /v1/capacity?memory_bytes=1073741824&vcpus=1&disk_bytes=1073741824  401 403 403 403 403 200
GET    /v1/balance                        401 403 403 403 403 200
POST   /v1/balance                        401 403 403 403 403 202
GET    /v1/restore                        401 403 403 403 403 200
PUT    /v1/restore/accept                 401 403 403 403 403 409
POST   /v1/restore/accept                 401 403 403 403 403 409
GET    /v1/sites                          401 403 403 403 403 200
POST   /v1/sites                          401 403 403 403 403 201 {"name":"new"}
GET    /v1/sites/{id}                     401 403 403 403 403 200
PUT    /v1/sites/{id}                     401 403 403 403 403 200 {"name":"renamed"}
PATCH  /v1/sites/{id}                     401 403 403 403 403 200 {"name":"renamed"}
DELETE /v1/sites/{id}                     401 403 403 403 403 200
GET    /v1/racks                          401 403 403 403 403 200
POST   /v1/racks                          401 403 403 403 403 201 {"name":"new","site_id":$site}
GET    /v1/racks/{id}                     401 403 403 403 403 200
PUT    /v1/racks/{id}                     401 403 403 403 403 200 {"height_units":47}
PATCH  /v1/racks/{id}                     401 403 403 403 403 200 {"height_units":47}
DELETE /v1/racks/{id}                     401 403 403 403 403 200
GET    /v1/sans                          401 403 403 403 403 200
POST   /v1/sans                          401 403 403 403 403 201 {"name":"new","target":"nas1:/export"}
GET    /v1/sans/{id}                     401 403 403 403 403 200
PUT    /v1/sans/{id}                     401 403 403 403 403 200 {"host_ids":[$host]}
PATCH  /v1/sans/{id}                     401 403 403 403 403 200 {"host_ids":[$host]}
DELETE /v1/sans/{id}                     401 403 403 403 403 200
GET    /v1/pools                          401 403 403 403 403 200
POST   /v1/pools                          401 403 403 403 403 201 {"name":"second","host_id":$host,"path":"/second"}
GET    /v1/pools/{id}                     401 403 403 403 403 200
DELETE /v1/pools/{id}                     401 403 403 403 403 200
GET    /v1/networks                       401 200 200 200 200 200
POST   /v1/networks                       401 403 403 403 403 201 {"name":"new","subnet":"10.99.0.0/24"}
GET    /v1/networks/{id}                  401 404 200 404 200 200
PUT    /v1/networks/{id}                  401 403 403 403 403 200 {"name":"acme-renamed"}
PATCH  /v1/networks/{id}                  401 403 403 403 403 200 {"name":"acme-renamed"}
DELETE /v1/networks/{id}                  401 403 403 403 403 200
GET    /v1/networks/{id}/addresses        401 404 200 404 200 200
POST   /v1/networks/{id}/addresses        401 404 403 403 201 201 {"account_id":$account}
GET    /v1/accounts/{id}/addresses        401 404 200 404 200 200
POST   /v1/accounts/{id}/addresses        401 404 403 403 201 201 {"network_id":$network}
GET    /v1/addresses                      401 200 200 200 200 200
POST   /v1/addresses                      401 422 403 403 201 201 {"account_id":$account,"network_id":$network}
GET    /v1/addresses/{id}                 401 404 200 404 200 200
PUT    /v1/addresses/{id}                 401 404 403 403 200 200 {"name":"www.acme.example"}
PATCH  /v1/addresses/{id}                 401 404 403 403 200 200 {"reverse_name":"www.acme.example"}
DELETE /v1/addresses/{id}                 401 404 403 403 200 200
GET    /v1/images                         401 200 200 200 200 200
POST   /v1/images                         401 403 403 403 403 201 {"name":"new","digest":"$blob","unpacked_bytes":1}
GET    /v1/images/{id}                    401 404 200 404 200 200
DELETE /v1/images/{id}                    401 404 403 403 200 200
GET    /v1/images/{id}/packages           401 404 200 404 200 200
GET    /v1/images/{id}/recipe             401 403 403 403 403 200
GET    /v1/images/{id}/signature          401 404 200 404 200 200
GET    /v1/image_keys                     401 403 403 403 403 200
POST   /v1/image_keys                     401 403 403 403 403 201 {"name":"new","public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ann@example"}
GET    /v1/image_keys/{id}                401 403 403 403 403 200
DELETE /v1/image_keys/{id}                401 403 403 403 403 200
GET    /v1/image_uploads                  401 200 200 200 200 200
POST   /v1/image_uploads                  401 422 403 403 201 201 {"account_id":$account,"name":"acme-new","size_bytes":6,"digest":"$blob"}
GET    /v1/image_uploads/{id}             401 404 200 404 200 200
DELETE /v1/image_uploads/{id}             401 404 403 403 200 200
PUT    /v1/image_uploads/{id}/content?offset=0  401 404 403 403 200 200 blob
PUT    /v1/image_uploads/{id}/finish      401 404 403 403 409 409
POST   /v1/image_uploads/{id}/finish      401 404 403 403 409 409
PUT    /v1/blobs/{digest}                 401 403 403 403 403 201 blob
GET    /v1/blobs/{digest}                 401 403 403 403 403 200
HEAD   /v1/blobs/{digest}                 401 403 403 403 403 200
GET    /v1/suites                                         401 200 200 200 200 200
GET    /v1/suites/{suite}/packages                        401 200 200 200 200 200
GET    /v1/suites/{suite}/packages/{package}/guests       401 404 404 404 404 404
POST   /v1/installed_packages                             401 403 403 403 403 200 {"packages":[]}
PUT    /v1/suites/{suite}/uploads/{upload}/files/{name}   401 403 403 403 403 201 blob
POST   /v1/suites/{suite}/uploads/{upload}                401 403 403 403 403 422 {"publish":false}
DELETE /v1/suites/{suite}/uploads/{upload}                401 403 403 403 403 204
GET    /v1/guests/{id}/packages           401 404 200 200 200 200
PUT    /v1/guests/{id}/packages           401 404 403 200 200 200 dpkg
GET    /v1/guests                         401 200 200 200 200 200
POST   /v1/guests                         401 422 403 403 201 201 {"account_id":$account,"name":"acme-new","image_id":$image,"network_id":$network,"memory_bytes":67108864,"disk_bytes":3221225472}
GET    /v1/guests/{id}                    401 404 200 200 200 200
PUT    /v1/guests/{id}                    401 404 403 403 200 200 {"name":"acme-renamed"}
PATCH  /v1/guests/{id}                    401 404 403 403 200 200 {"name":"acme-renamed"}
DELETE /v1/guests/{id}                    401 404 403 403 202 202
PUT    /v1/guests/{id}/start              401 404 403 202 202 202
POST   /v1/guests/{id}/start              401 404 403 202 202 202
PUT    /v1/guests/{id}/stop               401 404 403 202 202 202
POST   /v1/guests/{id}/stop               401 404 403 202 202 202
PUT    /v1/guests/{id}/reboot             401 404 403 202 202 202
POST   /v1/guests/{id}/reboot             401 404 403 202 202 202
PUT    /v1/guests/{id}/resize?vcpus=1&memory_bytes=2147483648&restart=true  401 404 403 403 202 202
POST   /v1/guests/{id}/resize?vcpus=1&memory_bytes=2147483648&restart=true  401 404 403 403 202 202
PUT    /v1/guests/{id}/move               401 403 403 403 403 409
POST   /v1/guests/{id}/move               401 403 403 403 403 409
PUT    /v1/guests/{id}/capture?name=acme-new       401 404 403 403 409 409
POST   /v1/guests/{id}/capture?name=acme-new       401 404 403 403 409 409
PUT    /v1/guests/{id}/restore            401 404 403 403 202 202
POST   /v1/guests/{id}/restore            401 404 403 403 202 202
GET    /v1/guests/{id}/placement          401 404 200 200 200 200
GET    /v1/guests/{id}/load?span=2d       401 404 200 200 200 200
GET    /v1/clusters                       401 200 200 200 200 200
POST   /v1/clusters                       401 422 403 403 201 201 {"account_id":$account,"name":"acme-new","image_id":$image,"network_id":$network,"memory_bytes":67108864,"disk_bytes":3221225472,"roles":[{"role":"front","count":2}]}
GET    /v1/clusters/{id}                  401 404 200 404 200 200
DELETE /v1/clusters/{id}                  401 404 403 403 202 202
PUT    /v1/clusters/{id}/restore          401 404 403 403 202 202
POST   /v1/clusters/{id}/restore          401 404 403 403 202 202
GET    /v1/guests/{id}/log                401 404 409 409 409 409
GET    /v1/guests/{id}/console            401 404 403 409 409 409
GET    /v1/operations                     401 200 200 200 200 200
GET    /v1/operations/{id}                401 404 200 200 200 200
GET    /v1/operations/{id}/stream         401 404 200 200 200 200
PUT    /v1/operations/{id}/abandon        401 404 403 403 202 202
POST   /v1/operations/{id}/abandon        401 404 403 403 202 202
GET    /v1/slow_servers                   401 200 200 200 200 200
GET    /v1/slow_servers/{id}              401 404 200 200 200 200
GET    /v1/slow_servers/{id}/queries      401 404 200 200 200 200
GET    /v1/accounts/{id}/slow_queries     401 404 200 404 200 200
GET    /v1/slow_queries/{id}              401 404 200 200 200 200
PUT    /v1/slow_queries/{id}/judge?state=ignored  401 404 403 403 200 200
POST   /v1/slow_queries/{id}/judge?note=acme       401 404 403 403 200 200
GET    /v1/slow_marks                     401 200 200 200 200 200
POST   /v1/slow_marks                     401 422 403 403 201 201 {"text":"acme 1.2","account_id":$account}
GET    /v1/slow_marks/{id}                401 404 200 404 200 200
DELETE /v1/slow_marks/{id}                401 404 403 403 200 200
GET    /v1/accounts/{id}/slow_settings    401 404 200 404 200 200
PUT    /v1/accounts/{id}/slow_settings    401 404 403 403 200 200 {"top_queries_count":5}
PATCH  /v1/accounts/{id}/slow_settings    401 404 403 403 200 200 {"mail_to":"ops@acme.example"}
POST   /v1/slow_mails                     401 403 403 403 403 200 mail
GET    /v1/events                         401 200 200 200 200 200
GET    /v1/events/stream                  401 200 200 200 200 200
GET    /v1/webhooks                       401 200 200 200 200 200
POST   /v1/webhooks                       401 422 403 403 201 201 {"url":"https://acme.example/","account_id":$account}
GET    /v1/webhooks/{id}                  401 404 200 404 200 200
PUT    /v1/webhooks/{id}                  401 404 403 403 200 200 {"url":"https://acme.example/"}
PATCH  /v1/webhooks/{id}                  401 404 403 403 200 200 {"description":"acme's"}
DELETE /v1/webhooks/{id}                  401 404 403 403 200 200
GET    /v1/webhooks/{id}/deliveries       401 404 200 404 200 200
PUT    /v1/webhooks/{id}/test             401 404 403 403 200 200
POST   /v1/webhooks/{id}/test             401 404 403 403 200 200
PUT    /v1/webhooks/{id}/rotate           401 404 403 403 200 200
POST   /v1/webhooks/{id}/rotate           401 404 403 403 200 200
PUT    /v1/webhooks/{id}/enable           401 404 403 403 200 200
POST   /v1/webhooks/{id}/enable           401 404 403 403 200 200
"#;

/// In the order of the table's columns.
const CALLERS: [&str; 6] = ["nobody", "rival", "viewer", "machine", "admin", "operator"];

struct Line<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    answers: Vec<u16>,
    body: &'a str,
}

fn lines() -> Vec<Line<'static>> {
    let line = |text: &'static str| {
        let (words, body) = match text
            .find(" {\"")
            .or(text.find(" blob"))
            .or(text.find(" csv"))
            .or(text.find(" mail"))
            .or(text.find(" dpkg"))
        {
            Some(at) => (&text[..at], text[at..].trim()),
            None => (text, ""),
        };
        let mut words = words.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let answers: Vec<u16> = words.map(|word| word.parse().unwrap()).collect();
        assert_eq!(answers.len(), CALLERS.len(), "{text}");
        Line { method, path, query, answers, body }
    };
    ROUTES.lines().filter(|text| !text.is_empty()).map(line).collect()
}

/// The bytes of the blob that is sent.
const BLOB: &[u8] = b"a blob";

fn blob_digest() -> String {
    hash_secret(std::str::from_utf8(BLOB).unwrap())
}

/// Ann, an admin of an account, with a session and no password.
struct SomebodyOf(i64);

impl Change for SomebodyOf {
    type Out = (i64, i64);
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<(i64, i64)> {
        let new = NewPerson {
            uuid: uuid::Uuid::from_u128(9),
            login: "acme-ann",
            full_name: None,
            operator: false,
            password_hash: None,
        };
        let id = people::create(tx, &new).await?;
        people::grant(tx, id, AccountId(self.0), Right::Admin).await?;
        let session = sessions::create(tx, id, &hash_secret("session-1"), None).await?;
        Ok((id.0, session.0))
    }
}

/// A world in which acme owns one of everything, and everybody has a token.
struct Acme {
    world: World,
    guest: i64,
    other_guest: i64,
    cluster: i64,
    ended_operation: i64,
    open_operation: i64,
    network: i64,
    empty_network: i64,
    address: i64,
    image: i64,
    upload: i64,
    image_key: i64,
    token: i64,
    webhook: i64,
    slow_server: i64,
    slow_mark: i64,
    empty_account: i64,
    empty_host: i64,
    empty_pool: i64,
    person: i64,
    session: i64,
    site: i64,
    empty_site: i64,
    rack: i64,
    san: i64,
    secrets: Vec<Option<String>>,
}

impl Acme {
    #[expect(clippy::too_many_lines, reason = "one of each kind of thing, a line or two each")]
    async fn new() -> Acme {
        let world = World::new().await;
        let (scope, account) = (Scope::Operator, Some(world.account.id));
        let make_account = async |name: &str| {
            let body =
                honcho_api::AccountCreate { name: Some(name.into()), ..honcho_api::AccountCreate::default() };
            let change = AccountCreate { scope, uuid: world.app.outside.uuid(), body };
            world.ask(&change).await.unwrap().id
        };
        let (rival, empty_account) = (make_account("rival").await, make_account("acme-empty").await);
        let body = honcho_api::NetworkCreate {
            account_id: account,
            name: Some("acme-net".into()),
            subnet: Some("10.78.0.0/24".into()),
            ..honcho_api::NetworkCreate::default()
        };
        let change = NetworkCreate { scope, uuid: world.app.outside.uuid(), body };
        let network = world.ask(&change).await.unwrap().id;
        let body = honcho_api::NetworkCreate {
            account_id: account,
            name: Some("acme-net-empty".into()),
            subnet: Some("10.79.0.0/29".into()),
            ..honcho_api::NetworkCreate::default()
        };
        let change = NetworkCreate { scope, uuid: world.app.outside.uuid(), body };
        let empty_network = world.ask(&change).await.unwrap().id;
        let body = honcho_api::AddressCreate {
            account_id: account,
            network_id: Some(network),
            name: Some("acme.example".into()),
            ..honcho_api::AddressCreate::default()
        };
        let address = world.ask(&AddressCreate { scope, body }).await.unwrap().id;
        let body = honcho_api::ImageCreate {
            account_id: account,
            name: Some("acme-image".into()),
            digest: Some("08".repeat(32)),
            unpacked_bytes: Some(1),
            ..honcho_api::ImageCreate::default()
        };
        let change = ImageCreate { scope, uuid: world.app.outside.uuid(), blob_size: Some(1), body };
        let image = world.ask(&change).await.unwrap().id;
        let body = honcho_api::ImageUploadCreate {
            account_id: account,
            name: Some("acme-own".into()),
            size_bytes: Some(6),
            digest: Some("09".repeat(32)),
            host_kernel: None,
        };
        let key = honcho_api::ImageKeyCreate {
            name: Some("builder".into()),
            public_key: Some(crate::operations::tests::KEY.into()),
            again: None,
        };
        let change = ImageKeyCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), body: key };
        let image_key = world.ask(&change).await.unwrap().id;
        let largest = honcho_model::Bytes(1 << 30);
        let change = ImageUploadCreate { scope, uuid: world.app.outside.uuid(), largest, body };
        let upload = world.ask(&change).await.unwrap().id;
        let host: HostAdd = crate::operations::tests::add_host(&world.app, "h2");
        let empty_host = world.ask(&host).await.unwrap().id;
        let body = honcho_api::PoolCreate {
            host_id: Some(world.host.id),
            name: Some("spare".into()),
            kind: None,
            path: Some("/spare".into()),
        };
        let change = PoolCreate { scope, uuid: world.app.outside.uuid(), body };
        let empty_pool = world.ask(&change).await.unwrap().id;
        let make_site = async |name: &str| {
            let body = honcho_api::SiteCreate { name: Some(name.into()), location: None };
            world.ask(&SiteCreate { scope, uuid: world.app.outside.uuid(), body }).await.unwrap().id
        };
        let (site, empty_site) = (make_site("fra1").await, make_site("fra2").await);
        let body =
            honcho_api::RackCreate { name: Some("r1".into()), site_id: Some(site), height_units: None };
        let change = RackCreate { scope, uuid: world.app.outside.uuid(), body };
        let rack = world.ask(&change).await.unwrap().id;
        let body = honcho_api::SanCreate {
            name: Some("san1".into()),
            target: Some("10.0.9.1:3260".into()),
            ..honcho_api::SanCreate::default()
        };
        let change = SanCreate { scope, uuid: world.app.outside.uuid(), body };
        let san = world.ask(&change).await.unwrap().id;
        let (guest, other) = (world.order("acme-web").await, world.order("acme-other").await);
        world.settle(guest.id).await;
        let body = honcho_api::GuestCreate { cluster: Some("acme-shop".into()), ..world.body("acme-shop-1") };
        world.order_as(scope, body).await.unwrap();
        let filters = honcho_store::Filters::default().and("name", "acme-shop");
        let found = clusters::list(world.app.store.reader(), Scope::System, &filters).await.unwrap();
        let digest: Digest = blob_digest().parse().unwrap();
        world.app.blobs.put(digest, BLOB).await.unwrap();
        let (person, session) = world.ask(&SomebodyOf(world.account.id)).await.unwrap();
        let token = async |scope: &str, account_id: Option<i64>, guest_id: Option<i64>| {
            let body = honcho_api::TokenCreate {
                name: Some(if account_id == Some(rival) { "rival".into() } else { format!("acme-{scope}") }),
                scope: Some(scope.into()),
                account_id,
                guest_id,
                expires_in_seconds: None,
                receives_post: None,
                suite: None,
            };
            let secret = world.app.outside.secret();
            let change = TokenCreate { scope: Scope::Operator, secret, ends_with: None, body };
            world.ask(&change).await.unwrap()
        };
        // Nobody listens there, which is told at once.
        let body = honcho_api::WebhookCreate {
            account_id: account,
            url: Some("https://127.0.0.1:1/acme".into()),
            ..honcho_api::WebhookCreate::default()
        };
        let change = WebhookCreate { scope, secret: "whsec_".into(), body };
        let webhook = world.ask(&change).await.unwrap().id;
        let log = crate::operations::tests::post::log(1_000_000_000, 3);
        world.post(&format!("guest-{}", guest.id), 1, &log).await.unwrap();
        let servers =
            slow::list(world.app.store.reader(), Scope::Operator, &Filters::default()).await.unwrap();
        let slow_server = servers[0].id;
        let body = honcho_api::SlowMarkCreate {
            account_id: account,
            text: Some("acme 1.1".into()),
            ..honcho_api::SlowMarkCreate::default()
        };
        let slow_mark = world.ask(&SlowMarkCreate { scope, who: "honcho".into(), body }).await.unwrap().id;
        let spare = token("admin", account, None).await.id;
        let secrets = vec![
            None,
            token("admin", Some(rival), None).await.secret,
            token("viewer", account, None).await.secret,
            token("machine", account, Some(guest.id)).await.secret,
            token("admin", account, None).await.secret,
            token("operator", None, None).await.secret,
        ];
        Acme {
            guest: guest.id,
            other_guest: other.id,
            cluster: found[0].id,
            ended_operation: guest.operation_id.unwrap(),
            open_operation: other.operation_id.unwrap(),
            token: spare,
            webhook,
            slow_server,
            slow_mark,
            world,
            network,
            empty_network,
            address,
            image,
            upload,
            image_key,
            empty_account,
            empty_host,
            empty_pool,
            person,
            session,
            site,
            empty_site,
            rack,
            san,
            secrets,
        }
    }

    /// What `{id}` stands for.
    fn id(&self, line: &Line) -> i64 {
        let delete = line.method == "DELETE";
        match line.path.split('/').nth(2).unwrap() {
            // Only what owns nothing can be deleted.
            "accounts" if delete => self.empty_account,
            "accounts" => self.world.account.id,
            "tokens" => self.token,
            "hosts" => self.empty_host,
            "pools" => self.empty_pool,
            "sites" if delete => self.empty_site,
            "sites" => self.site,
            "racks" => self.rack,
            "sans" => self.san,
            // One that is allocated keeps its network from being deleted.
            "networks" if line.method == "DELETE" => self.empty_network,
            "networks" => self.network,
            "addresses" => self.address,
            "images" => self.image,
            "image_keys" => self.image_key,
            "image_uploads" => self.upload,
            "guests" => self.guest,
            "clusters" => self.cluster,
            "people" => self.person,
            "sessions" => self.session,
            "webhooks" => self.webhook,
            "slow_servers" => self.slow_server,
            // The first of the log that was posted.
            "slow_queries" => 1,
            "slow_marks" => self.slow_mark,
            "operations" if line.path.ends_with("/abandon") => self.open_operation,
            "operations" => self.ended_operation,
            other => panic!("{} {}: say in `Acme::id` which of the {other}", line.method, line.path),
        }
    }

    /// What has to be so before the line makes sense.
    async fn prepare(&self, line: &Line<'_>) {
        let (scope, id) = (Scope::Operator, AccountId(self.world.account.id));
        if line.path == "/v1/accounts/{id}/restore" {
            self.world.ask(&AccountCancel { scope, id, grace: Grace::Kept }).await.unwrap();
        } else if line.path == "/v1/clusters/{id}/restore" {
            let (id, grace) = (ClusterId(self.cluster), Grace::Kept);
            self.world.ask(&ClusterCancel { scope, id, grace }).await.unwrap();
        } else if line.path.ends_with("/unsuspend") {
            self.world.ask(&AccountSuspend { scope, id, reason: None }).await.unwrap();
        } else if line.path.ends_with("/restore") {
            let cancel = GuestCancel { scope: Scope::Operator, id: GuestId(self.guest) };
            self.world.ask(&cancel).await.unwrap();
        }
        if line.path.ends_with("/log") || line.path.ends_with("/console") {
            // No agent: who may have the console is told at once that its host is silent.
            self.world.pass(3600);
        }
    }

    /// Status and body of a line asked as `caller`.
    async fn ask(&self, line: &Line<'_>, caller: usize) -> (u16, String) {
        let path = line.path.replace("{id}", &self.id_text(line)).replace("{digest}", &blob_digest());
        let path = path
            .replace("{suite}", "bookworm")
            .replace("{upload}", "one")
            .replace("{name}", "a.deb")
            .replace("{package}", "hello");
        let uri = if line.query.is_empty() { path } else { format!("{path}?{}", line.query) };
        let mut request = Request::builder().method(line.method).uri(uri);
        if let Some(secret) = &self.secrets[caller] {
            request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
        }
        if line.path.ends_with("/console") {
            request = request.header(header::UPGRADE, "honcho-stream");
        }
        let body = match line.body {
            "blob" => Body::from(BLOB),
            "dpkg" => {
                Body::from("Package: hello\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n")
            }
            "csv" => Body::from("name\n"),
            "mail" => {
                let log = crate::operations::tests::post::log(1_000_000_000, 1);
                let now = self.world.app.now().0;
                Body::from(crate::operations::tests::post::mail("elsewhere", 7, 1, now, &log))
            }
            text => Body::from(self.filled(text)),
        };
        let response = router(self.world.app.clone()).oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        // A stream of events does not end by itself.
        let mut frames = response.into_body().into_data_stream();
        let mut read = Vec::new();
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(Duration::from_millis(300), frames.next()).await
        {
            read.extend_from_slice(&frame);
        }
        (status, String::from_utf8_lossy(&read).into_owned())
    }

    fn id_text(&self, line: &Line) -> String {
        if line.path.contains("{id}") { self.id(line).to_string() } else { String::new() }
    }

    fn filled(&self, text: &str) -> String {
        let ids = [
            ("$account", self.world.account.id),
            ("$guest", self.guest),
            ("$network", self.world.network.id),
            ("$image", self.world.image.id),
            ("$site", self.site),
            ("$host", self.world.host.id),
            ("$token", self.token),
        ];
        let text = text.replace("$blob", &blob_digest());
        ids.iter().fold(text, |text, (word, id)| text.replace(word, &id.to_string()))
    }
}

/// The routes of the document, as "GET /v1/guests".
fn documented() -> BTreeSet<String> {
    let document: serde_json::Value = serde_json::from_str(&super::openapi_json()).unwrap();
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if ["get", "put", "post", "patch", "delete", "head", "options", "trace"]
                .contains(&method.as_str())
            {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    routes
}

#[test]
fn every_route_has_a_line_and_every_line_a_route() {
    let stated: Vec<String> = lines().iter().map(|line| format!("{} {}", line.method, line.path)).collect();
    let unique: BTreeSet<String> = stated.iter().cloned().collect();
    assert_eq!(stated.len(), unique.len(), "a route stands twice in the table");
    let documented = documented();
    let missing: Vec<_> = documented.difference(&unique).collect();
    let surplus: Vec<_> = unique.difference(&documented).collect();
    assert!(missing.is_empty(), "add a line to ROUTES for {missing:?}");
    assert!(surplus.is_empty(), "no such routes: {surplus:?}");
}

/// Whether the line may be asked again in the same world without another meaning.
fn leaves_no_trace(line: &Line, expected: u16) -> bool {
    ["GET", "HEAD"].contains(&line.method) || expected >= 400
}

async fn walk(line: &Line<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut acme = Box::pin(Acme::new()).await;
    acme.prepare(line).await;
    let mut used = false;
    for (caller, expected) in line.answers.iter().enumerate() {
        if used {
            acme = Box::pin(Acme::new()).await;
            acme.prepare(line).await;
        }
        used = !leaves_no_trace(line, *expected);
        let (status, body) = acme.ask(line, caller).await;
        let what = format!("{} {} as {}", line.method, line.path, CALLERS[caller]);
        if status != *expected {
            wrong.push(format!("{what}: {status} instead of {expected}: {body}"));
        }
        if ["nobody", "rival"].contains(&CALLERS[caller]) && body.contains("acme") {
            wrong.push(format!("{what} gives away what is acme's: {body}"));
        }
        let of_another = ["acme-other", "acme-net", "acme-image", "acme-admin"];
        if CALLERS[caller] == "machine" && of_another.iter().any(|name| body.contains(name)) {
            wrong.push(format!("{what} gives away what is not that machine's: {body}"));
        }
        assert!(acme.other_guest != acme.guest);
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_gets_what_the_table_says_on_every_route() {
    let lines: &'static Vec<Line> = Box::leak(Box::new(lines()));
    let walks = futures::stream::iter(lines.iter().map(|line| tokio::spawn(walk(line))));
    let wrong: Vec<Vec<String>> = walks.buffer_unordered(8).map(|walked| walked.unwrap()).collect().await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
