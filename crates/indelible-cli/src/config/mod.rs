//! Settings: where each value comes from, and what it is.
//!
//! A flag beats the environment (`INDELIBLE_*`, nested keys with `__`), which beats the
//! configuration file, which beats the default (`docs/cli.md`). A key that nobody knows is an error
//! with a suggestion, wherever it stands. Nothing here opens the data directory.

mod auth;
mod load;
mod parts;
mod server;
mod settings;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::args::{Color, Switch};
use crate::listen::Listen;
use crate::output::Show;

pub use auth::{AuthConfig, JwtConfig, KeySetAt};
pub use load::{Environment, load};
pub use settings::SETTINGS;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// This variable of the environment.
    Environment(String),
    /// This file.
    File(PathBuf),
    /// Built in.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::File(path) => write!(f, "{}", path.shown()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its key, dotted.
    pub key: &'static str,
    /// The value as text; `None` when it is not set and has no default.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: Source,
}

/// What the configuration says of the server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: Listen,
    /// Its limits and times.
    pub settings: indelible_server::Settings,
    /// The files of the certificate and its key, if TLS is spoken.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What is told on standard error; `None` for nothing.
    pub telemetry: Option<tracing::Level>,
}

/// What the configuration says of the connections to a database.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// Connections made at once.
    pub connections_min: usize,
    /// Connections at most.
    pub connections_max: usize,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How long a statement may wait for another's lock.
    pub lock_timeout: Duration,
}

impl ServerConfig {
    /// How the server is spoken to.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }
}

impl Config {
    /// Where the ledger is, for people: no password is in it.
    pub fn place(&self) -> String {
        match &self.database {
            Some(url) => without_password(url),
            None => self.data.shown(),
        }
    }
}

/// The address of a database as it may be shown: nothing of it where a password cannot be told from
/// the rest, as one that holds an `@`.
pub fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let place = rest
        .split_once('@')
        .filter(|(who, place)| !who.contains(['/', '?']) && !place.contains('@'));
    let Some((who, place)) = place else {
        return format!("{scheme}://…");
    };
    let (user, _) = who.split_once(':').unwrap_or((who, ""));
    let (place, _) = place.split_once('?').unwrap_or((place, ""));
    format!("{scheme}://{user}@{place}")
}

/// Every setting, decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data directory.
    pub data: PathBuf,
    /// Database that has the ledger; `None` when it is in the data directory.
    pub database: Option<String>,
    /// Directory that holds one folder of keys per ledger; `None` when the user has no
    /// configuration directory.
    pub keys: Option<PathBuf>,
    /// The tenant, if one was named.
    pub tenant: Option<String>,
    /// Origin for a new ledger; `None` for `indelible.dev/<ledger id>`.
    pub origin: Option<String>,
    /// Whether personal data is sealed.
    pub sealing: Switch,
    /// The file that says what of it is personal, if not the default policy does.
    pub sealing_policy: Option<PathBuf>,
    /// Events in one submission of an import.
    pub import_batch_records: usize,
    /// The server's settings.
    pub server: ServerConfig,
    /// Who else than a key says who somebody is.
    pub auth: AuthConfig,
    /// How a database is reached.
    pub postgres: PostgresConfig,
    /// Times in UTC.
    pub utc: bool,
    /// When to use colours.
    pub color: Color,
    /// Every setting with its source, in the order of [`SETTINGS`].
    pub resolved: Vec<Resolved>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://u:secret@h:5/x", "postgres://u@h:5/x"),
            ("postgres://u@h/x?password=secret", "postgres://u@h/x"),
            ("postgres://u:sec:ret@h", "postgres://u@h"),
            ("postgres://:secret@h/x", "postgres://@h/x"),
            ("postgres://u:sec@ret@h/x", "postgres://…"),
            ("postgres://u:sec/ret@h/x", "postgres://…"),
            ("postgres://u:sec?ret@h/x", "postgres://…"),
            ("postgres://h/x?user=u&password=secret", "postgres://…"),
            ("postgres://h/x?user=u&password=sec@ret", "postgres://…"),
            ("postgres://u@h/x?password=sec@ret", "postgres://…"),
            ("postgres://u:secret", "postgres://…"),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }
}
