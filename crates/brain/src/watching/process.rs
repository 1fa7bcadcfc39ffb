//! This process, as `/proc` has it (proc(5)); the names are those that Prometheus' own client libraries use.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of a process.
#[derive(Default)]
pub(super) struct ProcessNumbers {
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    open_files: Gauge,
    most_files: Gauge,
    threads: Gauge,
}

impl ProcessNumbers {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("process_cpu_seconds", "Processor time used", self.cpu.clone());
        registry.register("process_resident_memory_bytes", "Resident memory", self.resident.clone());
        registry.register("process_open_fds", "Open file descriptors", self.open_files.clone());
        registry.register("process_max_fds", "How many may be open", self.most_files.clone());
        registry.register("process_threads", "Threads", self.threads.clone());
    }

    /// Reads them anew; what cannot be read stays as it was.
    pub(super) fn read(&self) {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in parentheses may hold anything; the third field follows the last of them.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok());
        if let (Some(user), Some(system)) = (field(14), field(15)) {
            let ticks = rustix::param::clock_ticks_per_second().max(1);
            #[expect(clippy::cast_precision_loss, reason = "a process does not run for 2^53 ticks")]
            let seconds = (user + system) as f64 / ticks as f64;
            self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
        let set = |gauge: &Gauge, value: Option<u64>| {
            if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
                gauge.set(value);
            }
        };
        set(&self.threads, field(20));
        set(&self.resident, field(24).map(|pages| pages * rustix::param::page_size() as u64));
        // Reading the directory holds one open itself.
        let open = std::fs::read_dir("/proc/self/fd").map(|entries| entries.count().saturating_sub(1) as u64);
        set(&self.open_files, open.ok());
        set(&self.most_files, rustix::process::getrlimit(rustix::process::Resource::Nofile).current);
    }
}
