//! Manifests: what is accepted is the same once written, and reading one never panics.
#![no_main]

use honcho_agent_lib::accept::{Standing, accept, version};
use honcho_model::{Generation, HostId, Incarnation};
use honcho_wire::{Manifest, ManifestAnswer};
use uuid::Uuid;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<ManifestAnswer>(bytes);
    let Ok(raw) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let _ = version(&raw);
    let of = serde_json::from_value::<Manifest>(raw.clone()).ok();
    for acting_on in [None, Some((Incarnation(1), Generation(5)))] {
        let standing = Standing {
            brain: of.as_ref().map_or(Uuid::nil(), |manifest| manifest.brain),
            host: of.as_ref().map_or(HostId(1), |manifest| manifest.host),
            acting_on,
        };
        if let Ok(manifest) = accept(raw.clone(), &standing) {
            let again = serde_json::to_value(&manifest).expect("a manifest can be written");
            assert_eq!(accept(again, &standing).as_ref(), Ok(&manifest));
        }
    }
});
