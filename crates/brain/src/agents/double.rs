//! Whether a certificate is shown by the machine that joined with it.
//!
//! A cloned disk carries key and certificate along. Each request of an agent says which machine it runs on, and the brain
//! compares that with what the join said. What either side does not know is not compared: firmware may tell no uuid.

use axum::http::HeaderMap;
use honcho_store::hosts::Proven;
use honcho_wire::{DMI_UUID_HEADER, MACHINE_ID_HEADER};

/// The longest that is quoted of what a stranger says.
const LONGEST: usize = 64;

/// In what the machine that speaks differs from the one that joined; `None` if in nothing.
pub(super) fn difference(proven: &Proven, headers: &HeaderMap) -> Option<String> {
    let says = |header: &str| headers.get(header).and_then(|value| value.to_str().ok());
    let differs = |what: &str, joined: Option<&str>, header: &str| {
        let (joined, now) = (joined?, says(header)?);
        let differs = !joined.eq_ignore_ascii_case(now);
        let quoted: String = now.chars().take(LONGEST).collect();
        differs.then(|| format!("its {what} is {quoted}, and {joined} joined"))
    };
    differs("machine-id", proven.machine_id.as_deref(), MACHINE_ID_HEADER)
        .or_else(|| differs("DMI uuid", proven.dmi_uuid.as_deref(), DMI_UUID_HEADER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use honcho_model::HostId;

    fn check(joined: [Option<&str>; 2], now: [Option<&'static str>; 2], expected: Option<&str>) {
        let [machine_id, dmi_uuid] = joined.map(|text| text.map(str::to_owned));
        let proven = Proven {
            id: HostId(1),
            name: "h1".into(),
            first_use: false,
            dmi_uuid,
            machine_id,
            frozen: false,
        };
        let headers = [MACHINE_ID_HEADER, DMI_UUID_HEADER].into_iter().zip(now);
        let headers = headers
            .filter_map(|(name, value)| Some((name.parse().unwrap(), HeaderValue::from_static(value?))));
        assert_eq!(difference(&proven, &headers.collect()).as_deref(), expected, "{joined:?} {now:?}");
    }

    #[test]
    fn another_machine_is_one_of_which_both_sides_know_that_it_differs() {
        check([Some("a1"), Some("4C4C-01")], [Some("a1"), Some("4c4c-01")], None);
        check([Some("a1"), None], [Some("a1"), Some("4C4C-02")], None);
        check([None, None], [Some("a1"), Some("4C4C-02")], None);
        check([Some("a1"), Some("4C4C-01")], [None, None], None);
        check([Some("a1"), None], [Some("b2"), None], Some("its machine-id is b2, and a1 joined"));
        check(
            [Some("a1"), Some("4C4C-01")],
            [Some("a1"), Some("4C4C-02")],
            Some("its DMI uuid is 4C4C-02, and 4C4C-01 joined"),
        );
    }
}
