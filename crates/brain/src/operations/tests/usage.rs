//! What a month's usage is, as whoever writes invoices reads it: over HTTP, as JSON and as CSV.

use super::*;
use crate::http::router;
use axum::body::Body;
use axum::http::{Request, header};
use honcho_api::Usage;
use honcho_model::AccountId;
use tower::ServiceExt as _;

/// An operator who asks.
struct Bookkeeper {
    world: World,
    secret: String,
}

/// The first second of October 2001, counted from the one in which a world begins.
const OCTOBER: i64 = 1_894_400;

impl Bookkeeper {
    async fn new() -> Bookkeeper {
        let world = World::new().await;
        let create = TokenCreate {
            scope: Scope::Operator,
            secret: world.app.outside.secret(),
            ends_with: None,
            body: honcho_api::TokenCreate {
                name: Some("books".into()),
                ..honcho_api::TokenCreate::default()
            },
        };
        let secret = world.ask(&create).await.unwrap().secret.unwrap();
        Bookkeeper { world, secret }
    }

    async fn ask(&self, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.secret));
        let request = request.body(Body::empty()).unwrap();
        let response = router(self.world.app.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn read(&self, path: &str) -> String {
        let (status, text) = self.ask(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    async fn month(&self, month: &str) -> Vec<Usage> {
        let path = format!("/v1/accounts/{}/usage?month={month}", self.world.account.id);
        serde_json::from_str(&self.read(&path).await).unwrap()
    }

    async fn csv(&self, month: &str) -> String {
        self.read(&format!("/v1/accounts/{}/usage.csv?month={month}", self.world.account.id)).await
    }

    /// Lets time pass until so many seconds after the world began.
    fn pass_until(&self, seconds: i64) {
        let now = self.world.app.now().0 / 1_000_000 - 1_000_000_000;
        self.world.pass(seconds - now);
    }

    async fn resize(&self, id: i64) {
        let body = honcho_api::GuestUpdate {
            memory_bytes: Some(2 << 30),
            vcpus: Some(2),
            ..honcho_api::GuestUpdate::default()
        };
        let (scope, id) = (Scope::Operator, GuestId(id));
        self.world
            .ask(&GuestUpdate { scope, id, body, restart: Restart::Allowed, rules: crate::USUAL_RULES })
            .await
            .unwrap();
    }
}

/// What a row says, as "guest state vcpus GiB from..until seconds", in seconds since the world began.
fn line(usage: &Usage) -> String {
    let since = |at: jiff::Timestamp| at.as_second() - 1_000_000_000;
    format!(
        "{} {} {} {}G {}..{} {}",
        usage.guest_name,
        usage.state,
        usage.vcpus,
        usage.memory_bytes >> 30,
        since(usage.begun_at),
        since(usage.ended_at),
        usage.seconds
    )
}

fn lines(usage: &[Usage]) -> Vec<String> {
    usage.iter().map(line).collect()
}

#[tokio::test]
async fn a_guests_life_over_two_months_as_rows_without_gap_or_overlap() {
    let books = Bookkeeper::new().await;
    let world = &books.world;
    let (scope, account) = (Scope::Operator, AccountId(world.account.id));
    let guest = world.order("web1").await;
    let other = world.order("db1").await;
    world.settle(guest.id).await;
    world.pass(1000);
    books.resize(guest.id).await;
    world.settle(guest.id).await;
    world.pass(2000);
    world.ask(&AccountSuspend { scope, id: account, reason: None }).await.unwrap();
    world.pass(500);
    world.ask(&AccountUnsuspend { scope, id: account }).await.unwrap();
    world.pass(500);
    world.power(guest.id, PowerAction::Stop { hard: false }).await.unwrap();
    world.settle(guest.id).await;
    // The month is not over: it goes up to now.
    world.pass(10);
    assert_eq!(lines(&books.month("2001-09").await)[4], "web1 stopped 2 2G 4000..4010 10");

    books.pass_until(OCTOBER + 1);
    let (september, csv) = (books.month("2001-09").await, books.csv("2001-09").await);
    assert_eq!(
        lines(&september),
        [
            "web1 running 1 1G 0..1000 1000",
            "web1 running 2 2G 1000..3000 2000",
            "web1 suspended 2 2G 3000..3500 500",
            "web1 running 2 2G 3500..4000 500",
            "web1 stopped 2 2G 4000..1894400 1890400",
            "db1 running 1 1G 0..3000 3000",
            "db1 suspended 1 1G 3000..3500 500",
            "db1 running 1 1G 3500..1894400 1890900",
        ]
    );
    assert!(september.iter().all(|row| row.addresses_count == 1 && row.public_addresses_count == 0));
    assert!(september.iter().all(|row| row.disk_bytes == 3 << 30 && row.account_id == account.0));
    let expected: String = september.iter().map(Usage::csv_line).collect();
    assert_eq!(csv, format!("{}\n{expected}", Usage::COLUMNS.join(",")));
    assert!(
        csv.contains(&format!(
            ",{},web1,running,1,1073741824,3221225472,1,0,2001-09-09T01:46:40Z,",
            guest.id
        ))
    );

    books.pass_until(OCTOBER + 600);
    world.ask(&GuestCancel { scope, id: GuestId(guest.id) }).await.unwrap();
    world.settle(guest.id).await;
    books.pass_until(OCTOBER + 650);
    world.ask(&GuestDelete { scope, id: GuestId(guest.id) }).await.unwrap();
    books.pass_until(OCTOBER + 700);
    world.bury(guest.id).await;
    let october = books.month("2001-10").await;
    assert_eq!(
        lines(&october),
        [
            "web1 stopped 2 2G 1894400..1895000 600",
            "web1 cancelled 2 2G 1895000..1895050 50",
            "db1 running 1 1G 1894400..1895100 700",
        ]
    );
    assert_eq!(october[0].event_id, september[4].event_id, "what goes on is known by the same event");
    assert_eq!(october[2].guest_id, other.id);
    // Neither what came since nor the guest's end changes the month that is over.
    assert_eq!((books.month("2001-09").await, books.csv("2001-09").await), (september, csv));
    // A guest that is gone is in no later month, and of what is to come nothing has been used.
    books.pass_until(OCTOBER + 40 * 86_400);
    assert_eq!(lines(&books.month("2001-11").await).len(), 1);
    assert_eq!(books.read("/v1/usage?month=2001-12").await, "[]");
    assert_eq!(books.csv("2001-12").await, format!("{}\n", Usage::COLUMNS.join(",")));
    assert_eq!(books.read("/v1/usage.csv?month=2001-10").await, books.csv("2001-10").await);
}

#[tokio::test]
async fn a_clock_that_is_set_back_changes_no_month_that_is_over() {
    let books = Bookkeeper::new().await;
    let world = &books.world;
    let guest = world.order("web1").await;
    books.pass_until(OCTOBER + 600);
    world.power(guest.id, PowerAction::Stop { hard: false }).await.unwrap();
    let september = books.month("2001-09").await;
    assert_eq!(lines(&september), ["web1 running 1 1G 0..1894400 1894400"]);
    books.pass_until(OCTOBER - 100);
    world.ask(&GuestCancel { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    books.pass_until(OCTOBER + 1000);
    assert_eq!(books.month("2001-09").await, september);
    let october = books.month("2001-10").await;
    let expected = ["web1 running 1 1G 1894400..1895000 600", "web1 cancelled 1 1G 1895000..1895400 400"];
    assert_eq!(lines(&october), expected);
}

#[tokio::test]
async fn only_a_month_is_a_month() {
    let books = Bookkeeper::new().await;
    for wrong in ["", "?month=", "?month=2001", "?month=2001-13", "?month=soon"] {
        let (status, text) = books.ask(&format!("/v1/usage{wrong}")).await;
        assert_eq!(status, 422, "{wrong}: {text}");
        assert!(text.contains("\"month\""), "{text}");
    }
}
