//! `migrate`: a ledger from a data directory into a database, verified in the end.

use std::path::{Path, PathBuf};

use indelible_log::copy::Copied;
use serde_json::json;

use crate::args::Migrate;
use crate::config::{Config, SETTINGS, without_password};
use crate::exit::{Failure, Result};
use crate::ledger;
use crate::output::{Output, Show};
use crate::verify::{self, Given};

/// Moves, verifies and says how to go on.
pub fn run(args: &Migrate, config: &Config, output: &mut Output) -> Result {
    check(&args.to)?;
    let from = args.from.clone().unwrap_or_else(|| config.data.clone());
    let beside = args.server_data.clone().unwrap_or_else(|| beside(&from));
    let from = Config {
        data: from,
        database: None,
        ..config.clone()
    };
    let to = Config {
        data: beside,
        database: Some(args.to.clone()),
        ..config.clone()
    };
    let migrated = ledger::migrate(&from, &to, output)?;
    let clean = verify::data(None, &Given::default(), &to, output)?;
    tell(&migrated, &to, output)?;
    if clean { Ok(()) } else { Err(Failure::No) }
}

/// Refuses what is no database before anything is opened.
fn check(to: &str) -> Result {
    let setting = SETTINGS.iter().find(|setting| setting.key == "ledger");
    let problem = setting.and_then(|setting| setting.problem(to));
    if to == "directory" || problem.is_some() {
        let said = "--to must be postgres://user:password@host:port/database";
        return Err(Failure::Usage(said.to_owned()));
    }
    Ok(())
}

fn beside(from: &Path) -> PathBuf {
    let mut name = from.as_os_str().to_owned();
    name.push(".server");
    PathBuf::from(name)
}

fn tell(migrated: &Copied, to: &Config, output: &mut Output) -> Result {
    let Copied {
        tenants,
        records,
        brought,
    } = migrated;
    if output.json {
        return output.json_line(&json!({
            "brought": brought,
            "records": records,
            "server_data": to.data.display().to_string(),
            "tenants": tenants,
        }));
    }
    let url = to.database.as_deref().map(without_password);
    output.line(format_args!(
        "{records} records of {tenants} logs are in the database, {brought} of them moved now; \
         this serves them:"
    ))?;
    output.line(format_args!(
        "  indelible serve --ledger {} --data {}",
        url.unwrap_or_default(),
        to.data.shown()
    ))
}
