//! `dead-letters --outbox`: rows of a program's outbox that the ledger refused for good.
//!
//! They stand in the program's own database. Put back in line, the relay sends them again under the
//! ids and numbers that they have. Source: `docs/outbox.md`.

use indelible_api::Problem;
use indelible_outbox::{Refused, RefusedRow, Which};
use serde_json::{Value, json};

use crate::args::{DeadLettersCommand, LetterFiles};
use crate::commands::dead_letters::listed;
use crate::commands::relay;
use crate::exit::{Failure, OrCould, Result};
use crate::output::{Column, Output, Show, Table, Tone};

/// How many rows are read at once.
const PAGE_ROWS: i64 = 100;

/// Lists, shows, puts back in line or removes.
pub fn run(outbox: &str, what: &DeadLettersCommand, output: &mut Output) -> Result {
    let said = (outbox != "-").then_some(outbox);
    // What is wrong with the line is told before anybody is connected to.
    let which = match what {
        DeadLettersCommand::List => None,
        DeadLettersCommand::Show { id } => Some(Which::Places(vec![place(id)?])),
        DeadLettersCommand::Retry { files, .. } | DeadLettersCommand::Drop { files } => {
            Some(which(files)?)
        }
    };
    let refused = Refused::of(&relay::database(said)?).or_could("open the outbox")?;
    match (what, which) {
        (DeadLettersCommand::Retry { .. }, Some(which)) => {
            let count = refused.put_back(&which).or_could("put them back in line")?;
            told(
                &which,
                count,
                ("waiting", "wait for the relay again"),
                output,
            )
        }
        (DeadLettersCommand::Drop { .. }, Some(which)) => {
            let count = refused.remove(&which).or_could("remove them")?;
            told(&which, count, ("dropped", "are gone"), output)
        }
        (_, Some(Which::Places(places))) => {
            let at = places.first().copied().unwrap_or_default();
            let row = refused.at(at).or_could("read the outbox")?;
            show(&row.ok_or_else(|| none(at))?, output)
        }
        _ => list(&refused, output),
    }
}

fn which(files: &LetterFiles) -> Result<Which> {
    if files.all {
        return Ok(Which::All);
    }
    let places: Result<Vec<_>> = files.files.iter().map(|id| place(id)).collect();
    Ok(Which::Places(places?))
}

fn place(id: &str) -> Result<i64> {
    let wrong = |_| {
        let id = id.shown();
        Failure::Usage(format!(
            "{id} is no id of the list: of an outbox they are numbers"
        ))
    };
    id.parse().map_err(wrong)
}

fn none(place: i64) -> Failure {
    Failure::Could(format!(
        "there is no dead letter {place}; see indelible dead-letters list --outbox"
    ))
}

/// Says how many there were. Of those that were named, all must have been there.
fn told(which: &Which, count: u64, (key, words): (&str, &str), output: &mut Output) -> Result {
    if output.json {
        output.json_line(&json!({ key: count }))?;
    } else {
        output.line(format_args!("{count} {words}"))?;
    }
    match which {
        Which::Places(places) if count < places.len() as u64 => {
            let text = format!("{} of them were not there", places.len() as u64 - count);
            Err(Failure::Could(text))
        }
        _ => Ok(()),
    }
}

fn list(refused: &Refused, output: &mut Output) -> Result {
    let mut table = Table::new(vec![
        Column::whole("ID"),
        Column::whole("REFUSED"),
        Column::text("TENANT", 6),
        Column::text("EVENT", 12),
        Column::number("BYTES"),
        Column::text("REASON", 20),
    ]);
    let mut last = i64::MIN;
    loop {
        let rows = refused.after(last, PAGE_ROWS).or_could("read the outbox")?;
        let Some(end) = rows.last() else {
            break;
        };
        last = end.place;
        for row in &rows {
            if output.json {
                let bytes = row.event.len();
                let id = row.place.to_string();
                output.json_line(&json!({"bytes": bytes, "id": id, "letter": known(row)}))?;
            } else {
                table.row(line(row, output));
            }
        }
    }
    listed(&table, None, "there are no dead letters", output)
}

fn show(row: &RefusedRow, output: &mut Output) -> Result {
    if output.json {
        let text = String::from_utf8_lossy(&row.event);
        let id = row.place.to_string();
        return output.json_line(&json!({"id": id, "input": text, "letter": known(row)}));
    }
    let (tenant, audit_id) = (row.tenant.shown(), row.audit_id.shown());
    let problem = row
        .problem
        .as_ref()
        .map_or(String::new(), Problem::to_string);
    output.note(format_args!("{tenant}, {audit_id}: {}", problem.shown()));
    for defect in row.problem.iter().flat_map(|problem| &problem.problems) {
        let (pointer, message) = (defect.pointer.shown(), defect.message.shown());
        output.note(format_args!("  {pointer}: {message} [{}]", defect.code));
    }
    output.bytes(&row.event)
}

/// What is known of a row beside its event.
fn known(row: &RefusedRow) -> Value {
    json!({
        "at": row.at.to_rfc3339(),
        "audit_id": row.audit_id,
        "problem": row.problem,
        "tenant_id": row.tenant,
    })
}

fn line(row: &RefusedRow, output: &Output) -> Vec<(String, Tone)> {
    let event = serde_json::from_slice::<Value>(&row.event).unwrap_or_default();
    let event_type = event.get("event_type").and_then(Value::as_str);
    let problem = row.problem.as_ref();
    let place = problem.and_then(|problem| problem.pointer.as_deref());
    let place = place.filter(|place| !place.is_empty());
    let place = place.map_or(String::new(), |place| format!("{place}: "));
    let detail = problem.map_or("", |problem| &problem.detail);
    vec![
        (row.place.to_string(), Tone::Plain),
        (output.zone.seconds(row.at), Tone::Dim),
        (row.tenant.clone(), Tone::Plain),
        (event_type.unwrap_or_default().to_owned(), Tone::Plain),
        (row.event.len().to_string(), Tone::Plain),
        (format!("{place}{detail}"), Tone::Bad),
    ]
}
