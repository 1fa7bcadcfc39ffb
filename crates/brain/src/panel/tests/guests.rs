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
