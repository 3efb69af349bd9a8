//! `restore`: a ledger from a backup, in a fresh data directory or an empty database, verified.

use serde_json::json;

use crate::args::Restore;
use crate::config::{Config, without_password};
use crate::exit::{Failure, OrCould, Result};
use crate::ledger;
use crate::output::{Output, Show};
use crate::process::environment;
use crate::verify::{self, Given};

/// Copies, verifies and says how to go on.
pub fn run(args: &Restore, config: &Config, output: &mut Output) -> Result {
    let to = Config {
        data: args.to.clone().unwrap_or_else(|| config.data.clone()),
        ..config.clone()
    };
    let progress = output.progress();
    let (names, env) = (ledger::names(&to)?, environment());
    let keys = args.keys_from.as_deref();
    let restored = indelible_directory::restore(&args.from, keys, &names, &env, &mut |done| {
        ledger::show(&progress, &done);
    });
    progress.clear();
    restored.or_could(format_args!("restore {}", args.from.shown()))?;
    let clean = verify::data(None, &Given::default(), &to, output)?;
    tell(args, &to, output)?;
    if clean {
        return Ok(());
    }
    output.note(
        "what is rolled-back here was signed after the backup was made: a newer backup may have \
         it. If there is none, indelible recover goes on without; docs/recovery.md",
    );
    Err(Failure::No)
}

fn tell(args: &Restore, to: &Config, output: &mut Output) -> Result {
    if args.keys_from.is_none() {
        output.warn(
            "restored without the key store: personal values stay sealed, and nothing is written \
             before keys/keys.redb is there",
        );
    }
    let url = to.database.as_deref().map(without_password);
    if output.json {
        return output.json_line(&json!({
            "data": to.data.display().to_string(),
            "ledger": url,
        }));
    }
    let ledger = url.map(|url| format!(" --ledger {url}"));
    output.line(format_args!("restored; this serves it:"))?;
    output.line(format_args!(
        "  indelible serve{} --data {}",
        ledger.unwrap_or_default(),
        to.data.shown()
    ))
}
