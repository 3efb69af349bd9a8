//! `dead-letters`: what imports refused.

use indelible_disk::RealDisk;
use indelible_event::ids::Micros;
use indelible_log::keyring::MasterKey;
use serde_json::json;

use crate::args::DeadLetters;
use crate::config::Config;
use crate::dead_letters::{Letter, files, read};
use crate::exit::{Failure, OrCould, Result};
use crate::hex::hex;
use crate::ledger;
use crate::output::{Column, Output, Show, Table, Tone};

/// Lists or shows.
pub fn run(args: &DeadLetters, config: &Config, output: &mut Output) -> Result {
    let id = match args {
        DeadLetters::List => None,
        DeadLetters::Show { id } => Some(Id::parse(id)?),
    };
    let (disk, folder) = ledger::locate(config)?;
    let master = folder
        .master()
        .or_could("open dead letters")?
        .ok_or_else(|| {
            let path = folder.path().shown();
            Failure::Could(format!(
                "dead letters need the master key, which is not in {path}"
            ))
        })?;
    match id {
        None => list(&disk, &master, output),
        Some(id) => show(&id, &disk, &master, output),
    }
}

/// The id of a letter, as the list has it.
struct Id<'a> {
    text: &'a str,
    file: &'a str,
    number: u64,
}

impl<'a> Id<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let parts = text.rsplit_once('/');
        let parts = parts.and_then(|(file, number)| Some((file, number.parse().ok()?)));
        let (file, number) = parts.ok_or_else(|| {
            Failure::Usage(format!(
                "`{text}` is no id of `indelible dead-letters list`"
            ))
        })?;
        Ok(Self { text, file, number })
    }
}

fn list(disk: &RealDisk, master: &MasterKey, output: &mut Output) -> Result {
    let mut table = Table::new(vec![
        Column::whole("ID"),
        Column::whole("REFUSED"),
        Column::text("TENANT", 6),
        Column::text("FILE", 12),
        Column::number("LINE"),
        Column::number("BYTES"),
        Column::text("REASON", 20),
    ]);
    for name in files(disk)? {
        let mut result = Ok(());
        let whole = read(disk, master, &name, &mut |number, letter, input| {
            let id = format!("{name}/{number}");
            result = if output.json {
                output.json_line(&json!({"bytes": input.len(), "id": id, "letter": letter}))
            } else {
                table.row(row(id, &letter, input.len(), output));
                Ok(())
            };
            result.is_ok()
        })?;
        result?;
        if !whole {
            output.warn(format_args!(
                "{name}: its last letter was being written; it is not whole"
            ));
        }
    }
    if output.json {
        return Ok(());
    }
    if table.is_empty() {
        output.note("there are no dead letters");
        return Ok(());
    }
    output.table(&table)
}

fn row(id: String, letter: &Letter, bytes: usize, output: &Output) -> Vec<(String, Tone)> {
    let at =
        Micros::parse(&letter.at).map_or_else(|_| letter.at.clone(), |at| output.zone.seconds(at));
    vec![
        (id, Tone::Plain),
        (at, Tone::Dim),
        (letter.tenant.clone(), Tone::Plain),
        (letter.file.clone(), Tone::Plain),
        (letter.line.to_string(), Tone::Plain),
        (bytes.to_string(), Tone::Plain),
        (letter.reason.clone(), Tone::Bad),
    ]
}

fn show(id: &Id<'_>, disk: &RealDisk, master: &MasterKey, output: &mut Output) -> Result {
    let none = || Failure::Could(format!("there is no dead letter {}", id.text));
    if !files(disk)?.iter().any(|file| file == id.file) {
        return Err(none());
    }
    let mut found = None;
    read(disk, master, id.file, &mut |at, letter, input| {
        if at == id.number {
            found = Some((letter, input.to_vec()));
        }
        found.is_none()
    })?;
    let (letter, input) = found.ok_or_else(none)?;
    if output.json {
        let text = str::from_utf8(&input).ok();
        let hex = text.is_none().then(|| hex(&input));
        let line = json!({"id": id.text, "input": text, "input_hex": hex, "letter": letter});
        return output.json_line(&line);
    }
    let Letter {
        file,
        number,
        line,
        offset,
        reason,
        ..
    } = &letter;
    output.note(format_args!(
        "{file}: record {number}, line {line}, byte {offset}: {reason}"
    ));
    output.bytes(&input)
}
