//! `docs/cli.md`, made from the definitions of commands and settings, and compared with them.
//!
//! `INDELIBLE_UPDATE_DOCS=1 cargo test -p indelible-cli reference` writes the page anew.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;
use crate::config::SETTINGS;

const HEAD: &str = "\
# The command line

*Made from the program's own definitions by `INDELIBLE_UPDATE_DOCS=1 cargo test -p indelible-cli
reference`; a test compares it with them.*

Results go to standard output, everything else to standard error. Exit codes: 0 done and clean · 1
the answer is no (a finding, a gap, something refused) · 2 usage · 3 could not (input and output, a
lock, a refusal) · 130 cancelled. `--json` gives JSON, one value per line, whole and uncut; tables
are for people, cut to the terminal's width, in the local time zone unless `--utc`. Colours only on
a terminal, and not when `NO_COLOR` is set.

File names and texts from elsewhere are shown so that a terminal does not obey them: control
characters and marks that turn the direction of writing around as `\\u001b`, bytes that are no UTF-8
as `\\xff`. JSON and exports that go to a file or a pipe are not touched.

Ctrl-C and SIGTERM: `import` finishes the batch under way, publishes, and says what was imported so
far; `export --out` leaves no file; `query --limit 0` ends with a whole record. Everything else ends
at once, and so does everything at the second signal. The exit code is 130.

Shell completion: `indelible completions bash|zsh|fish|elvish|powershell`.

## Where things lie

The data directory holds everything but the keys. The keys lie in the user's configuration
directory (`$XDG_CONFIG_HOME/indelible` or `~/.config/indelible`), or where `--keys` says, in one
folder per ledger: `signing.key` signs checkpoints, `master.key` opens personal data,
`signer.checkpoint` is the signer's memory. Back them up apart from the data: whoever has both can
read everything, and without `master.key` sealed values stay sealed for ever. `backup` copies the
data without them; `docs/backup.md` says what to keep where, and how long. `emit`, `import` and
`serve` warn of a key that others can read, and keys inside the data directory are refused.

One process writes at a time; a second one ends with exit code 3 and has touched nothing. When
`state.redb`, `keys/keys.redb` or one of the files above is damaged, `verify` and `fsck` name it and
exit 1, and nothing is written before it is restored. Reading goes on: without the keys of persons
sealed values stay sealed, and without `state.redb` `export` writes all lines, no checkpoint, and
exits 1. What stands in `state.redb` alone cannot be told without it: `prove`, `keys show` and
`keys list` name it and exit 3. `recover` goes on from a damaged or lost `signer.checkpoint`.
An older copy of `keys/keys.redb` is told and stops writers too; restore the newest one.

## Through a server

`query`, `prove`, `verify`, `export`, `tenants` and `keys create|list|rotate|revoke` take
`--url URL`, or `INDELIBLE_URL`, in the place of `--data`, with the server's key in
`INDELIBLE_API_KEY`. They say the same as in the data directory, with the same exit codes;
`docs/server.md` says what differs.
`emit`, `import`, `fsck` and `recover` work on files here, whatever `INDELIBLE_URL` says. A server
is believed no further than can be checked: an answer that cannot be right is exit code 3, and a
record that is not what was committed is a finding of `verify`.

## Settings

A flag beats the environment, which beats the configuration file, which beats the default. The file
is the first of `--config`, `INDELIBLE_CONFIG`, `./indelible.toml`,
`<configuration directory>/indelible/indelible.toml`, `/etc/indelible/indelible.toml`. A dot in a
key is a table in the file: `output.utc` is `utc` under `[output]`.

| key | variable | takes | default | |
|---|---|---|---|---|
";

#[test]
fn the_page_is_what_the_program_says() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("INDELIBLE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/cli.md is behind: INDELIBLE_UPDATE_DOCS=1 cargo test -p indelible-cli reference"
    );
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for setting in &SETTINGS {
        let (key, variable, takes) = (setting.key, setting.variable(), setting.takes_words());
        let default = setting
            .default
            .map_or("–".to_owned(), |value| format!("`{value}`"));
        writeln!(
            page,
            "| `{key}` | `{variable}` | {takes} | {default} | {} |",
            setting.doc
        )
        .unwrap();
    }
    page.push_str("\n## Options of every command\n\n");
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    options(
        &mut page,
        cli.get_arguments().filter(|arg| arg.is_global_set()),
    );
    for command in cli.get_subcommands() {
        describe(&mut page, command, "indelible", 2);
    }
    page
}

fn describe(page: &mut String, command: &Command, before: &str, level: usize) {
    let name = format!("{before} {}", command.get_name());
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    write!(page, "\n{} {name}\n\n{about}.\n", "#".repeat(level)).unwrap();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let own: Vec<_> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str()))
        .collect();
    if !command.has_subcommands() {
        write!(page, "\n```\n{usage}\n```\n").unwrap();
    }
    if !own.is_empty() {
        page.push('\n');
        options(page, own.into_iter());
    }
    if let Some(after) = command.get_after_help() {
        write!(page, "\n```\n{}\n```\n", after.to_string().trim()).unwrap();
    }
    for inner in command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help")
    {
        describe(page, inner, &name, level + 1);
    }
}

fn options<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    for argument in arguments {
        let values = argument
            .get_value_names()
            .map(|names| names.join(" "))
            .filter(|_| argument.get_action().takes_values());
        let name = match (argument.get_long(), values) {
            (Some(long), Some(values)) => format!("--{long} {values}"),
            (Some(long), None) => format!("--{long}"),
            (None, values) => values.unwrap_or_default(),
        };
        let mut help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let words: Vec<_> = argument
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !words.is_empty() && argument.get_action().takes_values() {
            write!(help, " ({})", words.join(", ")).unwrap();
        }
        let default: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|v| v.to_string_lossy())
            .collect();
        if !default.is_empty() && argument.get_action().takes_values() {
            write!(help, " [default: {}]", default.join(" ")).unwrap();
        }
        writeln!(page, "- `{name}`: {}", help.replace('\n', " ")).unwrap();
    }
}
