//! By whose key images are signed that are made on this machine.
//!
//! ```text
//!   $XDG_STATE_HOME/honcho/image-signing-key     (~/.local/state, when that is not set), made at its first use, 0600
//! ```

use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::kept_session;
use honcho_api::{ImageCreate, ImageKey, ImageKeyCreate};
use honcho_images::signing::{Signed, SigningKey, recipe_digest};
use honcho_model::{Bytes, Name};

/// A key that the brain trusts.
pub(super) struct Signer(SigningKey);

/// This machine's key. The first time, the brain is told to trust it: whoever registers images may do that.
pub(super) async fn signer(context: &Context) -> Result<Signer, CommandError> {
    let no_place = || {
        CommandError::failed(
            "there is no place for the key that signs images: neither XDG_STATE_HOME nor HOME is set",
        )
        .hint("HOME=/root honcho image …")
    };
    let path = kept_session::state_directory().ok_or_else(no_place)?.join("image-signing-key");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let key = SigningKey::open_or_make(&path, &host).map_err(|error| {
        CommandError::failed(format!("cannot use the key that signs images, {}", path.display()))
            .cause(&error)
    })?;
    let client = context.client()?;
    let fingerprint = key.fingerprint();
    if client.list::<ImageKey>(&[("fingerprint", fingerprint.clone())]).await?.is_empty() {
        let public_key = key
            .public_key()
            .map_err(|error| CommandError::failed("the key that signs images").cause(&error))?;
        let (name, public_key) = (Some(name_of(&host, &public_key)), Some(public_key));
        let made: ImageKey =
            client.create::<ImageKey>(&ImageKeyCreate { name, public_key, again: None }).await?;
        context
            .output
            .note(&format!("images from here are signed by {} ({fingerprint}) from now on", made.name));
    }
    Ok(Signer(key))
}

/// After the machine, and no other key's.
fn name_of(host: &str, public_key: &str) -> String {
    let short = recipe_digest(public_key).to_string()[..8].to_owned();
    let host: String =
        host.split('.').next().unwrap_or_default().to_ascii_lowercase().chars().take(40).collect();
    let name = format!("{host}-{short}");
    if Name::new(&name).is_ok() { name } else { format!("builder-{short}") }
}

impl Signer {
    /// A body with the manifest of what it says, signed.
    pub(super) fn sign(
        &self,
        context: &Context,
        mut body: ImageCreate,
        compressed: Bytes,
    ) -> Result<ImageCreate, CommandError> {
        let manifest = honcho_brain::manifest_of(&body, compressed, context.output.now().as_second());
        let Signed { manifest, signature } = self
            .0
            .sign(&manifest)
            .map_err(|error| CommandError::new(Ending::Failed, "the image cannot be signed").cause(&error))?;
        // They stand in it.
        body.packages = None;
        Ok(ImageCreate { manifest: Some(manifest), signature: Some(signature), ..body })
    }
}
