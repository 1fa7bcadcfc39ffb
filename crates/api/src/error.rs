//! The one shape of every refusal.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An error answer. `errors` names attributes, or `base` for the whole; always arrays of sentence ends.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The HTTP status.
    pub status: u16,
    /// A stable word; `docs/errors.md` lists them.
    pub code: String,
    /// What is wrong, by attribute.
    pub errors: BTreeMap<String, Vec<String>>,
    /// The next thing to do, where there is one.
    pub hint: Option<String>,
    /// Stands in the brain's log too.
    pub request_id: String,
}

impl ErrorBody {
    /// All of `errors` as one line: "name is taken; no host has 3G free".
    pub fn sentence(&self) -> String {
        let each = |(field, texts): (&String, &Vec<String>)| {
            texts
                .iter()
                .map(|text| if field == "base" { text.clone() } else { format!("{field} {text}") })
                .collect::<Vec<_>>()
        };
        self.errors.iter().flat_map(each).collect::<Vec<_>>().join("; ")
    }
}
