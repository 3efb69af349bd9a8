//! Writes the exports that wait, one at a time, until the server stops; removes what is over.
//!
//! It rests as long as it works, so that it takes half of one core at most, and asks before every
//! page whether whoever wanted the export may still have it.

use std::io::ErrorKind;
use std::time::Duration;

use indelible_api::{ExportStatus, ProblemKind};
use indelible_export::{File, Row};
use indelible_store::{Error, Kind};

use super::asked::Selection;
use super::file::Sink;
use super::jobs::Job;
use crate::accesses::What;
use crate::answer::{NO_SPACE, Refusal, refuse};
use crate::app::App;
use crate::pace::Pace;
use crate::serve::Stop;

/// How often it is looked whether one waits.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it is looked what is over.
const SWEEP_EVERY: u32 = 20;

/// How the writing of one ended.
enum Ended {
    Done(Box<Selection>, u64),
    /// The server stops: it begins again when there is one.
    Stopped,
    /// It was removed meanwhile.
    Removed,
}

/// Works until the server stops.
pub(crate) fn run(app: &App, stop: &Stop) {
    let mut looked = 0_u32;
    while !stop.wait(LOOK_EVERY) {
        if looked.is_multiple_of(SWEEP_EVERY) {
            sweep(app);
        }
        looked = looked.wrapping_add(1);
        match app.exports.begin(|| app.index.mark()) {
            Ok(Some(job)) => one(app, stop, &job),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "an export could not be begun"),
        }
    }
}

fn sweep(app: &App) {
    let now = app.env.clock.now();
    let is_in_force = |owner: &super::asked::Owner| {
        let principal = owner.principal();
        principal.is_some_and(|principal| app.access.is_in_force(&principal, now))
    };
    match app.exports.sweep(now, is_in_force) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "exports that are over are removed"),
        Err(error) => tracing::error!(%error, "exports could not be removed"),
    }
}

fn one(app: &App, stop: &Stop, job: &Job) {
    let settled = match write(app, stop, job) {
        Ok(Ended::Done(selection, bytes)) => done(app, job, *selection, bytes),
        Ok(Ended::Stopped) => app.exports.put_back(&job.id),
        Ok(Ended::Removed) => app.exports.drop_file(&job.id).map(drop),
        Err(refusal) => failed(app, job, &refusal),
    };
    if let Err(error) = settled {
        tracing::error!(%error, "an export could not be kept");
    }
}

fn done(app: &App, job: &Job, selection: Selection, bytes: u64) -> indelible_store::Result<()> {
    app.exports.sync()?;
    if let Some(principal) = job.owner.principal() {
        let asked = (What::Exported, "/v1/exports", job.asked.q.as_str());
        let now = app.env.clock.now();
        app.accesses.note(&principal, asked, &selection.seen(), now);
    }
    let names = selection.seen.into_iter();
    let seen = names
        .map(|(tenant, count)| (tenant.to_string(), count))
        .collect();
    let there = app.exports.settle(&job.id, |job| {
        job.status = ExportStatus::Done;
        job.bytes = bytes;
        job.seen = seen;
        job.unreadable = selection.unreadable;
        job.unsearched = selection.unsearched;
    })?;
    if !there {
        app.exports.drop_file(&job.id)?;
    }
    Ok(())
}

fn failed(app: &App, job: &Job, refusal: &Refusal) -> indelible_store::Result<()> {
    app.exports.drop_file(&job.id)?;
    let why = refusal.0.detail.clone();
    tracing::warn!(export = job.id, "an export came to nothing");
    app.exports.settle(&job.id, |job| {
        job.status = ExportStatus::Failed;
        // How far it came would tell how much room others left.
        (job.records, job.bytes) = (0, 0);
        job.failure = Some(why);
    })?;
    Ok(())
}

fn write(app: &App, stop: &Stop, job: &Job) -> Result<Ended, Refusal> {
    let gone = || {
        refuse(
            ProblemKind::Forbidden,
            "whoever asked may not have it any more",
        )
    };
    let principal = job.owner.principal().ok_or_else(gone)?;
    let as_of = (job.created, job.as_of);
    let mut selection = Selection::begin(app, &principal, &job.asked, as_of)?;
    let of = selection.total(app)?;
    app.exports.change(&job.id, |job| job.of = of);
    let sink = app.exports.sink(job, &app.settings)?;
    let mut file = File::start(job.asked.format(), &job.asked.columns(), sink).map_err(of_file)?;
    let mut pace = Pace::new(stop, LOOK_EVERY, &|| {}).resting(1);
    let mut records = 0;
    loop {
        if !app.access.is_in_force(&principal, app.env.clock.now()) {
            return Err(gone());
        }
        let paged = selection.page(app, &mut |leaf, event| {
            records += 1;
            file.row(&Row { leaf, event }).map_err(of_file)
        })?;
        let bytes = file.inner_mut().bytes();
        let there = app.exports.change(&job.id, |job| {
            (job.records, job.bytes) = (records, bytes);
        });
        if !there {
            return Ok(Ended::Removed);
        }
        if !paged.more {
            let bytes = file.finish().and_then(Sink::finish).map_err(of_file)?;
            return Ok(Ended::Done(Box::new(selection), bytes));
        }
        if pace.step().is_break() {
            return Ok(Ended::Stopped);
        }
    }
}

/// What is said of a file that cannot be written.
fn of_file(error: std::io::Error) -> Refusal {
    match error.kind() {
        ErrorKind::FileTooLarge => refuse(ProblemKind::ExportTooLarge, error.to_string()),
        ErrorKind::StorageFull => refuse(ProblemKind::Unavailable, NO_SPACE),
        ErrorKind::InvalidData => refuse(ProblemKind::Internal, "a stored record cannot be read"),
        _ => Error::new(Kind::Unavailable, "the file of an export")
            .caused_by(error)
            .into(),
    }
}
