//! Digests: adding up, in any order, within bounds.

use super::*;
use crate::frame::Ending;
use crate::log::{Batch, Log};
use proptest::prelude::*;

/// An event as `MariaDB` writes it.
fn event(class: usize, user: usize, hour: i64, micros: u64) -> String {
    let class = char::from(b'a' + u8::try_from(class).unwrap());
    format!(
        "# User@Host: u{user}[u{user}] @ web{user} [10.0.0.{user}]\n# Thread_id: 5  Schema: shop{user}  QC_hit: No\n\
         # Query_time: {}.{:06}  Lock_time: 0.000001  Rows_sent: 1  Rows_examined: 100\n\
         # Full_scan: Yes  Full_join: No  Tmp_table: No  Tmp_table_on_disk: No\n\
         SET timestamp={};\nSELECT {class} FROM t WHERE x='{micros}';\n",
        micros / 1_000_000,
        micros % 1_000_000,
        1_700_000_000 + hour * 3600,
    )
}

fn digest(log: &str, settings: Settings) -> Digest {
    let mut digest = Digest::new(settings);
    let mut reader = Log::new();
    reader.push(log.as_bytes());
    reader.take(Ending::Last, Batch::default()).events(|event| digest.add(event));
    digest
}

/// All that can be seen of a digest, without the order of its classes.
fn seen(digest: &Digest) -> Vec<String> {
    let mut seen: Vec<_> = digest
        .classes()
        .iter()
        .chain(digest.other())
        .map(|class| {
            let shares = [By::Database, By::User, By::Host].map(|by| digest.shares(class, by));
            format!("{} {:?} {:?} {:?}", class.id(), class.periods(), shares, class.worst())
        })
        .collect();
    seen.sort();
    seen
}

proptest! {
    #[test]
    fn merging_in_any_order_is_reading_all(
        events in prop::collection::vec((0_usize..4, 0_usize..3, 0_i64..50, 0_u64..5_000_000), 0..60),
        cuts in prop::collection::vec(0_usize..60, 0..4),
        rotate in 0_usize..5,
    ) {
        let logs: Vec<_> = events.iter().map(|(class, user, hour, micros)| event(*class, *user, *hour, *micros)).collect();
        let whole = digest(&logs.concat(), Settings::default());
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(logs.len())).chain([0, logs.len()]).collect();
        cuts.sort_unstable();
        let mut parts: Vec<_> = cuts.windows(2).map(|cut| digest(&logs[cut[0]..cut[1]].concat(), Settings::default())).collect();
        let count = parts.len();
        parts.rotate_left(rotate % count);
        let mut merged = Digest::new(Settings::default());
        for part in &parts {
            merged.merge(part);
        }
        prop_assert_eq!(seen(&merged), seen(&whole));
        merged.coarsen(Resolution::Month);
        let mut whole = whole;
        whole.coarsen(Resolution::Day);
        whole.coarsen(Resolution::Month);
        prop_assert_eq!(seen(&merged), seen(&whole), "hours make days, and days months");
    }
}

#[test]
fn classes_beyond_the_bound_are_one() {
    let log: String = (0..10).map(|class| event(class, 1, 0, 1000)).collect();
    let digest = digest(&log, Settings { most_classes: 3, ..Settings::default() });
    assert_eq!(digest.classes().len(), 3);
    assert_eq!(digest.other().unwrap().total().count, 7);
}

#[test]
fn periods_beyond_the_bound_get_longer() {
    let log: String = (0..100).map(|hour| event(0, 1, hour, 1000)).collect();
    let digest = digest(&log, Settings { most_periods: 10, ..Settings::default() });
    assert_eq!(digest.resolution(), Resolution::Day);
    assert_eq!(digest.classes()[0].periods().len(), 6);
    assert_eq!(digest.classes()[0].total().count, 100);
}

#[test]
fn a_sample_shows_no_value_unless_asked() {
    let log = event(0, 1, 0, 1000) + &event(0, 2, 0, 9000);
    let redacted = digest(&log, Settings::default());
    let worst = redacted.classes()[0].worst().unwrap();
    assert_eq!((worst.query_time, &*worst.user), (9000, &b"u2"[..]));
    assert_eq!(worst.statement, b"SELECT a FROM t WHERE x=?");
    let with = digest(&log, Settings { samples: Samples::WithLiterals, ..Settings::default() });
    assert_eq!(with.classes()[0].worst().unwrap().statement, b"SELECT a FROM t WHERE x='9000'");
}

#[test]
fn a_long_fingerprint_is_cut_and_its_id_is_not() {
    let columns: Vec<_> = (0..1000).map(|at| format!("column_{}", "x".repeat(at % 7 + 5))).collect();
    let statement = format!("select {} from t", columns.join(", "));
    let log = event(0, 1, 0, 1000).replace("SELECT a FROM t WHERE x='1000'", &statement);
    let once = digest(&log, Settings::default());
    let mut twice = digest(&(log.clone() + &log), Settings::default());
    assert_eq!(once.classes()[0].fingerprint().len(), 5000);
    assert_eq!(once.classes()[0].id(), QueryId::of(statement.as_bytes()));
    twice.merge(&once);
    assert_eq!((twice.classes().len(), twice.classes()[0].total().count), (1, 3));
}
