//! `honcho search`: one box over everything.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing;
use crate::table::Cell;
use honcho_api::SearchHit;

const AFTER_HELP: &str = "\
The nearest come first: what is exactly that, then what begins with it, then what holds it. An address may be \
the beginning of one, and a MAC address stand in any spelling. A token of an account finds what is that account's.

Examples:
  honcho search web1
  honcho search 10.77.
  honcho search 3CEC.EF00.0007
  honcho search acme --json | jq -r '.[] | select(.kind == \"guest\") | .name'";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SearchArguments {
    /// What to look for
    #[arg(value_name = "TEXT")]
    text: String,
    /// Show so many of each kind at most, up to 100
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
}

pub(crate) async fn run(context: &Context, arguments: &SearchArguments) -> Result<(), CommandError> {
    let query = [("q", arguments.text.clone()), ("limit", arguments.limit.to_string())];
    let hits: Vec<SearchHit> = context.client()?.get_path("/v1/search.json", &query).await?;
    let nothing = "Nothing is found, or nothing that this token may see.";
    listing::show(context, &hits, nothing, &["KIND", "ID", "NAME", "OWNER", "WHERE", "FOUND BY"], |hit| {
        let found_by = match (hit.attribute.as_str(), hit.value == hit.name) {
            (attribute, true) => attribute.to_owned(),
            (attribute, false) => format!("{attribute} {}", hit.value),
        };
        vec![
            Cell::text(&hit.kind),
            Cell::number(hit.id),
            Cell::text(&hit.name),
            Cell::maybe(hit.account_name.as_ref()),
            Cell::maybe(place(hit)),
            Cell::text(found_by),
        ]
    })
}

/// What it is on: a guest on its host, an address with its guest in its network.
fn place(hit: &SearchHit) -> Option<String> {
    let named = |word: &str, id: Option<i64>, name: &Option<String>| {
        id.map(|id| format!("{word} {}", name.clone().unwrap_or_else(|| format!("#{id}"))))
    };
    let host = named("host", hit.host_id.filter(|_| hit.kind != "host"), &hit.host_name);
    let network = named("network", hit.network_id, &hit.network_name);
    let guest = named("guest", hit.guest_id, &hit.guest_name);
    let all: Vec<String> = [guest, network, host].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}
