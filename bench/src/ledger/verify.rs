//! Verify: every record of every log read back, hashed, linked and put into its tree, on one core;
//! beside it decompressing, hashing and a tree alone, over the same leaves.
//!
//! Rates are per second of CPU time of the one thread that works, so that others on the machine do
//! not count.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use indelible_bench::report::{Figure, Report, Target};
use indelible_bench::usage::{as_f64, thread_time};
use indelible_log::verify::{Anchors, verify_log};
use indelible_store::Stored;

use crate::ours::{Stood, stand};
use crate::{Fault, floor};

const PART: &str = "verify";
/// Records of the floor's file; it is read from memory either way.
const FLOOR_RECORDS_MAX: u64 = 1_000_000;

/// Verifies the ledger in `dir`, and the floor in a file at `file`.
pub fn run(dir: &Path, file: &Path, report: &mut Report) -> Result<(), Fault> {
    let stood = stand(dir, true)?;
    let (records, cpu, wall) = verify(&stood, false)?;
    report.figure(Figure {
        part: PART,
        name: "content, links and tree".to_owned(),
        value: as_f64(records) / cpu.as_secs_f64(),
        unit: "rec/s/core",
        target: Some(Target::AtLeast(900_000.0)),
        ratio: None,
    });
    report.note(
        PART,
        format!(
            "{records} records in {:.2} s of wall time",
            wall.as_secs_f64()
        ),
    );
    copy_leaves(&stood, file)?;
    let (lines, _, used) = floor::verify(file)?;
    let rate = as_f64(lines) / used.cpu.as_secs_f64();
    report.plain(PART, "floor: decompress, hash, tree", rate, "rec/s/core");
    report.compare(
        PART,
        "content, links and tree",
        (PART, "floor: decompress, hash, tree"),
        "floor",
    );
    Ok(())
}

/// Verifies the ledger in `dir` with every personal value against its commitment.
pub fn run_with_values(dir: &Path, report: &mut Report) -> Result<(), Fault> {
    let (records, cpu, _) = verify(&stand(dir, true)?, true)?;
    let rate = as_f64(records) / cpu.as_secs_f64();
    report.plain(
        PART,
        "with four sealed values each, opened",
        rate,
        "rec/s/core",
    );
    Ok(())
}

fn verify(stood: &Stood, values: bool) -> Result<(u64, Duration, Duration), Fault> {
    let anchors = Anchors {
        values,
        ..Anchors::default()
    };
    let (cpu, started) = (thread_time(), Instant::now());
    let mut records = 0;
    for tenant in stood.stores.ledger.tenants()? {
        let verdict = verify_log(
            &stood.stores,
            &stood.keyring,
            &tenant,
            &anchors,
            &mut |_, _| ControlFlow::Continue(()),
        )?;
        if let Some(finding) = verdict.integrity.first() {
            return Err(format!("the log of {tenant} is not as committed: {finding}").into());
        }
        records += verdict.records_checked;
    }
    Ok((
        records,
        thread_time().saturating_sub(cpu),
        started.elapsed(),
    ))
}

/// Writes the leaves, up to a bound, as the floor stores lines.
fn copy_leaves(stood: &Stood, file: &Path) -> Result<(), Fault> {
    let mut file = std::fs::File::create_new(file)?;
    let mut blocks = floor::Blocks::new()?;
    let mut copied = 0;
    for tenant in stood.stores.ledger.tenants()? {
        let mut failed = None;
        stood
            .stores
            .ledger
            .read(&tenant, 0..u64::MAX, &mut |stored| {
                let Stored::Record(record) = stored else {
                    return ControlFlow::Break(());
                };
                failed = blocks.push(record.leaf).err();
                copied += 1;
                if failed.is_some() || copied >= FLOOR_RECORDS_MAX {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
        if let Some(fault) = failed {
            return Err(fault);
        }
        file.write_all(&blocks.out)?;
        blocks.out.clear();
    }
    blocks.finish()?;
    file.write_all(&blocks.out)?;
    Ok(())
}
