//! Pages of slow queries: who sees which, what stands on them first, which forms are heard.

use crate::operations::tests::slow_queries::asked;
use crate::panel::tests::{Browser, office};
use axum::http::header;
use honcho_store::slow::{self, Range};
use honcho_store::{Filters, Scope};
use std::fmt::Write as _;

/// A log with one query that takes nearly all of the time and reads a table for each customer, and a quick one.
fn log(second: i64) -> String {
    let mut log = String::new();
    for at in 0..40 {
        let _ = write!(
            log,
            "# User@Host: shop[shop] @ web{} [10.0.0.1]\n# Query_time: 2.5  Lock_time: 0.0001 Rows_sent: 3  Rows_examined: 180000\n\
             SET timestamp={};\nSELECT id, total FROM orders WHERE customer_id = {at};\n\
             # User@Host: shop[shop] @ web1 [10.0.0.1]\n# Query_time: 0.002  Lock_time: 0.0001 Rows_sent: 1  Rows_examined: 1\n\
             SET timestamp={};\nSELECT name FROM users WHERE id = {at};\n",
            at % 3,
            second + at * 60,
            second + at * 60,
        );
    }
    log
}

const INDEX: &str = "ALTER TABLE `orders` ADD INDEX (`customer_id`);";

/// Acme's guest sends slow logs, and so does a server that is nobody's: account, both servers.
async fn bureau() -> (crate::http::people_tests::Office, i64, i64, i64) {
    let (office, guest) = office().await;
    let world = &office.world;
    let second = world.second() - 7_200;
    world.post(&format!("guest-{guest}"), 1, &log(second)).await.unwrap();
    world.post("backup-db", 1, &log(second)).await.unwrap();
    let (own, others) =
        (world.slow_server(&format!("guest-{guest}")).await.id, world.slow_server("backup-db").await.id);
    let account = world.guest(guest).await.account_id;
    (office, account, own, others)
}

/// The queries of a server, by the time they took.
async fn queries(office: &crate::http::people_tests::Office, server: i64) -> Vec<i64> {
    office.world.slow_queries(server).await.into_iter().map(|query| query.id).collect()
}

/// nobody; an admin of another account; a viewer of acme; an admin of acme; an operator.
const PAGES: &str = "
/slow_queries                             303 303 303 303 200
/accounts/{a}/slow_queries                303 404 200 200 200
/accounts/{a}/slow_queries?period=24h     303 404 200 200 200
/accounts/{a}/slow_queries?day=2026-01-02&against=2025-12-31  303 404 200 200 200
/accounts/{a}/slow_queries?server_id={s}  303 404 200 200 200
/accounts/{a}/slow_queries?server_id={n}  303 404 404 404 404
/accounts/{a}/slow_queries?state=ignored&flag=new&page=2  303 404 200 200 200
/accounts/{a}/slow_queries?day=yesterday  303 404 422 422 422
/accounts/{a}/slow_queries?mark_id=999    303 404 422 422 422
/accounts/{a}/slow_queries?state=bad      303 404 422 422 422
/slow_servers/{s}                         303 404 303 303 303
/slow_servers/{n}                         303 404 404 404 200
/slow_queries/{q}                         303 404 200 200 200
/slow_queries/{q}?period=30d              303 404 200 200 200
/slow_queries/{m}                         303 404 404 404 200
/slow_queries/999                         303 404 404 404 404
/slow_queries/{q}/judge                   405 405 405 405 405
/accounts/{a}/slow_marks                  303 404 200 200 200
/slow_servers/{n}/slow_marks              303 404 404 404 200
/slow_servers/{s}/slow_marks              303 404 303 303 303
/accounts/{a}/slow_settings               303 404 200 200 200
";

#[tokio::test]
async fn everybody_sees_the_slow_queries_that_are_theirs() {
    let (office, account, own, others) = bureau().await;
    let (own_query, other_query) = (queries(&office, own).await[0], queries(&office, others).await[0]);
    let app = &office.world.app;
    let mut browsers = vec![("nobody", Browser::new(app))];
    for name in ["stranger", "viewer", "admin", "operator"] {
        browsers.push((name, Browser::logged_in(app, name).await));
    }
    let mut wrong = Vec::new();
    for line in PAGES.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let mut path = words.next().unwrap().to_owned();
        for (place, id) in
            [("{a}", account), ("{s}", own), ("{n}", others), ("{q}", own_query), ("{m}", other_query)]
        {
            path = path.replace(place, &id.to_string());
        }
        for ((name, browser), expected) in browsers.iter_mut().zip(words) {
            let seen = browser.get(&path).await;
            if seen.status.to_string() != expected {
                wrong.push(format!("{path} as {name}: {} and not {expected}", seen.status));
            }
            let policy = seen.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            assert!(
                *name != "stranger" || !seen.body.contains("orders"),
                "{path} shows a stranger what is acme's"
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_hurts_most_and_the_index_it_wants_stand_first() {
    let (office, account, own, _) = bureau().await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let page = admin.get("/slow_queries").await;
    assert_eq!(
        page.location(),
        format!("/accounts/{account}/slow_queries"),
        "of one account there is nothing to choose"
    );
    assert!(admin.get("/guests").await.body.contains("href=\"/slow_queries\">See which queries hurt most"));

    let body = admin.get(page.location()).await.body;
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is missing: {body}"));
    let worst = &body[at("What hurts most")..at("By their share of the time")];
    assert!(worst.contains("select id, total from orders where customer_id = ?"), "{worst}");
    assert!(worst.contains(INDEX) && worst.contains("99.9\u{202f}% of the time"), "{worst}");
    assert!(body[at("By their share")..].contains("60,000 : 1"), "{body}");

    let query = queries(&office, own).await[0];
    let body = admin.get(&format!("/slow_queries/{query}")).await.body;
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is missing: {body}"));
    assert!(at(INDEX) < at("Over time") && at("An index is missing") < at("Over time"));
    let sample = &body[at("The slowest one")..];
    assert!(sample.contains("customer_id = ?") && sample.contains("Values are replaced"), "{sample}");
    assert!(body.contains("role=\"img\" aria-label=\"The time that it took altogether"), "{body}");
    for asker in ["web0", "web1", "web2"] {
        assert!(body[at("Who asks")..].contains(asker), "{asker}");
    }
}

#[tokio::test]
async fn viewers_see_no_forms_and_are_refused() {
    let (office, account, own, _) = bureau().await;
    let query = queries(&office, own).await[0];
    let mut viewer = Browser::logged_in(&office.world.app, "viewer").await;
    for path in [
        format!("/accounts/{account}/slow_queries"),
        format!("/slow_queries/{query}"),
        format!("/accounts/{account}/slow_marks"),
        format!("/accounts/{account}/slow_settings"),
    ] {
        let body = viewer.get(&path).await.body;
        let forms = body.matches("method=\"post\"").count();
        assert_eq!(forms, 2, "how pages look, and logging out: {path}");
    }
    let mark = {
        let mut admin = Browser::logged_in(&office.world.app, "admin").await;
        admin.post(&format!("/accounts/{account}/slow_marks"), "text=deployed").await;
        marks(&office).await[0].id
    };
    for (path, fields) in [
        (format!("/slow_queries/{query}/judge"), "state=ignored"),
        (format!("/accounts/{account}/slow_marks"), "text=hello"),
        (format!("/slow_marks/{mark}/delete"), ""),
        (format!("/accounts/{account}/slow_settings"), "top_queries_count=1"),
        (format!("/accounts/{account}/slow_samples"), "sample_values=kept"),
    ] {
        assert_eq!(viewer.post(&path, fields).await.status, 403, "{path}");
    }
    // To an admin of another account there is none of it.
    let mut stranger = Browser::logged_in(&office.world.app, "stranger").await;
    for (path, fields) in [
        (format!("/slow_queries/{query}/judge"), "state=ignored"),
        (format!("/accounts/{account}/slow_marks"), "text=hello"),
        (format!("/slow_marks/{mark}/delete"), ""),
        (format!("/accounts/{account}/slow_settings"), "top_queries_count=1"),
        (format!("/accounts/{account}/slow_samples"), "sample_values=kept"),
    ] {
        assert_eq!(stranger.post(&path, fields).await.status, 404, "{path}");
    }
    assert_eq!(marks(&office).await.len(), 1);
}

async fn marks(office: &crate::http::people_tests::Office) -> Vec<honcho_api::SlowMark> {
    slow::marks(office.world.app.store.reader(), Scope::Operator, &Filters::default()).await.unwrap()
}

#[tokio::test]
async fn what_is_made_of_a_query_is_written_down() {
    let (office, account, own, _) = bureau().await;
    let query = queries(&office, own).await[0];
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let (page, list) = (format!("/slow_queries/{query}"), format!("/accounts/{account}/slow_queries"));
    admin.get(&page).await;
    let long = "x".repeat(2_000);
    let seen = admin.post(&format!("{page}/judge"), &format!("state=accepted&note={long}")).await;
    assert!(
        seen.status == 422 && seen.body.contains("href=\"#note\"") && seen.body.contains(&long),
        "{}",
        seen.status
    );
    let seen = admin.post(&format!("{page}/judge?period=30d"), "state=ignored&note=the+nightly+report").await;
    assert_eq!((seen.status, seen.location()), (303, format!("{page}?period=30d").as_str()));
    let body = admin.get(seen.location()).await.body;
    assert!(body.contains("is written down") && body.contains("the nightly report"), "{body}");
    assert!(!admin.get(&list).await.body.contains("customer_id"), "it is in no ranking");
    assert!(admin.get(&format!("{list}?state=ignored")).await.body.contains("customer_id"));
}

#[tokio::test]
async fn marks_are_made_compared_and_deleted() {
    let (office, account, own, others) = bureau().await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let path = format!("/accounts/{account}/slow_marks");
    admin.get(&path).await;
    let seen = admin.post(&path, "text=&at=&slow_server_id=").await;
    assert!(seen.status == 422 && seen.body.contains("href=\"#text\""), "{}", seen.body);
    let seen = admin.post(&path, &format!("text=hello&slow_server_id={others}")).await;
    assert_eq!(seen.status, 422, "a server of nobody's is none of acme's");
    let at = jiff::Timestamp::from_second(office.world.second() - 5_400).unwrap();
    let at = at.strftime("%Y-%m-%dT%H%%3A%M");
    let seen = admin.post(&path, &format!("text=shop+4.2+%3Cb%3E&at={at}&slow_server_id={own}")).await;
    assert_eq!(seen.status, 303, "{}", seen.body);
    let body = admin.get(&path).await.body;
    assert!(body.contains("shop 4.2 &#60;b&#62;") && body.contains("acme-web"), "{body}");
    let mark = marks(&office).await[0].id;

    let page = format!("/slow_queries/{}", queries(&office, own).await[0]);
    for path in [&page, &format!("/accounts/{account}/slow_queries")] {
        let body = admin.get(&format!("{path}?period=24h")).await.body;
        assert!(
            body.contains("class=\"mark-number\"") && body.contains(&format!("mark_id={mark}")),
            "{body}"
        );
        let body = admin.get(&format!("{path}?mark_id={mark}")).await.body;
        assert!(body.contains("After \u{201c}shop 4.2"), "{body}");
    }

    admin.get(&path).await;
    let seen = admin.post(&format!("/slow_marks/{mark}/delete"), &format!("back={path}")).await;
    assert_eq!((seen.status, seen.location()), (303, path.as_str()));
    assert!(admin.get(&path).await.body.contains("There are no marks yet"));

    // A server that is nobody's has marks of its own, which operators make.
    let mut operator = Browser::logged_in(&office.world.app, "operator").await;
    let path = format!("/slow_servers/{others}/slow_marks");
    operator.get(&path).await;
    assert_eq!(operator.post(&path, "text=restored").await.location(), path);
    assert!(operator.get(&path).await.body.contains("restored"));
    assert_eq!(marks(&office).await[0].slow_server_id, Some(others));
}

#[tokio::test]
async fn an_account_says_who_is_told_and_whether_values_are_kept() {
    let (office, account, own, _) = bureau().await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let path = format!("/accounts/{account}/slow_settings");
    admin.get(&path).await;
    let seen = admin.post(&path, "mail_to=nobody&weekly_mail=yes&top_queries_count=5").await;
    assert!(
        seen.status == 422 && seen.body.contains("value=\"nobody\"") && seen.body.contains(" checked"),
        "{}",
        seen.body
    );
    let seen = admin.post(&path, "mail_to=ops%40acme.example&weekly_mail=yes&top_queries_count=5").await;
    assert_eq!(seen.status, 303, "{}", seen.body);
    let settings =
        slow::settings(office.world.app.store.reader(), honcho_model::AccountId(account)).await.unwrap();
    assert_eq!(
        (settings.mail_to.as_deref(), settings.weekly_mail, settings.top_queries_count),
        (Some("ops@acme.example"), true, 5)
    );

    admin.get(&path).await;
    admin.post(&format!("/accounts/{account}/slow_samples"), "sample_values=kept").await;
    let second = office.world.second() - 3_600;
    let slower = "SELECT id, total FROM orders WHERE customer_id = 4711";
    office
        .world
        .post(&office.world.slow_server_node(own).await, 2, &asked(slower, second, 3, 9_000))
        .await
        .unwrap();
    let page = format!("/slow_queries/{}", queries(&office, own).await[0]);
    let body = admin.get(&page).await.body;
    assert!(body.contains("customer_id = 4711") && body.contains("keeps the values"), "{body}");
    admin.get(&path).await;
    admin.post(&format!("/accounts/{account}/slow_samples"), "sample_values=redacted").await;
    assert!(!admin.get(&page).await.body.contains("4711"));
}

#[tokio::test]
async fn what_is_new_and_worse_stands_apart_and_what_got_better_at_the_end() {
    let (office, guest) = office().await;
    let node = format!("guest-{guest}");
    office.world.two_weeks(&node).await;
    let account = office.world.guest(guest).await.account_id;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let body = admin.get(&format!("/accounts/{account}/slow_queries")).await.body;
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is missing: {body}"));
    let news = &body[at("id=\"news\"")..at("id=\"time\"")];
    assert!(
        news.contains("from slower") && !news.contains("from steady") && !news.contains("from faster"),
        "{news}"
    );
    let better = &body[at("id=\"better\"")..at("id=\"servers\"")];
    assert!(better.contains("from faster") && !better.contains("from slower"), "{better}");
    let body = admin.get(&format!("/accounts/{account}/slow_queries?flag=worse")).await.body;
    assert!(body.contains("from slower") && !body.contains("from steady"), "{body}");
}

#[tokio::test]
async fn a_statement_of_a_stranger_is_text_and_nothing_else() {
    let (office, guest) = office().await;
    let world = &office.world;
    let evil = "SELECT a AS `<script>alert(1)</script>` FROM `x\" onload=\"y` WHERE b = 1";
    world.post(&format!("guest-{guest}"), 1, &asked(evil, world.second() - 3_600, 5, 900)).await.unwrap();
    let account = world.guest(guest).await.account_id;
    let server = world.slow_server(&format!("guest-{guest}")).await.id;
    let mut admin = Browser::logged_in(&world.app, "admin").await;
    for path in [
        format!("/accounts/{account}/slow_queries"),
        format!("/slow_queries/{}", queries(&office, server).await[0]),
    ] {
        let body = admin.get(&path).await.body;
        assert!(body.contains("script&#62;") || body.contains("&#60;script"), "{body}");
        assert!(!body.contains("<script>alert") && !body.contains("\" onload"), "{body}");
    }
}

#[tokio::test]
async fn five_thousand_queries_are_pages_that_are_small() {
    let (office, guest) = office().await;
    let world = &office.world;
    let letters = |n: i64| -> String {
        (0..4).map(|at| char::from(b'a' + u8::try_from(n / 10_i64.pow(at) % 10).unwrap())).collect()
    };
    let mut log = String::new();
    for n in 0..5_000 {
        let statement = format!(
            "SELECT {0}_id, {0}_name FROM table_{0} WHERE owner_{0} = {n} ORDER BY {0}_at",
            letters(n)
        );
        log += &asked(&statement, world.second() - 50_000, 1, n + 1);
    }
    world.post(&format!("guest-{guest}"), 1, &log).await.unwrap();
    let account = world.guest(guest).await.account_id;
    let mut admin = Browser::logged_in(&world.app, "admin").await;
    let path = format!("/accounts/{account}/slow_queries");
    let first = admin.get(&path).await.body;
    assert!(first.contains("<span class=\"count\">5,000</span>") && first.contains("page=2"), "{first}");
    let packed = crate::panel::assets::zipped(first.as_bytes(), flate2::Compression::new(4)).unwrap();
    assert!(packed.len() < 100_000, "{} bytes over the wire", packed.len());
    let last = admin.get(&format!("{path}?page=200")).await.body;
    assert!(last.contains("page=199") && !last.contains("page=201"), "{last}");
    assert!(last.contains("from table_aaaa where"), "the quickest is the last: {last}");
    assert!(admin.get(&format!("{path}?page=201")).await.body.contains("No queries came in this time"));
    // Found by a word of it, in whatever case; a sign that SQL knows stands for itself.
    let found = admin.get(&format!("{path}?text=TABLE_ABCA+&period=7d")).await.body;
    assert!(found.contains("<span class=\"count\">1</span>") && found.contains("from table_abca"), "{found}");
    assert!(found.contains("value=\"TABLE_ABCA\"") || found.contains("value=\"TABLE_ABCA \""), "{found}");
    // Capitals are told from small letters beyond A to Z, whichever the engine: one knows no others.
    let wide = asked("SELECT `GR\u{d6}SSE` FROM shoes WHERE id = 7", world.second() - 50_000, 1, 6_000);
    world.post(&format!("guest-{guest}"), 2, &wide).await.unwrap();
    for (text, found) in [("gr%C3%96sse", true), ("GR%C3%96SSE", true), ("gr%C3%B6sse", false)] {
        let page = admin.get(&format!("{path}?text={text}&period=7d")).await.body;
        assert_eq!(page.contains("from shoes where"), found, "{text}: {page}");
    }
    assert!(
        admin.get(&format!("{path}?text=table%25abca")).await.body.contains("There are none of this kind")
    );
    let range = Range { since: 0, until: i64::MAX };
    let server = world.slow_server(&format!("guest-{guest}")).await.id;
    assert_eq!(
        world.ranking(server, range).overview(world.app.store.reader(), 5).await.unwrap().found,
        5_001
    );
}
