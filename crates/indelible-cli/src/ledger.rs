//! The ledger of the settings: opened for reading or writing, checked and mended.
//!
//! What is opened is `indelible-directory`'s; here are the settings that say where it is, progress,
//! and failures in words.

use std::path::Path;
use std::sync::Arc;

use indelible_directory::{DatabaseOptions, Directory, KeyFolder, Names, OpenError};
use indelible_disk::RealDisk;
use indelible_embedded::Progress as Done;
use indelible_event::ids::TenantId;
use indelible_log::copy::Copied;
use indelible_log::log::Log;
use indelible_log::policy::SealingPolicy;
use indelible_log::registry::{identity, published_heads};
use indelible_log::verify::{Kept, verify_heads, verify_kept};
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::{Error, Kind};

use crate::args::Switch;
use crate::cancel;
use crate::config::{Config, Source};
use crate::dead_letters;
use crate::exit::{Failure, OrCould, Result};
use crate::key_files;
use crate::output::{Output, Progress, Show};
use crate::process::environment;
use crate::remote::URL;

/// An opened data directory.
pub type Access = Directory;

/// A data directory opened for reading.
pub type Reading = Directory;

/// A data directory opened for writing.
pub struct Writing {
    /// The writer; before `access`, so that it is closed first.
    pub log: Log,
    /// What it stands on.
    pub access: Access,
}

/// What comes of opening for writing.
pub enum Opening {
    /// It is open.
    Opened(Box<Writing>),
    /// It does not extend what was signed; only reading goes on.
    NotExtending(Box<Access>, Vec<Finding>),
}

impl Writing {
    /// Publishes all that is durable, and closes. Without the signing key, which a server on the
    /// same database has, it says who publishes.
    ///
    /// # Errors
    /// [`Failure::Could`]: the events are durable, but no checkpoint covers them yet.
    pub fn publish_and_close(self, output: &Output) -> Result {
        publish_and_close(self.log, output)
    }

    /// As [`Writing::publish_and_close`], after the sealing and merging that is due, or as much of
    /// it as is done when a signal asks to stop.
    ///
    /// # Errors
    /// As there, and when what is due cannot be done.
    pub fn publish_finish_and_close(self, output: &Output) -> Result {
        publish_and_close(self.log, output)?;
        let progress = output.progress();
        progress.of_things("merging segments", None);
        let finished = self.access.finish(&mut || {
            progress.set(0);
            cancel::wanted()
        });
        progress.clear();
        finished.or_could("merge segments, to be tried again by the next import")
    }

    /// Warns of keys that others than their owner may read.
    pub fn warn_of_exposed_keys(&self, output: &Output) {
        for exposed in key_files::exposed(&self.access.folder) {
            output.warn(exposed);
        }
    }
}

fn publish_and_close(log: Log, output: &Output) -> Result {
    if !log.signs() {
        log.close();
        output.note("committed; the server that has the signing key publishes it");
        return Ok(());
    }
    let published = log.publish();
    log.close();
    published
        .map(|_| ())
        .map_err(|error| Failure::Could(format!("committed, but not published: {error}")))
}

/// The sealing policy in force; what the command line says goes before.
///
/// # Errors
/// [`Failure::Usage`] when the file of the policy cannot be read, or is none.
pub fn sealing(config: &Config, said: Option<Switch>) -> Result<Arc<SealingPolicy>> {
    let policy = match (said.unwrap_or(config.sealing), &config.sealing_policy) {
        (Switch::Off, _) => SealingPolicy::off(),
        (Switch::On, None) => SealingPolicy::default(),
        (Switch::On, Some(path)) => policy_in(path)?,
    };
    Ok(Arc::new(policy))
}

fn policy_in(path: &Path) -> Result<SealingPolicy> {
    let wrong = |error: &dyn std::fmt::Display| {
        let text = format!("the sealing policy in {}: {error}", path.display());
        Failure::Usage(text)
    };
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    SealingPolicy::from_json(&text).map_err(|error| wrong(&error))
}

/// The data directory and its keys, unopened.
///
/// # Errors
/// [`Failure::Could`] when there is no ledger.
pub fn locate(config: &Config) -> Result<(RealDisk, KeyFolder)> {
    let found = indelible_directory::find(&names(config)?);
    found.or_could(opening(config))?.ok_or_else(|| none(config))
}

/// Whether there is a ledger.
///
/// # Errors
/// [`Failure::Could`] when it cannot be told.
pub fn is_there(config: &Config) -> Result<bool> {
    let found = indelible_directory::find(&names(config)?);
    Ok(found.or_could(opening(config))?.is_some())
}

/// Opens for reading, beside a writer if there is one; says what cannot be used.
///
/// # Errors
/// [`Failure::Could`] when there is no ledger, or it cannot be read.
pub fn read(config: &Config, output: &Output) -> Result<Reading> {
    let reading = opened(config, output)?;
    warn_of_unusable(&reading, output);
    Ok(reading)
}

/// As [`read()`], for what stands in the small state: what was published, the keys of callers.
/// Without that there is no answer, whatever else is whole; `doing` says what could not be done.
///
/// # Errors
/// As [`read()`], and [`Failure::Could`] when the small state cannot be read.
pub fn read_with_state(config: &Config, doing: &str, output: &Output) -> Result<Reading> {
    let reading = opened(config, output)?;
    if reading.has_state() {
        warn_of_unusable(&reading, output);
        return Ok(reading);
    }
    let all = reading.unusable().iter();
    let all: Vec<_> = all.map(|finding| finding.message.as_str()).collect();
    Err(Failure::Could(format!(
        "cannot {doing}: {}",
        all.join("; ")
    )))
}

/// Where the ledger of the data directory was moved to, if it was.
///
/// # Errors
/// [`Failure::Usage`] when the settings name no place.
pub fn moved(config: &Config) -> Result<Option<String>> {
    Ok(indelible_directory::moved(&names(config)?))
}

/// What the signer keeps. A damaged file is a finding among those of the files.
///
/// # Errors
/// [`Failure::Could`] when there is no ledger, or it cannot be read.
pub fn kept(config: &Config) -> Result<Kept> {
    let (_, folder) = locate(config)?;
    let names = names(config)?;
    if moved(config)?.is_some() || indelible_directory::is_backup(&names) {
        // It goes on signing, for the ledger where that is now.
        return Ok(Kept::Elsewhere);
    }
    match folder.kept() {
        Err(error) if error.kind() == Kind::Corrupt => Ok(Kept::Elsewhere),
        kept => kept.or_could("read the signer's last checkpoint"),
    }
}

/// Whether what was published extends what the signer keeps; warns when it does not. A signer that
/// keeps nothing is `verify`'s to name.
///
/// # Errors
/// [`Failure::Could`] when the small state cannot be asked.
pub fn extends_signed(kept: &Kept, reading: &Reading, output: &Output) -> Result<bool> {
    let Kept::Checkpoint(kept) = kept else {
        return Ok(true);
    };
    if !reading.has_state() {
        return Ok(true);
    }
    let found = verify_kept(&reading.stores, kept).or_could("compare what was signed")?;
    if let Some(finding) = &found {
        output.warn(format_args!(
            "what was published is not all that was signed: {finding}; see verify"
        ));
    }
    Ok(found.is_none())
}

/// Whose logs there are: stored, or gone altogether and known by what was published.
///
/// # Errors
/// [`Failure::Could`] when a store cannot be asked.
pub fn tenants(reading: &Reading) -> Result<Vec<TenantId>> {
    let stored = reading.stores.ledger.tenants();
    let mut all = stored.or_could("list the tenants")?;
    if reading.has_state() {
        let published = published_heads(reading.stores.state.as_ref());
        let published = published.or_could("read the registry")?;
        all.extend(published.into_values().map(|head| head.tenant));
        all.sort();
        all.dedup();
    }
    Ok(all)
}

fn opened(config: &Config, output: &Output) -> Result<Reading> {
    let progress = output.progress();
    let reading = read_quietly(config, &progress)?;
    progress.clear();
    if let Some(place) = moved(config)? {
        let data = config.data.shown();
        output.note(format_args!(
            "the ledger in {data} was moved to {place}: what came since is there"
        ));
    }
    if reading.is_backup() {
        output.note("this is a backup: what came since it was made is not in it");
    }
    Ok(reading)
}

fn warn_of_unusable(reading: &Reading, output: &Output) {
    for finding in reading.unusable() {
        let message = &finding.message;
        if finding.kind == FindingKind::RolledBack {
            output.warn(format_args!("personal values may be missing: {message}"));
        } else {
            output.warn(format_args!("reading goes on without: {message}"));
        }
    }
    let made = reading.made_in_memory();
    if !made.is_empty() {
        let files = made.join(", ");
        output.note(format_args!(
            "made again in memory, as every read will: {files}; see indelible fsck --repair"
        ));
    }
}

/// As [`read()`], for those who tell what cannot be used as findings.
///
/// # Errors
/// As [`read()`].
pub fn read_quietly(config: &Config, progress: &Progress) -> Result<Reading> {
    let read = Directory::read(&names(config)?, environment(), &mut |done| {
        show(progress, &done);
    });
    read.or_could(opening(config))?.ok_or_else(|| none(config))
}

/// Why there is no master key to open personal values with.
pub fn no_master(access: &Access) -> &'static str {
    match access.folder.master() {
        _ if access.is_backup() => "the key store is kept apart from a backup",
        Ok(None) => "the master key is not here",
        // Damaged or of another ledger, as is told of its file; or the key store is.
        _ => "the master key cannot be used",
    }
}

/// Opens for writing; makes the ledger with its keys when there is none.
///
/// # Errors
/// [`Failure::Could`], also when another process is writing, or the ledger does not extend what was
/// signed.
pub fn write(config: &Config, output: &Output) -> Result<Writing> {
    match try_write(config, output)? {
        Opening::Opened(writing) => Ok(*writing),
        Opening::NotExtending(_, findings) => {
            let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Err(Failure::Could(format!(
                "the ledger does not extend what was signed, so nothing is written to it: {}; \
                 restore what is missing, or see indelible recover",
                findings.join("; ")
            )))
        }
    }
}

/// Says that a command which knows no server writes here, where the environment names one and no
/// flag the directory.
pub fn note_that_it_is_here(config: &Config, output: &Output) {
    let data = config.resolved.iter().find(|found| found.key == "data");
    let is_said = data.is_some_and(|data| data.source == Source::Flag);
    if !is_said && std::env::var_os(URL).is_some_and(|url| !url.is_empty()) {
        let place = config.place();
        output.note(format_args!(
            "this writes to the ledger in {place}, and not to the server that {URL} names"
        ));
    }
}

/// As [`write()`], but gives the findings when the ledger does not extend what was signed.
///
/// # Errors
/// As [`write()`].
pub fn try_write(config: &Config, output: &Output) -> Result<Opening> {
    let (progress, origin) = (output.progress(), config.origin.as_deref());
    let access = Directory::write(&names(config)?, origin, environment(), &mut |done| {
        show(&progress, &done);
    });
    progress.clear();
    let access = access.map_err(|error| not_writable(&error, config))?;
    match access.log(origin) {
        Ok(log) => Ok(Opening::Opened(Box::new(Writing { log, access }))),
        Err(OpenError::NotExtending(findings)) => {
            Ok(Opening::NotExtending(Box::new(access), findings))
        }
        Err(OpenError::NoSigningKey(path)) => Err(Failure::Could(format!(
            "the signing key is not in {}; see --keys",
            path.shown()
        ))),
        Err(OpenError::Store(error)) => Err(not_writable(&error, config)),
    }
}

/// Why it is not opened for writing, and what can be done all the same.
fn not_writable(error: &Error, config: &Config) -> Failure {
    let (opening, data) = (opening(config), config.data.shown());
    Failure::Could(match error.kind() {
        // A full disk keeps nobody from reading.
        Kind::NoSpace if config.database.is_none() => format!(
            "cannot {opening} for writing, the disk is full: {error}; query, verify and export \
             still read it, with --data {data}"
        ),
        // The lock is that of the directory beside it, and anybody may write to the database.
        Kind::Locked if config.database.is_some() => format!(
            "cannot use {data} beside {}: {error}; whoever writes to a database has a directory of \
             their own beside it: name another with --data",
            config.place()
        ),
        Kind::Locked => format!(
            "cannot {opening}: {error}; wait for it or stop it. If it is a server, go through it: \
             `indelible keys` and `tenants` take `--url URL`, the address it listens on, and \
             events go over HTTP"
        ),
        _ => format!("cannot {opening}: {error}"),
    })
}

/// Every finding in the files of the data directory and of its keys, or in what a database derives
/// of its records; and the ledger's incarnation, where its small state can be read.
///
/// # Errors
/// [`Failure::Could`] when they cannot be read at all.
pub fn check(config: &Config, progress: &Progress) -> Result<(Vec<Finding>, Option<u64>)> {
    if let Some(finding) = check_format(config)? {
        return Ok((vec![finding], None));
    }
    let access = read_quietly(config, progress)?;
    let mut findings = files(&access, progress)?;
    if access.is_shared() {
        // Of a database the leaves tell, with what is derived of them, and what was published.
        let derived = access.check_derived(&mut |done| show(progress, &done));
        findings.extend(derived.or_could("check what is derived")?);
        let who = identity(access.stores.state.as_ref()).ok().flatten();
        return Ok((findings, who.map(|(who, _)| who.incarnation)));
    }
    if access.has_state() {
        // Files that are gone leave no damaged bytes: the published heads tell.
        let heads = verify_heads(&access.stores).or_could("compare the published heads")?;
        // The same bytes are named once: with the records that are in them, where those are known.
        let is_named = |finding: &Finding| heads.iter().any(|head| same_bytes(finding, head));
        findings.retain(|finding| finding.records.is_some() || !is_named(finding));
        findings.extend(heads);
    }
    findings.extend(headless(&access, &findings)?);
    let who = identity(access.stores.state.as_ref()).ok().flatten();
    Ok((findings, who.map(|(who, _)| who.incarnation)))
}

/// Logs whose end cannot be told, though nothing was found of them: records that stand twice.
fn headless(access: &Access, found: &[Finding]) -> Result<Vec<Finding>> {
    let ledger = access.stores.ledger.as_ref();
    let mut findings = Vec::new();
    for tenant in ledger.tenants().or_could("list the tenants")? {
        let is_told = |finding: &Finding| finding.tenant_id.as_deref() == Some(tenant.as_str());
        match ledger.head(&tenant) {
            Err(error) if error.kind() == Kind::Corrupt && !found.iter().any(is_told) => {
                let finding = Finding::new(FindingKind::Corrupt, error.context());
                findings.push(finding.tenant(tenant.as_str()));
            }
            _ => {}
        }
    }
    Ok(findings)
}

/// Whether two findings are of bytes that overlap.
pub fn same_bytes(one: &Finding, other: &Finding) -> bool {
    matches!((&one.place, &other.place), (Some(a), Some(b)) if a.overlaps(b))
}

/// The finding that keeps the ledger from being opened at all, if there is one.
///
/// # Errors
/// [`Failure::Could`] when it cannot be told.
pub fn check_format(config: &Config) -> Result<Option<Finding>> {
    indelible_directory::check_format(&names(config)?).or_could(opening(config))
}

/// Every finding in the files, beside those that only the records tell.
///
/// # Errors
/// [`Failure::Could`] when they cannot be read at all.
pub fn files(access: &Access, progress: &Progress) -> Result<Vec<Finding>> {
    let mut findings = access
        .check(&mut |done| show(progress, &done))
        .or_could("check the files")?;
    if let Some(master) = access.master() {
        findings.extend(dead_letters::check(access.disk.as_ref(), &master)?);
    }
    Ok(findings)
}

/// Mends what can be computed again.
///
/// # Errors
/// [`Failure::Could`], also when another process is writing.
pub fn repair(config: &Config, progress: &Progress) -> Result {
    let env = environment();
    indelible_directory::repair(&names(config)?, &env, &mut |done| show(progress, &done))
        .or_could("mend what is derived")
}

/// Moves a ledger from a data directory into a database.
///
/// # Errors
/// [`Failure::Could`], saying what is to be done: what was moved stays, and is not moved again.
pub fn migrate(from: &Config, to: &Config, output: &Output) -> Result<Copied> {
    let progress = output.progress();
    let env = environment();
    let migrated = indelible_directory::migrate(&names(from)?, &names(to)?, &env, &mut |done| {
        show(&progress, &done);
    });
    progress.clear();
    migrated.or_could(format_args!("migrate {}", from.data.shown()))
}

/// Where the ledger of the settings is.
///
/// # Errors
/// As [`keys`].
pub fn names(config: &Config) -> Result<Names> {
    Ok(Names {
        data: config.data.clone(),
        keys: keys(config)?.to_path_buf(),
        database: config.database.as_deref().map(|url| reached(url, config)),
    })
}

/// How a database is reached, as the settings say.
fn reached(url: &str, config: &Config) -> DatabaseOptions {
    let postgres = &config.postgres;
    DatabaseOptions {
        connections_min: postgres.connections_min,
        connections_max: postgres.connections_max,
        connect_timeout: postgres.connect_timeout,
        statement_timeout: postgres.statement_timeout,
        lock_timeout: postgres.lock_timeout,
        ..DatabaseOptions::new(url)
    }
}

/// The directory that holds one folder of keys per ledger.
///
/// # Errors
/// [`Failure::Usage`] when there is none.
pub fn keys(config: &Config) -> Result<&Path> {
    config.keys.as_deref().ok_or_else(|| {
        Failure::Usage("there is no place for keys: HOME is not set, so say --keys DIR".to_owned())
    })
}

fn opening(config: &Config) -> String {
    format!("open {}", config.place())
}

fn none(config: &Config) -> Failure {
    let other = match &config.database {
        Some(_) => "name another with --ledger",
        None => "say --data DIR",
    };
    Failure::Could(format!(
        "there is no ledger in {}; {other}, or make one with indelible import, emit or keys init",
        config.place()
    ))
}

/// Shows how far work is.
pub fn show(progress: &Progress, done: &Done) {
    progress.of_things(&done.what, done.total);
    progress.set(done.done);
}
