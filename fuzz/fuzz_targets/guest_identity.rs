//! The files that tell a guest who it is: whatever the manifest says, each key is one line and no file is anywhere else.
#![no_main]

use honcho_agent_lib::drivers::GuestIdentity;
use honcho_agent_lib::storage::identity::{Fresh, SeedFile, files, nameservers, script};
use ssh_key::private::{Ed25519Keypair, PrivateKey};
use std::sync::OnceLock;

static FRESH: OnceLock<Fresh> = OnceLock::new();

fn fresh() -> Fresh {
    let host_key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    Fresh { host_key, machine_id: "0".repeat(32), nameservers: vec![[9, 9, 9, 9].into()] }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let servers = nameservers(text);
    assert!((1..=3).contains(&servers.len()) && servers.iter().all(|server| !server.is_loopback()));
    let mut lines = text.split('\u{1f}');
    let hostname = lines.next().unwrap_or_default().to_owned();
    let ssh_keys: Vec<String> = lines.map(str::to_owned).collect();
    let count = ssh_keys.len();
    let identity = GuestIdentity { hostname, ssh_keys, interfaces: Vec::new() };
    if let Ok(files) = files(&identity, FRESH.get_or_init(fresh)) {
        let content = |name: &str| files.iter().find(|file| file.name == name).map(|file| file.content.as_str());
        assert_eq!(content("hostname").map(|text| text.lines().count()), Some(1));
        assert_eq!(content("authorized_keys").map(|text| text.lines().count()), Some(count));
    }
    // What strangers wrote is only ever the content of a file.
    let file = |content: &str| SeedFile {
        directory: "etc",
        name: "hostname".to_owned(),
        mode: 0o644,
        content: content.to_owned(),
    };
    assert_eq!(script(&[file(text)], "/stage"), script(&[file("")], "/stage"));
});
