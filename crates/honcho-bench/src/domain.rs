//! What libvirt says of domains, asked finely; and `virsh create`, as a person would run it.

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::{Domain, DomainState};

/// How often libvirt is asked whether a domain runs: a hundredth of what starting one takes.
const INTERVAL: Duration = Duration::from_millis(2);

/// The libvirt of `./run`, if it started one of its own here.
const PRIVATE_SOCKET: &str = "var/libvirt/run/libvirt/libvirt-sock";

/// A connection to libvirtd. Its calls block, but for milliseconds, and nothing else is to be done meanwhile.
pub(crate) struct Libvirt {
    uri: String,
    connect: Connect,
}

impl Libvirt {
    /// Connects to the libvirtd at `uri`; to that of `./run` or of this machine when none is given.
    pub(crate) fn open(uri: Option<&str>) -> Result<Libvirt> {
        let uri = match uri {
            Some(uri) => uri.to_owned(),
            None => usual_uri()?,
        };
        let connect = Connect::open(Some(&uri)).with_context(|| {
            format!("no libvirtd answers at {uri}: give --libvirt URI, as the agent was given")
        })?;
        Ok(Libvirt { uri, connect })
    }

    /// Where it is.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether that domain runs.
    pub(crate) fn runs(&self, uuid: Uuid) -> Result<bool> {
        // One that is not there yet does not run; that libvirtd went away is told by the other call.
        let Ok(domain) = self.connect.lookup_domain_by_uuid(uuid) else {
            self.connect.lib_version().with_context(|| format!("libvirtd at {} went away", self.uri))?;
            return Ok(false);
        };
        let state = domain.state().map(|(state, _)| state);
        Ok(state.is_ok_and(|state| state.is_known_and(|state| state == DomainState::Running)))
    }

    /// Waits until that domain runs, and gives the time since `begun`.
    pub(crate) async fn until_running(&self, uuid: Uuid, begun: Instant) -> Result<Duration> {
        while !self.runs(uuid)? {
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(begun.elapsed())
    }

    /// The XML that would create that domain again.
    pub(crate) fn description(&self, uuid: Uuid) -> Result<String> {
        let domain = self.connect.lookup_domain_by_uuid(uuid);
        let domain =
            domain.with_context(|| format!("libvirt at {} has no domain {uuid} any more", self.uri))?;
        Ok(domain.xml_desc(virt_sys::VIR_DOMAIN_XML_INACTIVE)?)
    }

    /// Ends every domain whose name begins so.
    pub(crate) fn end_all(&self, prefix: &str) -> Result<()> {
        for domain in self.connect.list_all_domains(0)? {
            let name = domain.name()?;
            if name.starts_with(prefix) {
                end(&domain)
                    .with_context(|| format!("domain {name} cannot be ended: virsh destroy {name}"))?;
            }
        }
        Ok(())
    }

    /// Runs `virsh create` and gives the time until that domain runs.
    pub(crate) async fn virsh_create(&self, file: &Path, uuid: Uuid) -> Result<Duration> {
        let begun = Instant::now();
        let mut virsh = tokio::process::Command::new("virsh");
        virsh.args(["--connect", &self.uri, "create"]).arg(file).stdin(Stdio::null());
        let ended = virsh.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).output();
        let running = self.until_running(uuid, begun);
        tokio::pin!(ended, running);
        let mut took = None;
        loop {
            tokio::select! {
                time = &mut running, if took.is_none() => took = Some(time?),
                output = &mut ended => {
                    let output = output.context("virsh cannot be run (it is in libvirt-clients)")?;
                    if !output.status.success() {
                        bail!("virsh create: {}", String::from_utf8_lossy(&output.stderr).trim());
                    }
                    return match took {
                        Some(time) => Ok(time),
                        None => running.await,
                    };
                }
            }
        }
    }

    /// Versions, as in "libvirt 9.0.0, QEMU 10.0.2".
    pub(crate) fn versions(&self) -> Result<String> {
        let words =
            |number: u32| format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000);
        Ok(format!(
            "libvirt {}, {} {}",
            words(self.connect.lib_version()?),
            self.connect.driver_type()?,
            words(self.connect.hyp_version()?)
        ))
    }
}

fn end(domain: &Domain) -> Result<()> {
    match domain.destroy() {
        // It ended by itself meanwhile.
        Err(_) if domain.info().is_err() => Ok(()),
        ended => Ok(ended?),
    }
}

fn usual_uri() -> Result<String> {
    let socket = Path::new(PRIVATE_SOCKET);
    if !socket.exists() {
        return Ok("qemu:///system".to_owned());
    }
    let socket = socket.canonicalize()?;
    Ok(format!("qemu+unix:///system?socket={}", socket.display()))
}
