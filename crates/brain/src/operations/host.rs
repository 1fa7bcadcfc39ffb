//! Hosts: add, join, rejoin, freeze, delete.

use super::host_update::{attributes, record_change};
use super::operators_only;
use super::problems::Problems;
use honcho_api::Host;
use honcho_model::HostId;
use honcho_model::event::ResourceKind;
use honcho_store::events::{self, NewEvent};
use honcho_store::reports::ApplyReport;
use honcho_store::{Change, Refusal, Scope, StoreResult, Turn, Tx, host_places, hosts};
use honcho_wire::ReportAnswer;
use std::time::Duration;
use uuid::Uuid;

/// How long a join token is good for.
const JOIN_TOKEN_LASTS: Duration = Duration::from_hours(24);

/// What an agent joins with: `HOSTID.SECRET.CAFINGERPRINT`.
pub(crate) struct JoinToken {
    pub(crate) host: HostId,
    secret: String,
    ca_fingerprint: String,
}

impl JoinToken {
    pub(crate) fn new(host: HostId, secret: &str, ca_fingerprint: &str) -> Self {
        JoinToken { host, secret: secret.to_owned(), ca_fingerprint: ca_fingerprint.to_owned() }
    }

    /// Reads one; `None` when the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        let (host, secret, ca) = (parts.next()?, parts.next()?, parts.next()?);
        let token = JoinToken::new(host.parse().ok()?, secret, ca);
        parts.next().is_none().then_some(token)
    }

    pub(crate) fn text(&self) -> String {
        format!("{}.{}.{}", self.host, self.secret, self.ca_fingerprint)
    }

    pub(crate) fn hash(&self) -> String {
        crate::app::hash_secret(&self.secret)
    }
}

async fn record(tx: &Tx, kind: &str, id: HostId, name: &str, text: &str) -> StoreResult<()> {
    events::record(tx, NewEvent::info(kind, (ResourceKind::Host, id.0, name), text)).await?;
    Ok(())
}

/// Adds a host, which waits for its agent.
pub(crate) struct HostAdd {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) secret: String,
    pub(crate) ca_fingerprint: String,
    pub(crate) body: honcho_api::HostCreate,
}

impl Change for HostAdd {
    type Out = Host;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Host> {
        operators_only(self.scope)?;
        let host = add(tx, self.uuid, &self.body, "was added; its agent may join").await?;
        let id = HostId(host.id);
        let token = JoinToken::new(id, &self.secret, &self.ca_fingerprint);
        hosts::offer_join(tx, id, &token.hash(), tx.now.plus(JOIN_TOKEN_LASTS)).await?;
        Ok(Host { join_token: Some(token.text()), ..host })
    }
}

/// Adds a host as it is written down; its agent cannot join yet.
pub(crate) async fn add(
    tx: &Tx,
    uuid: Uuid,
    body: &honcho_api::HostCreate,
    words: &str,
) -> StoreResult<Host> {
    let mut problems = Problems::default();
    let new = attributes(tx, body, None, &mut problems).await?;
    let Some(new) = new else { return Err(problems.into()) };
    problems.none()?;
    let id = hosts::create(tx, uuid, &new.name).await?;
    host_places::update(tx, id, &new).await?;
    let host = hosts::get(tx, id, tx.now).await?;
    record_change(tx, "host.add", None, &host, words).await?;
    Ok(host)
}

/// Ends a host's certificate and gives it a new join token; it keeps its id.
pub(crate) struct HostOfferJoin {
    pub(crate) scope: Scope,
    pub(crate) id: HostId,
    pub(crate) secret: String,
    pub(crate) ca_fingerprint: String,
}

impl Change for HostOfferJoin {
    type Out = Host;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Host> {
        operators_only(self.scope)?;
        let host = hosts::get(tx, self.id, tx.now).await?;
        let token = JoinToken::new(self.id, &self.secret, &self.ca_fingerprint);
        hosts::offer_join(tx, self.id, &token.hash(), tx.now.plus(JOIN_TOKEN_LASTS)).await?;
        record(tx, "host.rejoin", self.id, &host.name, "its certificate was ended; its agent may join anew")
            .await?;
        Ok(Host { join_token: Some(token.text()), ..host })
    }
}

/// Uses a join token up and binds its host to a certificate.
pub(crate) struct HostJoin {
    pub(crate) token: JoinToken,
    pub(crate) fingerprint: String,
    pub(crate) dmi_uuid: Option<String>,
    pub(crate) machine_id: Option<String>,
}

impl Change for HostJoin {
    /// The host's name; `None` when the token is good for nothing.
    type Out = Option<String>;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Option<String>> {
        let (dmi, machine) = (self.dmi_uuid.as_deref(), self.machine_id.as_deref());
        let Some(joining) = hosts::join(tx, self.token.host, &self.token.hash(), dmi, machine).await? else {
            return Ok(None);
        };
        hosts::bind_certificate(tx, joining.id, &self.fingerprint).await?;
        record(tx, "host.join", joining.id, &joining.name, "its agent has joined").await?;
        Ok(Some(joining.name))
    }
}

/// Binds a host to a renewed certificate, beside the one it shows. `false` when that was revoked meanwhile: a renewal
/// under way must not outlive a rejoin.
pub(crate) struct HostRenewCertificate {
    pub(crate) id: HostId,
    pub(crate) shown: String,
    pub(crate) next: String,
}

impl Change for HostRenewCertificate {
    type Out = bool;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<bool> {
        hosts::bind_next_certificate(tx, self.id, &self.shown, &self.next).await
    }
}

/// Ends the certificate before a renewed one, now that the renewed one is used. `false` when that was revoked meanwhile.
pub(crate) struct HostUseCertificate {
    pub(crate) id: HostId,
    pub(crate) shown: String,
}

impl Change for HostUseCertificate {
    type Out = bool;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<bool> {
        hosts::use_next_certificate(tx, self.id, &self.shown).await
    }
}

/// Applies a report, unless the certificate that it came under was revoked while it waited.
pub(crate) struct HostReport {
    pub(crate) certificate: String,
    pub(crate) report: ApplyReport,
}

impl Change for HostReport {
    type Out = ReportAnswer;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ReportAnswer> {
        if is_proven(tx, self.report.host, &self.certificate).await? {
            self.report.run(tx).await
        } else {
            Err(Refusal::Forbidden("this certificate was revoked meanwhile".to_owned()).into())
        }
    }
}

async fn is_proven(tx: &Tx, id: HostId, certificate: &str) -> StoreResult<bool> {
    Ok(hosts::by_certificate(tx, certificate).await?.is_some_and(|proven| proven.id == id))
}

/// Freezes a host whose certificate two agents or two machines use; one that was revoked meanwhile freezes nothing.
pub(crate) struct HostFreeze {
    pub(crate) id: HostId,
    pub(crate) name: String,
    pub(crate) certificate: String,
    pub(crate) reason: String,
}

impl Change for HostFreeze {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        if is_proven(tx, self.id, &self.certificate).await?
            && hosts::freeze(tx, self.id, &self.reason).await?
        {
            let resource = (ResourceKind::Host, self.id.0, self.name.as_str());
            events::record(tx, NewEvent::info("host.frozen", resource, self.reason.clone()).alarm()).await?;
        }
        Ok(())
    }
}

/// Deletes a host that holds nothing.
pub(crate) struct HostDelete {
    pub(crate) scope: Scope,
    pub(crate) id: HostId,
}

impl Change for HostDelete {
    type Out = Host;
    // A guest may be on its way there.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Host> {
        operators_only(self.scope)?;
        let host = hosts::get(tx, self.id, tx.now).await?;
        hosts::delete(tx, self.id).await?;
        record(tx, "host.delete", self.id, &host.name, "was deleted").await?;
        Ok(host)
    }
}
