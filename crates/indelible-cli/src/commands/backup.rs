//! `backup`: a ledger as it is now, copied beside whoever writes, and verified.

use indelible_directory::{Amount, BackedUp, Order, SIGNED, back_up};
use serde_json::json;

use crate::args::Backup;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger;
use crate::output::{Output, Show};
use crate::process::environment;
use crate::verify::{self, Given};

/// Copies, verifies, and says what is to be kept where.
pub fn run(args: &Backup, config: &Config, output: &mut Output) -> Result {
    let progress = output.progress();
    let from = ledger::names(config)?;
    let order = Order {
        from: &from,
        to: args.to.as_deref(),
        keys_to: args.keys_to.as_deref(),
    };
    let made = back_up(&order, &environment(), &mut |done| {
        ledger::show(&progress, &done);
    });
    progress.clear();
    let made = made.or_could(format_args!("back up {}", config.place()))?;
    for why in &made.unread {
        output.warn(format_args!("left as it was in the backup: {why}"));
    }
    let mut clean = made.unread.is_empty();
    if let Some(to) = &args.to {
        let copy = Config {
            data: to.clone(),
            database: None,
            ..config.clone()
        };
        let kept = Some(made.kept.clone());
        clean &= verify::data_against(None, &Given::default(), kept, &copy, output)?;
    }
    tell(args, &made, output)?;
    if clean { Ok(()) } else { Err(Failure::No) }
}

fn tell(args: &Backup, made: &BackedUp, output: &mut Output) -> Result {
    if output.json {
        let (bytes, records) = match made.copied {
            Amount::Bytes(bytes) => (Some(bytes), None),
            Amount::Records(records) => (None, Some(records)),
        };
        output.json_line(&json!({
            "backup": args.to.as_ref().map(|to| to.display().to_string()),
            "bytes": bytes,
            "files": made.files,
            "key_store": made.keys.as_ref().map(|keys| keys.display().to_string()),
            "records": records,
            "unread": made.unread,
        }))?;
    } else if let Some(to) = &args.to {
        let copied = match made.copied {
            Amount::Bytes(bytes) => format!("{bytes} bytes of records"),
            Amount::Records(records) => format!("{records} records"),
        };
        output.line(format_args!(
            "the backup is in {}; copied now: {copied}, {} attachments and dead letters",
            to.shown(),
            made.files
        ))?;
    }
    if let Some(keys) = &made.keys {
        if !output.json {
            output.line(format_args!("the key store is in {}", keys.shown()))?;
        }
        output.note(
            "keep the key store apart from the backup, and old copies of it for a shorter time: \
             they would undo an erasure",
        );
    } else if args.to.is_some() {
        output.warn(
            "the keys of persons are not in this backup: without a copy of the key store, which \
             --keys-to DIR makes, its personal values stay sealed",
        );
    }
    output.note(format_args!(
        "not copied: the signing and master key in {}; keep copies of both elsewhere, and never \
         put an old {SIGNED} back",
        made.folder.path().shown()
    ));
    Ok(())
}
