//! Advice on a query: what is kept of its slowest statement, and what a range of time adds up to.

use crate::StoreResult;
use crate::sql::from_json;
use honcho_api::SlowAdvice;
use honcho_slowlog::{Confidence, Measures, Rule, advise_on_bursts};

/// The surest first. Of bursts speaks what the range adds up to, and not the mail that the slowest statement came in.
pub(super) fn of(kept: &str, sample: &str, measures: &Measures) -> StoreResult<Vec<SlowAdvice>> {
    let mut advice: Vec<SlowAdvice> = from_json("advice", Some(kept))?.unwrap_or_default();
    advice.retain(|one| one.rule != Rule::OneByOne.name());
    if let Some(one) = advise_on_bursts(sample.as_bytes(), measures) {
        let surer = |other: &SlowAdvice| rank(&other.confidence) >= rank(one.confidence.name());
        let at = advice.iter().position(|other| !surer(other)).unwrap_or(advice.len());
        let (rule, confidence) = (one.rule.name().to_owned(), one.confidence.name().to_owned());
        advice.insert(at, SlowAdvice { rule, confidence, reason: one.reason, index: None });
    }
    Ok(advice)
}

fn rank(confidence: &str) -> Option<Confidence> {
    [Confidence::Possible, Confidence::Likely, Confidence::Certain]
        .into_iter()
        .find(|one| one.name() == confidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_range_adds_up_to_takes_its_place() {
        let kept = r#"[{"rule":"huge_offset","confidence":"certain","reason":"","index":null},
            {"rule":"one_by_one","confidence":"likely","reason":"of one mail","index":null},
            {"rule":"select_star","confidence":"possible","reason":"","index":null}]"#;
        let rules = |measures: &Measures| {
            let found = of(kept, "SELECT * FROM t WHERE id = ? LIMIT ?", measures).unwrap();
            found.into_iter().map(|one| (one.rule, one.confidence)).collect::<Vec<_>>()
        };
        let shown = |all: &[(&str, &str)]| {
            all.iter().map(|(rule, sure)| ((*rule).to_owned(), (*sure).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(
            rules(&Measures::default()),
            shown(&[("huge_offset", "certain"), ("select_star", "possible")])
        );
        let measures = Measures {
            count: 100,
            bursts: 4,
            events_in_bursts: 90,
            largest_burst: 30,
            ..Measures::default()
        };
        let all = [("huge_offset", "certain"), ("one_by_one", "likely"), ("select_star", "possible")];
        assert_eq!(rules(&measures), shown(&all));
    }
}
