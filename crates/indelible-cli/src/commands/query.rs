//! `query`: records that match, as a table for people or as JSON lines for programs.

use std::ops::ControlFlow;

use indelible_event::Field;
use indelible_event::ids::{Micros, TenantId};
use indelible_event::leaf::LeafView;
use indelible_event::view::EventView;
use indelible_log::export::joined;
use indelible_merkle::Hash;
use indelible_query::{
    Asked, Cursor, Damage, Lost, ParseContext, Parsed, Row, Seen, for_each, page, parse, resolve,
};
use indelible_store::{Direction, Error, Kind, Order, Place, terms::last_segment};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::{Query, SortOrder};
use crate::cancel;
use crate::config::Config;
use crate::damage::Told;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Reading};
use crate::output::{Column, Output, Show, Table, Tone};
use crate::process::{environment, tenant_to_read};

/// Rows of one table; a longer answer is shown in several.
const TABLE_ROWS_MAX: usize = 1_000;

/// Finds and prints.
pub fn run(args: &Query, config: &Config, output: &mut Output) -> Result {
    let tenant = tenant_to_read(args.tenant.as_deref(), config)?;
    let after = args.after.as_deref().map(Cursor::decode).transpose();
    let after = after.map_err(|error| Failure::Usage(error.to_string()))?;
    let now = after
        .as_ref()
        .map_or_else(|| environment().clock.now(), |cursor| cursor.now);
    let parsed = parsed(&args.text.join(" "), now, output)?;
    let reading = ledger::read(config, output)?;
    let answer = Answer {
        args,
        parsed,
        now,
        reading,
    };
    answer.print(tenant, after, output)
}

fn parsed(text: &str, now: Micros, output: &Output) -> Result<Parsed> {
    let context = ParseContext {
        now,
        zone: output.zone.zone().clone(),
    };
    parse(text, &context).map_err(|errors| {
        Failure::Usage(
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        )
    })
}

struct Answer<'a> {
    args: &'a Query,
    parsed: Parsed,
    now: Micros,
    reading: Reading,
}

impl Answer<'_> {
    fn print(
        &self,
        tenant: Option<TenantId>,
        after: Option<Cursor>,
        output: &mut Output,
    ) -> Result {
        let reading = &self.reading;
        let mut tenants = ledger::tenants(reading)?;
        if let Some(tenant) = tenant {
            if !tenants.contains(&tenant) {
                let text = format!("there is no tenant {tenant} in {}", reading.path.shown());
                return Err(Failure::Could(text));
            }
            tenants = vec![tenant];
        }
        let resolved = resolve(&self.parsed, &tenants, Some(reading.keyring.as_ref()));
        if !resolved.unsearched.is_empty() {
            let why = ledger::no_master(reading);
            output.warn(format_args!(
                "sealed values were not searched: {why} (--keys)"
            ));
        }
        let asked = self.asked();
        let mut query = resolved.query;
        (query.order, query.direction) = (asked.order, asked.direction);
        if let Some(cursor) = &after {
            cursor
                .check(&asked)
                .map_err(|error| Failure::Usage(error.to_string()))?;
            query.as_of = Some(cursor.as_of);
        }
        let after = after.map(|cursor| cursor.place);
        if self.args.limit == 0 {
            self.all(&query, after.as_ref(), output)
        } else {
            self.page(&query, after.as_ref(), output)
        }
    }

    fn asked(&self) -> Asked<'_> {
        let order = match self.args.order {
            SortOrder::Time => Order::Time,
            SortOrder::Seq => Order::Sequence,
        };
        let direction = if self.args.oldest_first {
            Direction::OldestFirst
        } else {
            Direction::NewestFirst
        };
        Asked {
            parsed: &self.parsed,
            order,
            direction,
        }
    }

    fn page(
        &self,
        query: &indelible_store::Query,
        after: Option<&Place>,
        output: &mut Output,
    ) -> Result {
        let (index, ledger) = (self.reading.index(), self.reading.stores.ledger.as_ref());
        let page =
            page(index, ledger, query, after, self.args.limit).or_could("read the answer")?;
        let mut lines = Lines::default();
        let mut told = Told::default();
        for row in &page.rows {
            self.row(row, &mut lines, &mut told, output)?;
        }
        lines.print(output)?;
        if page.rows.is_empty() && !output.json {
            output.note("no records match");
        }
        page.damaged
            .into_iter()
            .for_each(|damage| told.damage(damage));
        if let Some(next) = page.next {
            let cursor = Cursor::new(&self.asked(), next, page.as_of, self.now);
            output.flush()?;
            output.note(format_args!("there are more: --after {}", cursor.encode()));
        }
        told.finish(&self.reading, query, output)
    }

    /// All records, as they come.
    fn all(
        &self,
        query: &indelible_store::Query,
        after: Option<&Place>,
        output: &mut Output,
    ) -> Result {
        let (index, ledger) = (self.reading.index(), self.reading.stores.ledger.as_ref());
        let mut lines = Lines::default();
        let mut result = Ok(());
        let mut told = Told::default();
        let _gently = cancel::gently();
        for_each(index, ledger, query, after, &mut |seen| {
            match seen {
                _ if cancel::wanted() => {
                    let text = "the answer is not whole".to_owned();
                    result = Err(Failure::Cancelled(text));
                }
                Seen::Row(row) => {
                    result = self.row(&row, &mut lines, &mut told, output);
                    if result.is_ok() && lines.0.len() >= TABLE_ROWS_MAX {
                        result = lines.print(output);
                    }
                }
                Seen::Damaged(damage) => told.damage(damage),
            }
            if result.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .or_could("read the answer")?;
        lines.print(output)?;
        result?;
        told.finish(&self.reading, query, output)
    }

    /// Prints a record, or keeps its line; one whose bytes are no record is told as damage.
    fn row(&self, row: &Row, lines: &mut Lines, told: &mut Told, output: &mut Output) -> Result {
        let place = &row.place;
        let (leaf, event) = match self.opened(row) {
            Ok(opened) => opened,
            Err(error) if error.kind() == Kind::Unavailable => {
                let number = place.sequence_number;
                let doing = format_args!("read record {number} of {}", place.tenant);
                return Err(error).or_could(doing);
            }
            Err(error) => {
                let number = place.sequence_number;
                told.damage(Damage {
                    lost: Lost::Records,
                    log: Some((place.tenant.clone(), number..number + 1)),
                    place: error.to_string(),
                });
                return Ok(());
            }
        };
        if output.json {
            let span = leaf.event_span();
            let (head, tail) = (row.leaf.get(..span.start), row.leaf.get(span.end..));
            let record = [head.unwrap_or_default(), &event, tail.unwrap_or_default()].concat();
            let record = String::from_utf8(record).or_could("show a record")?;
            let record: Box<RawValue> = RawValue::from_string(record).or_could("show a record")?;
            let leaf = str::from_utf8(&row.leaf).or_could("show a record")?;
            let record_hash = row.record_hash;
            return output.json_line(&Item {
                leaf,
                record,
                record_hash,
            });
        }
        let view = EventView::parse(&event).or_could("show a record")?;
        lines.0.push(Line::of(&view, place.clone()));
        Ok(())
    }

    /// The leaf, and its event with its personal values back in place.
    fn opened<'r>(&self, row: &'r Row) -> indelible_store::Result<(LeafView<'r>, Vec<u8>)> {
        let corrupt = |e: &dyn std::fmt::Display| Error::new(Kind::Corrupt, e.to_string());
        let leaf = LeafView::parse(&row.leaf).map_err(|e| corrupt(&e))?;
        let (keyring, tenant) = (&self.reading.keyring, &row.place.tenant);
        let event = joined(keyring, tenant, leaf.event(), &row.sealed)?;
        EventView::parse(&event).map_err(|e| corrupt(&e))?;
        Ok((leaf, event))
    }
}

/// What a program gets of a record; raw, so that numbers keep every digit.
#[derive(Serialize)]
struct Item<'a> {
    leaf: &'a str,
    record: Box<RawValue>,
    record_hash: Hash,
}

/// What a table shows of a record.
struct Line {
    place: Place,
    actor: String,
    event: String,
    target: String,
    outcome: String,
    detail: String,
}

/// Records waiting to be shown as one table.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Line {
    fn of(event: &EventView<'_>, place: Place) -> Self {
        let text = |field| event.text(field).map(std::borrow::Cow::into_owned);
        let short = |field| text(field).map(|id| last_segment(&id).unwrap_or(&id).to_owned());
        let actor = text(Field::ActorName).or_else(|| short(Field::ActorId));
        let target = text(Field::TargetName)
            .or_else(|| short(Field::TargetId))
            .or_else(|| short(Field::TargetUid));
        let detail = [Field::ErrorCode, Field::Description, Field::ErrorMessage];
        Self {
            place,
            actor: actor.unwrap_or_default(),
            event: text(Field::EventType).unwrap_or_default(),
            target: target.unwrap_or_default(),
            outcome: text(Field::Outcome).unwrap_or_default(),
            detail: detail.into_iter().find_map(text).unwrap_or_default(),
        }
    }
}

impl Lines {
    /// Prints what is waiting, with the tenant where there are several.
    fn print(&mut self, output: &mut Output) -> Result {
        let lines = std::mem::take(&mut self.0);
        if lines.is_empty() {
            return Ok(());
        }
        let several = lines.windows(2).any(|pair| match pair {
            [a, b] => a.place.tenant != b.place.tenant,
            _ => false,
        });
        let mut columns = vec![Column::whole("TIME")];
        if several {
            columns.push(Column::text("TENANT", 6));
        }
        columns.extend([
            Column::number("SEQ"),
            Column::text("ACTOR", 7),
            Column::text("EVENT", 12),
            Column::text("TARGET", 8),
            Column::whole("OUTCOME"),
            Column::optional("DETAIL", 15),
        ]);
        let mut table = Table::new(columns);
        for line in lines {
            let tone = match line.outcome.as_str() {
                "success" => Tone::Good,
                "failure" | "denied" | "blocked" | "timed_out" => Tone::Bad,
                "partial" | "rolled_back" => Tone::Warn,
                _ => Tone::Plain,
            };
            let Line {
                place,
                actor,
                event,
                target,
                outcome,
                detail,
            } = line;
            let mut cells = vec![(output.zone.seconds(place.occurred_at), Tone::Dim)];
            if several {
                cells.push((place.tenant.to_string(), Tone::Plain));
            }
            cells.extend([
                (place.sequence_number.to_string(), Tone::Dim),
                (actor, Tone::Plain),
                (event, Tone::Plain),
                (target, Tone::Plain),
                (outcome, tone),
                (detail, Tone::Dim),
            ]);
            table.row(cells);
        }
        output.table(&table)
    }
}
