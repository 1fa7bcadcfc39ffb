//! XML of domains, also other people's.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = honcho_libvirt::read_domain(text);
});
