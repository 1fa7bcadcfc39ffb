//! How a machine becomes a host: a join token is turned into a certificate.

use honcho_model::HostId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The body of `POST /v1/join`. The private key stays on the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The join token, as `honcho host add` printed it: `HOSTID.SECRET.CAFINGERPRINT`.
    pub token: String,
    /// A PKCS#10 certificate request, PEM. Only its public key is used; the brain sets every name.
    pub certificate_request: String,
    /// The machine's DMI product uuid, if it has one.
    pub dmi_uuid: Option<String>,
    /// `/etc/machine-id`, if there is one.
    pub machine_id: Option<String>,
}

/// The answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// The id the machine now has.
    pub host_id: HostId,
    /// The host's name, for people.
    pub host_name: String,
    /// Which brain this is; written into everything the agent makes.
    pub brain: Uuid,
    /// The client certificate, PEM.
    pub certificate: String,
    /// The brain's CA certificate, PEM. The agent checks it against the token's fingerprint.
    pub ca_certificate: String,
    /// Where agents are heard: `HOST:PORT`. The server's certificate is for [`BRAIN_SERVER_NAME`].
    pub agents_address: String,
}

/// The body of `POST /agent/renew`: a new certificate for the same host, asked for with the old one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// A PKCS#10 certificate request, PEM.
    pub certificate_request: String,
}

/// The answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// The new client certificate, PEM. The old one stays good until the new one is first used.
    pub certificate: String,
}

/// The DNS name in the brain's certificates: agents look for this name at whatever address they were given.
pub const BRAIN_SERVER_NAME: &str = "brain.honcho.internal";
