//! The whole of Honcho, as processes: brains, agents, guests. One binary; each file tells one story.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod active_resource;
mod addresses;
mod apt;
mod bad_input;
mod brain_down;
mod captures;
mod certificates;
mod contract;
mod crashes;
mod demo;
mod document;
mod failures;
mod giving_up;
mod house;
mod life;
mod moves;
mod package_builds;
mod panel;
mod panel_slow;
mod post;
mod post_kills;
mod post_mariadb;
mod real_capture;
mod real_chain;
mod real_failures;
mod real_kills;
mod real_life;
mod real_moves;
mod real_reboots;
mod reboots;
mod restoring;
mod several_brains;
mod simulated;
mod streams;
mod uploads;
