//! Versions of kernels by the names of files in a guest: an order, whatever the names are.
#![no_main]

use honcho_agent_lib::storage::boot_files::{compare_versions, is_kernel};
use std::cmp::Ordering;

libfuzzer_sys::fuzz_target!(|names: (String, String, String)| {
    let (a, b, c) = (names.0.as_str(), names.1.as_str(), names.2.as_str());
    assert_eq!(compare_versions(a, a), Ordering::Equal);
    assert_eq!(compare_versions(a, b), compare_versions(b, a).reverse());
    assert_eq!(compare_versions(a, b) == Ordering::Equal, a == b);
    if compare_versions(a, b).is_le() && compare_versions(b, c).is_le() {
        assert!(compare_versions(a, c).is_le(), "{names:?}");
    }
    let _ = is_kernel(a.as_bytes());
});
