//! `import`: files into a tenant's log. The work is done in [`crate::import`].

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use indelible_event::catalogue::{CLOUDTRAIL, Catalogue, NATIVE, Open};
use indelible_event::{Mode, TenantId};
use indelible_log::policy::SealingPolicy;
use indelible_log::prepare::Admission;
use serde_json::json;

use crate::args::{Format, Import};
use crate::cancel;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::import::{Counts, Feed, Imported, Refusals, Rules, Run, plan};
use crate::ledger::{self, Writing};
use crate::output::{Output, Show};
use crate::process::tenant_to_write;

/// Records that could not be mapped are listed nowhere, so each is flagged lenient.
static UNMAPPED: Catalogue = Catalogue {
    name: "unmapped",
    open: Open::Closed,
    entries: &[],
    also: &[],
};

/// Imports, publishes, and says what came of it.
pub fn run(args: &Import, config: &Config, output: &mut Output) -> Result {
    let tenant = tenant_to_write(args.tenant.as_deref(), config)?;
    let plan = plan(&args.paths)?;
    for path in &plan.passed_over {
        output.note(format_args!("passed over: {}", path.shown()));
    }
    if plan.origins.is_empty() {
        return Err(Failure::Could(
            "there is nothing to import there".to_owned(),
        ));
    }
    let receipts = args.receipts.as_deref().map(receipts_to).transpose()?;
    let receipts_on_stdout = args.receipts.as_deref() == Some(Path::new("-"));
    ledger::note_that_it_is_here(config, output);
    let ledger = ledger::write(config, output)?;
    ledger.warn_of_exposed_keys(output);
    let gently = cancel::gently();
    let mode = if args.lenient {
        Mode::Lenient
    } else {
        Mode::Strict
    };
    let sealing = ledger::sealing(config, args.sealing)?;
    let rules = rules(args.format, mode, &sealing, tenant, config);
    let bytes = plan.bytes;
    let imported = Feed::start(plan, args.format)
        .or_could("start reading")
        .and_then(|feed| import(&ledger, &rules, (feed, bytes), output, receipts));
    // Whatever ended it, what is durable is published.
    let published = ledger.publish_finish_and_close(output);
    let imported = imported?;
    published?;
    drop(gently);
    let counts = told(&imported, receipts_on_stdout, output)?;
    let clean = counts.all_in() && !(args.strict && counts.unmapped > 0);
    if clean { Ok(()) } else { Err(Failure::No) }
}

/// Says what came of it.
///
/// # Errors
/// When it was cancelled, or not all was read.
pub fn told(imported: &Imported, receipts_on_stdout: bool, output: &mut Output) -> Result<Counts> {
    let counts = imported.counts;
    let cancelled = imported.cancelled;
    if output.json {
        let letters = &imported.letters;
        let line = json!({"cancelled": cancelled, "counts": counts, "dead_letters": letters});
        if receipts_on_stdout {
            output.note(line);
        } else {
            output.json_line(&line)?;
        }
    } else if receipts_on_stdout && !cancelled {
        output.note(counts);
    } else if !cancelled {
        output.line(counts)?;
    }
    if cancelled {
        return Err(Failure::Cancelled(format!(
            "{counts} so far; run it again to go on"
        )));
    }
    if imported.unreadable {
        return Err(Failure::Could(
            "not every file could be read to its end".to_owned(),
        ));
    }
    Ok(counts)
}

/// Imports what `feed` gives, of about as many bytes.
///
/// # Errors
/// As [`Run::all`].
pub fn import(
    ledger: &Writing,
    rules: &Rules,
    (feed, bytes): (Feed, Option<u64>),
    output: &Output,
    receipts: Option<Box<dyn Write>>,
) -> Result<Imported> {
    let access = &ledger.access;
    let refusals = Refusals {
        disk: &access.disk,
        master: access.folder.master().or_could("keep dead letters")?,
        env: access.env.clone(),
        writer: None,
        kept: None,
        again: 0,
    };
    let imported = Run::new(ledger, rules, refusals, output, receipts).all(&feed, bytes)?;
    // Cancelled, its thread may be waiting for input that never comes.
    if !imported.cancelled {
        feed.finish();
    }
    Ok(imported)
}

/// How events of `format` are taken into the tenant's log.
pub fn rules(
    format: Format,
    mode: Mode,
    sealing: &Arc<SealingPolicy>,
    tenant: TenantId,
    config: &Config,
) -> Rules {
    let (catalogue, dialect) = match format {
        Format::Cloudtrail => (&CLOUDTRAIL, Some("cloudtrail".to_owned())),
        Format::Ndjson => (&NATIVE, None),
    };
    let admission = |mode, catalogue| {
        Arc::new(Admission {
            mode,
            catalogue,
            dialect: dialect.clone(),
            submitted_by: None,
            via: Some("import".to_owned()),
            sealing: Arc::clone(sealing),
        })
    };
    Rules {
        format,
        tenant,
        mapped: admission(mode, catalogue),
        unmapped: admission(Mode::Lenient, &UNMAPPED),
        batch_records: config.import_batch_records,
        retried: None,
    }
}

fn receipts_to(path: &Path) -> Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    }
    // A device or a pipe may be written to.
    if path.is_file() {
        return Err(Failure::Could(format!(
            "{} is there already: name another file for the receipts",
            path.shown()
        )));
    }
    let file = File::create(path).or_could(format_args!("write receipts to {}", path.shown()))?;
    Ok(Box::new(BufWriter::new(file)))
}
