//! `relay`: moves the rows of a program's outbox to the ledger, until a signal or until none waits.
//!
//! Not here: how they are moved, which is `indelible-outbox`'s.

mod page;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_emit::{Surroundings, Transport};
use indelible_event::Micros;
use indelible_log::env::Env;
use indelible_outbox::{Metrics, Options, Outbox, Relay, SCHEMA, Standing};
use indelible_store::{Error, Kind, Retry};
use serde_json::json;

use crate::args;
use crate::cancel;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::listen::Listen;
use crate::output::{Output, Show};
use crate::process::environment;
use crate::ways::{self, Here};

/// Names the database of an outbox without showing it.
const OUTBOX: &str = "INDELIBLE_OUTBOX";
/// How often signals and figures are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a batch that is under way has to end, after a signal.
const END_WITHIN: Duration = Duration::from_mins(1);

/// Relays, or makes or prints the tables.
pub fn run(args: &args::Relay, config: &Config, output: &mut Output) -> Result {
    if args.print_schema {
        return output.bytes(SCHEMA.as_bytes());
    }
    let url = database(args.from.as_deref())?;
    let outbox = Outbox::at(&url).map_err(|error| Failure::Usage(error.to_string()))?;
    if args.install {
        outbox.install().or_could("make the outbox")?;
        output.note(format_args!("the outbox is in {}", outbox.named().shown()));
        return Ok(());
    }
    check(&outbox, args.once, output)?;
    let server = ways::server(args.url.as_deref(), config)?;
    // The port first: a busy one must leave nothing behind.
    let listener = args.listen.as_ref().map(Listen::listen);
    let listener = listener.transpose()?;
    let transport: Box<dyn Transport> = match &server {
        Some(url) => Box::new(ways::http(url)?),
        None => Box::new(Here::open("relay", config, output)?),
    };
    let options = Options {
        once: args.once,
        ..Options::new(&url)
    };
    // Whoever reads that it works may stop it at once.
    let _gently = cancel::gently();
    let relay = Relay::start(options, transport, Arc::new(Process::new()));
    let relay = Arc::new(relay.or_could("start the relay")?);
    let to = server.unwrap_or_else(|| config.place());
    announce(&outbox, &to, listener.as_ref(), output)?;
    if let Some(listener) = listener {
        page::serve(listener, Arc::clone(&relay))?;
    }
    watch(&relay, output);
    told(&relay.metrics(), args.once, output)
}

/// The database of an outbox: what was said, else what the environment says.
///
/// # Errors
/// [`Failure::Usage`] when neither does.
pub fn database(said: Option<&str>) -> Result<String> {
    let variable = || std::env::var(OUTBOX).ok();
    let url = said.map(str::to_owned).or_else(variable);
    url.filter(|url| !url.is_empty()).ok_or_else(|| {
        let text = "name the database with the outbox: --from postgres://user:password@host/\
                    database, or INDELIBLE_OUTBOX";
        Failure::Usage(text.to_owned())
    })
}

/// What does not get better by waiting ends the command; a database that is down is waited for.
fn check(outbox: &Outbox, once: bool, output: &Output) -> Result {
    match outbox.check() {
        Ok(()) => Ok(()),
        Err(error) if waits(&error) && !once => {
            output.warn(format_args!("{error}; waiting for it"));
            Ok(())
        }
        Err(error) => Err(error).or_could("relay"),
    }
}

fn waits(error: &Error) -> bool {
    error.retry() != Retry::No && error.kind() != Kind::Locked
}

fn announce(
    outbox: &Outbox,
    to: &str,
    listener: Option<&TcpListener>,
    output: &mut Output,
) -> Result {
    let address = listener.map(TcpListener::local_addr).transpose();
    let url = address.or_could("read the address")?;
    let url = url.map(|address| format!("http://{address}"));
    let from = outbox.named();
    if output.json {
        output.json_line(&json!({"listening": url, "relaying": {"from": from, "to": to}}))?;
        return output.flush();
    }
    output.line(format_args!(
        "relaying from {} to {}",
        from.shown(),
        to.shown()
    ))?;
    if let Some(url) = url {
        output.line(format_args!("metrics on {url}/metrics"))?;
    }
    output.flush()
}

/// Says what the relay meets, until it has ended.
fn watch(relay: &Relay, output: &Output) {
    let (mut standing, mut trouble) = (Standing::Away, None);
    loop {
        let metrics = relay.metrics();
        if metrics.trouble != trouble {
            match &metrics.trouble {
                Some(what) => output.warn(what.shown()),
                None => output.note("all is well again"),
            }
            trouble.clone_from(&metrics.trouble);
        }
        if metrics.standing != standing {
            standing = metrics.standing;
            if standing == Standing::StandingBy {
                output.note("another relay works on the outbox; this one takes over when it ends");
            }
        }
        if standing == Standing::Ended {
            return;
        }
        if cancel::wanted() {
            relay.stop(END_WITHIN);
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What came of it.
fn told(metrics: &Metrics, once: bool, output: &mut Output) -> Result {
    let Metrics {
        relayed,
        refused,
        waiting,
        ..
    } = metrics;
    if output.json {
        let line = json!({"refused": refused, "relayed": relayed, "waiting": waiting});
        output.json_line(&line)?;
    } else {
        output.line(format_args!(
            "{relayed} relayed, {refused} refused, {waiting} wait"
        ))?;
    }
    match &metrics.trouble {
        Some(what) if once => Err(Failure::Could(format!(
            "not everything was relayed: {what}"
        ))),
        _ if once && *refused > 0 => Err(Failure::No),
        _ => Ok(()),
    }
}

/// Clock and randomness of the process.
struct Process {
    env: Env,
    began: Instant,
}

impl Process {
    fn new() -> Self {
        Self {
            env: environment(),
            began: Instant::now(),
        }
    }
}

impl Surroundings for Process {
    fn now(&self) -> Micros {
        self.env.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.env.random.fill(bytes);
    }
}
