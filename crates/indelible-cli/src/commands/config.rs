//! `config`: every setting with its source; that there is nothing wrong has been seen by now.

use indelible_api::Setting;
use serde_json::json;

use crate::args::ConfigCommand;
use crate::config::{Config, SETTINGS, Source, without_password};
use crate::exit::Result;
use crate::output::{Column, Output, Table, Tone};

/// Shows the settings, or says that they are fine: whatever is wrong with them ends every command
/// before it begins.
pub fn run(args: &ConfigCommand, config: &Config, output: &mut Output) -> Result {
    match args {
        ConfigCommand::Show => show(config, output),
        ConfigCommand::Check => check(config, output),
    }
}

fn check(config: &Config, output: &mut Output) -> Result {
    let file = config.file.as_ref().map(|path| path.display().to_string());
    if output.json {
        return output.json_line(&json!({"file": file, "valid": true}));
    }
    match file {
        Some(file) => output.line(format_args!("the configuration is valid ({file})")),
        None => output.line("the configuration is valid (there is no file)"),
    }
}

fn show(config: &Config, output: &mut Output) -> Result {
    let mut table = Table::new(vec![
        Column::whole("SETTING"),
        Column::text("VALUE", 12),
        Column::text("SOURCE", 10),
    ]);
    for one in in_force(config) {
        if output.json {
            output.json_line(&one)?;
            continue;
        }
        let tone = if one.source == Source::Default.to_string() {
            Tone::Dim
        } else {
            Tone::Plain
        };
        table.row(vec![
            (one.setting, Tone::Plain),
            (one.value.unwrap_or_else(|| "not set".to_owned()), tone),
            (one.source, Tone::Dim),
        ]);
    }
    if output.json {
        Ok(())
    } else {
        output.table(&table)
    }
}

/// Every setting as it is in force, without passwords.
pub fn in_force(config: &Config) -> Vec<Setting> {
    let pairs = config.resolved.iter().zip(&SETTINGS);
    let told = pairs.map(|(resolved, setting)| {
        let value = match (&resolved.value, resolved.key, &config.keys) {
            (None, "keys", Some(path)) => Some(path.display().to_string()),
            (Some(url), "ledger", _) if url.contains("://") => Some(without_password(url)),
            (Some(url), _, _) if url.contains("://") && url.contains('@') => {
                Some(without_password(url))
            }
            (value, _, _) => value.clone(),
        };
        Setting {
            setting: resolved.key.to_owned(),
            value,
            source: resolved.source.to_string(),
            variable: setting.variable(),
            doc: setting.doc.to_owned(),
        }
    });
    told.collect()
}
