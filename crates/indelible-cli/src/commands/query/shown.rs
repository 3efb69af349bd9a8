//! Records as they are shown: one table or several for people, a line of JSON for programs.

use indelible_event::Field;
use indelible_event::leaf::LeafView;
use indelible_event::view::EventView;
use indelible_merkle::Hash;
use indelible_store::{Place, terms::last_segment};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::exit::{OrCould, Result};
use crate::output::{Column, Output, Show, Table, Tone};

/// Rows of one table; a longer answer is shown in several.
const TABLE_ROWS_MAX: usize = 1_000;

/// A record to be shown, wherever it comes from.
pub struct Found<'a> {
    /// Where it stands.
    pub place: &'a Place,
    /// Its parts.
    pub leaf: &'a LeafView<'a>,
    /// Its event with personal values back in place.
    pub event: &'a [u8],
    /// Its hash.
    pub record_hash: Hash,
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

/// Who gets the records of an answer, one after the other.
pub trait Rows {
    /// Takes a record.
    ///
    /// # Errors
    /// When it cannot be written.
    fn take(&mut self, found: &Found<'_>, output: &mut Output) -> Result;

    /// No more come, since there are none or the answer broke off.
    ///
    /// # Errors
    /// When what waits cannot be written.
    fn end(&mut self, output: &mut Output) -> Result;
}

/// Records waiting to be shown as one table; programs get theirs at once.
#[derive(Default)]
pub struct Lines(Vec<Line>);

impl Line {
    fn tone(&self) -> Tone {
        match self.outcome.as_str() {
            "success" => Tone::Good,
            "failure" | "denied" | "blocked" | "timed_out" => Tone::Bad,
            "partial" | "rolled_back" => Tone::Warn,
            _ => Tone::Plain,
        }
    }

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

/// Shows a record in a line of its own, whatever comes before and behind.
pub fn alone(found: &Found<'_>, output: &mut Output) -> Result {
    if output.json {
        return Lines::default().take(found, output);
    }
    let view = EventView::parse(found.event).or_could("show a record")?;
    let line = Line::of(&view, found.place.clone());
    let Place {
        occurred_at,
        tenant,
        sequence_number,
    } = &line.place;
    let time = output.zone.seconds(*occurred_at);
    let place = format!("{tenant}/{sequence_number}");
    let parts = [
        (time, Tone::Dim),
        (place, Tone::Dim),
        (line.actor.clone(), Tone::Plain),
        (line.event.clone(), Tone::Plain),
        (line.target.clone(), Tone::Plain),
        (line.outcome.clone(), line.tone()),
        (line.detail.clone(), Tone::Dim),
    ];
    let parts = parts.iter().filter(|(text, _)| !text.is_empty());
    let parts: Vec<_> = parts
        .map(|(text, tone)| output.paint(&text.shown(), *tone))
        .collect();
    output.line(parts.join("  "))
}

impl Rows for Lines {
    /// Prints the table when it is long enough.
    fn take(&mut self, found: &Found<'_>, output: &mut Output) -> Result {
        if output.json {
            let (span, bytes) = (found.leaf.event_span(), found.leaf.bytes());
            let (head, tail) = (bytes.get(..span.start), bytes.get(span.end..));
            let (head, tail) = (head.unwrap_or_default(), tail.unwrap_or_default());
            let record = String::from_utf8([head, found.event, tail].concat());
            let record = record.or_could("show a record")?;
            let record: Box<RawValue> = RawValue::from_string(record).or_could("show a record")?;
            return output.json_line(&Item {
                leaf: str::from_utf8(bytes).or_could("show a record")?,
                record,
                record_hash: found.record_hash,
            });
        }
        let view = EventView::parse(found.event).or_could("show a record")?;
        self.0.push(Line::of(&view, found.place.clone()));
        if self.0.len() >= TABLE_ROWS_MAX {
            self.end(output)?;
        }
        Ok(())
    }

    /// Prints what is waiting, with the tenant where there are several.
    fn end(&mut self, output: &mut Output) -> Result {
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
            let tone = line.tone();
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
