//! Named places at which tests kill the agent. Without the feature `failpoints` there is nothing here.
//!
//! `FAILPOINTS=step-begins-build_volume=return honcho-agent …` dies there as by SIGKILL: no destructor runs and nothing
//! is flushed. The names: `journal-before-write`, `journal-before-rename`, `journal-after-write`, `manifest-kept`,
//! `step-begins-NAME`, `step-ended-NAME`, `report-sent`, with NAME as in [`crate::plan::Action::name`].

/// Dies if the failpoint of this name is set.
pub(crate) fn failpoint(name: &str) {
    fail::fail_point!(name, |_| die());
    let _ = name;
}

/// The same, with a step's name behind.
pub(crate) fn failpoint_of_step(when: &str, step: &str) {
    if fail::has_failpoints() {
        failpoint(&format!("step-{when}-{step}"));
    }
}

#[cfg(feature = "failpoints")]
fn die() {
    let own = rustix::process::getpid();
    if rustix::process::kill_process(own, rustix::process::Signal::KILL).is_err() {
        std::process::abort();
    }
    loop {
        std::thread::park();
    }
}
