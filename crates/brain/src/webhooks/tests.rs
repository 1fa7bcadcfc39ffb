//! A real receiver, a real store; what DNS says is injected.

use super::address::refused;
use super::*;
use crate::controllers::telling_run;
use crate::operations::tests::World;
use crate::operations::{WebhookCreate, WebhookDelete, WebhookEnable, WebhookRotate, WebhookUpdate};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use hmac::Mac as _;
use honcho_api::{Webhook, WebhookDelivery};
use honcho_model::{AccountId, WebhookId};
use honcho_store::webhooks::From;
use honcho_store::{Filters, Scope, webhooks};
use ipnet::IpNet;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a receiver was sent.
#[derive(Clone, Debug)]
struct Received {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn event(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn is_signed_with(&self, secret: &str) -> bool {
        let key =
            base64::engine::general_purpose::STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let signed = [
            self.header("webhook-id").as_bytes(),
            b".",
            self.header("webhook-timestamp").as_bytes(),
            b".",
            &self.body,
        ]
        .concat();
        self.header("webhook-signature").split(' ').any(|signature| {
            let signature = signature.strip_prefix("v1,").unwrap();
            let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
            mac.update(&signed);
            mac.verify_slice(&base64::engine::general_purpose::STANDARD.decode(signature).unwrap()).is_ok()
        })
    }
}

/// A receiver: answers what it was told to, in turn, then 204; `None` is no answer at all.
#[derive(Clone, Default)]
struct Receiver {
    told: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<Option<Response>>>>,
    url: String,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: axum::body::Bytes) -> Response {
    receiver.told.lock().unwrap().push(Received { headers, body: body.to_vec() });
    let answer = receiver.answers.lock().unwrap().pop_front();
    match answer {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Some(answer)) => answer,
        Some(None) => std::future::pending().await,
    }
}

impl Receiver {
    async fn start() -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Receiver { url, ..Receiver::default() };
        let router = axum::Router::new().fallback(receive).with_state(receiver.clone());
        let ending = tokio_util::sync::CancellationToken::new();
        tokio::spawn(crate::listening::serve(listener, None, router, crate::listening::PEOPLE, ending));
        receiver
    }

    fn answers(&self, answers: impl IntoIterator<Item = Option<Response>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    fn told(&self) -> Vec<Received> {
        self.told.lock().unwrap().clone()
    }

    fn kinds(&self) -> Vec<String> {
        self.told().iter().map(|one| one.event()["kind"].as_str().unwrap().to_owned()).collect()
    }

    async fn has(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} deliveries"), async || self.told().len() >= count).await;
        self.told()
    }
}

async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside others that give none")]
fn failing() -> Option<Response> {
    Some((StatusCode::SERVICE_UNAVAILABLE, "we are\nbeing painted").into_response())
}

async fn hook_as(world: &World, scope: Scope, url: &str, events: &[&str]) -> Webhook {
    // So that it is not told of what was there before it.
    event(world, "account.create", 0).await;
    let body = honcho_api::WebhookCreate {
        url: Some(url.to_owned()),
        events: Some(events.iter().map(|&kind| kind.to_owned()).collect()),
        allow_http: Some(true),
        account_id: scope.sole_account().map(|account| account.0),
        ..honcho_api::WebhookCreate::default()
    };
    let secret = secret(&world.app.outside.secret());
    // An operator makes it, who alone may allow http.
    world.ask(&WebhookCreate { scope: Scope::Operator, secret, body }).await.unwrap()
}

async fn hook(world: &World, receiver: &Receiver, events: &[&str]) -> Webhook {
    hook_as(world, Scope::Operator, &receiver.url, events).await
}

async fn shown(world: &World, id: i64) -> Webhook {
    webhooks::get(world.app.store.reader(), Scope::Operator, WebhookId(id)).await.unwrap()
}

async fn deliveries(world: &World, id: i64) -> Vec<WebhookDelivery> {
    webhooks::deliveries(world.app.store.reader(), WebhookId(id), &Filters::default()).await.unwrap()
}

/// Something that happens, whatever the time.
async fn happens(world: &World, name: &str) {
    let body = honcho_api::AccountCreate { name: Some(name.into()), ..honcho_api::AccountCreate::default() };
    let uuid = world.app.outside.uuid();
    world.ask(&crate::operations::AccountCreate { scope: Scope::Operator, uuid, body }).await.unwrap();
}

/// The event of this kind that comes after `position`: on PostgreSQL it is shown once every change that began before it has
/// ended, and other tests change things in the same server.
async fn event(world: &World, kind: &str, position: i64) -> honcho_api::Event {
    let filters = Filters { after: Some(position), ..Filters::default() }.and("kind", kind);
    let mut found = Vec::new();
    until(kind, async || {
        let reader = world.app.store.reader();
        found = honcho_store::events::list(reader, Scope::Operator, &filters).await.unwrap();
        !found.is_empty()
    })
    .await;
    found.swap_remove(0)
}

/// The brain's own loop; it ends when dropped.
struct Telling(tokio::task::JoinHandle<()>);
impl Telling {
    fn begin(world: &World) -> Telling {
        Telling(tokio::spawn(telling_run(world.app.clone())))
    }
}
impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn events_arrive_signed_in_order_and_of_the_kinds_asked_for() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let made = hook(&world, &receiver, &["guest.*"]).await;
    let _telling = Telling::begin(&world);
    for name in ["web1", "web2", "web3"] {
        world.order(name).await;
    }
    let told = receiver.has(3).await;
    assert_eq!(receiver.kinds(), ["guest.create"; 3]);
    let names: Vec<_> = told.iter().map(|one| one.event()["resource_name"].clone()).collect();
    assert_eq!(names, ["web1", "web2", "web3"]);
    for one in &told {
        assert!(one.is_signed_with(made.secret.as_deref().unwrap()));
        assert!(!one.is_signed_with(&secret(&"ab".repeat(32))));
        assert_eq!(one.header("webhook-id"), format!("1-{}", one.event()["id"]));
    }
    until("the position is written", async || shown(&world, made.id).await.position == told[2].event()["id"])
        .await;
    let attempts = deliveries(&world, made.id).await;
    assert_eq!(attempts.iter().map(|one| (one.attempt, one.status)).collect::<Vec<_>>(), [(1, Some(204)); 3]);
}

#[tokio::test]
async fn an_account_is_told_its_own_and_not_the_machine_room() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let scope = Scope::Account(AccountId(world.account.id));
    let made = hook_as(&world, scope, &receiver.url, &["*"]).await;
    let _telling = Telling::begin(&world);
    happens(&world, "other").await;
    world.order("web1").await;
    let told = receiver.has(2).await;
    assert_eq!(receiver.kinds(), ["webhook.create", "guest.create"]);
    let event = told[1].event();
    assert_eq!(
        (&event["account_id"], &event["source"]),
        (&world.account.id.into(), &serde_json::Value::Null)
    );
    assert_eq!(shown(&world, made.id).await.account_id, Some(world.account.id));
}

#[tokio::test]
async fn what_fails_is_tried_again_after_growing_pauses_and_holds_up_nobody() {
    let world = World::new().await;
    let (sick, well) = (Receiver::start().await, Receiver::start().await);
    sick.answers([failing(), None, failing()]);
    let failing = hook(&world, &sick, &["guest.*"]).await;
    hook(&world, &well, &["guest.*"]).await;
    let _telling = Telling::begin(&world);
    world.order("web1").await;
    world.order("web2").await;
    well.has(2).await;
    until("the failure is noted", async || shown(&world, failing.id).await.failures == 1).await;
    let after_one = shown(&world, failing.id).await;
    assert_eq!(after_one.status, "failing");
    assert_eq!(after_one.problem.as_deref(), Some("answered 503: we are being painted"));
    let pause = after_one.next_try_at.unwrap().as_microsecond() - world.app.now().0;
    assert!((4_000_000..=6_000_000).contains(&pause), "5 s and a fifth: {pause}");
    assert_eq!(sick.told().len(), 1, "nothing before the pause has ended, and nothing out of order");
    // The second attempt hangs until its deadline.
    world.pass(7);
    until("the deadline passes", async || shown(&world, failing.id).await.failures == 2).await;
    assert!(shown(&world, failing.id).await.problem.unwrap().contains("no answer within"));
    world.pass(13);
    until("the third", async || shown(&world, failing.id).await.failures == 3).await;
    world.pass(25);
    let told = sick.has(5).await;
    let names: Vec<_> = told.iter().map(|one| one.event()["resource_name"].clone()).collect();
    assert_eq!(names, ["web1", "web1", "web1", "web1", "web2"]);
    let ids: std::collections::BTreeSet<_> = told[..4].iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "each attempt carries the same id");
    // It works again as soon as web1 is noted, which is before web2 is.
    until("both are noted", async || deliveries(&world, failing.id).await.len() == 5).await;
    assert_eq!(shown(&world, failing.id).await.status, "working");
    let attempts = deliveries(&world, failing.id).await;
    assert_eq!(attempts.iter().map(|one| one.attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 1]);
}

#[tokio::test]
async fn after_a_week_it_is_switched_off_with_an_alarm_and_goes_on_where_it_stopped() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.answers([failing(), failing()]);
    let made = hook(&world, &receiver, &["account.*"]).await;
    let _telling = Telling::begin(&world);
    happens(&world, "web1").await;
    until("it fails", async || shown(&world, made.id).await.failures == 1).await;
    world.pass(7 * 24 * 3600 + 1);
    until("it is off", async || shown(&world, made.id).await.status == "off").await;
    assert_eq!(event(&world, "webhook.off", 0).await.severity, "alarm");
    happens(&world, "web2").await;
    world.pass(3600);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(receiver.told().len(), 2, "off is off");
    let enable = WebhookEnable { scope: Scope::Operator, id: WebhookId(made.id), from: From::WhereItStopped };
    world.ask(&enable).await.unwrap();
    let told = receiver.has(4).await;
    assert_eq!(told[2].event()["resource_name"], "web1");
    assert_eq!(told[3].event()["resource_name"], "web2");
}

#[tokio::test]
async fn a_brain_that_ended_between_delivery_and_commit_delivers_again_and_loses_nothing() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let made = hook(&world, &receiver, &["guest.*"]).await;
    for name in ["web1", "web2", "web3"] {
        world.order(name).await;
    }
    // What a kill leaves behind: delivered, and the position not written.
    let first = event(&world, "guest.create", made.position).await;
    let message = Message { id: format!("1-{}", first.id), body: serde_json::to_vec(&first).unwrap() };
    assert!(world.app.webhooks.attempt(&made, &message).await.error.is_none());
    let _telling = Telling::begin(&world);
    let told = receiver.has(4).await;
    let names: Vec<_> = told.iter().map(|one| one.event()["resource_name"].clone()).collect();
    assert_eq!(names, ["web1", "web1", "web2", "web3"]);
    assert_eq!(told[0].header("webhook-id"), told[1].header("webhook-id"), "a receiver can tell");
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one_for_a_day() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let made = hook(&world, &receiver, &["account.*"]).await;
    let new = secret(&world.app.outside.secret());
    let rotate = WebhookRotate { scope: Scope::Operator, id: WebhookId(made.id), secret: new.clone() };
    let answer = world.ask(&rotate).await.unwrap();
    assert_eq!(answer.secret.as_deref(), Some(new.as_str()));
    assert_eq!(shown(&world, made.id).await.secret, None, "shown once");
    let _telling = Telling::begin(&world);
    happens(&world, "web1").await;
    let first = receiver.has(1).await.remove(0);
    assert!(first.is_signed_with(&new) && first.is_signed_with(made.secret.as_deref().unwrap()));
    world.pass(24 * 3600 + 1);
    happens(&world, "web2").await;
    let second = receiver.has(2).await.remove(1);
    assert!(second.is_signed_with(&new) && !second.is_signed_with(made.secret.as_deref().unwrap()));
    let log = honcho_store::events::list(world.app.store.reader(), Scope::Operator, &Filters::default())
        .await
        .unwrap();
    assert!(!serde_json::to_string(&log).unwrap().contains("whsec_"), "no secret stands in the log");
}

#[tokio::test]
async fn redirects_are_not_followed_and_answers_are_not_read_to_their_end() {
    let world = World::new().await;
    let (receiver, inside) = (Receiver::start().await, Receiver::start().await);
    let redirect = (StatusCode::TEMPORARY_REDIRECT, [("location", inside.url.clone())]).into_response();
    let endless = futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(axum::body::Bytes::from_static(&[b'x'; 4096]))
    });
    let endless = (StatusCode::BAD_REQUEST, axum::body::Body::from_stream(endless)).into_response();
    receiver.answers([Some(redirect), Some(endless)]);
    let made = hook(&world, &receiver, &["guest.*"]).await;
    let message = || Message { id: "ping".to_owned(), body: b"{}".to_vec() };
    let redirected = world.app.webhooks.attempt(&made, &message()).await;
    assert_eq!(redirected.status, Some(307));
    assert!(redirected.error.unwrap().contains("redirects are not followed"));
    assert!(inside.told().is_empty());
    let endless = world.app.webhooks.attempt(&made, &message()).await;
    assert_eq!(endless.status, Some(400));
    assert!(endless.error.unwrap().len() < 300);
}

fn guard(world: &World, allowed: &[&str], answers: &'static [&'static [&'static str]]) -> Guard {
    let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
    let asked = Arc::new(Mutex::new(0));
    let lookup: Lookup = Arc::new(move |_| {
        let mut asked = asked.lock().unwrap();
        let answer = answers[(*asked).min(answers.len() - 1)];
        *asked += 1;
        Box::pin(async move { Ok(answer.iter().map(|address| address.parse().unwrap()).collect()) })
    });
    Guard::new(world.app.store.clone(), &allowed, &["198.20.0.1".parse().unwrap()], lookup)
}

#[tokio::test]
async fn whatever_dns_says_nothing_is_sent_inside() {
    let world = World::new().await;
    let check = async |answers: &'static [&'static [&'static str]], expected: &str| {
        let outcome = guard(&world, &[], answers).resolve_checked("hook.example.com".to_owned()).await;
        let said = outcome.map_or_else(|why| why, |found| format!("{found:?}"));
        assert!(said.contains(expected), "{answers:?}: {said}");
    };
    check(&[&["9.9.9.9"]], "[9.9.9.9]").await;
    check(&[&["127.0.0.1"]], "loopback").await;
    check(&[&["9.9.9.9", "10.0.0.1"]], "10.0.0.1: private").await;
    check(&[&["::ffff:169.254.169.254"]], "link-local").await;
    check(&[&["10.77.0.9"]], "private").await;
    check(&[&["198.20.0.1"]], "one of our own networks").await;
    check(&[&["64:ff9b::198.20.0.1"]], "one of our own networks").await;
    check(&[&["fd00:ec2::254"]], "unique local").await;
    check(&[&["0.0.0.0"]], "this network").await;
    check(&[&[]], "has no address").await;
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_looked_at_at_each_attempt() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let port = receiver.url.rsplit(':').next().unwrap().to_owned();
    let made = hook_as(&world, Scope::Operator, &format!("http://hook.example.com:{port}"), &["*"]).await;
    // Where 127.0.0.1 is allowed and 127.0.0.2 is not, the second look is the one that counts.
    let guard = guard(&world, &["127.0.0.1/32"], &[&["127.0.0.1"], &["127.0.0.2"]]);
    let sender = Webhooks::new(world.app.store.clone(), world.app.outside.clone(), guard);
    let message = || Message { id: "ping".to_owned(), body: b"{}".to_vec() };
    assert_eq!(sender.attempt(&made, &message()).await.error, None);
    let second = sender.attempt(&made, &message()).await.error.unwrap();
    assert!(second.contains("127.0.0.2: loopback"), "{second}");
    assert_eq!(receiver.told().len(), 1);
}

#[tokio::test]
async fn addresses_in_urls_are_looked_at_however_they_are_written() {
    let world = World::new().await;
    let guard = guard(&world, &[], &[&["9.9.9.9"]]);
    for inside in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://0/",
    ] {
        let url = check_url(inside, true).unwrap();
        assert!(guard.check_literal(&url).await.is_err(), "{inside} is {url}");
    }
    assert!(guard.check_literal(&check_url("https://9.9.9.9/", false).unwrap()).await.is_ok());
    let bad = [
        ("http://a.example/", "must begin with https:"),
        ("ftp://a.example/", "https:"),
        ("nonsense", "no URL"),
        ("https://u:p@a.example/", "user name"),
        ("https://", "no URL"),
        ("file:///etc/passwd", "https:"),
    ];
    for (url, why) in bad {
        assert!(check_url(url, false).unwrap_err().contains(why), "{url}");
    }
}

#[test]
fn what_an_operator_allows_goes_before_all() {
    let allowed: Vec<IpNet> = vec!["10.1.0.0/16".parse().unwrap()];
    assert_eq!(refused("10.1.2.3".parse().unwrap(), &allowed, &[]), None);
    assert_eq!(refused("::ffff:10.1.2.3".parse().unwrap(), &allowed, &[]), None);
    assert_eq!(refused("10.2.0.1".parse().unwrap(), &allowed, &[]), Some("private (RFC 1918)"));
    let ours: Vec<IpNet> = vec!["192.69.0.0/24".parse().unwrap()];
    assert_eq!(refused("192.69.0.7".parse().unwrap(), &allowed, &ours), Some("one of our own networks"));
    assert_eq!(refused("192.69.1.7".parse().unwrap(), &allowed, &ours), None);
}

#[tokio::test]
async fn customers_manage_their_own_and_only_over_https() {
    let world = World::new().await;
    let scope = Scope::Account(AccountId(world.account.id));
    let body = |url: &str, allow_http| honcho_api::WebhookCreate {
        url: Some(url.to_owned()),
        allow_http,
        ..honcho_api::WebhookCreate::default()
    };
    let make = async |body| {
        let secret = secret(&world.app.outside.secret());
        world.ask(&WebhookCreate { scope, secret, body }).await
    };
    let refused = |outcome| crate::operations::tests::refused::<Webhook>(outcome);
    assert!(refused(make(body("http://a.example/", None)).await).contains("url must begin with https:"));
    assert!(
        refused(make(body("http://a.example/", Some(true))).await)
            .contains("allow_http can be set by operators only")
    );
    let mut bad = body("https://a.example/", None);
    bad.events = Some(vec!["guest*".into()]);
    assert!(refused(make(bad).await).contains("events holds \"guest*\""));
    let webhook = make(body("https://a.example/", None)).await.unwrap();
    assert_eq!(
        (webhook.account_id, webhook.events.as_slice()),
        (Some(world.account.id), &["*".to_owned()][..])
    );
    let id = WebhookId(webhook.id);
    let stranger = Scope::Account(AccountId(4711));
    assert_eq!(refused(world.ask(&WebhookDelete { scope: stranger, id }).await), "there is no such webhook");
    let change =
        |lock_version| WebhookUpdate { scope, id, body: body("https://b.example/", None), lock_version };
    assert!(refused(world.ask(&change(Some(7))).await).contains("changed meanwhile"));
    let changed = world.ask(&change(Some(1))).await.unwrap();
    assert_eq!((changed.url.as_str(), changed.lock_version), ("https://b.example/", 2));
    for n in 1..20 {
        make(body(&format!("https://a{n}.example/"), None)).await.unwrap();
    }
    assert!(refused(make(body("https://c.example/", None)).await).contains("has 20 webhooks already"));
    world.ask(&WebhookDelete { scope, id }).await.unwrap();
    assert_eq!(refused(world.ask(&WebhookDelete { scope, id }).await), "there is no such webhook");
}
