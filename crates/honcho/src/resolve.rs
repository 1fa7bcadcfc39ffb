//! From what a person typed (a name or an id) to the thing that is meant; never to another one.
//!
//! A name may consist of digits, so "7" can be an id and a name. Where both exist and differ the person is asked;
//! `id:7` and `name:7` say which (a name holds no colon).

use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use honcho_api::client::{Client, ClientError};
use honcho_api::{Account, Cluster, Guest, Resource};

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Given {
    Id(i64),
    Name(String),
    /// Digits: either.
    IdOrName(i64, String),
}

fn parse(text: &str) -> Given {
    if let Some(name) = text.strip_prefix("name:") {
        return Given::Name(name.to_owned());
    }
    if let Some(id) = text.strip_prefix("id:").or(text.strip_prefix('#')).and_then(|id| id.parse().ok()) {
        return Given::Id(id);
    }
    match text.parse::<i64>() {
        Ok(id) if text.bytes().all(|byte| byte.is_ascii_digit()) => Given::IdOrName(id, text.to_owned()),
        _ => Given::Name(text.to_owned()),
    }
}

/// Whether cancelled and deleted guests are meant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Only the living.
    Hidden,
    /// The living first, then the cancelled.
    Too,
}

/// A guest, and whose.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GuestArgument {
    /// The guest: its name or id
    #[arg(value_name = "GUEST", add = clap_complete::engine::ArgValueCandidates::new(crate::completion::guests))]
    pub(crate) guest: String,

    /// The account that owns it, where several have a guest of that name
    #[arg(long, value_name = "ACCOUNT", add = clap_complete::engine::ArgValueCandidates::new(crate::completion::accounts))]
    pub(crate) account: Option<String>,
}

impl GuestArgument {
    /// The guest that is meant.
    pub(crate) async fn find(&self, context: &Context, cancelled: Cancelled) -> Result<Guest, CommandError> {
        guest(context, &self.guest, self.account.as_deref(), cancelled).await
    }
}

/// The one `T` that is meant.
pub(crate) async fn one<T: Resource>(context: &Context, text: &str) -> Result<T, CommandError> {
    let found = candidates::<T>(context.client()?, text, &[]).await?;
    only(found, text, "give its id instead of its name")
}

/// The id of the one `T` that is meant, if one was named.
pub(crate) async fn optional_id<T: Resource>(
    context: &Context,
    text: Option<&str>,
) -> Result<Option<i64>, CommandError> {
    match text {
        Some(text) => Ok(Some(one::<T>(context, text).await?.id())),
        None => Ok(None),
    }
}

/// The account that is meant: the living first, then the cancelled.
pub(crate) async fn account(context: &Context, text: &str) -> Result<Account, CommandError> {
    let client = context.client()?;
    let mut found = candidates::<Account>(client, text, &[]).await?;
    if found.is_empty() {
        found = candidates::<Account>(client, text, &[("cancelled", "true".to_owned())]).await?;
        // A name may have had many bearers: those that are gone only count if no other is left.
        if found.iter().any(|account| account.deleted_at.is_none()) {
            found.retain(|account| account.deleted_at.is_none());
        }
    }
    only(found, text, "give its id instead of its name")
}

/// The guest that is meant.
pub(crate) async fn guest(
    context: &Context,
    text: &str,
    account: Option<&str>,
    cancelled: Cancelled,
) -> Result<Guest, CommandError> {
    let account = optional_id::<Account>(context, account).await?;
    let client = context.client()?;
    let mut filters: Vec<(&str, String)> =
        account.map(|id| ("account_id", id.to_string())).into_iter().collect();
    let mut found = candidates::<Guest>(client, text, &filters).await?;
    let id_given = matches!(parse(text), Given::Id(_));
    if found.is_empty() {
        filters.push(("cancelled", "true".to_owned()));
        found = candidates::<Guest>(client, text, &filters).await?;
        // A name may have had many bearers: those that are gone only count if no other is left.
        if found.iter().any(|guest| guest.deleted_at.is_none()) {
            found.retain(|guest| guest.deleted_at.is_none());
        }
    }
    if let Some(account) = account {
        found.retain(|guest| guest.account_id == account);
    }
    if found.len() > 1 && !id_given && found.windows(2).any(|pair| pair[0].account_id != pair[1].account_id) {
        return Err(several(&found, text, "say whose it is with --account, or give its id"));
    }
    let guest = only(found, text, "give its id instead of its name")?;
    if cancelled == Cancelled::Hidden && guest.cancelled_at.is_some() {
        let name = clean(&guest.name);
        let error = CommandError::new(
            Ending::Refused,
            match guest.deleted_at {
                Some(_) => format!("guest {name} is deleted"),
                None => format!("guest {name} is cancelled"),
            },
        );
        return Err(match guest.deleted_at {
            Some(_) => error,
            None => error.hint(format!(
                "`honcho guest restore {}` takes it back until its grace period ends",
                guest.id
            )),
        });
    }
    Ok(guest)
}

/// The cluster that is meant: the living first, then the cancelled.
pub(crate) async fn cluster(
    context: &Context,
    text: &str,
    account: Option<&str>,
) -> Result<Cluster, CommandError> {
    let account = optional_id::<Account>(context, account).await?;
    let client = context.client()?;
    let mut filters: Vec<(&str, String)> =
        account.map(|id| ("account_id", id.to_string())).into_iter().collect();
    let mut found = candidates::<Cluster>(client, text, &filters).await?;
    if found.is_empty() {
        filters.push(("cancelled", "true".to_owned()));
        found = candidates::<Cluster>(client, text, &filters).await?;
        // A name may have had many bearers: those that are gone only count if no other is left.
        if found.iter().any(|cluster| cluster.deleted_at.is_none()) {
            found.retain(|cluster| cluster.deleted_at.is_none());
        }
    }
    found.retain(|cluster| account.is_none_or(|account| cluster.account_id == account));
    only(found, text, "say whose it is with --account, or give its id")
}

/// Everything that may be meant.
async fn candidates<T: Resource>(
    client: &Client,
    text: &str,
    filters: &[(&str, String)],
) -> Result<Vec<T>, CommandError> {
    let by_filter = async |attribute: &'static str, value: String| {
        let mut filters = filters.to_vec();
        filters.push((attribute, value));
        client.list::<T>(&filters).await
    };
    let by_id = async |id: i64| match client
        .get_path::<T>(&format!("/v1/{}/{id}.json", T::PATH), filters_of_one(filters))
        .await
    {
        Ok(item) => Ok(Some(item)),
        Err(ClientError::Refused(body)) if body.status == 404 => Ok(None),
        // What is cancelled answers 410 with itself as the body, which is no error body.
        Err(ClientError::Strange { .. })
            if matches!(T::WORD, "guest" | "account" | "cluster") && filters_of_one(filters).is_empty() =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    };
    Ok(match parse(text) {
        Given::Id(id) => by_id(id).await?.into_iter().collect(),
        Given::Name(name) => by_filter("name", name).await?,
        Given::IdOrName(id, name) => {
            let mut found: Vec<T> = by_id(id).await?.into_iter().collect();
            found.extend(by_filter("name", name).await?.into_iter().filter(|item| item.id() != id));
            found
        }
    })
}

/// Of a list's filters those that a GET of one takes too.
fn filters_of_one<'a>(filters: &'a [(&'a str, String)]) -> &'a [(&'a str, String)] {
    match filters.iter().position(|(name, _)| *name == "cancelled") {
        Some(index) => &filters[index..=index],
        None => &[],
    }
}

fn only<T: Resource>(mut found: Vec<T>, text: &str, hint: &str) -> Result<T, CommandError> {
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(missing::<T>(text)),
        _ => Err(several(&found, text, hint)),
    }
}

fn missing<T: Resource>(text: &str) -> CommandError {
    let word = T::WORD;
    let text = clean(text);
    let error = CommandError::new(
        Ending::Refused,
        match parse(&text) {
            Given::Id(id) => format!("there is no {word} with id {id}"),
            Given::Name(name) => format!("there is no {word} named \"{name}\""),
            Given::IdOrName(..) => format!("there is no {word} with id or name {text}"),
        },
    );
    error.hint(format!("`honcho {word} list` shows those there are"))
}

fn several<T: Resource>(found: &[T], text: &str, hint: &str) -> CommandError {
    let ids: Vec<String> = found.iter().map(|item| format!("{} (id {})", item.name(), item.id())).collect();
    let error =
        CommandError::new(Ending::Refused, format!("\"{text}\" can mean any of these: {}", ids.join(", ")));
    if matches!(parse(text), Given::IdOrName(..)) {
        error.hint(format!("write id:{text} or name:{text}"))
    } else {
        error.hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_read_as_it_was_meant() {
        assert_eq!(parse("web1"), Given::Name("web1".into()));
        assert_eq!(parse("7"), Given::IdOrName(7, "7".into()));
        assert_eq!(parse("id:7"), Given::Id(7));
        assert_eq!(parse("#7"), Given::Id(7));
        assert_eq!(parse("name:7"), Given::Name("7".into()));
        assert_eq!(parse("-7"), Given::Name("-7".into()));
        assert_eq!(parse("99999999999999999999"), Given::Name("99999999999999999999".into()));
    }
}
