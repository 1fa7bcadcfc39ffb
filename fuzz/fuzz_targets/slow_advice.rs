//! Advice on any statement: bounded, the same each time, and without what a terminal obeys.
#![no_main]

use honcho_slowlog::{Measures, Rule, Spread, advise};

libfuzzer_sys::fuzz_target!(|input: (u32, u32, &[u8])| {
    let (examined, sent, statement) = input;
    let of = |sum: u64| Spread { sum, min: sum, max: sum };
    let measures = Measures {
        count: 1,
        query_time: of(1_000_000),
        lock_time: of(u64::from(sent)),
        rows_examined: of(u64::from(examined)),
        rows_sent: of(u64::from(sent)),
        ..Measures::default()
    };
    let advice = advise(statement, &measures);
    assert!(advice.len() <= 12);
    assert_eq!(advise(statement, &measures), advice);
    for one in &advice {
        assert_eq!(one.index.is_some(), one.rule == Rule::MissingIndex);
        let index = one.index.iter().flat_map(|index| index.columns.iter().chain([&index.table]));
        for text in index.chain([&one.reason]) {
            assert!(text.len() < 8192 && !text.chars().any(char::is_control), "{text:?}");
        }
    }
});
