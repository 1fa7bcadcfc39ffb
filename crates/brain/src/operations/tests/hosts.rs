//! Joining: a token works once, and a certificate as long as nobody ended it.

use super::*;
use honcho_store::hosts::{self, by_certificate};

fn check_token(text: &str, expected: Option<&str>) {
    assert_eq!(JoinToken::parse(text).map(|token| token.text()).as_deref(), expected, "{text:?}");
}

#[test]
fn join_tokens_are_read() {
    check_token("7.secret.ca", Some("7.secret.ca"));
    check_token("  7.secret.ca\n", Some("7.secret.ca"));
    for none in
        ["", "7", "7.secret", "7.secret.ca.more", "x.secret.ca", "7 .secret.ca", "99999999999999999999.a.b"]
    {
        check_token(none, None);
    }
}

async fn join(world: &World, text: &str, fingerprint: &str) -> Option<String> {
    let token = JoinToken::parse(text)?;
    let change = HostJoin { token, fingerprint: fingerprint.to_owned(), dmi_uuid: None, machine_id: None };
    world.ask(&change).await.unwrap()
}

#[tokio::test]
async fn a_join_token_works_once_for_a_day_and_for_its_own_host() {
    let world = World::new().await;
    let first = world.ask(&add_host(&world.app, "h2")).await.unwrap();
    let second = world.ask(&add_host(&world.app, "h3")).await.unwrap();
    let (first, second) = (first.join_token.unwrap(), second.join_token.unwrap());
    // Another host's id with this secret, and the right id with a wrong one.
    let (id, rest) = first.split_once('.').unwrap();
    assert_eq!(join(&world, &format!("{}.{rest}", second.split_once('.').unwrap().0), "a").await, None);
    assert_eq!(join(&world, &format!("{id}..{}", world.app.authority.fingerprint()), "a").await, None);
    assert_eq!(join(&world, &first, "a").await.as_deref(), Some("h2"));
    assert_eq!(join(&world, &first, "b").await, None, "once");
    world.pass(24 * 3600 + 1);
    assert_eq!(join(&world, &second, "c").await, None, "for a day");
}

async fn proves(world: &World, fingerprint: &str) -> Option<i64> {
    by_certificate(world.app.store.reader(), fingerprint).await.unwrap().map(|proven| proven.id.0)
}

#[tokio::test]
async fn a_renewed_certificate_replaces_the_old_one_at_its_first_use() {
    let world = World::new().await;
    let id = HostId(world.host.id);
    let renew = HostRenewCertificate { id, shown: "f1".into(), next: "f2".into() };
    assert!(world.ask(&renew).await.unwrap());
    assert_eq!((proves(&world, "f1").await, proves(&world, "f2").await), (Some(id.0), Some(id.0)));
    // Two first requests at once: both are let in.
    let used = HostUseCertificate { id, shown: "f2".into() };
    assert!(world.ask(&used).await.unwrap() && world.ask(&used).await.unwrap());
    assert_eq!((proves(&world, "f1").await, proves(&world, "f2").await), (None, Some(id.0)));
}

#[tokio::test]
async fn a_renewal_under_way_does_not_outlive_a_rejoin() {
    let world = World::new().await;
    let id = HostId(world.host.id);
    let renew = |next: &str| HostRenewCertificate { id, shown: "f1".into(), next: next.into() };
    assert!(world.ask(&renew("f2")).await.unwrap());
    let rejoin = HostOfferJoin {
        scope: Scope::Operator,
        id,
        secret: world.app.outside.secret(),
        ca_fingerprint: world.app.authority.fingerprint(),
    };
    let token = world.ask(&rejoin).await.unwrap().join_token.unwrap();
    // Both were let in by certificates that are ended by now.
    assert!(!world.ask(&renew("f3")).await.unwrap());
    assert!(!world.ask(&HostUseCertificate { id, shown: "f2".into() }).await.unwrap());
    for ended in ["f1", "f2", "f3"] {
        assert_eq!(proves(&world, ended).await, None, "{ended}");
    }
    assert!(join(&world, &token, "f4").await.is_some());
    assert_eq!(proves(&world, "f4").await, Some(id.0));
}

#[tokio::test]
async fn a_frozen_host_thaws_by_joining_anew() {
    let world = World::new().await;
    let id = HostId(world.host.id);
    let freeze = |certificate: &str| HostFreeze {
        id,
        name: "h1".into(),
        certificate: certificate.into(),
        reason: "cloned".into(),
    };
    world.ask(&freeze("ended")).await.unwrap();
    let host = honcho_store::hosts::get(world.app.store.reader(), id, world.app.now()).await.unwrap();
    assert_ne!(host.status.as_str(), "frozen", "a certificate that is none of its own freezes nothing");
    let freeze = freeze("f1");
    world.ask(&freeze).await.unwrap();
    world.ask(&freeze).await.unwrap();
    let status = async || {
        let host = honcho_store::hosts::get(world.app.store.reader(), id, world.app.now()).await.unwrap();
        host.status.as_str()
    };
    assert_eq!(status().await, "frozen");
    let alarms = honcho_store::Filters::default().and("kind", "host.frozen");
    let alarms = honcho_store::events::list(world.app.store.reader(), Scope::System, &alarms).await.unwrap();
    assert_eq!(alarms.len(), 1, "one alarm, not one at each request");
    let rejoin = HostOfferJoin {
        scope: Scope::Operator,
        id,
        secret: world.app.outside.secret(),
        ca_fingerprint: world.app.authority.fingerprint(),
    };
    let token = world.ask(&rejoin).await.unwrap().join_token.unwrap();
    assert_eq!(status().await, "frozen", "until its agent has joined");
    join(&world, &token, "f2").await.unwrap();
    world.report(Vec::new(), Vec::new(), Vec::new()).await;
    assert_eq!(status().await, "up");
}

#[tokio::test]
async fn a_host_that_holds_guests_is_not_deleted_and_one_that_holds_none_is() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let id = HostId(world.host.id);
    let delete = HostDelete { scope: Scope::Operator, id };
    assert_eq!(refused(world.ask(&delete).await), "base still holds 1 guests: delete those first\n");
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    world.bury(guest.id).await;
    world.ask(&delete).await.unwrap();
    assert_eq!(proves(&world, "f1").await, None);
}

#[tokio::test]
async fn customers_do_nothing_that_is_the_operators() {
    let world = World::new().await;
    let scope = Scope::Account(honcho_model::AccountId(world.account.id));
    let no = "forbidden: only operators may do this";
    let add = HostAdd { scope, ..add_host(&world.app, "h2") };
    assert_eq!(refused(world.ask(&add).await), no);
    assert_eq!(refused(world.ask(&HostDelete { scope, id: HostId(1) }).await), no);
    let body = honcho_api::TokenCreate {
        name: Some("t".into()),
        scope: Some("operator".into()),
        ..honcho_api::TokenCreate::default()
    };
    let create = TokenCreate { scope, secret: "s".into(), ends_with: None, body };
    assert_eq!(refused(world.ask(&create).await), "scope must be admin, viewer or machine\n");
    let uuid = Uuid::from_u128(3);
    let body = honcho_api::AccountCreate::default();
    assert_eq!(refused(world.ask(&AccountCreate { scope, uuid, body }).await), no);
    let body = honcho_api::NetworkCreate::default();
    assert_eq!(refused(world.ask(&NetworkCreate { scope, uuid, body }).await), no);
    let body = honcho_api::PoolCreate::default();
    assert_eq!(refused(world.ask(&PoolCreate { scope, uuid, body }).await), no);
    let body = honcho_api::ImageCreate::default();
    assert_eq!(refused(world.ask(&ImageCreate { scope, uuid, blob_size: None, body }).await), no);
}

/// What a batch of heartbeats says.
pub(super) struct Heard(pub(super) hosts::Seen);

impl Change for Heard {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a honcho_store::Tx) -> StoreResult<()> {
        hosts::note_seen(tx, &[self.0]).await
    }
}

#[tokio::test]
async fn how_busy_a_host_is_is_kept_and_changes_no_manifest() {
    let world = World::new().await;
    let shown =
        async || hosts::get(world.app.store.reader(), HostId(world.host.id), world.app.now()).await.unwrap();
    let before = shown().await;
    assert_eq!((before.busy_percent, before.load_at), (None, None));
    world.pass(1);
    let load = honcho_wire::LoadObserved { busy_percent: 37, io_wait_percent: 4, window_seconds: 60 };
    let seen = hosts::Seen { host: HostId(world.host.id), at: world.app.now(), load: Some(load) };
    world.ask(&Heard(seen)).await.unwrap();
    let after = shown().await;
    assert_eq!(
        (after.busy_percent, after.io_wait_percent, after.load_window_seconds),
        (Some(37), Some(4), Some(60))
    );
    assert_eq!((after.generation, after.load_at), (before.generation, after.last_seen_at));
    // A heartbeat that says nothing of it leaves it as it was.
    world.pass(1);
    world.ask(&Heard(hosts::Seen { at: world.app.now(), load: None, ..seen })).await.unwrap();
    let later = shown().await;
    assert_eq!((later.busy_percent, later.load_at), (Some(37), after.load_at));
    assert!(later.last_seen_at > after.last_seen_at);
}

#[tokio::test]
async fn guests_are_placed_where_processors_can_what_they_need() {
    let world = World::new().await;
    let cpu = honcho_wire::CpuObserved {
        architecture: "x86_64".into(),
        model: Some("Some CPU".into()),
        features: Vec::new(),
    };
    let machine = |features: &[&str]| {
        let features = features.iter().map(|word| (*word).to_owned()).collect();
        let cpu = honcho_wire::CpuObserved { features, ..cpu.clone() };
        HostObserved { cpus: 4, memory: Bytes::gib(16), cpu: Some(cpu), ..HostObserved::default() }
    };
    let report = async |features: &[&str]| {
        world.report_as(machine(features), Vec::new(), Vec::new(), Vec::new()).await;
    };
    report(&["aes", "avx2"]).await;
    let reader = world.app.store.reader();
    let host = hosts::get(reader, HostId(world.host.id), world.app.now()).await.unwrap();
    assert_eq!((host.architecture.as_deref(), host.cpu_model.as_deref()), (Some("x86_64"), Some("Some CPU")));
    assert_eq!(host.cpu_features, Some(vec!["aes".to_owned(), "avx2".to_owned()]));
    let listed = hosts::list(reader, &honcho_store::Filters::default(), world.app.now()).await.unwrap();
    assert_eq!(listed[0].cpu_features, None, "they are long, and lists leave them out");

    let needing = |name: &str, features: &[&str]| {
        let features = features.iter().map(|word| (*word).to_owned()).collect();
        honcho_api::GuestCreate { cpu_features: Some(features), ..world.body(name) }
    };
    let scope = Scope::Operator;
    let guest = world.order_as(scope, needing("web1", &["avx2", "aes", "avx2"])).await.unwrap();
    assert_eq!(guest.cpu_features, ["aes", "avx2"]);
    assert_eq!(
        refused(world.order_as(scope, needing("web2", &["avx2", "avx512f"])).await),
        "base no host has room for it (h1: its processors have no avx512f)\n"
    );
    // Other microcode, or another kernel: nothing else of the machine changes.
    report(&["aes", "avx2", "avx512f"]).await;
    let trial = async |features: &[&str]| {
        let (scope, uuid) = (Scope::Operator, world.app.outside.uuid());
        let (volume_uuid, cluster_uuid) = (world.app.outside.uuid(), world.app.outside.uuid());
        let (rules, standing) = (crate::USUAL_RULES, world.app.standing.clone());
        let body = needing("web2", features);
        let create = GuestCreate { scope, uuid, volume_uuid, cluster_uuid, body, rules, standing };
        world.app.store.rehearse(Actor::honcho(), world.app.now(), &GuestTrial(create)).await.unwrap()
    };
    assert_eq!(trial(&["avx2", "avx512f"]).await.host_id, Some(world.host.id));
    report(&["aes"]).await;
    assert_eq!(trial(&["avx2"]).await.host_id, None);
    report(&["aes", "avx2"]).await;
    assert_eq!(
        refused(world.order_as(scope, needing("web2", &["AVX2"])).await),
        "cpu_features must each be one word of the kernel's, as avx2 is in /proc/cpuinfo\n"
    );
    // What an image's programs are made for, its packages say.
    let image_of = async |name: &str, architectures: &[&str]| {
        let package = |architecture: &&str| honcho_api::ImagePackage {
            name: "p".into(),
            version: "1".into(),
            architecture: (*architecture).to_owned(),
        };
        let body = honcho_api::ImageCreate {
            name: Some(name.into()),
            digest: Some("09".repeat(32)),
            unpacked_bytes: Some(1),
            packages: Some(architectures.iter().map(package).collect()),
            ..honcho_api::ImageCreate::default()
        };
        let change = ImageCreate { scope, uuid: world.app.outside.uuid(), blob_size: Some(1), body };
        world.ask(&change).await.unwrap()
    };
    let (pc, arm) = (image_of("pc", &["all", "amd64"]).await, image_of("arm", &["all", "arm64"]).await);
    assert_eq!((pc.architecture.as_deref(), arm.architecture.as_deref()), (Some("x86_64"), Some("aarch64")));
    let of = |name: &str, image: i64| honcho_api::GuestCreate { image_id: Some(image), ..world.body(name) };
    world.order_as(scope, of("web2", pc.id)).await.unwrap();
    assert_eq!(
        refused(world.order_as(scope, of("web3", arm.id)).await),
        "base no host has room for it (h1: its processors are x86_64, aarch64 needed)\n"
    );
}
