//! What is wrong with a form, beside its fields and in a list above it.

use crate::http::ApiError;

/// What is wrong with one field; with the whole form, when `field` is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) field: String,
    /// What the field is called.
    pub(super) label: String,
    pub(super) text: String,
}

/// All that is wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

/// What a field is called, by the attribute of the API that it fills.
fn label(field: &str) -> String {
    match field {
        "base" => String::new(),
        "memory_bytes" => "Memory".to_owned(),
        "disk_bytes" => "Disk".to_owned(),
        "vcpus" => "vCPUs".to_owned(),
        "again" => "The new one again".to_owned(),
        "ssh_keys" => "SSH keys".to_owned(),
        other => {
            let words = other.trim_end_matches("_id").replace('_', " ");
            let mut letters = words.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    }
}

impl Problems {
    /// What an error says, if it is one that who filled the form in can mend.
    pub(super) fn of(error: ApiError) -> Result<Problems, ApiError> {
        if !matches!(error.status().as_u16(), 401 | 409 | 422 | 429) {
            return Err(error);
        }
        let listed = error.said().map(|(field, text)| Problem {
            label: label(field),
            field: if field == "base" { String::new() } else { field.to_owned() },
            text: text.to_owned(),
        });
        Ok(Problems(listed.collect()))
    }

    /// What is wrong with a field.
    pub(super) fn with(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|problem| problem.field == field).map(|problem| problem.text.as_str())
    }
}

/// An error in one sentence.
pub(super) fn sentence(error: &ApiError) -> String {
    let said: Vec<String> = error
        .said()
        .map(|(field, text)| match label(field) {
            label if label.is_empty() => text.to_owned(),
            label => format!("{label} {text}"),
        })
        .collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn what_can_be_mended_stands_beside_its_field() {
        let problems = Problems::of(ApiError::invalid("memory_bytes", "is too much")).unwrap();
        assert_eq!(problems.with("memory_bytes"), Some("is too much"));
        assert_eq!(problems.0[0].label, "Memory");
        assert_eq!(sentence(&ApiError::invalid("image_id", "can't be blank")), "Image can't be blank");
        assert_eq!(sentence(&ApiError::conflict("it is not cancelled")), "it is not cancelled");
        assert!(Problems::of(ApiError::new(StatusCode::NOT_FOUND, "not_found", "no")).is_err());
    }
}
