//! Benchmark of the server: batches and single events over HTTP, receipts at half load, searches
//! while events are written, tails beside what they follow, memory with very many tenants; beside
//! the floors of the same run.
//!
//! The server is the command as it is shipped, built and started by this program, so that its CPU
//! and memory can be told from those of the client, which works on the same cores. What the figures
//! mean and what bounds them is in `docs/performance.md`.

mod floor;
mod ingest;
mod search;
mod tail;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use indelible_bench::event::Shape;
use indelible_bench::machine::Machine;
use indelible_bench::report::Report;
use indelible_bench::run::{Outcome, Told, progress, tell};
use indelible_bench::scratch::Scratch;
use indelible_bench::{Fault, client, http, load, ours, requests, server};

use crate::ingest::Aim;
use crate::requests::Packing;

/// The allocator of the command that is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmark of the server over HTTP, beside its floors.
#[derive(Clone, Debug, Parser)]
#[command(name = "serve")]
pub struct Settings {
    /// Events of each part but the search; half of them as single events and at half load
    #[arg(long, default_value_t = 400_000)]
    pub events: u64,
    /// Records that are searched; 10000000 for the figures at 10 M
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Readers that follow what is written
    #[arg(long, default_value_t = 1_000)]
    pub tails: usize,
    /// For how long they are searched while events are written
    #[arg(long, default_value_t = 15)]
    pub seconds: u64,
    /// Connections that send batches
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
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
    /// What this program starts itself for: throws away what it is sent
    #[arg(long, hide = true)]
    discard: bool,
}

/// Parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Batches,
    Personal,
    Singles,
    Search,
    Memory,
    Tail,
}

impl Settings {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    if settings.discard {
        return floor::discard().map_or(ExitCode::from(3), |()| ExitCode::SUCCESS);
    }
    tell(run(&settings), settings.told.json)
}

fn run(settings: &Settings) -> Outcome {
    let program = match &settings.server {
        Some(program) => program.clone(),
        None => server::build(&settings.profile)?,
    };
    let scratch = settings.told.scratch()?;
    let said = serde_json::json!({
        "events": settings.events,
        "records": settings.records,
        "seconds": settings.seconds,
        "connections": settings.connections,
        "seed": settings.told.seed,
        "profile": settings.profile,
    });
    let mut report = Report::new(Machine::look(scratch.path()), said);
    let outcome = parts(settings, &program, &scratch, &mut report);
    Ok((report, outcome))
}

fn parts(
    settings: &Settings,
    program: &Path,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<(), Fault> {
    let dir = scratch.place("data");
    let both = &[Packing::Plain, Packing::Zstd];
    let plain = Aim {
        part: "batches",
        shape: Shape::default(),
        reach: Some((200_000.0, 5.0)),
        packings: both,
        memory: None,
    };
    let personal = Aim {
        part: "batches, four personal fields",
        shape: Shape {
            personal: true,
            ..Shape::default()
        },
        reach: Some((140_000.0, 7.0)),
        ..plain
    };
    let batches = [
        (Part::Batches, plain),
        (Part::Personal, personal),
        (Part::Memory, ingest::many_tenants()),
    ];
    for (part, aim) in batches {
        if settings.wants(part) {
            progress(aim.part);
            ingest::run(settings, program, &dir, aim, report)?;
        }
    }
    if settings.wants(Part::Singles) {
        progress("single events");
        ingest::singles(settings, program, &dir, report)?;
    }
    if settings.wants(Part::Tail) {
        progress("tails");
        tail::run(settings, program, &dir, report)?;
    }
    if settings.wants(Part::Search) {
        progress("search");
        search::run(settings, program, &dir, report)?;
    }
    Ok(())
}
