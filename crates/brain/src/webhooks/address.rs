//! Where a webhook may be sent to. A name is resolved by ourselves, each of its addresses is looked at, and the
//! connection goes to one of the addresses that were looked at: at each attempt anew, so that a name that changes its
//! mind between two looks gains nothing.

use futures::future::BoxFuture;
use honcho_model::address::{carried, not_global};
use honcho_store::{Store, StoreResult, webhooks};
use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// How names become addresses.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// What is allowed, and what is ours.
#[derive(Clone)]
pub(crate) struct Guard {
    store: Store,
    allowed: Arc<[IpNet]>,
    own: Arc<[IpAddr]>,
    lookup: Lookup,
}

/// What of an URL can be judged without looking anything up; the reason reads as the end of "url …".
pub(crate) fn check_url(text: &str, allow_http: bool) -> Result<Url, String> {
    if text.len() > 2000 {
        return Err("must have 2000 characters at most".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            return Err("must begin with https: (an operator may allow http: for one webhook)".to_owned());
        }
        _ => return Err("must begin with https:".to_owned()),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name or password: the signature says who sends".to_owned());
    }
    Ok(url)
}

/// The address that stands in an URL instead of a name, however it is written (`127.1`, `0x7f000001`, `[::1]`).
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Why nothing is sent to `address`, if nothing is. `ours` are our own networks; what an operator allowed goes first.
pub(super) fn refused(address: IpAddr, allowed: &[IpNet], ours: &[IpNet]) -> Option<&'static str> {
    let address = address.to_canonical();
    if allowed.iter().any(|net| net.contains(&address)) {
        return None;
    }
    let inner = match address {
        IpAddr::V6(six) => carried(six).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    let own = |address: &IpAddr| ours.iter().any(|net| net.contains(address));
    not_global(address).or_else(|| {
        (own(&address) || inner.is_some_and(|inner| own(&inner))).then_some("one of our own networks")
    })
}

/// Whether an address is this machine's: only those can be bound.
fn is_this_machines(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

impl Guard {
    /// `own` are addresses that the brain is reached at, `allowed` what an operator permits in spite of all.
    pub(crate) fn new(store: Store, allowed: &[IpNet], own: &[IpAddr], lookup: Lookup) -> Self {
        Guard { store, allowed: allowed.into(), own: own.into(), lookup }
    }

    /// Names as this machine resolves them.
    pub(crate) fn system_lookup() -> Lookup {
        Arc::new(|name| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        })
    }

    async fn ours(&self) -> StoreResult<Vec<IpNet>> {
        let subnets = webhooks::own_subnets(self.store.reader()).await?;
        let mut ours: Vec<IpNet> = subnets.iter().filter_map(|subnet| subnet.parse().ok()).collect();
        ours.extend(self.own.iter().copied().map(IpNet::from));
        Ok(ours)
    }

    fn check(&self, address: IpAddr, ours: &[IpNet]) -> Result<(), String> {
        let this_machine = || {
            let allowed = self.allowed.iter().any(|net| net.contains(&address.to_canonical()));
            (!allowed && is_this_machines(address)).then_some("the brain's own machine")
        };
        match refused(address, &self.allowed, ours).or_else(this_machine) {
            Some(why) => Err(format!("nothing is sent to {address}: {why}")),
            None => Ok(()),
        }
    }

    /// Looks at an URL whose host is an address; names are looked at when they are resolved.
    pub(crate) async fn check_literal(&self, url: &Url) -> Result<(), String> {
        let Some(address) = literal(url) else { return Ok(()) };
        let ours = self.ours().await.map_err(|error| error.to_string())?;
        self.check(address, &ours)
    }

    /// The addresses of a name, if all of them may be sent to.
    pub(super) async fn resolve_checked(&self, name: String) -> Result<Vec<IpAddr>, String> {
        let found =
            (self.lookup)(name.clone()).await.map_err(|error| format!("{name} does not resolve: {error}"))?;
        if found.is_empty() {
            return Err(format!("{name} has no address"));
        }
        let ours = self.ours().await.map_err(|error| error.to_string())?;
        for address in &found {
            self.check(*address, &ours).map_err(|why| format!("{why} ({name} resolves to it)"))?;
        }
        Ok(found)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.resolve_checked(name.as_str().to_owned()).await?;
            // The port is filled in by whoever connects.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
