//! `dead-letters`: what imports refused; what programs could not deliver is `emitted_letters`'.

use std::sync::mpsc::SyncSender;

use clap::ValueEnum;
use indelible_directory::KeyFolder;
use indelible_disk::RealDisk;
use indelible_embedded::Embedded;
use indelible_event::Mode;
use indelible_event::ids::{Micros, TenantId};
use indelible_log::keyring::MasterKey;
use serde_json::json;

use crate::args::{DeadLetters, DeadLettersCommand, Format, LetterFiles};
use crate::cancel;
use crate::commands::import::{import, rules, told};
use crate::commands::{emitted_letters, outbox_letters};
use crate::config::Config;
use crate::dead_letters::{Letter, files, read, remove};
use crate::exit::{Failure, OrCould, Result};
use crate::hex::hex;
use crate::import::{Fault, Fed, Feed, Imported, Input, Position, Rules};
use crate::ledger::{self, Writing};
use crate::output::{Column, Output, Show, Table, Tone};
use crate::process::{environment, tenant_to_write};

/// Lists, shows, imports or sends again, or removes.
pub fn run(args: &DeadLetters, config: &Config, output: &mut Output) -> Result {
    // What stands before the word `retry` is not seen by what is checked behind it.
    let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
    let of_programs = args.spool.is_some() || args.outbox.is_some();
    match (&args.what, of_programs) {
        (DeadLettersCommand::Retry { lenient: true, .. }, true) => {
            return usage(
                "--lenient is for what an import refused, and not for a program's events",
            );
        }
        (DeadLettersCommand::Retry { url: Some(_), .. }, _) if args.outbox.is_some() => {
            return usage("--url is not for --outbox: the relay brings the events to the ledger");
        }
        (DeadLettersCommand::Retry { url: Some(_), .. }, false) => {
            return usage("--url is for events of a program: name its spool with --spool");
        }
        _ => {}
    }
    if let Some(outbox) = &args.outbox {
        return outbox_letters::run(outbox, &args.what, output);
    }
    if let Some(spool) = &args.spool {
        return emitted_letters::run(spool, &args.what, config, output);
    }
    // Before anything is looked for.
    if let DeadLettersCommand::Show { id } = &args.what {
        Id::parse(id)?;
    }
    let (disk, folder) = ledger::locate(config)?;
    match &args.what {
        DeadLettersCommand::List => list(&disk, &master(&folder)?, output),
        DeadLettersCommand::Show { id } => show(&Id::parse(id)?, &disk, &master(&folder)?, output),
        DeadLettersCommand::Retry { files, lenient, .. } => {
            let mode = if *lenient {
                Mode::Lenient
            } else {
                Mode::Strict
            };
            let (mut all_in, mut unread) = (true, Ok(()));
            for name in some(named(&disk, files)?, "send again", output) {
                let file = File {
                    disk: &disk,
                    name: &name,
                };
                let master = master(&folder)?;
                match file.rules(&master, mode, config) {
                    Ok(rules) => all_in &= file.retry(master, &rules, config, output)?,
                    // The others are imported all the same.
                    Err(failure) => unread = unread.and(Err(failure)),
                }
            }
            unread?;
            if all_in { Ok(()) } else { Err(Failure::No) }
        }
        DeadLettersCommand::Drop { files } => {
            let now = environment().clock.now();
            // An import may be writing to it.
            let _lock = Embedded::lock(&disk, Some(now)).or_could("remove it")?;
            for name in some(named(&disk, files)?, "remove", output) {
                File {
                    disk: &disk,
                    name: &name,
                }
                .drop(output)?;
            }
            Ok(())
        }
    }
}

/// The files, of which somebody is told when there are none.
pub fn some(files: Vec<String>, what: &str, output: &Output) -> Vec<String> {
    if files.is_empty() && !output.json {
        output.note(format_args!("there are no dead letters: nothing to {what}"));
    }
    files
}

/// The files that are meant, which are all there.
fn named(disk: &RealDisk, meant: &LetterFiles) -> Result<Vec<String>> {
    meant.of(files(disk)?).map_err(|name| {
        Failure::Could(format!(
            "there is no file {name} of dead letters; see indelible dead-letters list"
        ))
    })
}

fn master(folder: &KeyFolder) -> Result<MasterKey> {
    folder
        .master()
        .or_could("open dead letters")?
        .ok_or_else(|| {
            let path = folder.path().shown();
            Failure::Could(format!(
                "dead letters need the master key, which is not in {path}"
            ))
        })
}

/// A file of letters that is there.
struct File<'a> {
    disk: &'a RealDisk,
    name: &'a str,
}

impl File<'_> {
    fn drop(self, output: &mut Output) -> Result {
        remove(self.disk, self.name)?;
        if output.json {
            return output.json_line(&json!({"dropped": self.name}));
        }
        output.note(format_args!("{} is gone, and its key", self.name));
        Ok(())
    }

    /// Imports the letters again, as from the files they came from; whether all are in the log.
    fn retry(
        self,
        master: MasterKey,
        rules: &Rules,
        config: &Config,
        output: &mut Output,
    ) -> Result<bool> {
        let ledger = ledger::write(config, output)?;
        let gently = cancel::gently();
        let imported = self.import(&ledger, master, rules, output);
        // As long as not all of it is in the log or in another file, it stays.
        let whole = |imported: &Imported| !imported.cancelled && !imported.unreadable;
        let removed = match &imported {
            Ok(imported) if whole(imported) => remove(self.disk, self.name),
            _ => Ok(()),
        };
        let published = ledger.publish_and_close(output);
        let imported = imported?;
        published?;
        removed?;
        drop(gently);
        Ok(told(&imported, false, output)?.all_in())
    }

    /// How the letters are taken: as by the import that refused them, but for the mode.
    fn rules(&self, master: &MasterKey, mode: Mode, config: &Config) -> Result<Rules> {
        let mut first = None;
        read(self.disk, master, self.name, &mut |_, letter, _| {
            first = Some(letter);
            false
        })?;
        // All letters of a file are of one import.
        let (format, tenant) = match first {
            Some(letter) => {
                let format = Format::from_str(&letter.format, false).or_could("read a letter")?;
                let tenant = TenantId::parse(&letter.tenant).or_could("read a letter")?;
                (format, tenant)
            }
            // It has none, and nothing is imported.
            None => (Format::Ndjson, tenant_to_write(None, config)?),
        };
        Ok(Rules {
            retried: Some(self.name.to_owned()),
            ..rules(
                format,
                mode,
                &ledger::sealing(config, None)?,
                tenant,
                config,
            )
        })
    }

    fn import(
        &self,
        ledger: &Writing,
        master: MasterKey,
        rules: &Rules,
        output: &Output,
    ) -> Result<Imported> {
        let (disk, name) = (self.disk.clone(), self.name.to_owned());
        let feed = Feed::of(move |sender, _| feed(&disk, &master, &name, &sender));
        let feed = feed.or_could("start reading")?;
        import(ledger, rules, (feed, None), output, None)
    }
}

/// Sends the letters of a file, each with its own place.
fn feed(disk: &RealDisk, master: &MasterKey, name: &str, sender: &SyncSender<Fed>) {
    let whole = read(disk, master, name, &mut |_, letter, input| {
        let input = Input {
            file: letter.file.into(),
            position: Position {
                number: letter.number,
                line: letter.line,
                offset: letter.offset,
            },
            bytes: input.to_vec(),
            fault: Fault::of(&letter.reason),
        };
        sender.send(Fed::Input(input)).is_ok()
    });
    // Nobody listens any more when it was cancelled.
    let _ = match whole {
        Ok(true) => Ok(()),
        Ok(false) => sender.send(Fed::Note(cut(name))),
        Err(failure) => {
            let text = failure.message().unwrap_or_default().to_owned();
            sender.send(Fed::Unreadable(text))
        }
    };
}

/// What is said of a file that ends within a letter.
fn cut(name: &str) -> String {
    format!("{name}: its last letter was being written; it is not whole")
}

/// The id of a letter, as the list has it.
pub struct Id<'a> {
    /// As it was said.
    pub text: &'a str,
    /// The file.
    pub file: &'a str,
    /// Which letter of the file.
    pub number: u64,
}

impl<'a> Id<'a> {
    /// Reads an id.
    ///
    /// # Errors
    /// [`Failure::Usage`] when it is none.
    pub fn parse(text: &'a str) -> Result<Self> {
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
    let mut unread = None;
    for name in files(disk)? {
        let mut result = Ok(());
        let read = read(disk, master, &name, &mut |number, letter, input| {
            let id = format!("{name}/{number}");
            result = if output.json {
                output.json_line(&json!({"bytes": input.len(), "id": id, "letter": letter}))
            } else {
                table.row(row(id, &letter, input.len(), output));
                Ok(())
            };
            result.is_ok()
        });
        result?;
        match read {
            Ok(true) => {}
            Ok(false) => output.warn(cut(&name)),
            // The others are listed all the same.
            Err(failure) => unread = unread.or(Some(failure)),
        }
    }
    let none = "there are no dead letters of imports; --spool names those of a program";
    listed(&table, unread, none, output)
}

/// Ends a list: what was found, or that there is none, and the first file that could not be read.
pub fn listed(table: &Table, unread: Option<Failure>, none: &str, output: &mut Output) -> Result {
    if !output.json {
        if table.is_empty() && unread.is_none() {
            output.note(none);
        }
        if !table.is_empty() {
            output.table(table)?;
        }
    }
    unread.map_or(Ok(()), Err)
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
