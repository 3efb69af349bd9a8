//! `count`: how many records match, as tables for people or as one line of JSON for programs.
//!
//! Counted in a data directory or by a server, and shown alike.

use indelible_api::Counts;
use indelible_api::counts::{Counted, Histogram};
use indelible_event::ids::{Micros, TenantId};
use indelible_log::mask::Sight;
use indelible_query::count::{Counting, Source, Written, count};
use indelible_query::{Parsed, resolve};
use indelible_server::counted::{opened, shown};

use super::query::{PARTS, parsed};
use super::related::damage;
use crate::args::Count;
use crate::config::Config;
use crate::damage::Told;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger;
use crate::output::{Column, Output, Show, Table, Tone, Zone};
use crate::process::{environment, tenant_to_read};
use crate::remote::Remote;

/// So many bodies are looked at where these decide; of more the newest.
const BODIES_MAX: u64 = 1_000_000;

/// What is asked, wherever it is answered.
struct Asking<'a> {
    args: &'a Count,
    parsed: Parsed,
    tenant: Option<TenantId>,
    wanted: Counting,
}

/// Counts and prints.
pub fn run(args: &Count, config: &Config, output: &mut Output) -> Result {
    let written = Written {
        facets: &args.facet,
        top: Some(args.top),
        every: args.every.as_deref(),
        zone: args.zone.as_deref(),
        stats: &args.stats,
    };
    let asking = Asking {
        args,
        parsed: parsed(&args.text.join(" "), environment().clock.now(), output)?,
        tenant: tenant_to_read(args.tenant.as_deref(), config)?,
        wanted: Counting::read(&written, output.zone.zone()).map_err(Failure::Usage)?,
    };
    match Remote::meant(&args.through, config, output)? {
        Some(remote) => asking.there(&remote, output),
        None => asking.here(config, output),
    }
}

impl Asking<'_> {
    fn there(&self, remote: &Remote, output: &mut Output) -> Result {
        let text = self.parsed.to_string();
        let top = self.args.top.to_string();
        let mut query = vec![("q", text.as_str()), ("top", &top)];
        query.extend(
            self.tenant
                .as_ref()
                .map(|tenant| ("tenant", tenant.as_str())),
        );
        let lists = [("facet", &self.args.facet), ("stats", &self.args.stats)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        query.extend(lists.map(|(name, list)| (name, list.as_str())));
        if let Some(bars) = &self.wanted.bars {
            let zone = bars.zone.iana_name().ok_or_else(|| {
                let text = "the local time zone has no name that a server knows: say --zone";
                Failure::Usage(text.to_owned())
            })?;
            query.extend([("every", bars.length.word()), ("zone", zone)]);
        }
        let counts: Counts = remote.get("/v1/counts", &query)?;
        if !counts.unsearched.is_empty() {
            let tenants = counts.unsearched.join(", ");
            let keys = format!(
                "sealed values of {tenants} were not searched: the server has not got the keys"
            );
            output.warn(self.unsearched(&keys));
        }
        let mut told = Told::default();
        for unreadable in &counts.unreadable {
            let damage = damage(unreadable.clone()).map_err(|error| remote.strange(error))?;
            told.damage(damage);
        }
        self.print(&counts, output)?;
        told.tell("the counts may lack records", output)
    }

    fn here(&self, config: &Config, output: &mut Output) -> Result {
        let reading = ledger::read(config, output)?;
        let mut tenants = ledger::tenants(&reading)?;
        if let Some(tenant) = &self.tenant {
            if !tenants.contains(tenant) {
                let text = format!("there is no tenant {tenant} in {}", reading.path.shown());
                return Err(Failure::Could(text));
            }
            tenants = vec![tenant.clone()];
        }
        let resolved = resolve(&self.parsed, &tenants, Some(reading.keyring.as_ref()));
        if !resolved.unsearched.is_empty() {
            let why = ledger::no_master(&reading);
            let keys = format!("sealed values were not searched: {why} (--keys)");
            output.warn(self.unsearched(&keys));
        }
        let source = Source {
            index: reading.index(),
            ledger: reading.stores.ledger.as_ref(),
            open: &|tenant, value| opened((&reading.keyring, Sight::Clear), tenant, value),
            finder: Some(reading.keyring.as_ref()),
            bodies_max: BODIES_MAX,
        };
        let found = count(source, &resolved.query, &self.wanted);
        let found = found.map_err(|error| match error.kind() {
            indelible_store::Kind::Invalid => Failure::Usage(error.context().to_owned()),
            _ => Failure::Could(format!("cannot count: {error}")),
        })?;
        let mut counts = shown(&found, &self.wanted, &resolved.unsearched);
        counts.indexed_up_to = Some(found.as_of);
        self.print(&counts, output)?;
        let mut told = Told::default();
        found
            .damaged
            .into_iter()
            .for_each(|damage| told.damage(damage));
        told.finish(&reading, &resolved.query, output)
    }

    fn print(&self, counts: &Counts, output: &mut Output) -> Result {
        if self.wanted.bars.is_some() && counts.histogram.is_none() {
            output.warn(
                "no histogram: there would be more than 2000 bars of a month, so ask for less time \
                 with since: and until:",
            );
        }
        let zone = self.wanted.bars.as_ref().map(|bars| Zone::of(&bars.zone));
        print(counts, zone.as_ref(), output)
    }

    fn unsearched<'t>(&self, keys: &'t str) -> &'t str {
        if self.parsed.ask.asks_for_parts() {
            PARTS
        } else {
            keys
        }
    }
}

fn print(counts: &Counts, zone: Option<&Zone>, output: &mut Output) -> Result {
    if output.json {
        return output.json_line(counts);
    }
    output.line(format_args!(
        "{} {}",
        counts.total,
        in_words(&counts.counted, counts.total)
    ))?;
    facets(counts, output)?;
    if let (Some(histogram), Some(zone)) = (&counts.histogram, zone) {
        bars(histogram, zone, output)?;
    }
    stats(counts, output)
}

/// Who counted, and whether that is all.
fn in_words(counted: &Counted, total: u64) -> String {
    let records = if total == 1 { "record" } else { "records" };
    match (counted.looked_at, counted.of) {
        (Some(looked_at), Some(of)) => format!(
            "{records} of the newest {looked_at} of {of} that may match: all counts are of these"
        ),
        _ if counted.exact => records.to_owned(),
        _ => format!("{records}, or about so many: not everything could be read and searched"),
    }
}

fn facets(counts: &Counts, output: &mut Output) -> Result {
    if counts.facets.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(vec![
        Column::whole("FACET"),
        Column::text("VALUE", 12),
        Column::number("RECORDS"),
    ]);
    for facet in &counts.facets {
        let mut row = |value: String, count: u64, tone| {
            let cells = [(facet.name.clone(), Tone::Dim), (value, tone)];
            let count = (count.to_string(), Tone::Plain);
            table.row(cells.into_iter().chain([count]).collect());
        };
        for value in &facet.values {
            row(value.value.clone(), value.count, Tone::Plain);
        }
        if facet.other > 0 {
            row(
                "(another value, or none)".to_owned(),
                facet.other,
                Tone::Dim,
            );
        }
        let named = facet.values.len() as u64;
        if facet.distinct > named {
            let least = if facet.more { "at least " } else { "" };
            output.note(format_args!(
                "{}: {least}{} values, of which {named} are named (--top)",
                facet.name, facet.distinct
            ));
        }
        if !facet.complete {
            let name = &facet.name;
            output.note(format_args!(
                "{name}: others may be as frequent as these; which values there are is read from \
                 some of the records"
            ));
        }
        if facet.closed {
            let name = &facet.name;
            output.note(format_args!(
                "{name}: sealed values stay closed, for lack of their keys"
            ));
        }
    }
    output.table(&table)
}

/// Bars that have records; programs get the others too.
fn bars(histogram: &Histogram, zone: &Zone, output: &mut Output) -> Result {
    let mut table = Table::new(vec![Column::whole("FROM"), Column::number("RECORDS")]);
    let some = histogram.bars.iter().filter(|bar| bar.count > 0);
    let some = some.map(|bar| Ok((Micros::parse(&bar.from).or_could("show a time")?, bar.count)));
    let some = some.collect::<Result<Vec<_>>>()?;
    let first = some.first().map(|(from, _)| *from);
    // The same time of day may come twice where clocks are put back.
    let is_short = ["minute", "hour"].contains(&histogram.every.as_str());
    let changes = some
        .iter()
        .any(|(at, _)| !first.is_some_and(|first| zone.is_same(first, *at)));
    for (from, count) in some {
        let from = if is_short && changes {
            zone.seconds_and_offset(from)
        } else {
            zone.seconds(from)
        };
        table.row(vec![(from, Tone::Dim), (count.to_string(), Tone::Plain)]);
    }
    output.table(&table)
}

fn stats(counts: &Counts, output: &mut Output) -> Result {
    if counts.stats.is_empty() {
        return Ok(());
    }
    let titles = [
        "RECORDS", "SUM", "LEAST", "P50", "P90", "P95", "P99", "GREATEST",
    ];
    let columns = titles.into_iter().map(Column::number);
    let mut table = Table::new(
        std::iter::once(Column::whole("NUMBER"))
            .chain(columns)
            .collect(),
    );
    for stat in &counts.stats {
        let number = |number: Option<f64>| {
            (
                number.map_or_else(String::new, |n| n.to_string()),
                Tone::Plain,
            )
        };
        let mut cells = vec![
            (stat.name.clone(), Tone::Dim),
            (stat.records.to_string(), Tone::Plain),
            number(Some(stat.sum)),
        ];
        let rest = [
            stat.least,
            stat.p50,
            stat.p90,
            stat.p95,
            stat.p99,
            stat.greatest,
        ];
        cells.extend(rest.into_iter().map(number));
        table.row(cells);
        if !stat.counted.exact && counts.counted.exact {
            let words = in_words(&stat.counted, stat.records);
            output.note(format_args!("{}: {} {words}", stat.name, stat.records));
        }
        if stat.near {
            output.note(format_args!(
                "{}: percentiles are up to 0.4 % too low",
                stat.name
            ));
        }
    }
    output.table(&table)
}
