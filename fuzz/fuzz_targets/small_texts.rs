//! Names, sizes, MAC addresses, subnets, ranges, digests: what was read reads the same once written. And what consoles print.
#![no_main]

use honcho_model::printed::{LogCleaner, is_hostile};
use honcho_model::{AddressRange, Bytes, Digest, DomainName, Mac, Name, subnet};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    // However a console's log is cut in pieces, what is shown of it is the same, and harmless.
    let whole = LogCleaner::default().clean(bytes);
    assert!(whole.chars().all(|c| matches!(c, '\n' | '\t') || !is_hostile(c)));
    let mut cleaner = LogCleaner::default();
    let pieces: String = bytes.chunks(3).map(|piece| cleaner.clean(piece)).collect();
    assert_eq!(pieces, whole);
});

fn read(text: &str) {
    if let Ok(name) = Name::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= 63 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    }
    if let Ok(size) = text.parse::<Bytes>() {
        let shown = size.to_string();
        // One with a fraction is for people only.
        if !shown.contains('.') {
            assert_eq!(shown.parse(), Ok(size));
        }
    }
    if let Ok(mac) = text.parse::<Mac>() {
        assert_eq!(mac.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(net) = subnet::parse(text) {
        assert_eq!(subnet::parse(&net.to_string()), Ok(net));
        let gateway = subnet::gateway(net);
        let addresses = subnet::guest_addresses(net, gateway);
        let mut count = 0_u64;
        for address in addresses {
            assert!(net.contains(&address) && address != gateway && address != net.broadcast());
            count += 1;
        }
        assert_eq!(count, (1_u64 << (32 - net.prefix_len())) - 3);
    }
    if let Ok(net) = subnet::parse6(text) {
        assert_eq!(subnet::parse6(&net.to_string()), Ok(net));
        assert!(net.contains(&subnet::gateway6(net)));
    }
    if let Ok(range) = text.parse::<AddressRange>() {
        assert_eq!(range.to_string().parse(), Ok(range));
        assert!(range.contains(range.first()) && range.contains(range.last()));
    }
    if let Ok(name) = DomainName::new(text) {
        assert_eq!(DomainName::new(name.as_str()).as_ref(), Ok(&name));
    }
}
