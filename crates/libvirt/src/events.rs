//! libvirt's events, which the `virt` crate has no safe calls for.
//!
//! It has `unsafe` (as `domain_stats` has, and no other module): registering a callback needs a C function, a pointer that C keeps for us, and a
//! function that gives the pointer back. All that a callback does is to raise a number in a watch channel: events are
//! a reason to look, and what is true is always read anew.
#![allow(unsafe_code)]

use std::os::raw::{c_int, c_void};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::watch;
use virt::connect::Connect;
use virt::error::Error;

/// Starts libvirt's own event loop, once per process. It has to run before the first connection is opened: events
/// come by it.
pub(crate) fn start_event_loop() -> Result<(), String> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    STARTED
        .get_or_init(|| {
            virt::error::clear_error_callback();
            virt::event::event_register_default_impl().map_err(|error| error.to_string())?;
            std::thread::Builder::new()
                .name("libvirt-events".to_owned())
                .spawn(run_event_loop)
                .map(drop)
                .map_err(|error| format!("the thread for libvirt's events could not start: {error}"))
        })
        .clone()
}

fn run_event_loop() {
    loop {
        if let Err(error) = virt::event::event_run_default_impl() {
            tracing::warn!(%error, "libvirt's event loop stumbled; going on");
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// A connection's subscription to what happens to its domains. Ends when dropped.
pub(crate) struct Subscription {
    // Keeps the connection alive as long as its callback is registered.
    connect: Connect,
    callback: c_int,
}

impl Subscription {
    /// Raises `changes` at every change of any domain.
    pub(crate) fn new(connect: &Connect, changes: &watch::Sender<u64>) -> Result<Self, Error> {
        let opaque = Box::into_raw(Box::new(changes.clone()));
        // SAFETY: libvirt declares every callback by one generic type and calls it by the signature that belongs to
        // the event's number; `on_lifecycle` has the one of VIR_DOMAIN_EVENT_ID_LIFECYCLE
        // (virConnectDomainEventCallback), so the transmute undoes libvirt's own cast (VIR_DOMAIN_EVENT_CALLBACK).
        let callback = unsafe {
            std::mem::transmute::<
                LifecycleCallback,
                unsafe extern "C" fn(virt_sys::virConnectPtr, virt_sys::virDomainPtr, *mut c_void),
            >(on_lifecycle)
        };
        // SAFETY: the connection is live for as long as `connect` is borrowed, and kept by the clone below afterwards.
        // `opaque` comes from `Box::into_raw` and is freed exactly once: by `free_sender`, which libvirt calls when the
        // callback is removed or the connection ends, or below if registering failed.
        let registered = unsafe {
            virt_sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                std::ptr::null_mut(),
                c_int::try_from(virt_sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE).unwrap_or_default(),
                Some(callback),
                opaque.cast(),
                Some(free_sender),
            )
        };
        if registered < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt does not take the pointer when it refuses to register.
            drop(unsafe { Box::from_raw(opaque) });
            return Err(error);
        }
        Ok(Subscription { connect: connect.clone(), callback: registered })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // SAFETY: the connection is live (`self.connect` holds a reference) and the number is one it gave us. On a
        // connection that is broken the call fails after having removed the callback here, which is all that is wanted.
        unsafe { virt_sys::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), self.callback) };
    }
}

type LifecycleCallback =
    unsafe extern "C" fn(virt_sys::virConnectPtr, virt_sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;

unsafe extern "C" fn on_lifecycle(
    _connect: virt_sys::virConnectPtr,
    _domain: virt_sys::virDomainPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: `opaque` is the boxed sender given at registration; libvirt calls `free_sender` only after the last call
    // of this function has returned, and a shared reference is all that is made of it here.
    let changes = unsafe { &*opaque.cast::<watch::Sender<u64>>() };
    changes.send_modify(|count| *count = count.wrapping_add(1));
    0
}

unsafe extern "C" fn free_sender(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once per registration, with the pointer from `Box::into_raw`.
    drop(unsafe { Box::from_raw(opaque.cast::<watch::Sender<u64>>()) });
}
