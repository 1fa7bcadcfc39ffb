//! `honcho bench guest-start`: what Honcho adds to the time that libvirt takes.
//!
//! ```text
//!   each round:  POST /v1/guests ............ libvirt: running ..... brain: running ..... SSH
//!                stop it, copy its disk
//!                virsh create COPY .......... libvirt: running
//!                delete both
//! ```
//!
//! The two sides take turns, so that what else the machine does hits both alike. Both are watched in the same way, and
//! neither is first to read the kernel: a round before the first is not counted.

use crate::brain::BrainArguments;
use crate::domain::Libvirt;
use crate::domain_copy::{Difference, copy, disk_of};
use crate::figures::{Spread, note, table};
use crate::leftovers::{self, PREFIX, Workshop, delete, done};
use crate::load::Load;
use crate::order::{Order, choose, this_host};
use anyhow::{Context as _, Result, bail, ensure};
use honcho_api::client::Client;
use honcho_api::{Guest, Operation};
use honcho_model::Bytes;
use honcho_model::guest::GuestStatus;
use honcho_model::operation::OperationState;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

/// At most so much more than `virsh create`, where the pool can reflink.
const MOST_DIFFERENCE: f64 = 1.0;

/// Before each start, so that what came before has come to rest.
const REST: Duration = Duration::from_secs(2);

/// The first guest may have to wait for its image, and for KVM to be tried.
const PATIENCE: Duration = Duration::from_mins(10);

const AFTER_HELP: &str = "\
As root, on the machine of the agent. What it makes (guests, domains and files whose names begin with \
honcho-bench) it removes, also when it is interrupted; what a killed one left is removed by the next.

Example:
  honcho bench guest-start --guests 10 --ssh";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct GuestStartArguments {
    /// How many guests to start, after one that is not counted
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    guests: u16,

    /// What they are made from; the only image, when absent
    #[arg(long, value_name = "NAME")]
    image: Option<String>,

    /// What they are connected to; the only network, when absent
    #[arg(long, value_name = "NAME")]
    network: Option<String>,

    /// Who owns them; the only account, when absent
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// The memory of each
    #[arg(long, default_value = "512M", value_name = "SIZE")]
    memory: Bytes,

    /// The disk of each
    #[arg(long, default_value = "3G", value_name = "SIZE")]
    disk: Bytes,

    /// Measure until SSH answers, too
    #[arg(long)]
    ssh: bool,

    /// The libvirt that the agent uses; that of ./run, else this machine's own, when absent
    #[arg(long, value_name = "URI", env = "LIBVIRT_DEFAULT_URI")]
    libvirt: Option<String>,

    #[command(flatten)]
    brain: BrainArguments,
}

/// What was measured. Times in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct GuestStartFigures {
    image: String,
    memory_bytes: u64,
    disk_bytes: u64,
    versions: String,
    virtualization: Option<String>,
    pool_can_reflink: Option<bool>,
    load_before: Load,
    load_after: Load,
    /// From sending POST until its answer.
    answered: Option<Spread>,
    /// From sending POST until libvirt says that the domain runs.
    honcho_running: Option<Spread>,
    /// From starting `virsh create` until libvirt says that the domain runs.
    virsh_running: Option<Spread>,
    /// Between those two, round by round.
    difference: Option<Spread>,
    ratio: Option<Spread>,
    /// From sending POST until the brain says that the guest runs.
    status_running: Option<Spread>,
    /// From sending POST until SSH answers.
    ssh: Option<Spread>,
}

struct Round {
    answered: Duration,
    honcho_running: Duration,
    status_running: Duration,
    ssh: Option<Duration>,
    virsh_running: Duration,
}

impl GuestStartFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let row = |name: &str, spread: &Option<Spread>, unit: &str| {
            let spread = spread.as_ref()?;
            let number = |value: f64| format!("{value:.3}{unit}");
            Some(vec![name.to_owned(), number(spread.min), number(spread.median), number(spread.max)])
        };
        let rows = [
            row("Honcho: POST to libvirt's \"running\"", &self.honcho_running, " s"),
            row("virsh create to libvirt's \"running\"", &self.virsh_running, " s"),
            row("difference, round by round", &self.difference, " s"),
            row("ratio, round by round", &self.ratio, ""),
            row("POST to its answer", &self.answered, " s"),
            row("POST to the brain's \"running\"", &self.status_running, " s"),
            row("POST to SSH", &self.ssh, " s"),
        ];
        let rounds = self.honcho_running.as_ref().map_or(0, |spread| spread.all.len());
        let reflink = match self.pool_can_reflink {
            Some(true) => "the pool can reflink",
            Some(false) => "the pool cannot reflink",
            None => "whether the pool can reflink is not known",
        };
        format!(
            "{rounds} rounds: {}, {} of memory, {} of disk\n{}; {}\n{reflink}; {} before, {} after\n\n{}\n\n{}",
            self.image,
            Bytes(self.memory_bytes),
            Bytes(self.disk_bytes),
            self.versions,
            self.virtualization.as_deref().unwrap_or("how guests are executed is not known"),
            self.load_before.text(),
            self.load_after.text(),
            table(&["", "min", "median", "max"], rows.into_iter().flatten().collect()),
            self.verdict()
        )
    }

    fn verdict(&self) -> String {
        let Some(difference) = &self.difference else { return String::new() };
        let within = if difference.median <= MOST_DIFFERENCE { "within" } else { "NOT within" };
        format!(
            "The median difference is {within} the target: at most {MOST_DIFFERENCE} s more than virsh create, where the \
             pool can reflink."
        )
    }
}

/// Measures, and removes what was made for it.
pub(crate) async fn measure(arguments: &GuestStartArguments) -> Result<GuestStartFigures> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "run this as root: it looks into the pool and creates a domain"
    );
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let client = arguments.brain.connect().await?;
    let (host, pool) = this_host(&client).await?;
    let order = Order {
        account: choose(&client, arguments.account.as_deref()).await?,
        image: choose(&client, arguments.image.as_deref()).await?,
        network: choose(&client, arguments.network.as_deref()).await?,
        host,
        pool,
        memory_bytes: i64::try_from(arguments.memory.0)?,
        disk_bytes: i64::try_from(arguments.disk.0)?,
    };
    let libvirt = Libvirt::open(arguments.libvirt.as_deref())?;
    let workshop = Workshop::open(&order)?;
    leftovers::remove(&client, &libvirt, &order, &workshop).await?;
    let bench = Bench { client, libvirt, order, workshop, ssh: arguments.ssh };
    let figures = tokio::select! {
        figures = bench.rounds(arguments.guests) => figures,
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminated.recv() => Err(anyhow::anyhow!("interrupted")),
    };
    if figures.is_err() {
        note("removing what was made for the measurement");
        // What was asked for in the very moment of the interruption shall have come to be.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let removed = tokio::select! {
        removed = leftovers::remove(&bench.client, &bench.libvirt, &bench.order, &bench.workshop) => removed,
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted again: the next measurement removes what is left")),
    };
    let closed = removed.and_then(|()| leftovers::close(&bench.workshop));
    match (figures, closed) {
        (Ok(figures), closed) => closed.map(|()| figures),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => Err(error.context(format!("not everything was removed: {left:#}"))),
    }
}

struct Bench {
    client: Client,
    libvirt: Libvirt,
    order: Order,
    workshop: Workshop,
    ssh: bool,
}

impl Bench {
    async fn rounds(&self, count: u16) -> Result<GuestStartFigures> {
        note("a first round, which is not counted");
        self.round(0).await?;
        let load_before = Load::now()?;
        let mut rounds = Vec::new();
        for number in 1..=count {
            let round = self.round(number).await?;
            note(&format!(
                "round {number} of {count}: Honcho {:.3} s, virsh create {:.3} s",
                round.honcho_running.as_secs_f64(),
                round.virsh_running.as_secs_f64()
            ));
            rounds.push(round);
        }
        self.figures(&rounds, load_before).await
    }

    async fn figures(&self, rounds: &[Round], load_before: Load) -> Result<GuestStartFigures> {
        let host: honcho_api::Host = self.client.get(self.order.host.id).await?;
        let spread = |of: fn(&Round) -> Duration| Spread::of_spans(rounds.iter().map(of));
        let pairs = || {
            rounds.iter().map(|round| (round.honcho_running.as_secs_f64(), round.virsh_running.as_secs_f64()))
        };
        Ok(GuestStartFigures {
            image: self.order.image.name.clone(),
            memory_bytes: self.order.memory_bytes.unsigned_abs(),
            disk_bytes: self.order.disk_bytes.unsigned_abs(),
            versions: self.libvirt.versions()?,
            virtualization: host.virtualization,
            pool_can_reflink: self.order.pool.reflink,
            load_before,
            load_after: Load::now()?,
            answered: spread(|round| round.answered),
            honcho_running: spread(|round| round.honcho_running),
            virsh_running: spread(|round| round.virsh_running),
            difference: Spread::of(pairs().map(|(honcho, virsh)| honcho - virsh)),
            ratio: Spread::of(pairs().map(|(honcho, virsh)| honcho / virsh)),
            status_running: spread(|round| round.status_running),
            ssh: Spread::of_spans(rounds.iter().filter_map(|round| round.ssh)),
        })
    }

    async fn round(&self, number: u16) -> Result<Round> {
        tokio::time::sleep(REST).await;
        let begun = Instant::now();
        let guest: Guest = self.client.create(&self.order.guest(&format!("{PREFIX}-{number}"))).await?;
        let answered = begun.elapsed();
        let honcho_running = tokio::select! {
            time = self.libvirt.until_running(guest.uuid, begun) => time?,
            Err(error) = self.trouble(&guest) => return Err(error),
        };
        let status_running = self.status_running(&guest, begun).await?;
        let ssh = if self.ssh { Some(ssh_answers(&guest, begun).await?) } else { None };
        let xml = self.libvirt.description(guest.uuid)?;
        let hard = [("hard", "true".to_owned())];
        let stop: Operation = self.client.action::<Guest, _>(guest.id, "stop", &hard).await?;
        done(&self.client, &stop).await?;
        let virsh_running = self.virsh_create(&xml).await?;
        delete(&self.client, &guest).await?;
        Ok(Round { answered, honcho_running, status_running, ssh, virsh_running })
    }

    /// Never ends well: only when the guest will not run.
    async fn trouble(&self, guest: &Guest) -> Result<()> {
        let begun = Instant::now();
        let operation = guest.operation_id.context("the brain names no operation for a new guest")?;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let operation = self.client.operation(operation).await?;
            if let Some(problem) = operation.problem {
                bail!("guest {} does not start: {problem}", guest.name);
            }
            match operation.state {
                OperationState::Open if begun.elapsed() > PATIENCE => {
                    bail!(
                        "guest {} does not start, and its host {} does not say why",
                        guest.name,
                        self.order.host.name
                    )
                }
                OperationState::Open => {}
                // The brain may hear of it before the next question to libvirt.
                OperationState::Done if begun.elapsed() < Duration::from_secs(5) => {}
                OperationState::Done => bail!(
                    "guest {} runs, but not in libvirt at {}: give --libvirt URI, as the agent was given",
                    guest.name,
                    self.libvirt.uri()
                ),
                state => bail!("making guest {} was {}", guest.name, state.as_str()),
            }
        }
    }

    async fn status_running(&self, guest: &Guest, begun: Instant) -> Result<Duration> {
        loop {
            let guest: Guest = self.client.get(guest.id).await?;
            if guest.status == GuestStatus::Running {
                return Ok(begun.elapsed());
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "guest {} runs, and the brain does not learn of it",
                guest.name
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The same domain by `virsh create`, on a copy of the disk that is ready before the clock starts.
    async fn virsh_create(&self, xml: &str) -> Result<Duration> {
        let (disk, file) = (self.workshop.file("disk.raw"), self.workshop.file("domain.xml"));
        let (uuid, console_log) = (Uuid::new_v4(), self.workshop.file("console.log"));
        let original = disk_of(xml)?;
        must(
            "cp",
            &["--reflink=auto".as_ref(), "--sparse=always".as_ref(), original.as_ref(), disk.as_ref()],
        )
        .await?;
        let difference = Difference { name: PREFIX, uuid, disk: &disk, console_log: &console_log };
        std::fs::write(&file, copy(xml, &difference)?)?;
        must("sync", &["--file-system".as_ref(), self.workshop.path()]).await?;
        tokio::time::sleep(REST).await;
        let create = tokio::time::timeout(PATIENCE, self.libvirt.virsh_create(&file, uuid)).await;
        let took = create.context("virsh create takes too long")??;
        self.libvirt.end_all(PREFIX)?;
        for file in [disk, file, console_log] {
            std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        Ok(took)
    }
}

async fn must(program: &str, arguments: &[&Path]) -> Result<()> {
    let output = tokio::process::Command::new(program).args(arguments).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("{program} cannot be run"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The time until SSH shows its banner.
async fn ssh_answers(guest: &Guest, begun: Instant) -> Result<Duration> {
    let address = guest.address.as_deref().context("the guest has no address")?;
    loop {
        // Before its kernel answers, what is sent to the guest is lost and would be sent again only after a second.
        let connect = tokio::net::TcpStream::connect((address, 22));
        if let Ok(Ok(mut stream)) = tokio::time::timeout(Duration::from_millis(200), connect).await {
            let mut banner = [0; 4];
            let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut banner)).await;
            if matches!(read, Ok(Ok(_))) && banner == *b"SSH-" {
                return Ok(begun.elapsed());
            }
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "no SSH at {address}: can this machine reach the guest's network?"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
