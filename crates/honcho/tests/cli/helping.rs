//! `--help`, as it prints.

use crate::{Brain, check};
use expect_test::expect_file;

macro_rules! help {
    ($($name:ident: $arguments:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let file = expect_file![concat!("help/", stringify!($name), ".txt")];
            let url = Brain::new().start().await;
            let mut command = crate::honcho(&$arguments.split(' ').collect::<Vec<_>>());
            command.env("HONCHO_URL", &url).env_remove("HONCHO_TOKEN");
            // The environment shows in the text: an URL that changes would too.
            command.env_remove("HONCHO_URL");
            file.assert_eq(&crate::transcript(&crate::run(command, b"").await));
        }
    )*};
}

help! {
    honcho: "--help";
    serve: "serve --help";
    login: "login --help";
    logout: "logout --help";
    whoami: "whoami --help";
    person: "person --help";
    person_create: "person create --help";
    person_grant: "person grant --help";
    person_password: "person password --help";
    session_list: "session list --help";
    account: "account --help";
    account_usage: "account usage --help";
    host_add: "host add --help";
    host_drain: "host drain --help";
    network_create: "network create --help";
    network_update: "network update --help";
    address: "address --help";
    address_allocate: "address allocate --help";
    archive: "archive --help";
    archive_add: "archive add --help";
    archive_build: "archive build --help";
    archive_guests: "archive guests --help";
    archive_init: "archive init --help";
    archive_upload: "archive upload --help";
    archive_publish: "archive publish --help";
    image_build: "image build --help";
    image_diff: "image diff --help";
    image_import: "image import --help";
    image_register: "image register --help";
    image_trust_key: "image trust-key --help";
    image_unpack: "image unpack --help";
    image_upload: "image upload --help";
    image_verify: "image verify --help";
    search: "search --help";
    export: "export --help";
    import: "import --help";
    import_hosts: "import hosts --help";
    import_networks: "import networks --help";
    import_addresses: "import addresses --help";
    import_netbox: "import netbox --help";
    guest: "guest --help";
    guest_create: "guest create --help";
    guest_list: "guest list --help";
    guest_delete: "guest delete --help";
    guest_capture: "guest capture --help";
    guest_move: "guest move --help";
    guest_resize: "guest resize --help";
    guest_ssh: "guest ssh --help";
    cluster: "cluster --help";
    cluster_create: "cluster create --help";
    cluster_delete: "cluster delete --help";
    operation: "operation --help";
    event_follow: "event follow --help";
    balance: "balance --help";
    capacity: "capacity --help";
    placement: "placement --help";
    placement_explain: "placement explain --help";
    db_move: "db move --help";
    backup: "backup --help";
    restore: "restore --help";
    restore_accept: "restore accept --help";
    webhook_create: "webhook create --help";
    completion: "completion --help";
    slow: "slow --help";
    slow_digest: "slow digest --help";
    slow_fingerprint: "slow fingerprint --help";
    slow_servers: "slow servers --help";
    slow_queries: "slow queries --help";
    slow_query: "slow query --help";
    slow_judge: "slow judge --help";
    slow_mark: "slow mark --help";
    slow_settings: "slow settings --help";
    post_import: "post import --help";
    mail_config_sender: "mail config sender --help";
    mail_config_receiver: "mail config receiver --help";
}

#[tokio::test]
async fn what_makes_no_sense_is_usage() {
    let expected = expect_test::expect![[r#"
        --- stderr
        error: the following required arguments were not provided:
          <--memory <SIZE>|--vcpus <N>|--disk <SIZE>>

        Usage: honcho guest resize --url <URL> --token <TOKEN> <--memory <SIZE>|--vcpus <N>|--disk <SIZE>> <GUEST>

        For more information, try '--help'.
        --- exit 2
    "#]];
    check(&Brain::new(), "guest resize web1", expected).await;
}
