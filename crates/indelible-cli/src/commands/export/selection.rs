//! What a query finds, written as a file: the same rows as `query` shows, in any form.
//!
//! Not here: finding them, which `query` does, of a data directory, a database or a server.

use std::io::{IsTerminal, stderr, stdout};

use indelible_api::Counts;
use indelible_export::{Columns, File, Format, Row, has_parquet};
use indelible_proof::finding::records;
use indelible_query::resolve;
use indelible_store::{Direction, Order, Tally};
use serde_json::json;

use super::part::Part;
use crate::args::{Export, SortOrder};
use crate::commands::query::shown::{Found, Rows};
use crate::commands::query::{Asking, here, parsed, there};
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Reading};
use crate::output::{Output, Progress, Show};
use crate::process::{environment, file_named, tenant_to_read};
use crate::remote::Remote;

/// Bytes that are kept before they are passed on.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes what the query finds.
pub fn run(args: &Export, config: &Config, output: &mut Output) -> Result {
    let columns = Columns::parse(&args.columns).map_err(|why| Failure::Usage(why.to_string()))?;
    if !args.form().has_columns() && !args.columns.is_empty() {
        let text = "--columns are those of tables: say --format csv or parquet";
        return Err(Failure::Usage(text.to_owned()));
    }
    let out = file_named(args.out.as_deref());
    if args.form() == Format::Parquet && out.is_none() && stdout().is_terminal() {
        let text = "Parquet is nothing for a terminal: say --out FILE";
        return Err(Failure::Usage(text.to_owned()));
    }
    if args.form() == Format::Parquet && !has_parquet() {
        let text = "Parquet was left out of this build: build it with --features full";
        return Err(Failure::Usage(text.to_owned()));
    }
    let asking = asking(args, config, output)?;
    let remote = Remote::meant(&args.through, config, output)?;
    let reading = match &remote {
        Some(_) => None,
        None => Some(ledger::read(config, output)?),
    };
    if let (Some(reading), Some(out)) = (&reading, out)
        && indelible_directory::is_within(out, &reading.path)
    {
        let text = format!(
            "{} lies in the data directory: export to another",
            out.shown()
        );
        return Err(Failure::Could(text));
    }
    let part = out.map(|out| Part::create(out, args.force)).transpose()?;
    let file = File::start(args.form(), &columns, Vec::new()).or_could("begin the export")?;
    let progress = output.progress();
    let is_watched = stderr().is_terminal() && !output.quiet;
    let total = is_watched.then(|| total(&asking, remote.as_ref(), reading.as_ref()));
    progress.of_things("exporting", total.flatten());
    let mut written = Writing {
        file,
        part,
        progress,
        count: 0,
    };
    let answered = match (remote, reading) {
        (Some(remote), _) => there::give((&asking, None), &remote, &mut written, output),
        (None, Some(reading)) => {
            let answer = here::Answer { asking, reading };
            answer.give(None, &mut written, output)
        }
        (None, None) => Ok(()),
    };
    written.progress.clear();
    // What cannot be read was told of; the rest is whole.
    if matches!(answered, Ok(()) | Err(Failure::No)) {
        written.finish(args, output)?;
    }
    answered
}

fn asking(args: &Export, config: &Config, output: &Output) -> Result<Asking> {
    let now = environment().clock.now();
    Ok(Asking {
        parsed: parsed(args.query.as_deref().unwrap_or_default(), now, output)?,
        tenant: tenant_to_read(args.tenant.as_deref(), config)?,
        order: match args.order {
            SortOrder::Time => Order::Time,
            SortOrder::Seq => Order::Sequence,
        },
        direction: Direction::OldestFirst,
        limit: 0,
        now,
    })
}

/// How many records there will be, where an index can tell; only for the display.
fn total(asking: &Asking, remote: Option<&Remote>, reading: Option<&Reading>) -> Option<u64> {
    if let Some(remote) = remote {
        let text = asking.parsed.to_string();
        let mut query = vec![("q", text.as_str())];
        query.extend(asking.tenant.as_ref().map(|name| ("tenant", name.as_str())));
        let counts: Counts = remote.get("/v1/counts", &query).ok()?;
        return counts.counted.exact.then_some(counts.total);
    }
    let reading = reading?;
    let mut tenants = ledger::tenants(reading).ok()?;
    if let Some(named) = &asking.tenant {
        tenants.retain(|tenant| tenant == named);
    }
    let resolved = resolve(&asking.parsed, &tenants, Some(reading.keyring.as_ref()));
    let tallied = reading.index().tally(&resolved.query, &Tally::default());
    tallied
        .ok()
        .filter(|tallied| tallied.exact)
        .map(|tallied| tallied.total)
}

/// A file being written, or standard output.
struct Writing {
    file: File<Vec<u8>>,
    /// `None` for standard output.
    part: Option<Part>,
    progress: Progress,
    count: u64,
}

impl Writing {
    fn pass_on(&mut self, output: &mut Output) -> Result {
        let bytes = std::mem::take(self.file.inner_mut());
        put(self.part.as_mut(), &bytes, output)
    }

    fn finish(mut self, args: &Export, output: &mut Output) -> Result {
        let rest = self.file.finish().or_could("end the export")?;
        put(self.part.as_mut(), &rest, output)?;
        let to_file = self.part.is_some();
        if let Some(part) = self.part {
            part.finish()?;
        }
        let line = json!({"format": args.form().name(), "records": self.count});
        match (output.json, to_file) {
            (true, true) => output.json_line(&line)?,
            (true, false) => output.note(line),
            (false, _) => output.note(records(self.count)),
        }
        Ok(())
    }
}

fn put(part: Option<&mut Part>, bytes: &[u8], output: &mut Output) -> Result {
    match part {
        Some(part) => part.bytes(bytes),
        None => output.bytes(bytes),
    }
}

impl Rows for Writing {
    fn take(&mut self, found: &Found<'_>, output: &mut Output) -> Result {
        let row = Row {
            leaf: found.leaf.bytes(),
            event: found.event,
        };
        self.file.row(&row).or_could("write a record")?;
        self.count += 1;
        self.progress.add(1);
        if self.file.inner_mut().len() >= BUFFER_BYTES {
            self.pass_on(output)?;
        }
        Ok(())
    }

    fn end(&mut self, _output: &mut Output) -> Result {
        Ok(())
    }
}
