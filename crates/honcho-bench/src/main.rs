//! Measures Honcho where it runs: `honcho bench …` starts this program.
//!
//! One file per measurement: `api` (how fast the brain answers), `archive` (publishing packages), `guest_start` (how much Honcho adds to libvirt's own time), `idle` (what brain and agent
//! cost while nothing happens), `image` (unpacking an image, beside tar), `panel` (how soon pages come, and how large), `placement` (how evenly guests are spread, and how fast, beside Ganeti's htools) and `slowlog` (reading slow
//! logs, beside pt-query-digest); beside them `simulate`, a data centre that is none around a brain that is real, and `demo`, one to look around in. They share `brain` (which brain, which token), `figures` (what is made of many
//! measurements, and how it is printed) and `load` (what else the machine was doing). What a measurement makes it
//! removes, also when it is interrupted.
#![forbid(unsafe_code)]

mod api;
mod archive;
mod brain;
mod demo;
mod domain;
mod domain_copy;
mod figures;
mod guest_start;
mod idle;
mod image;
mod leftovers;
mod load;
mod order;
mod panel;
mod placement;
mod process;
mod simulate;
mod slowlog;

use clap::Parser as _;
use std::process::ExitCode;

/// Measure Honcho on this machine
#[derive(Debug, clap::Parser)]
#[command(name = "honcho bench", bin_name = "honcho bench", version, max_term_width = 110)]
struct Arguments {
    /// Print numbers as JSON instead of a table
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    measurement: Measurement,
}

#[derive(Debug, clap::Subcommand)]
enum Measurement {
    /// How fast the brain answers with many guests, beside its own /healthz
    Api(api::ApiArguments),
    /// Publishing packages, beside reprepro, aptly and apt-ftparchive
    Archive(archive::ArchiveArguments),
    /// From ordering a guest until libvirt says that it runs, beside `virsh create` of the same domain
    GuestStart(guest_start::GuestStartArguments),
    /// Processor and memory that brain and agent take while nothing happens
    Idle(idle::IdleArguments),
    /// Unpacking an image for the first time, beside `tar -I zstd -x` of the same file; no brain is needed
    Image(image::ImageArguments),
    /// How soon each page of the panel begins to come and how large it is, with many guests and slow queries
    Panel(panel::PanelArguments),
    /// How evenly guests are spread and how fast, beside Ganeti's hbal and hail; no brain is needed
    Placement(placement::PlacementArguments),
    /// A data centre with simulated hosts and guests around a real brain
    #[command(override_usage = "honcho simulate [OPTIONS]")]
    Simulate(simulate::SimulateArguments),
    /// A simulated data centre with a month of slow queries, to look around in
    #[command(override_usage = "honcho demo [OPTIONS]")]
    Demo(demo::DemoArguments),
    /// Reading slow logs, beside pt-query-digest
    Slowlog(slowlog::SlowlogArguments),
}

fn main() -> ExitCode {
    // It only fails when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Else libvirt prints each error by itself, also those that are expected.
    virt::error::clear_error_callback();
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            figures::note(&complaint(&error));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong and what caused it, a line each, without what only repeats the line before.
fn complaint(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !lines.last().is_some_and(|last| last.contains(&cause)) {
            lines.push(cause);
        }
    }
    format!("error: {}", lines.join("\ncaused by: "))
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    if let Measurement::Simulate(simulation) = &arguments.measurement {
        return simulate(arguments, simulation);
    }
    if let Measurement::Demo(demonstration) = &arguments.measurement {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let shown = runtime.block_on(demo::demo(demonstration));
        runtime.shutdown_timeout(std::time::Duration::from_secs(2));
        return shown;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async {
        match &arguments.measurement {
            Measurement::Api(arguments_of_api) => {
                let figures = api::measure(arguments_of_api).await?;
                Ok::<_, anyhow::Error>(if arguments.json {
                    serde_json::to_string_pretty(&figures)?
                } else {
                    figures.text()
                })
            }
            Measurement::Archive(archive) => {
                let figures = archive::measure(archive)?;
                Ok(if arguments.json { serde_json::to_string_pretty(&figures)? } else { figures.text() })
            }
            Measurement::GuestStart(start) => {
                let figures = guest_start::measure(start).await?;
                Ok::<_, anyhow::Error>(if arguments.json {
                    serde_json::to_string_pretty(&figures)?
                } else {
                    figures.text()
                })
            }
            Measurement::Idle(idle) => {
                let figures = idle::measure(idle).await?;
                Ok(if arguments.json { serde_json::to_string_pretty(&figures)? } else { figures.text() })
            }
            Measurement::Image(image) => {
                let figures = image::measure(image).await?;
                Ok(if arguments.json { serde_json::to_string_pretty(&figures)? } else { figures.text() })
            }
            Measurement::Panel(panel) => {
                let figures = panel::measure(panel).await?;
                Ok(if arguments.json { serde_json::to_string_pretty(&figures)? } else { figures.text() })
            }
            Measurement::Placement(placement) => {
                let figures = placement::measure(placement)?;
                Ok(if arguments.json { serde_json::to_string_pretty(&figures)? } else { figures.text() })
            }
            Measurement::Simulate(_) | Measurement::Demo(_) => {
                anyhow::bail!("what is simulated needs more than one thread")
            }
            Measurement::Slowlog(slowlog) => {
                let figures = slowlog::measure(slowlog)?;
                Ok(if arguments.json { serde_json::to_string_pretty(&figures)? } else { figures.text() })
            }
        }
    })?;
    figures::print(&text);
    Ok(())
}

/// A few threads for thousands of agents; an error if anything broke that must always hold.
fn simulate(arguments: &Arguments, simulation: &simulate::SimulateArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let figures = runtime.block_on(simulate::simulate(simulation));
    // Agents need not be waited for: their machines are gone.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    let figures = figures?;
    let text = if arguments.json { serde_json::to_string_pretty(&figures)? } else { figures.text() };
    figures::print(&text);
    match figures.sound() {
        simulate::Soundness::Sound => Ok(()),
        simulate::Soundness::Broken(count) => {
            anyhow::bail!("{count} of what must always hold was broken: see the table; seed {}", figures.seed)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
