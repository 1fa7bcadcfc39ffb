//! Query strings of lists, run against a store: a list or a refusal, and never the database's own error.
#![no_main]

use honcho_model::{AccountId, GuestId, PersonId, Right, Timestamp};
use honcho_model::WebhookId;
use honcho_store::{Scope, Store, StoreError, StoreResult};
use honcho_store::{accounts, addresses, events, guests, hosts, images, networks, operations, people, pools};
use honcho_store::{racks, sans, sessions, sites, tokens, webhooks};
use std::sync::OnceLock;

static STORE: OnceLock<(tokio::runtime::Runtime, Store, tempfile::TempDir)> = OnceLock::new();

fn check<T>(listed: StoreResult<T>) {
    match listed {
        Ok(_) | Err(StoreError::Refused(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

libfuzzer_sys::fuzz_target!(|query: &str| {
    let Some(filters) = honcho_brain::fuzzing::filters(query) else { return };
    let (runtime, store, _) = STORE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = runtime.block_on(Store::open(&directory.path().join("honcho.sqlite"))).expect("a store");
        (runtime, store, directory)
    });
    let (reader, now) = (store.reader(), Timestamp(1));
    runtime.block_on(async {
        let scopes = [
            Scope::Operator,
            Scope::Account(AccountId(1)),
            Scope::Person(PersonId(1), Right::Admin),
            Scope::Machine(AccountId(1), GuestId(1)),
        ];
        for scope in scopes {
            check(guests::list(reader, scope, &filters, now).await);
            check(accounts::list(reader, scope, &filters).await);
            check(networks::list(reader, scope, &filters).await);
            check(images::list(reader, scope, &filters).await);
            check(operations::list(reader, scope, &filters).await);
            check(events::list(reader, scope, &filters).await);
            check(addresses::list(reader, scope, &filters).await);
            check(tokens::list(reader, scope, &filters).await);
            check(webhooks::list(reader, scope, &filters).await);
            check(webhooks::deliveries(reader, WebhookId(1), &filters).await);
        }
        check(hosts::list(reader, &filters, now).await);
        check(pools::list(reader, &filters).await);
        check(sites::list(reader, &filters).await);
        check(racks::list(reader, &filters).await);
        check(sans::list(reader, &filters).await);
        check(people::list(reader, &filters, now).await);
        for of in [None, Some(PersonId(1))] {
            check(sessions::list(reader, of, &filters, now).await);
        }
    });
});
