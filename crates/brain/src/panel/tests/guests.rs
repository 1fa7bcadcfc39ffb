//! What is done with guests.

use super::{Browser, office};
use honcho_model::guest::Power;

#[tokio::test]
async fn a_size_that_cannot_be_is_said_beside_its_field() {
    let (office, guest) = office().await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let path = format!("/guests/{guest}/resize");
    let seen = admin.post(&path, "vcpus=2&memory_bytes=lots&disk_bytes=3G").await;
    assert_eq!(seen.status, 422);
    assert!(
        seen.body.contains("href=\"#memory_bytes\"") && seen.body.contains("value=\"lots\""),
        "{}",
        seen.body
    );
    let seen = admin.post(&path, "vcpus=2&memory_bytes=64M&disk_bytes=4G&restart=yes").await;
    assert_eq!(seen.status, 303, "{}", seen.body);
    assert_eq!(office.world.guest(guest).await.vcpus, 2);
}

#[tokio::test]
async fn a_guest_is_ordered_and_what_is_wrong_is_kept_to_be_mended() {
    let (office, guest) = office().await;
    let guest = office.world.guest(guest).await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let page = admin.get("/guests/new").await.body;
    assert!(page.contains(&format!("name=\"account_id\" value=\"{}\"", guest.account_id)), "{page}");
    let things = format!(
        "account_id={}&image_id={}&network_id={}&vcpus=1&memory_bytes=64M&disk_bytes=3G",
        guest.account_id, guest.image_id, guest.interfaces[0].network_id
    );
    let seen = admin.post("/guests", &format!("{things}&name=acme-web&ssh_keys=")).await;
    assert!(seen.status == 422 && seen.body.contains("href=\"#name\""), "{}", seen.body);
    let seen = admin.post("/guests", &format!("{things}&name=web2&ssh_keys=")).await;
    assert_eq!(seen.status, 303, "{}", seen.body);
    assert!(admin.get(seen.location()).await.body.contains("web2 is ordered."));
    let mut viewer = Browser::logged_in(&office.world.app, "viewer").await;
    assert_eq!(viewer.post("/guests", &format!("{things}&name=web3")).await.status, 403);
}

#[tokio::test]
async fn several_guests_are_shown_before_anything_is_done_with_them() {
    let (office, guest) = office().await;
    let second = office.world.order("acme-two").await.id;
    office.world.settle(second).await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let chosen = format!("act=stop&guest={guest}&guest={second}&guest=999");
    let seen = admin.post("/guests/bulk", &chosen).await;
    assert!(seen.status == 200 && seen.body.contains("these 2 guests"), "{}", seen.body);
    assert_eq!(office.world.guest(guest).await.power, Power::Running);
    let mut stranger = Browser::logged_in(&office.world.app, "stranger").await;
    stranger.post("/guests/bulk", &format!("{chosen}&confirmed=yes")).await;
    assert_eq!(office.world.guest(guest).await.power, Power::Running);
    let seen = admin.post("/guests/bulk", &format!("{chosen}&confirmed=yes")).await;
    assert!(seen.status == 200 && seen.body.contains("2 guests are being stopped."), "{}", seen.body);
    assert!(seen.body.contains("One of those that were chosen is not there any more."), "{}", seen.body);
    let powers = (office.world.guest(guest).await.power, office.world.guest(second).await.power);
    assert_eq!(powers, (Power::Stopped, Power::Stopped));
    // Where all of it is done, that is said in a line.
    let both = format!("guest={guest}&guest={second}&confirmed=yes");
    assert_eq!(admin.post("/guests/bulk", &format!("act=start&{both}")).await.location(), "/guests");
    assert!(admin.get("/guests").await.body.contains("2 guests are being started."));
    office.world.power(second, crate::operations::PowerAction::Stop { hard: false }).await.unwrap();
    // Of those with which it is not done each is named, and why.
    let seen = admin
        .post("/guests/bulk", &format!("act=reboot&guest={guest}&guest={second}&guest=999&confirmed=yes"))
        .await;
    assert!(seen.status == 200 && seen.body.contains("1 guest is being rebooted."), "{}", seen.body);
    assert!(
        seen.body.contains(">acme-two</a></th><td>") && seen.body.contains("nothing to reboot"),
        "{}",
        seen.body
    );
    assert!(seen.body.contains("One of those that were chosen is not there any more."), "{}", seen.body);
    admin.post("/guests/bulk", "act=stop").await;
    assert!(admin.get("/guests").await.body.contains("Choose guests first"));
}

#[tokio::test]
async fn views_are_kept_by_name_for_one_person() {
    let (office, _) = office().await;
    let app = &office.world.app;
    let mut admin = Browser::logged_in(app, "admin").await;
    // What is no filter is not kept, nor is nothing.
    let seen = admin.post("/guests/views", "name=All&query=after%3D7%26colour%3Dred").await;
    assert_eq!((seen.status, seen.location()), (303, "/guests"));
    assert!(admin.get("/guests").await.body.contains("nothing is filtered"));
    let seen = admin.post("/guests/views", "name=Runs&query=status%3Drunning%26after%3D7").await;
    assert_eq!(seen.location(), "/guests?status=running");
    let page = admin.get("/guests?status=running").await.body;
    assert!(
        page.contains("The view Runs is saved.") && page.contains("aria-current=\"true\">Runs</a>"),
        "{page}"
    );
    // The same name again is the same view.
    admin.post("/guests/views", "name=+Runs+&query=status%3Dstopped").await;
    let page = admin.get("/guests").await.body;
    assert!(page.contains("href=\"/guests?status=stopped\">Runs</a>"), "{page}");
    assert_eq!(page.matches(">Runs</a>").count(), 1);
    // Nobody else sees it, or can forget it.
    let mut viewer = Browser::logged_in(app, "viewer").await;
    assert!(!viewer.get("/guests").await.body.contains("Runs"));
    assert_eq!(viewer.post("/guests/views/forget", "view=1").await.status, 404);
    // A viewer's own views are theirs to save: they change nothing else.
    assert_eq!(viewer.post("/guests/views", "name=Mine&query=status%3Drunning").await.status, 303);
    let page = admin.get("/guests?status=stopped").await.body;
    let (_, rest) = page.split_once("name=\"view\" value=\"").unwrap();
    let id = rest.split('"').next().unwrap().to_owned();
    admin.post("/guests/views/forget", &format!("view={id}")).await;
    assert!(!admin.get("/guests").await.body.contains("Runs"));
    let seen = admin.post("/guests/views", &format!("name={}&query=status%3Drunning", "x".repeat(61))).await;
    assert!(admin.get(seen.location()).await.body.contains("flash failed"));
}

#[tokio::test]
async fn guests_are_saved_as_files_with_what_is_filtered_by() {
    let (office, guest) = office().await;
    let app = &office.world.app;
    for number in 0..3 {
        let more = office.world.order(&format!("web{number}")).await.id;
        office.world.settle(more).await;
    }
    let mut operator = Browser::logged_in(app, "operator").await;
    let page = operator.get("/guests?status=running").await.body;
    assert!(page.contains("href=\"/guests.csv?status=running\""), "{page}");
    let seen = operator.get("/guests.csv?status=running&after=999").await;
    let lines: Vec<&str> = seen.body.lines().collect();
    assert!(lines[0].starts_with("id,name,account,") && lines[0].ends_with(",host"), "{}", seen.body);
    assert_eq!((seen.status, lines.len()), (200, 5), "all pages of it: {}", seen.body);
    assert!(lines[1].starts_with(&format!("{guest},acme-web,acme,running,")), "{}", seen.body);
    let kind = seen.headers["content-disposition"].to_str().unwrap();
    assert_eq!(kind, "attachment; filename=\"guests.csv\"");
    assert_eq!(operator.get("/guests.csv?status=stopped").await.body.lines().count(), 1);
    let seen = operator.get("/guests.json?status=running").await;
    let all: Vec<serde_json::Value> = serde_json::from_str(&seen.body).unwrap();
    assert_eq!((all.len(), &all[0]["name"]), (4, &serde_json::json!("acme-web")));
    // A customer's has no column of the machine room, and a stranger's nothing of others.
    let seen = Browser::logged_in(app, "viewer").await.get("/guests.csv?host_id=999").await;
    assert!(seen.body.lines().count() == 5 && !seen.body.contains("host"), "{}", seen.body);
    let mut stranger = Browser::logged_in(app, "stranger").await;
    assert_eq!(stranger.get("/guests.csv").await.body.lines().count(), 1);
    assert_eq!(stranger.get("/guests.json").await.body, "[]");
    assert_eq!(Browser::new(app).get("/guests.csv").await.status, 303);
    assert_eq!(operator.get("/guests.csv?account_id=x").await.status, 422);
}
