//! `honcho image keys`, `trust-key`, `distrust-key`.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::image_keys;
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{ImageKey, ImageKeyCreate};

const AFTER_LIST: &str = "\
Where images are built the first time, a key is made (~/.local/state/honcho/image-signing-key) and trusted; the brain signs what is \
uploaded by a key of its own.

Examples:
  honcho image keys
  honcho image keys --json | jq -r '.[] | \"\\(.name) \\(.public_key)\"' > allowed_signers";

const AFTER_TRUST: &str = "\
Examples:
  honcho image trust-key builder2 /root/builder2.pub
  honcho image trust-key builder2 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI… builder2'";

const AFTER_DISTRUST: &str = "\
Images that it has signed stay, and are shown as signed by nobody who is trusted; `honcho image verify` refuses them. The machine whose key it \
is can register none until `honcho image trust-key` trusts it again.

Examples:
  honcho image distrust-key builder2";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_LIST)]
pub(crate) struct KeysArguments {
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_TRUST)]
pub(crate) struct TrustKeyArguments {
    /// What to call it
    name: String,
    /// The public key, or a file with it
    key: String,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_DISTRUST)]
pub(crate) struct DistrustKeyArguments {
    /// Name or id
    #[arg(add = ArgValueCandidates::new(image_keys))]
    key: String,
}

pub(crate) async fn list(context: &Context, arguments: &KeysArguments) -> Result<(), CommandError> {
    let keys: Vec<ImageKey> = arguments.list.fetch(context, vec![]).await?;
    let nothing = "No keys are trusted: where `honcho image build` runs first, one is made.";
    listing::show(context, &keys, nothing, &["ID", "NAME", "FINGERPRINT", "TRUSTED"], |key| {
        vec![
            Cell::number(key.id),
            Cell::text(&key.name),
            Cell::text(&key.fingerprint),
            Cell::text(age(key.created_at, context.output.now())),
        ]
    })
}

pub(crate) async fn trust(context: &Context, arguments: &TrustKeyArguments) -> Result<(), CommandError> {
    let public_key = if arguments.key.starts_with("ssh-") {
        arguments.key.clone()
    } else {
        std::fs::read_to_string(&arguments.key)
            .map_err(|error| CommandError::failed(format!("cannot read {}", arguments.key)).cause(&error))?
    };
    let body = ImageKeyCreate {
        name: Some(arguments.name.clone()),
        public_key: Some(public_key),
        again: Some(true),
    };
    let key: ImageKey = context.client()?.create::<ImageKey>(&body).await?;
    if context.output.json {
        return context.output.json(&key);
    }
    let rows = vec![
        ("id", Cell::text(key.id.to_string())),
        ("fingerprint", Cell::text(&key.fingerprint)),
        ("public key", Cell::text(&key.public_key)),
    ];
    context.output.print(&details(&context.output, &format!("key {}", key.name), rows))
}

pub(crate) async fn distrust(
    context: &Context,
    arguments: &DistrustKeyArguments,
) -> Result<(), CommandError> {
    let key: ImageKey = resolve::one(context, &arguments.key).await?;
    let key = context.client()?.delete::<ImageKey, ImageKey>(key.id, &[]).await?;
    if context.output.json {
        return context.output.json(&key);
    }
    context.output.print(&format!("key {} ({}) is trusted no more", key.name, key.fingerprint))
}
