//! `serve`: the ledger over HTTP, until a signal.
//!
//! Where back end, key files and settings meet the server. Telemetry is JSON lines on standard
//! error; where it listens stands on standard output.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indelible_api::InForce;
use indelible_directory::{Directory, KeyFolder};
use indelible_log::policy::SealingPolicy;
use indelible_log::registry::identity;
use indelible_log::verify::{Anchors, Kept};
use indelible_proof::note::VerifierKey;
use indelible_server::access::Trusted;
use indelible_server::{Configuration, ExportPlace, Parts, Server, Settings, Stop};
use indelible_store::Kind;
use serde_json::json;

use crate::args::Serve;
use crate::cancel;
use crate::commands::config::in_force;
use crate::config::{AuthConfig, Config, Source, without_password};
use crate::demo::{self, Scratch};
use crate::exit::{Failure, OrCould, Result};
use crate::key_files;
use crate::key_set;
use crate::ledger::{self, Writing};
use crate::output::{Output, Show};
use crate::telemetry;
use crate::tls;

/// How often a signal is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Serves until it is told to stop.
pub fn run(args: &Serve, config: &Config, output: &mut Output) -> Result {
    let _telemetry = config.server.telemetry.and_then(telemetry::start);
    files_allowed();
    let listen = args.listen.as_ref().unwrap_or(&config.server.listen);
    // The port first: a busy one must leave no ledger behind, nor one that others may not reach.
    let listener = listen.listen()?;
    let scratch = (args.demo && config.database.is_none() && is_default_data(config))
        .then(Scratch::make)
        .transpose()?;
    let config = scratch
        .as_ref()
        .map_or_else(|| config.clone(), |scratch| scratch.config(config));
    let sealing = ledger::sealing(&config, None)?;
    may_be_new(&listener, &config)?;
    let Writing { log, access } = ledger::write(&config, output)?;
    must_seal(&access)?;
    let folder = access.folder.clone();
    for exposed in key_files::exposed(&folder) {
        tracing::warn!("{exposed}");
    }
    let state = Arc::clone(&access.stores.state);
    let named = access
        .verifier_key()
        .or_could("read the ledger's own log")?;
    let named = named.and_then(|key| key.parse().ok());
    let database = access.database();
    let stands_on = database.map(|about| about.partitions.to_string());
    let started = Started {
        ledger: database.map(|about| format!("{}: {about}", config.place())),
        temporary_data: scratch.as_ref().map(Scratch::data),
        scheme: config.server.scheme(),
    };
    let parts = Parts {
        log,
        stores: access.stores.clone(),
        index: access.shared_index(),
        keyring: Arc::clone(&access.keyring),
        env: access.env.clone(),
        shared: access.is_shared(),
        stands_on,
        trusted: trusted(&config.auth),
        configuration: configuration(&config),
        in_force: told(args, &config),
        tls: config.server.tls.clone().map(tls::source),
        exports: exports(&access)?,
        anchors: Arc::new(move || anchors(&folder, named.as_ref(), state.as_ref())),
    };
    let server = Server::new(parts, settings(&config, &sealing), listener).map_err(|error| {
        match error.kind() {
            Kind::Invalid => Failure::Usage(error.context().to_owned()),
            _ => Failure::Could(format!("cannot serve: {error}")),
        }
    })?;
    // Whoever reads that it listens may stop it at once.
    let gently = cancel::gently();
    stop_on_signal(server.stop())?;
    announce(&server, &started, output)?;
    if args.demo {
        demo::play(server.feed(), server.stop(), sealing)?;
    }
    let served = server.run().or_could("end well");
    drop(gently);
    drop(access);
    served
}

fn settings(config: &Config, sealing: &Arc<SealingPolicy>) -> Settings {
    Settings {
        sealing: Arc::clone(sealing),
        ..config.server.settings.clone()
    }
}

/// Every setting, with what the command line says of the server itself.
fn told(args: &Serve, config: &Config) -> InForce {
    let mut settings = in_force(config);
    let listens = settings
        .iter_mut()
        .find(|one| one.setting == "server.listen");
    if let (Some(listen), Some(one)) = (&args.listen, listens) {
        one.value = Some(listen.to_string());
        one.source = Source::Flag.to_string();
    }
    InForce { settings }
}

/// What somebody has set of the server and of who it trusts, without secrets.
fn configuration(config: &Config) -> Configuration {
    let recorded = |key: &str| {
        let groups = ["server.", "auth.", "limits."];
        key.starts_with("sealing") || groups.iter().any(|group| key.starts_with(group))
    };
    let set = config.resolved.iter();
    let set = set.filter(|one| one.source != Source::Default && recorded(one.key));
    let pairs = set.filter_map(|one| {
        let value = one.value.as_deref()?;
        let shown = if value.contains("://") && value.contains('@') {
            without_password(value)
        } else {
            value.to_owned()
        };
        Some((one.key.to_owned(), shown))
    });
    pairs.collect()
}

/// Whether nobody said where the data is.
fn is_default_data(config: &Config) -> bool {
    let data = config
        .resolved
        .iter()
        .find(|resolved| resolved.key == "data");
    data.is_some_and(|data| data.source == Source::Default)
}

/// A new ledger has no keys, and without keys only this machine is served.
fn may_be_new(listener: &TcpListener, config: &Config) -> Result {
    let address = listener.local_addr().or_could("read the address")?;
    if address.ip().is_loopback() || vouches(&config.auth) || ledger::is_there(config)? {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "there is no ledger in {}, so there are no keys, and the server does not listen on \
         {address}, where others reach it: make one with indelible keys create --role admin, or \
         listen on 127.0.0.1",
        config.place()
    )))
}

/// Who else than keys says who somebody is.
fn trusted(auth: &AuthConfig) -> Trusted {
    let issuer = auth.jwt.as_ref();
    Trusted {
        issuer: issuer.map(|jwt| key_set::trusted(jwt, auth.names)),
        proxy: auth.proxy.clone(),
    }
}

/// Whether somebody else than keys says who somebody is.
fn vouches(auth: &AuthConfig) -> bool {
    auth.jwt.is_some() || auth.proxy.is_some()
}

/// A server that cannot seal could take no personal data and no attachment.
fn must_seal(access: &Directory) -> Result {
    if access.keyring.has_master() {
        return Ok(());
    }
    Err(Failure::Could(format!(
        "the master key is not in {}, so nothing can be sealed: restore it, or name the directory \
         of the keys with --keys",
        access.folder.path().shown()
    )))
}

/// Where exports are kept: beside the ledger, under a key that is derived from the master key.
fn exports(access: &Directory) -> Result<ExportPlace> {
    let master = access.folder.master().or_could("read the master key")?;
    let missing = || Failure::Could("the master key is gone".to_owned());
    let key = *master.ok_or_else(missing)?.derive("indelible/exports");
    Ok(ExportPlace {
        disk: Arc::clone(&access.disk) as Arc<dyn indelible_disk::Disk>,
        key,
    })
}

/// What is said of a server when it has started, beside its address.
struct Started {
    /// The database that has the ledger, and what it is made of.
    ledger: Option<String>,
    /// The data that is removed in the end.
    temporary_data: Option<PathBuf>,
    /// How it is spoken to.
    scheme: &'static str,
}

fn announce(server: &Server, started: &Started, output: &mut Output) -> Result {
    let address = server.address().or_could("read the address")?;
    let url = format!("{}://{address}", started.scheme);
    if output.json {
        let temporary = started
            .temporary_data
            .as_ref()
            .map(|path| path.display().to_string());
        let line = json!({
            "ledger": started.ledger,
            "listening": url,
            "open": server.is_open(),
            "temporary_data": temporary,
        });
        output.json_line(&line)?;
        return output.flush();
    }
    output.line(format_args!("listening on {url}"))?;
    if let Some(ledger) = &started.ledger {
        output.line(format_args!("the ledger is in {ledger}"))?;
    }
    if let Some(path) = &started.temporary_data {
        output.line(format_args!(
            "the data is in {} and is removed in the end; say --data DIR to keep it",
            path.shown()
        ))?;
    }
    if server.is_open() {
        output.line("OPEN: there are no keys, so everybody on this machine may read and write.")?;
        output.line("      This makes one and closes it:")?;
        output.line(format_args!(
            "      indelible keys create --role admin --url {url}"
        ))?;
    }
    output.flush()?;
    if server.is_open() {
        tracing::warn!("the server is open: there are no keys");
    }
    Ok(())
}

/// The trusted key and what was signed last, as `verify` has them.
///
/// A server without the signing key takes the key that the ledger names: what it finds is for those
/// who trust the ledger's database, as everything is that a server without keys of its own says.
fn anchors(
    folder: &KeyFolder,
    named: Option<&VerifierKey>,
    state: &dyn indelible_store::State,
) -> Anchors {
    let origin = identity(state)
        .ok()
        .flatten()
        .map(|(who, _)| who.origin_in_force());
    let kept = match folder.kept().unwrap_or_default() {
        Kept::Checkpoint(kept) if Some(&kept.origin) != origin.as_ref() => Kept::Elsewhere,
        kept => kept,
    };
    Anchors {
        key: folder
            .signing()
            .ok()
            .flatten()
            .map(|key| key.verifier_key())
            .or_else(|| named.cloned()),
        kept,
        checkpoint: None,
        values: true,
    }
}

fn stop_on_signal(stop: Stop) -> Result {
    let watch = move || {
        while !stop.wait(LOOK_EVERY) {
            if cancel::wanted() {
                tracing::info!("stopping: requests under way are finished");
                stop.stop();
            }
        }
    };
    std::thread::Builder::new()
        .name("stop".to_owned())
        .spawn(watch)
        .map(drop)
        .or_could("wait for signals")
}

/// As many open files as the system lets us have: each connection is one.
fn files_allowed() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // With fewer, connections are refused one by one.
    let _ = setrlimit(Resource::Nofile, raised);
}
