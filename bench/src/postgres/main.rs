//! Benchmark of a ledger in PostgreSQL: append in process beside a bare COPY of the same rows,
//! single events through servers, the first page of a search; the embedded ledger beside it.
//!
//! The database is a server of this program's own, which syncs what it commits, on the disk that is
//! measured. What the figures mean and what bounds them is in `docs/performance.md`.

mod append;
mod cluster;
mod floor;
mod search;
mod singles;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use indelible_bench::machine::Machine;
use indelible_bench::report::Report;
use indelible_bench::run::{Outcome, Told, progress, tell};
use indelible_bench::scratch::Scratch;
use indelible_bench::{Fault, server};

use crate::cluster::Cluster;

/// The allocator of the command that is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmark of a ledger in PostgreSQL, beside a bare COPY and the embedded ledger.
#[derive(Clone, Debug, Parser)]
#[command(name = "postgres")]
pub struct Settings {
    /// Events of each append
    #[arg(long, default_value_t = 200_000)]
    pub events: u64,
    /// Events that are sent one by one
    #[arg(long, default_value_t = 20_000)]
    pub singles: u64,
    /// Records that are searched; 10000000 for the figures at 10 M
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// What every benchmark of a ledger is told
    #[command(flatten)]
    pub told: Told,
    /// Cargo's profile of the server; what is shipped is `dist`
    #[arg(long, default_value = "dist")]
    profile: String,
    /// The server, if it is not to be built
    #[arg(long)]
    server: Option<PathBuf>,
}

/// Parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Append,
    Singles,
    Search,
}

impl Settings {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    tell(run(&settings), settings.told.json)
}

fn run(settings: &Settings) -> Outcome {
    let program = match (&settings.server, settings.wants(Part::Singles)) {
        (Some(program), _) => Some(program.clone()),
        (None, true) => Some(server::build(&settings.profile)?),
        (None, false) => None,
    };
    let scratch = settings.told.scratch()?;
    let said = serde_json::json!({
        "events": settings.events,
        "singles": settings.singles,
        "records": settings.records,
        "seed": settings.told.seed,
        "profile": settings.profile,
    });
    let mut report = Report::new(Machine::look(scratch.path()), said);
    let outcome = parts(settings, program, &scratch, &mut report);
    Ok((report, outcome))
}

fn parts(
    settings: &Settings,
    program: Option<PathBuf>,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<(), Fault> {
    let cluster = Cluster::start(scratch)?;
    if settings.wants(Part::Append) {
        for tenants in [200, 1] {
            progress(append::part(tenants));
            append::run(settings, &cluster, scratch, tenants, report)?;
        }
    }
    if let Some(program) = program.filter(|_| settings.wants(Part::Singles)) {
        progress("single events");
        singles::run(settings, &cluster, &program, scratch, report)?;
    }
    if settings.wants(Part::Search) {
        progress("search");
        search::run(settings, &cluster, report)?;
    }
    Ok(())
}
