//! What every benchmark of a ledger is told, and how a run is told in the end.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::Fault;
use crate::report::Report;
use crate::scratch::Scratch;

/// What every benchmark of a ledger is told.
#[derive(Clone, Debug, Args)]
pub struct Told {
    /// Directory on the disk to be measured; what is made in it is removed
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    pub json: bool,
    /// Seed of the events
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Told {
    /// A directory for this run, below the one that was named.
    ///
    /// # Errors
    /// When none can be made there.
    pub fn scratch(&self) -> Result<Scratch, Fault> {
        let base = self.dir.clone();
        let base = base.unwrap_or_else(|| PathBuf::from("target/bench"));
        Ok(Scratch::below(&base)?)
    }
}

/// The figures of a run, and what stopped it before its end, if anything did.
pub type Outcome = Result<(Report, Result<(), Fault>), Fault>;

/// Prints a run's figures, as a table or as JSON, and what stopped it.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where a run is told"
)]
pub fn tell(outcome: Outcome, json: bool) -> ExitCode {
    let stopped = match outcome {
        Ok((report, stopped)) => {
            if json {
                println!("{:#}", report.json());
            } else {
                print!("{}", report.table());
            }
            stopped
        }
        Err(fault) => Err(fault),
    };
    match stopped {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("the benchmark stopped there: {fault}");
            ExitCode::from(3)
        }
    }
}

/// Says what is measured now.
#[expect(clippy::print_stderr, reason = "this is where a run is told")]
pub fn progress(part: &str) {
    eprintln!("{part} …");
}
