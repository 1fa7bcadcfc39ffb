//! An image of a guest's disk: ordered by its account, read by its host, and sealed as what people upload is
//! (docs/design/0014-capture.md).

use super::guest_move::MOVING;
use super::guest_power::refuse_ended;
use super::image_upload::{ImageUploadRefuse, MOST_PER_ACCOUNT, name_taken, named, record};
use super::problems::Problems;
use super::quotas::{self, Extra};
use super::refuse_cancelled;
use honcho_api::{Image, ImageUpload};
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::{AccountId, Bytes, GuestId, ImageId, ImageUploadId, Name};
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::{self, Desired};
use honcho_store::image_uploads::{self, NewUpload, UploadFrom};
use honcho_store::{Change, Refusal, Scope, StoreError, StoreResult, Tx, accounts, guests, hosts, images};
use honcho_wire::CaptureEnd;
use uuid::Uuid;

/// Has an image made of a guest's disk. The same name again is the same image, until it is one.
pub(crate) struct GuestCapture {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
    pub(crate) uuid: Uuid,
    /// The image's.
    pub(crate) name: Option<String>,
}

fn conflict<T>(why: impl Into<String>) -> StoreResult<T> {
    Err(Refusal::Conflict(why.into()).into())
}

impl Change for GuestCapture {
    type Out = ImageUpload;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImageUpload> {
        let guest = guests_desired::get(tx, self.scope, self.id).await?;
        refuse_ended(&guest)?;
        let mut problems = Problems::default();
        let Some(name) = problems.name(self.name.as_deref()) else { return Err(problems.into()) };
        let open = image_uploads::open().and("guest_id", guest.id);
        if let Some(same) = image_uploads::list(tx, Scope::System, &open).await?.pop() {
            if same.name == name.as_str() {
                return Ok(same);
            }
            return conflict(format!(
                "image {} is made of its disk already (upload {}): wait for that, or give it up",
                same.name, same.id
            ));
        }
        readable(tx, &guest).await?;
        let account = Some(guest.account);
        let owner = problems.found("account_id", accounts::get(tx, Scope::System, guest.account).await)?;
        refuse_cancelled(&mut problems, owner.as_ref());
        if let Some(image) = named(tx, Some(guest.account.0), name.as_str()).await? {
            problems.add("name", name_taken(&image));
        }
        let of_account = image_uploads::open().and("account_id", guest.account);
        let under_way = image_uploads::list(tx, Scope::System, &of_account).await?;
        if let Some(other) = under_way.iter().find(|upload| upload.name == name.as_str()) {
            problems.add("name", format!("is that of an upload which is under way (id {})", other.id));
        }
        if under_way.len() >= MOST_PER_ACCOUNT {
            problems.add("base", format!("{MOST_PER_ACCOUNT} uploads of the account are under way already"));
        }
        problems.none()?;
        // How large it is will be known once it was read.
        quotas::check(tx, guest.account, Extra { images: Bytes(1), ..Extra::default() }).await?;
        let from = UploadFrom::Guest(guest.id);
        let new = NewUpload { uuid: self.uuid, account, name, from, host_kernel: false };
        let id = image_uploads::create(tx, &new).await?;
        let upload = image_uploads::get(tx, Scope::System, id).await?;
        let resource = (ResourceKind::Guest, guest.id.0, guest.name.as_str());
        let text = format!("image {} is to be made of its disk (upload {id})", upload.name);
        events::record(tx, NewEvent::info("guest.capture", resource, text).of(account)).await?;
        Ok(upload)
    }
}

/// Refuses a guest whose disk cannot be read, or not now.
async fn readable(tx: &Tx, guest: &Desired) -> StoreResult<()> {
    if guest.moving {
        return conflict(MOVING);
    }
    let Some(host) = guest.host.filter(|_| guest.existing) else {
        return conflict("it is not made yet, so there is nothing to capture");
    };
    // One that is being stopped is waited for by its host.
    if guest.power == Power::Running && guest.suspended_at.is_none() {
        return conflict(format!(
            "it runs, and its disk changes meanwhile: stop it first (honcho guest stop {} --wait), and start it again afterwards",
            guest.name
        ));
    }
    if !hosts::can(tx, host, honcho_wire::CAPTURES).await? {
        return conflict("the agent of its host reads no disks yet: an operator has to bring it up to date");
    }
    Ok(())
}

/// What its host says at the end. One that has ended already is left as it is.
pub(crate) struct GuestCaptureEnd {
    pub(crate) id: ImageUploadId,
    /// How much of it has come.
    pub(crate) received: u64,
    pub(crate) end: CaptureEnd,
}

/// What a host says of a disk that it cannot read has names of the guest's in it.
const LONGEST_PROBLEM: usize = 2000;

impl Change for GuestCaptureEnd {
    type Out = ImageUpload;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ImageUpload> {
        let upload = image_uploads::get(tx, Scope::System, self.id).await?;
        if upload.ended_at.is_some() || upload.finished_at.is_some() {
            return Ok(upload);
        }
        let refuse = async |problem: String| {
            ImageUploadRefuse { scope: Scope::System, id: self.id, problem }.run(tx).await
        };
        let (size, digest) = match &self.end {
            CaptureEnd::Whole { size, digest } => (*size, *digest),
            CaptureEnd::Impossible { problem } => {
                let clean = problem.chars().map(|c| if c.is_control() { ' ' } else { c });
                return refuse(clean.take(LONGEST_PROBLEM).collect()).await;
            }
        };
        if self.received < size.0 {
            return conflict(format!("{} of {} bytes have come: send the rest", self.received, size.0));
        }
        if self.received > size.0 {
            return refuse("its disk changed while it was read: capture it again".to_owned()).await;
        }
        if let Some(account) = upload.account_id.map(AccountId) {
            match quotas::check(tx, account, Extra { images: size, ..Extra::default() }).await {
                Ok(()) => {}
                Err(StoreError::Refused(Refusal::Invalid(errors))) => {
                    let texts: Vec<String> = errors.into_values().flatten().collect();
                    return refuse(format!("its {} bytes: {}", size.0, texts.join("; "))).await;
                }
                Err(error) => return Err(error),
            }
        }
        image_uploads::measured(tx, self.id, size, digest).await?;
        image_uploads::finish(tx, self.id).await?;
        record(tx, "image_upload.finish", &upload, "was read off its guest's disk, and is sealed").await?;
        image_uploads::get(tx, Scope::System, self.id).await
    }
}

/// What is being made of a guest's disk. What has come whole needs the guest no more.
async fn being_read(tx: &Tx, guest: GuestId) -> StoreResult<Vec<ImageUpload>> {
    let mut open =
        image_uploads::list(tx, Scope::System, &image_uploads::open().and("guest_id", guest)).await?;
    open.retain(|upload| upload.finished_at.is_none());
    Ok(open)
}

/// Whether the host of a guest is to read its disk.
pub(super) async fn is_read(tx: &Tx, guest: GuestId) -> StoreResult<bool> {
    Ok(!being_read(tx, guest).await?.is_empty())
}

/// Gives up what is to be made of a guest's disk.
pub(super) async fn give_up(tx: &Tx, guest: GuestId, why: &str) -> StoreResult<()> {
    for upload in being_read(tx, guest).await? {
        let (id, problem) = (ImageUploadId(upload.id), why.to_owned());
        ImageUploadRefuse { scope: Scope::System, id, problem }.run(tx).await?;
    }
    Ok(())
}

/// Where an image comes from that was captured, in the words of a recipe: what it was made from is built upon, and what was changed
/// since no recipe says.
pub(super) async fn provenance(tx: &Tx, guest: i64, name: &Name) -> StoreResult<String> {
    let guest = guests::get(tx, Scope::System, GuestId(guest), tx.now).await?;
    let when = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
    let mut text = format!(
        "# Captured from the disk of guest {} (id {}, {}) on {}.\n# What was changed there no recipe says: this is what the guest was made from.\nname = \"{name}\"\n",
        guest.name,
        guest.id,
        guest.uuid,
        when.strftime("%Y-%m-%d")
    );
    let base: Option<Image> = match images::get(tx, Scope::System, ImageId(guest.image_id)).await {
        Ok(image) => Some(image),
        Err(StoreError::Refused(Refusal::NotFound(_))) => None,
        Err(error) => return Err(error),
    };
    let from = base.map_or_else(
        || "# (an image that is deleted)\n".to_owned(),
        |image| {
            let digest: String = image.digest.chars().take(12).collect();
            format!("from = \"{}@{digest}\"\n", image.name)
        },
    );
    text.push_str(&from);
    Ok(text)
}
