//! What a guest's identity looks like, and what strangers cannot do with it.

use super::*;
use expect_test::expect;
use honcho_model::{InterfaceId, Mac, NetworkId};

pub(in crate::storage) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEd3SHlXXBlk3eLj96V9+6Hj/O6S8D8U0HPj7ZkfLIQK anna@example";

pub(in crate::storage) fn identity() -> GuestIdentity {
    GuestIdentity {
        hostname: "web1".to_owned(),
        ssh_keys: vec![KEY.to_owned()],
        interfaces: vec![InterfaceWanted {
            id: InterfaceId(7),
            network: NetworkId(1),
            mac: Mac::of_interface(InterfaceId(7)),
            addresses: vec![address("10.20.0.5", 24, Some("10.20.0.1"))],
        }],
    }
}

fn address(address: &str, prefix: u8, gateway: Option<&str>) -> AddressWanted {
    let gateway = gateway.map(|gateway| gateway.parse().unwrap());
    AddressWanted { address: address.parse().unwrap(), prefix, gateway }
}

fn fresh() -> Fresh {
    Fresh {
        host_key: ssh_key::PrivateKey::random(&mut ssh_key::rand_core::OsRng, ssh_key::Algorithm::Ed25519)
            .unwrap(),
        machine_id: "0123456789abcdef0123456789abcdef".to_owned(),
        nameservers: vec!["9.9.9.9".parse().unwrap()],
    }
}

#[test]
fn a_card_is_known_by_its_hardware_address() {
    let files = files(&identity(), &fresh()).unwrap();
    let network = files.iter().find(|file| file.name == "10-honcho-0.network").unwrap();
    for line in ["MACAddress=02:00:00:00:00:07", "Address=10.20.0.5/24", "Gateway=10.20.0.1"] {
        assert!(network.content.lines().any(|found| found == line), "{}", network.content);
    }
}

#[test]
fn several_cards_have_addresses_of_both_families_and_one_way_out_each() {
    let card = |id, addresses| InterfaceWanted {
        id: InterfaceId(id),
        network: NetworkId(id),
        mac: Mac::of_interface(InterfaceId(id)),
        addresses,
    };
    let first = card(
        7,
        vec![
            address("10.20.0.5", 24, Some("10.20.0.1")),
            address("10.20.0.6", 24, Some("10.20.0.1")),
            address("fd20::5", 64, Some("fd20::1")),
        ],
    );
    let second = card(8, vec![address("10.30.0.5", 24, None)]);
    let identity = GuestIdentity { interfaces: vec![first, second], ..identity() };
    let files = files(&identity, &fresh()).unwrap();
    let written = files
        .iter()
        .filter(|file| file.directory == "etc/systemd/network")
        .map(|file| format!("== {}\n{}", file.name, file.content))
        .collect::<Vec<_>>()
        .concat();
    expect![[r"
        == 10-honcho-0.network
        # Written by Honcho when this disk was made.
        [Match]
        MACAddress=02:00:00:00:00:07

        [Network]
        Address=10.20.0.5/24
        Address=10.20.0.6/24
        Address=fd20::5/64
        Gateway=10.20.0.1
        Gateway=fd20::1
        LinkLocalAddressing=ipv6
        IPv6AcceptRA=no
        == 10-honcho-1.network
        # Written by Honcho when this disk was made.
        [Match]
        MACAddress=02:00:00:00:00:08

        [Network]
        Address=10.30.0.5/24
        LinkLocalAddressing=no
        IPv6AcceptRA=no
    "]]
    .assert_eq(&written);
}

#[test]
fn a_key_cannot_bring_a_second_line_or_options() {
    let refused = |key: &str| {
        let identity = GuestIdentity { ssh_keys: vec![KEY.to_owned(), key.to_owned()], ..identity() };
        files(&identity, &fresh()).unwrap_err().to_string()
    };
    let options = format!("command=\"reboot\" {KEY}");
    let two_lines = format!("{KEY}\n{KEY}");
    let other_kind = KEY.replace("ssh-ed25519", "ssh-rsa");
    for key in [
        two_lines.as_str(),
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!",
        &options,
        &other_kind,
        "ssh-rsa AAAA",
        "a\rb c",
    ] {
        let error = refused(key);
        assert!(error.starts_with("SSH key number 2 is not an OpenSSH public key"), "{error}");
    }
    assert_eq!(check_key(&format!("{KEY} with more words")), Ok(()));
}

#[test]
fn the_script_holds_no_word_of_a_stranger() {
    let stranger = GuestIdentity { ssh_keys: vec![format!("{KEY} ; rm /etc/passwd")], ..identity() };
    let written = script(&files(&stranger, &fresh()).unwrap(), "stage");
    assert!(!written.contains("passwd") && !written.contains("web1") && !written.contains("ssh-ed25519"));
    assert_eq!(written.matches("write stage/").count(), 8);
}

#[test]
fn nameservers_that_a_guest_can_reach_are_taken() {
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{text}");
    };
    check(
        "nameserver 10.0.0.2\nnameserver 127.0.0.53\nsearch x\nnameserver 2001:db8::1 # comment\n",
        &["10.0.0.2", "2001:db8::1"],
    );
    check("nameserver 127.0.0.53\n", &["1.1.1.1", "9.9.9.9"]);
    check("nameserver fe80::1%eth0\nnameserver\nnonsense \u{0}", &["1.1.1.1", "9.9.9.9"]);
}

proptest::proptest! {
    #[test]
    fn what_passes_for_a_key_is_one_line(text in "(ssh-ed25519 )?[A-Za-z0-9+/= \\n\\PC]{0,90}") {
        if check_key(&text).is_ok() {
            proptest::prop_assert!(text.starts_with("ssh-") && !text.contains('\n'));
        }
        nameservers(&text);
    }
}
