//! What every list has: `--limit`, `--after`, `--sort`, names beside ids, a pager.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::table::{Cell, table};
use honcho_api::Resource;
use honcho_api::client::ClientError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Options of every list.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ListArguments {
    /// Show so many at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,

    /// Only those after this one, by id: where a page with --limit ended, the next begins
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<i64>,

    /// Sort by an attribute of the API's objects, as in name or memory; with a leading minus from high to low
    /// (--sort=-created)
    #[arg(long, value_name = "ATTRIBUTE", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
}

impl ListArguments {
    /// Fetches what the filters let through, sorted and cut as asked.
    pub(crate) async fn fetch<T: Resource>(
        &self,
        context: &Context,
        filters: Vec<(&str, String)>,
    ) -> Result<Vec<T>, CommandError> {
        self.fetch_path(context, &format!("/v1/{}.json", T::PATH), filters).await
    }

    /// The same from any path.
    pub(crate) async fn fetch_path<T: DeserializeOwned + Serialize>(
        &self,
        context: &Context,
        path: &str,
        mut filters: Vec<(&str, String)>,
    ) -> Result<Vec<T>, CommandError> {
        // To sort, all must be there; otherwise the brain need not send more than is shown.
        if let (Some(limit), None) = (self.limit, &self.sort) {
            filters.push(("limit", limit.to_string()));
        }
        filters.extend(self.after.map(|id| ("after", id.to_string())));
        self.arranged(context.client()?.get_path(path, &filters).await?)
    }

    /// What was worked out here, sorted and cut as asked.
    pub(crate) fn arranged<T: Serialize>(&self, mut items: Vec<T>) -> Result<Vec<T>, CommandError> {
        if let Some(attribute) = &self.sort {
            items = sorted(items, attribute)?;
        }
        if let Some(limit) = self.limit {
            items.truncate(limit);
        }
        Ok(items)
    }
}

/// Sorts by an attribute of the JSON form; equal ones stay in the brain's order.
fn sorted<T: Serialize>(items: Vec<T>, attribute: &str) -> Result<Vec<T>, CommandError> {
    let (attribute, descending) = match attribute.strip_prefix('-') {
        Some(attribute) => (attribute, true),
        None => (attribute, false),
    };
    let to_json = |item: &T| serde_json::to_value(item).unwrap_or(Value::Null);
    let Some(first) = items.first().map(to_json) else { return Ok(items) };
    let names = [
        attribute.to_owned(),
        format!("{attribute}_bytes"),
        format!("{attribute}_at"),
        format!("{attribute}_id"),
    ];
    let Some(name) = names.iter().find(|name| first.get(name.as_str()).is_some()) else {
        let mut known: Vec<&str> =
            first.as_object().into_iter().flat_map(|object| object.keys()).map(String::as_str).collect();
        known.sort_unstable();
        return Err(CommandError::usage(format!(
            "cannot sort by \"{attribute}\": there is no such attribute"
        ))
        .hint(format!("these can be sorted by: {}", known.join(", "))));
    };
    let mut keyed: Vec<(Value, T)> = items
        .into_iter()
        .map(|item| (to_json(&item).get(name).cloned().unwrap_or(Value::Null), item))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| if descending { compare(b, a) } else { compare(a, b) });
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// Prints a list: JSON, or a table through the pager, or a line that says there is nothing.
pub(crate) fn show<T: Serialize>(
    context: &Context,
    items: &[T],
    nothing: &str,
    headings: &[&str],
    row: impl Fn(&T) -> Vec<Cell>,
) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(&items);
    }
    if items.is_empty() {
        output.note(nothing);
        return Ok(());
    }
    output.page(&table(output, headings, items.iter().map(row).collect()))
}

/// Names by id, so that a table can show them.
#[derive(Default)]
pub(crate) struct Names(HashMap<i64, String>);

impl Names {
    /// The names of every `T`; none where this token may not see them (ids are shown then), or for JSON, which has
    /// no use for them.
    pub(crate) async fn of<T: Resource>(context: &Context) -> Result<Self, CommandError> {
        if context.output.json {
            return Ok(Names::default());
        }
        match context.client()?.list::<T>(&[]).await {
            Ok(all) => Ok(Names(all.iter().map(|item| (item.id(), item.name().to_owned())).collect())),
            Err(ClientError::Refused(body)) if matches!(body.status, 403 | 404) => Ok(Names::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// The name of one, or its id.
    pub(crate) fn get(&self, id: i64) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }

    /// A cell with it.
    pub(crate) fn cell(&self, id: Option<i64>) -> Cell {
        Cell::maybe(id.map(|id| self.get(id)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(items: &[Value]) -> Vec<&str> {
        items.iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn lists_sort_by_any_attribute() {
        let items = vec![
            json!({"name": "b", "memory_bytes": 5, "host_id": null}),
            json!({"name": "a", "memory_bytes": 10, "host_id": 2}),
            json!({"name": "c", "memory_bytes": 10, "host_id": 1}),
        ];
        assert_eq!(names(&sorted(items.clone(), "name").unwrap()), ["a", "b", "c"]);
        assert_eq!(names(&sorted(items.clone(), "memory").unwrap()), ["b", "a", "c"]);
        assert_eq!(names(&sorted(items.clone(), "-memory_bytes").unwrap()), ["a", "c", "b"]);
        assert_eq!(names(&sorted(items.clone(), "host").unwrap()), ["b", "c", "a"]);
        assert!(sorted(items, "colour").is_err());
        assert!(sorted(Vec::<Value>::new(), "colour").unwrap().is_empty());
    }
}
