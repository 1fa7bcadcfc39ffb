//! How this machine becomes a host: a join token is turned into a certificate.

use crate::brain::{refusal, with_causes};
use crate::durable;
use crate::identity::{Identity, certificate_request, new_private_key};
use crate::machine::MachineIds;
use crate::tls;
use anyhow::{Context as _, bail};
use honcho_model::HostId;
use honcho_wire::{JoinAnswer, JoinRequest, PROTOCOL};
use std::path::Path;
use std::time::Duration;

/// A join token, as `honcho host add` printed it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The whole of it.
    text: String,
    /// The host that it is for.
    pub host: HostId,
    /// The fingerprint of the brain's CA.
    pub fingerprint: String,
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinToken(host {})", self.host)
    }
}

impl std::str::FromStr for JoinToken {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || "is no join token: copy the whole line that `honcho host add` printed".to_owned();
        let text = text.trim();
        let [host, secret, fingerprint] =
            text.split('.').collect::<Vec<_>>().try_into().map_err(|_| error())?;
        let host = host.parse().map_err(|_| error())?;
        let hexadecimal = fingerprint.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if secret.is_empty() || fingerprint.len() != 64 || !hexadecimal {
            return Err(error());
        }
        Ok(JoinToken { text: text.to_owned(), host, fingerprint: fingerprint.to_owned() })
    }
}

/// Joins, and keeps the identity in `data`.
pub async fn join(brain: &str, token: &JoinToken, data: &Path) -> anyhow::Result<Identity> {
    // A damaged identity is mended by joining again; what it had kept for another brain is set aside when the agent runs.
    let joined = Identity::load(data).ok().flatten();
    if let Some(identity) = &joined {
        may_join_again(identity, token, data)?;
    }
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    // Kept before it is sent: a join that was interrupted goes on with the same key.
    let key_path = data.join("joining.key");
    let kept = durable::read(&key_path)?.and_then(|contents| String::from_utf8(contents).ok());
    let private_key = match kept {
        Some(key) if certificate_request(&key).is_ok() => key,
        _ => {
            let key = new_private_key()?;
            durable::replace(&key_path, key.as_bytes())
                .with_context(|| format!("cannot write {}", key_path.display()))?;
            key
        }
    };
    let identity = join_with(brain, token, private_key, MachineIds::of_this_machine()).await?;
    if let Some(joined) = joined.filter(|joined| joined.brain != identity.brain) {
        bail!(of_another_brain(&joined, data));
    }
    identity.save(data)?;
    std::fs::remove_file(&key_path).with_context(|| format!("cannot remove {}", key_path.display()))?;
    Ok(identity)
}

/// Joins with a key, and keeps nothing.
pub async fn join_with(
    brain: &str,
    token: &JoinToken,
    private_key: String,
    machine: MachineIds,
) -> anyhow::Result<Identity> {
    let request = JoinRequest {
        token: token.text.clone(),
        certificate_request: certificate_request(&private_key)?,
        dmi_uuid: machine.dmi_uuid,
        machine_id: machine.machine_id,
    };
    let answer = ask(brain, token, &request).await?;
    identity(answer, token, private_key)
}

/// A rejoin of the same host at the same brain is fine; anything else would go on with what another brain wanted.
fn may_join_again(identity: &Identity, token: &JoinToken, data: &Path) -> anyhow::Result<()> {
    let authority = tls::certificate_of_pem(&identity.ca_certificate);
    if authority.map_or(true, |authority| tls::fingerprint(&authority) != token.fingerprint) {
        bail!(of_another_brain(identity, data));
    }
    if identity.host_id != token.host {
        bail!(
            "this machine is already host {} ({}): to make it another one, first drain and remove that one, then \
             delete {}",
            identity.host_id,
            identity.host_name,
            data.display()
        );
    }
    Ok(())
}

fn of_another_brain(identity: &Identity, data: &Path) -> String {
    format!(
        "this machine is already host {} ({}) of another brain ({} at {}), and {} holds what that one wanted: end the \
         guests it has here, then `honcho-agent leave` and delete {}; or give another --data to keep both",
        identity.host_id,
        identity.host_name,
        identity.brain,
        identity.agents_address,
        data.display(),
        data.display()
    )
}

async fn ask(brain: &str, token: &JoinToken, request: &JoinRequest) -> anyhow::Result<JoinAnswer> {
    let url = reqwest::Url::parse(&format!("{}/v1/join", brain.trim_end_matches('/')))
        .with_context(|| format!("\"{brain}\" is no URL: write it as in http://127.0.0.1:7070"))?;
    let loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            address.is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        bail!("the token would travel in the clear to {url}: use https, or http on loopback only");
    }
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::pinned(&token.fingerprint)?)
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .build()?;
    let sent = client.post(url).header("honcho-protocol", PROTOCOL).json(request).send().await;
    let response = sent.map_err(|error| {
        anyhow::anyhow!(
            "the brain cannot be reached: {}; is `honcho serve` running at {brain}?",
            with_causes(&error)
        )
    })?;
    if !response.status().is_success() {
        bail!(refusal(response).await);
    }
    response.json().await.context("the brain's answer cannot be understood: are both of the same release?")
}

fn identity(answer: JoinAnswer, token: &JoinToken, private_key: String) -> anyhow::Result<Identity> {
    let authority = tls::certificate_of_pem(&answer.ca_certificate)?;
    if tls::fingerprint(&authority) != token.fingerprint {
        bail!("the brain that answered is not the one that made this token (its CA has another fingerprint)");
    }
    if answer.host_id != token.host {
        bail!("the brain answered for host {}, and the token is for host {}", answer.host_id, token.host);
    }
    let identity = Identity {
        host_id: answer.host_id,
        host_name: answer.host_name,
        brain: answer.brain,
        agents_address: answer.agents_address,
        ca_certificate: answer.ca_certificate,
        certificate: answer.certificate,
        private_key,
    };
    tls::mutual(&identity).context("the certificate that the brain gave is unusable")?;
    Ok(identity)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_checked_before_they_are_sent() {
        let fingerprint = "ab".repeat(32);
        let token: JoinToken = format!(" 7.secret.{fingerprint}\n").parse().unwrap();
        assert_eq!((token.host, token.fingerprint.clone()), (HostId(7), fingerprint.clone()));
        assert_eq!(format!("{token:?}"), "JoinToken(host 7)");
        for bad in
            ["", "7.secret", &format!("x.secret.{fingerprint}"), &format!("7..{fingerprint}"), "7.s.abc"]
        {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }

    fn authority() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap()
    }

    fn token(host: i64, authority: &rcgen::Certificate) -> JoinToken {
        format!("{host}.secret.{}", tls::fingerprint(authority.der())).parse().unwrap()
    }

    #[tokio::test]
    async fn a_machine_joins_again_only_as_the_same_host_of_the_same_brain() {
        let (ours, theirs) = (authority(), authority());
        let data = tempfile::tempdir().unwrap();
        let identity = Identity {
            host_id: HostId(7),
            host_name: "rack1-7".into(),
            brain: uuid::Uuid::from_u128(1),
            agents_address: "127.0.0.1:7071".into(),
            ca_certificate: ours.pem(),
            certificate: String::new(),
            private_key: String::new(),
        };
        identity.save(data.path()).unwrap();
        let refusal = async |token: JoinToken| {
            // Nothing listens there: what is not refused before fails by that.
            join("http://127.0.0.1:1", &token, data.path()).await.unwrap_err().to_string()
        };
        let other_brain = refusal(token(7, &theirs)).await;
        assert!(other_brain.contains("of another brain"), "{other_brain}");
        let other_host = refusal(token(8, &ours)).await;
        assert!(other_host.contains("already host 7"), "{other_host}");
        assert!(!data.path().join("joining.key").exists(), "a refused join leaves nothing behind");
        let same = refusal(token(7, &ours)).await;
        assert!(same.contains("cannot be reached"), "{same}");
    }
}
