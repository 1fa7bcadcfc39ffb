//! What can be asked for: one operation, one struct, run inside one transaction.
//!
//! An operation checks, changes desired rows, and writes its event; handlers and controllers only call it. None of
//! them has an effect outside the transaction.

mod account;
mod account_end;
mod account_samples;
mod account_suspend;
mod address;
mod blob;
mod cluster_create;
mod cluster_end;
mod guest_capture;
mod guest_console;
mod guest_create;
mod guest_end;
mod guest_interfaces;
mod guest_move;
mod guest_moves_plan;
mod guest_order;
mod guest_packages;
mod guest_power;
mod guest_update;
pub(crate) mod host;
mod host_drain;
pub(crate) mod host_update;
mod image;
mod image_key;
mod image_signature;
mod image_upload;
mod mail_note;
mod network;
mod operation_abandon;
mod packages;
mod person;
mod pool;
mod problems;
mod quotas;
mod rack;
mod restore_accept;
mod san;
mod saved_view;
mod site;
mod slow_mark;
mod slow_query_judge;
mod slow_settings;
mod slow_tell;
mod token;
mod webhook;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use account::{AccountCreate, AccountUpdate};
pub(crate) use account_end::{AccountBury, AccountCancel, AccountLapse, AccountRestore, Grace};
pub(crate) use account_samples::AccountSampleValues;
pub(crate) use account_suspend::{AccountSuspend, AccountUnsuspend};
pub(crate) use address::{AddressCreate, AddressRelease, AddressUpdate};
pub(crate) use blob::{BlobCame, BlobCollect, BlobsLook};
pub(crate) use cluster_create::{ClusterCreate, ClusterTrial};
pub(crate) use cluster_end::{ClusterCancel, ClusterRestore};
pub(crate) use guest_capture::{GuestCapture, GuestCaptureEnd};
pub(crate) use guest_console::GuestConsoleOpened;
pub(crate) use guest_create::{GuestCreate, GuestTrial};
pub(crate) use guest_end::{GuestCancel, GuestDelete, GuestLapse, GuestRestore};
pub(crate) use guest_move::{GuestMove, GuestMoveRehearsal};
pub(crate) use guest_moves_plan::{MoveTurn, MovesOrder};
pub(crate) use guest_order::public_key;
pub(crate) use guest_packages::GuestPackagesReport;
pub(crate) use guest_power::{GuestPower, PowerAction};
pub(crate) use guest_update::{GuestUpdate, Restart};
pub(crate) use host::{
    HostAdd, HostDelete, HostFreeze, HostJoin, HostOfferJoin, HostRenewCertificate, HostReport,
    HostUseCertificate, JoinToken,
};
pub(crate) use host_drain::{HostDrain, Wanted};
pub(crate) use host_update::HostUpdate;
pub(crate) use image::{ImageCreate, ImageDelete};
pub(crate) use image_key::{ImageKeyCreate, ImageKeyDelete};
pub(crate) use image_signature::check as image_signature_check;
pub use image_signature::manifest_of;
pub(crate) use image_upload::{
    ImageUploadCreate, ImageUploadFinish, ImageUploadProgress, ImageUploadPutBack, ImageUploadRefuse,
    ImageUploadSeal, ImageUploadTouch, ImageUploadsForget,
};
pub(crate) use mail_note::{MailEnd, MailNote};
pub(crate) use network::{NetworkCreate, NetworkDelete, NetworkUpdate};
pub(crate) use operation_abandon::OperationAbandon;
pub use packages::{described, packages};
pub(crate) use person::{
    PasswordTry, PersonCreate, PersonDelete, PersonGrant, PersonPassword, PersonUnlock, PersonUpdate,
    SessionDelete, Tried,
};
pub(crate) use pool::{PoolCreate, PoolDelete};
pub(crate) use rack::{RackCreate, RackDelete, RackUpdate};
pub(crate) use restore_accept::{RestoreAccept, show as restore_show};
pub(crate) use san::{SanCreate, SanDelete, SanUpdate};
pub(crate) use saved_view::{ViewForget, ViewSave};
pub(crate) use site::{SiteCreate, SiteDelete, SiteUpdate};
pub(crate) use slow_mark::{SlowMarkCreate, SlowMarkDelete};
pub(crate) use slow_query_judge::SlowQueryJudge;
pub(crate) use slow_settings::SlowSettingsChange;
pub(crate) use slow_tell::{SlowTell, SlowWeek};
pub(crate) use token::{TokenCreate, TokenDelete, TokenUpdate};
pub(crate) use webhook::{
    WebhookCarryOver, WebhookCreate, WebhookDelete, WebhookEnable, WebhookNote, WebhookPass, WebhookRotate,
    WebhookUpdate,
};

use honcho_store::{Refusal, Scope, StoreResult};

/// Refuses what is asked for in an account that is cancelled: nothing is made in it until it is taken back.
fn refuse_cancelled(problems: &mut problems::Problems, account: Option<&honcho_api::Account>) {
    if account.is_some_and(|account| account.cancelled_at.is_some()) {
        problems.add("account_id", "is cancelled: nothing is made in it until it is restored");
    }
}

/// Refuses what only operators may do.
pub(crate) fn operators_only(scope: Scope) -> StoreResult<()> {
    if scope.is_operator() {
        return Ok(());
    }
    Err(Refusal::Forbidden("only operators may do this".to_owned()).into())
}
