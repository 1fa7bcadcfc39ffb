//! `honcho image seal`: what the brain starts for each upload; see `honcho_images::sealing`. Speaks to no brain.

use crate::command_error::CommandError;
use honcho_images::import::KernelFrom;
use honcho_images::sealing::SealOrder;
use honcho_model::{Bytes, Digest, Name};
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SealArguments {
    /// The root filesystem
    file: PathBuf,
    /// The image's name
    #[arg(long)]
    name: String,
    /// SHA-256 that the file must have
    #[arg(long)]
    digest: String,
    /// Where to pack it
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// Refuse more than this
    #[arg(long, value_name = "SIZE")]
    max_size: Bytes,
    /// Put this machine's kernel, initrd and modules into the image
    #[arg(long)]
    host_kernel: bool,
}

pub(crate) fn run(arguments: &SealArguments) -> Result<(), CommandError> {
    let order = SealOrder {
        file: arguments.file.clone(),
        digest: arguments
            .digest
            .parse::<Digest>()
            .map_err(|error| CommandError::usage(format!("--digest: {error}")))?,
        name: Name::new(&arguments.name).map_err(|error| CommandError::usage(format!("--name {error}")))?,
        directory: arguments.directory.clone(),
        largest: arguments.max_size,
        kernel: if arguments.host_kernel { KernelFrom::Machine("/".into()) } else { KernelFrom::Image },
    };
    honcho_images::sealing::run(&order)
        .map_err(|error| CommandError::failed("cannot say what came of it").cause(&error))
}
