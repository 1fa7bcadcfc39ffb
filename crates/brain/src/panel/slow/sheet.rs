//! The time that is looked at: what is chosen, and what can be.

use super::asked::{Asked, Period};
use crate::app::App;
use crate::http::ApiResult;
use crate::panel::shown;
use honcho_api::SlowMark;

/// Something to choose.
pub(super) struct Choice {
    pub(super) label: String,
    pub(super) address: String,
    pub(super) is_chosen: bool,
}

pub(super) struct MarkChoice {
    pub(super) id: i64,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// Which time, as links and as a form.
pub(super) struct Sheet {
    pub(super) periods: Vec<Choice>,
    pub(super) action: String,
    pub(super) asked: Asked,
    pub(super) said: String,
    pub(super) today: String,
    pub(super) marks: Vec<MarkChoice>,
}

impl Sheet {
    pub(super) fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Of a page of theirs.
    pub(super) fn new(app: &App, marks: &[SlowMark], asked: &Asked, path: &str) -> ApiResult<Sheet> {
        let by_mark = marks.iter().find(|mark| mark.id.to_string() == asked.mark_id);
        let period = asked.period()?;
        let choose = |one: Period| Choice {
            label: one.label(),
            address: asked.with(path, |asked| {
                *asked = Asked {
                    period: one.word().to_owned(),
                    day: String::new(),
                    mark_id: String::new(),
                    against: String::new(),
                    ..asked.clone()
                };
            }),
            is_chosen: asked.mark_id.is_empty() && period == one,
        };
        let compared = match asked.against.as_str() {
            "" => "the time before it that is as long".to_owned(),
            day => format!("what was from {day} on"),
        };
        let said = match (asked.mark_id.is_empty(), by_mark) {
            (true, _) => match period {
                Period::Day(_) => format!("{}, compared with {compared}", period.label()),
                _ => format!("The last {}, compared with {compared}", period.label()),
            },
            (false, Some(mark)) => format!(
                "After \u{201c}{}\u{201d} ({}), compared with before, a week at most",
                mark.text,
                shown::moment(mark.at, app.now()).short
            ),
            (false, None) => "After a mark, compared with before, a week at most".to_owned(),
        };
        let own = |mark: &&SlowMark| {
            let one = asked.server_id.is_empty() || mark.slow_server_id.is_none();
            one || mark.slow_server_id.is_some_and(|id| id.to_string() == asked.server_id)
        };
        let mark = |mark: &SlowMark| MarkChoice {
            id: mark.id,
            label: format!("{}, {}", mark.text, shown::moment(mark.at, app.now()).short),
            is_chosen: mark.id.to_string() == asked.mark_id,
        };
        let now = jiff::Timestamp::from_microsecond(app.now().0).unwrap_or_default();
        Ok(Sheet {
            periods: Period::PLAIN.into_iter().map(choose).collect(),
            action: path.to_owned(),
            asked: asked.clone(),
            said,
            today: now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string(),
            marks: marks.iter().filter(own).map(mark).collect(),
        })
    }
}
