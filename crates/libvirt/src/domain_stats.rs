//! What domains have taken so far, of all of them by one call, which the `virt` crate has no safe way for.
//!
//! The module has `unsafe` for one list that libvirt gives and takes back: it is copied into names and numbers at once, and
//! nothing of libvirt's leaves this module.
#![allow(unsafe_code)]

use honcho_agent_lib::sampling::taken::Counters;
use honcho_model::Bytes;
use std::ffi::CStr;
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::Error;

/// What is asked for.
const GROUPS: u32 = virt_sys::VIR_DOMAIN_STATS_CPU_TOTAL
    | virt_sys::VIR_DOMAIN_STATS_BALLOON
    | virt_sys::VIR_DOMAIN_STATS_VCPU
    | virt_sys::VIR_DOMAIN_STATS_INTERFACE
    | virt_sys::VIR_DOMAIN_STATS_BLOCK;

/// Of domains that run, and without waiting for one that is just being changed: of such a one less is told.
const FLAGS: u32 =
    virt_sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | virt_sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;

/// A list of libvirt's, which goes back to it.
struct Records {
    first: *mut virt_sys::virDomainStatsRecordPtr,
    count: usize,
}

impl Drop for Records {
    fn drop(&mut self) {
        // SAFETY: the list comes from virConnectGetAllDomainStats, is freed here and nowhere else, and nothing borrowed from
        // it outlives this value.
        unsafe { virt_sys::virDomainStatsRecordListFree(self.first) };
    }
}

impl Records {
    fn of(connect: &Connect, groups: u32) -> Result<Self, Error> {
        let mut first = std::ptr::null_mut();
        // SAFETY: the connection is live while it is borrowed; `first` is where libvirt writes where its list is.
        let count =
            unsafe { virt_sys::virConnectGetAllDomainStats(connect.as_ptr(), groups, &raw mut first, FLAGS) };
        match usize::try_from(count) {
            Ok(count) => Ok(Records { first, count }),
            Err(_) => Err(Error::last_error()),
        }
    }

    fn records(&self) -> &[virt_sys::virDomainStatsRecordPtr] {
        if self.first.is_null() {
            return &[];
        }
        // SAFETY: libvirt has said that so many pointers stand there, and they stay until the list is freed.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

/// The uuid of a record's domain, and the numbers in it.
fn read(record: virt_sys::virDomainStatsRecordPtr) -> Option<(Uuid, Vec<(String, u64)>)> {
    let mut uuid = [0_u8; virt_sys::VIR_UUID_BUFLEN as usize];
    // SAFETY: every pointer of the list is to a record that lives as long as the list, its domain is live as long, and
    // the buffer is as large as a uuid.
    let (record, told) = unsafe {
        let record = record.as_ref()?;
        (record, virt_sys::virDomainGetUUID(record.dom, uuid.as_mut_ptr()))
    };
    let count = usize::try_from(record.nparams).unwrap_or(0);
    if told < 0 || (record.params.is_null() && count > 0) {
        return None;
    }
    let parameters = if count == 0 {
        &[]
    } else {
        // SAFETY: so many parameters stand there, as long as the record does.
        unsafe { std::slice::from_raw_parts(record.params, count) }
    };
    let numbers = parameters.iter().filter_map(|parameter| {
        // SAFETY: libvirt ends every name with a zero within its 80 bytes.
        let name = unsafe { CStr::from_ptr(parameter.field.as_ptr()) };
        // SAFETY: the field of the union that is read is the one that the type names.
        let number = unsafe {
            match u32::try_from(parameter.type_).ok()? {
                virt_sys::VIR_TYPED_PARAM_ULLONG => parameter.value.ul,
                virt_sys::VIR_TYPED_PARAM_UINT => parameter.value.ui.into(),
                virt_sys::VIR_TYPED_PARAM_LLONG => u64::try_from(parameter.value.l).ok()?,
                virt_sys::VIR_TYPED_PARAM_INT => u64::try_from(parameter.value.i).ok()?,
                _ => return None,
            }
        };
        Some((name.to_string_lossy().into_owned(), number))
    });
    Some((Uuid::from_bytes(uuid), numbers.collect()))
}

/// What each domain that runs has taken.
pub(crate) fn counters(connect: &Connect) -> Result<Vec<(Uuid, Counters)>, Error> {
    let records = Records::of(connect, GROUPS)?;
    let read = records.records().iter().filter_map(|record| read(*record));
    Ok(read.map(|(uuid, numbers)| (uuid, counted(&numbers))).collect())
}

/// Adds up what stands under `vcpu.N.time`, `block.N.rd.bytes` and so on.
fn counted(numbers: &[(String, u64)]) -> Counters {
    let alone = |name: &str| numbers.iter().find(|(known, _)| known == name).map(|(_, number)| *number);
    let sum = |group: &str, what: &str| {
        let of_group = numbers.iter().filter_map(|(name, number)| {
            let (place, rest) = name.strip_prefix(group)?.split_once('.')?;
            (rest == what && place.parse::<u32>().is_ok()).then_some(*number)
        });
        of_group.reduce(u64::saturating_add)
    };
    Counters {
        // Where libvirt has no cgroup of the domain's, it tells of its processors alone.
        cpu_ns: alone("cpu.time").or_else(|| sum("vcpu.", "time")),
        memory: alone("balloon.rss").map(|kilobytes| Bytes(kilobytes.saturating_mul(1024))),
        disk_read: sum("block.", "rd.bytes"),
        disk_written: sum("block.", "wr.bytes"),
        disk_reads: sum("block.", "rd.reqs"),
        disk_writes: sum("block.", "wr.reqs"),
        // Seen from the tap: what the host receives is what the guest sends, and libvirt has turned that round already.
        received: sum("net.", "rx.bytes"),
        sent: sum("net.", "tx.bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[(&str, u64)], expected: Counters) {
        let numbers: Vec<(String, u64)> =
            numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        assert_eq!(counted(&numbers), expected);
    }

    #[test]
    fn disks_cards_and_processors_are_added_up() {
        check(&[], Counters::default());
        let told = [
            ("vcpu.current", 2),
            ("vcpu.0.time", 5),
            ("vcpu.1.time", 7),
            ("vcpu.1.wait", 100),
            ("balloon.rss", 3),
            ("balloon.current", 9),
            ("net.count", 1),
            ("net.0.rx.bytes", 11),
            ("net.0.tx.bytes", 12),
            ("block.0.rd.bytes", 1),
            ("block.1.rd.bytes", 2),
            ("block.0.rd.reqs", 1),
            ("block.0.rd.times", 50),
            ("block.0.wr.bytes", u64::MAX),
            ("block.1.wr.bytes", 1),
            ("block.x.wr.reqs", 4),
        ];
        let expected = Counters {
            cpu_ns: Some(12),
            memory: Some(Bytes(3072)),
            disk_read: Some(3),
            disk_written: Some(u64::MAX),
            disk_reads: Some(1),
            disk_writes: None,
            received: Some(11),
            sent: Some(12),
        };
        check(&told, expected);
        check(&[("cpu.time", 40), ("vcpu.0.time", 5)], Counters { cpu_ns: Some(40), ..Counters::default() });
    }

    #[test]
    fn libvirts_own_mock_tells_of_its_domain() {
        // The default one is every test's of this process; one from a file is its own.
        let file = tempfile::NamedTempFile::new().unwrap();
        let node = "<node><domain type='test'><name>test</name><memory>1024</memory><os><type>hvm</type></os></domain></node>";
        std::fs::write(file.path(), node).unwrap();
        let connect = Connect::open(Some(&format!("test://{}", file.path().display()))).unwrap();
        let domain = connect.lookup_domain_by_name("test").unwrap();
        let uuid = domain.uuid().unwrap();
        // It counts nothing, but tells what state it is in: enough to see that numbers are read for what they are.
        assert_eq!(counters(&connect).unwrap(), [(uuid, Counters::default())]);
        let states = || {
            let records = Records::of(&connect, virt_sys::VIR_DOMAIN_STATS_STATE).unwrap();
            records.records().iter().map(|record| read(*record).unwrap()).collect::<Vec<_>>()
        };
        let named = |state: u32, reason: u32| {
            [("state.state", state), ("state.reason", reason)]
                .map(|(name, n)| (name.to_owned(), n.into()))
                .to_vec()
        };
        let running = named(virt_sys::VIR_DOMAIN_RUNNING, virt_sys::VIR_DOMAIN_RUNNING_UNKNOWN);
        assert_eq!(states(), [(uuid, running)]);
        domain.suspend().unwrap();
        let paused = named(virt_sys::VIR_DOMAIN_PAUSED, virt_sys::VIR_DOMAIN_PAUSED_USER);
        assert_eq!(states(), [(uuid, paused)]);
        domain.destroy().unwrap();
        assert_eq!((states(), counters(&connect).unwrap()), (vec![], vec![]), "it does not run");
    }
}
