//! The table of settings: the one place that names them.
//!
//! `docs/cli.md` is made from it, and `config show` prints it.

use indelible_api::limits::RATE_MAX;
use indelible_event::ids::TenantId;
use indelible_proof::note::SigningKey;

use super::auth;
use crate::listen::Listen;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key in the configuration file, dotted.
    pub key: &'static str,
    /// What it is when nobody says; `None` = not set.
    pub default: Option<&'static str>,
    /// What it takes.
    pub takes: Takes,
    /// What it does.
    pub doc: &'static str,
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A path.
    Path,
    /// A tenant's name.
    Tenant,
    /// The name of a key.
    KeyName,
    /// `true` or `false`.
    Bool,
    /// A whole number within the bounds.
    Number {
        /// At least.
        min: u64,
        /// At most.
        max: u64,
    },
    /// The word `directory`, or the address of a database.
    Ledger,
    /// An address and a port.
    Address,
    /// Any text.
    Text,
    /// A file or an address of public keys.
    KeySet,
    /// Names of algorithms.
    Algorithms,
    /// Names of roles.
    Roles,
    /// Addresses and networks.
    Networks,
    /// The name of a header.
    Header,
    /// Origins of pages.
    Origins,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Takes {
    /// What is wrong with the kind of a value in a file, if anything: a number is not text there.
    pub fn problem_of_kind(self, value: &toml::Value) -> Option<&'static str> {
        match (self, value) {
            (Self::Number { .. }, toml::Value::Integer(_))
            | (Self::Bool, toml::Value::Boolean(_)) => None,
            (Self::Number { .. }, _) => Some("must be a whole number, without quotes"),
            (Self::Bool, _) => Some("must be true or false, without quotes"),
            _ => None,
        }
    }
}

impl Setting {
    /// The variable of the environment that sets it.
    pub fn variable(&self) -> String {
        format!("INDELIBLE_{}", self.key.to_uppercase().replace('.', "__"))
    }

    /// Whether it is a path, which may be no text.
    pub fn is_path(&self) -> bool {
        self.takes == Takes::Path
    }

    /// What is wrong with `value`, if anything.
    pub fn problem(&self, value: &str) -> Option<String> {
        match self.takes {
            Takes::Path | Takes::Text => value.is_empty().then(|| "is empty".to_owned()),
            Takes::KeySet => auth::key_set(value).err(),
            Takes::Algorithms => auth::algorithms(value).err(),
            Takes::Roles => auth::roles(value).err(),
            Takes::Networks => auth::networks(value).err(),
            Takes::Header => auth::header(value).err(),
            Takes::Origins => auth::origins(value).err(),
            Takes::Tenant => TenantId::parse(value)
                .err()
                .map(|error| format!("is `{value}`, but {error}")),
            Takes::KeyName => SigningKey::from_seed(value, &[0; 32])
                .err()
                .map(|error| format!("does not do: {error}")),
            Takes::Bool => (!matches!(value, "true" | "false"))
                .then(|| format!("is `{value}`, but must be true or false")),
            Takes::Number { min, max } => {
                let fits = value.parse::<u64>().is_ok_and(|n| (min..=max).contains(&n));
                (!fits).then(|| {
                    format!("is `{value}`, but must be a whole number from {min} to {max}")
                })
            }
            // Not shown: it may hold a password.
            Takes::Ledger => (value != DIRECTORY && !is_database(value)).then(|| {
                "must be `directory` or postgres://user:password@host:port/database".to_owned()
            }),
            Takes::Address => value
                .parse::<Listen>()
                .err()
                .map(|wrong| format!("is `{value}`, but {wrong}")),
            Takes::OneOf(words) => (!words.contains(&value))
                .then(|| format!("is `{value}`, but must be one of {}", words.join(", "))),
        }
    }

    /// What it takes, in words, for the reference.
    #[cfg(test)]
    pub fn takes_words(&self) -> String {
        match self.takes {
            Takes::Path => "path".to_owned(),
            Takes::Text => "text".to_owned(),
            Takes::KeySet => "https://…, or path".to_owned(),
            Takes::Algorithms => "names of RFC 7518".to_owned(),
            Takes::Roles => "THEIRS=OURS, parted by commas".to_owned(),
            Takes::Networks => "10.0.0.7, 10.0.0.0/24".to_owned(),
            Takes::Header => "name of a header".to_owned(),
            Takes::Origins => "https://audit.example.com".to_owned(),
            Takes::Tenant => "name of a tenant".to_owned(),
            Takes::KeyName => "text without blanks and plus signs".to_owned(),
            Takes::Bool => "true or false".to_owned(),
            Takes::Number { min, max } => format!("{min} to {max}"),
            Takes::Ledger => "directory, or postgres://user:password@host:port/database".to_owned(),
            Takes::Address => "address, or a name of this machine, and port".to_owned(),
            Takes::OneOf(words) => words.join(", "),
        }
    }
}

/// The ledger is in the data directory.
pub const DIRECTORY: &str = "directory";

fn is_database(value: &str) -> bool {
    let schemes = ["postgres://", "postgresql://"];
    schemes.iter().any(|scheme| value.starts_with(scheme))
}

/// Milliseconds that something may take.
const TIMEOUT: Takes = Takes::Number {
    min: 100,
    max: 3_600_000,
};

/// A limit of which 0 is none.
const fn number(
    key: &'static str,
    default: &'static str,
    (min, max): (u64, u64),
    doc: &'static str,
) -> Setting {
    Setting {
        key,
        default: Some(default),
        takes: Takes::Number { min, max },
        doc,
    }
}

const fn rate(key: &'static str, doc: &'static str) -> Setting {
    number(key, "0", (0, RATE_MAX), doc)
}

/// Every setting.
pub const SETTINGS: [Setting; 58] = [
    Setting {
        key: "data",
        default: Some("./indelible-data"),
        takes: Takes::Path,
        doc: "Data directory.",
    },
    Setting {
        key: "ledger",
        default: Some(DIRECTORY),
        takes: Takes::Ledger,
        doc: "Where the ledger is: in the data directory, or in a database, beside which the data \
              directory has what is of one server alone. `AUDIT_DB_URL` is taken too. `config \
              show` leaves the password out.",
    },
    Setting {
        key: "keys",
        default: None,
        takes: Takes::Path,
        doc: "Directory of the keys, one folder per ledger inside; not set: `indelible` in the \
              user's configuration directory.",
    },
    Setting {
        key: "tenant",
        default: None,
        takes: Takes::Tenant,
        doc: "Tenant of every command; not set: `default` where one is written, all where one is \
              read.",
    },
    Setting {
        key: "origin",
        default: None,
        takes: Takes::KeyName,
        doc: "Origin of a new ledger, its name for ever in every checkpoint; not set: \
              `indelible.dev/<ledger id>`.",
    },
    Setting {
        key: "sealing",
        default: Some("on"),
        takes: Takes::OneOf(&["on", "off"]),
        doc: "Whether personal data is sealed when it is written.",
    },
    Setting {
        key: "sealing_policy",
        default: None,
        takes: Takes::Path,
        doc: "File with the policy that says what is personal (`spec/sealing.md` §6), JSON; not \
              set: the one shown there, version 1.",
    },
    Setting {
        key: "import.batch_records",
        default: Some("1000"),
        takes: Takes::Number {
            min: 1,
            max: 100_000,
        },
        doc: "Events that an import submits at once.",
    },
    Setting {
        key: "server.listen",
        default: Some("127.0.0.1:8080"),
        takes: Takes::Address,
        doc: "Where `serve` listens.",
    },
    number(
        "server.connections_max",
        "10000",
        (1, 1_000_000),
        "Connections at a time.",
    ),
    number(
        "server.in_flight_bytes_max",
        "134217728",
        (1 << 20, 1 << 40),
        "Bytes of requests in flight; beyond it a request is answered 503.",
    ),
    number(
        "server.header_timeout_ms",
        "30000",
        (100, 3_600_000),
        "How long a connection may take for a request's headers, or be idle.",
    ),
    number(
        "server.body_timeout_ms",
        "120000",
        (100, 3_600_000),
        "How long a request's body may take.",
    ),
    number(
        "server.stop_timeout_ms",
        "20000",
        (0, 3_600_000),
        "How long requests under way are waited for when the server stops.",
    ),
    Setting {
        key: "server.telemetry",
        default: Some("info"),
        takes: Takes::OneOf(&["off", "error", "warn", "info", "debug"]),
        doc: "What the server tells of itself on standard error, as JSON lines.",
    },
    Setting {
        key: "server.tls.certificate",
        default: None,
        takes: Takes::Path,
        doc: "File with the server's certificate and those that vouch for it, PEM; with it goes \
              `server.tls.key`. Not set: no TLS.",
    },
    Setting {
        key: "server.tls.key",
        default: None,
        takes: Takes::Path,
        doc: "File with the certificate's private key, PEM. Both are looked at every second, and \
              new ones are taken.",
    },
    Setting {
        key: "server.cors_origins",
        default: None,
        takes: Takes::Origins,
        doc: "Origins whose pages may read answers, parted by commas; not set: none but the \
              server's own.",
    },
    Setting {
        key: "server.frame_ancestors",
        default: None,
        takes: Takes::Origins,
        doc: "Origins whose pages may show `/embed` in a frame (`docs/page.md`), parted by commas; \
              not set: none.",
    },
    rate(
        "limits.key_requests_per_s",
        "Requests a second of a key, unless it was made with others; beyond it and \
              `limits.burst_s` it is answered 429. 0: no limit.",
    ),
    rate(
        "limits.key_events_per_s",
        "Events a second of a key, unless it was made with others; beyond it and \
              `limits.burst_s` it is answered 429. 0: no limit.",
    ),
    rate(
        "limits.key_bytes_per_s",
        "Bytes a second of a key, unless it was made with others; beyond it and \
              `limits.burst_s` it is answered 429. 0: no limit.",
    ),
    rate(
        "limits.tenant_requests_per_s",
        "Requests a second of a tenant; beyond it and `limits.burst_s` it is answered 429. \
              0: no limit.",
    ),
    rate(
        "limits.tenant_events_per_s",
        "Events a second of a tenant; beyond it and `limits.burst_s` it is answered 429. \
              0: no limit.",
    ),
    rate(
        "limits.tenant_bytes_per_s",
        "Bytes a second of a tenant; beyond it and `limits.burst_s` it is answered 429. 0: \
              no limit.",
    ),
    rate(
        "limits.tenant_events_per_day",
        "Events a day, of UTC, of a tenant; beyond it is answered 429. 0: no limit.",
    ),
    rate(
        "limits.tenant_bytes_per_day",
        "Bytes a day, of UTC, of a tenant; beyond it is answered 429. 0: no limit.",
    ),
    number(
        "limits.tails_max",
        "2000",
        (1, 1_000_000),
        "Tails at a time; one more is answered 503.",
    ),
    number(
        "limits.key_tails_max",
        "1000",
        (1, 1_000_000),
        "Tails of one key; one more is answered 429.",
    ),
    number(
        "limits.exports_max",
        "256",
        (1, 1 << 20),
        "Exports that are kept, of all keys; one more is answered 429.",
    ),
    number(
        "limits.key_exports_max",
        "16",
        (1, 1 << 20),
        "Exports of one key that are kept; one more is answered 429.",
    ),
    number(
        "limits.export_bytes_max",
        "4294967296",
        (1 << 20, 1 << 50),
        "Bytes of the file of one export; one that grows beyond it fails.",
    ),
    number(
        "limits.exports_bytes_max",
        "17179869184",
        (1 << 20, 1 << 50),
        "Bytes of the files of all exports.",
    ),
    number(
        "limits.exports_kept_s",
        "86400",
        (60, 31_536_000),
        "How long an export is kept from when it was asked for, seconds.",
    ),
    number(
        "limits.burst_s",
        "10",
        (1, 3_600),
        "For so many seconds' worth of a rate may come at once.",
    ),
    Setting {
        key: "auth.jwt.issuer",
        default: None,
        takes: Takes::Text,
        doc: "Whose tokens are taken beside keys: what `iss` is in them (`docs/identity.md`). \
              With it go `auth.jwt.audience` and `auth.jwt.jwks`.",
    },
    Setting {
        key: "auth.jwt.audience",
        default: None,
        takes: Takes::Text,
        doc: "What `aud` has in them.",
    },
    Setting {
        key: "auth.jwt.jwks",
        default: None,
        takes: Takes::KeySet,
        doc: "Where the issuer's public keys are: an address, https unless on this machine, or a \
              file.",
    },
    Setting {
        key: "auth.jwt.algorithms",
        default: Some("RS256,PS256,ES256,EdDSA"),
        takes: Takes::Algorithms,
        doc: "Algorithms that are taken, parted by commas.",
    },
    Setting {
        key: "auth.jwt.tenants_claim",
        default: Some("tenants"),
        takes: Takes::Text,
        doc: "Claim that names the tenants, a text or a list, `*` for all; of objects in objects, \
              a path with dots.",
    },
    Setting {
        key: "auth.jwt.role_claim",
        default: Some("roles"),
        takes: Takes::Text,
        doc: "Claim that names the role, as `auth.jwt.tenants_claim`, or words parted by blanks.",
    },
    Setting {
        key: "auth.jwt.roles",
        default: None,
        takes: Takes::Roles,
        doc: "What roles are called there: `audit-readers=reader, audit-admins=admin`; not set: \
              as here.",
    },
    Setting {
        key: "auth.jwt.query_claim",
        default: None,
        takes: Takes::Text,
        doc: "Claim that has a query which a reader is bound by, `*` for all records; a reader's \
              token without it is refused. Not set: tokens have none.",
    },
    Setting {
        key: "auth.jwt.leeway_s",
        default: Some("60"),
        takes: Takes::Number { min: 0, max: 300 },
        doc: "Seconds that the issuer's clock and this one may be apart.",
    },
    Setting {
        key: "auth.jwt.refresh_s",
        default: Some("300"),
        takes: Takes::Number {
            min: 5,
            max: 86_400,
        },
        doc: "Seconds after which the issuer's keys are fetched again when none is missing.",
    },
    Setting {
        key: "auth.proxy.networks",
        default: None,
        takes: Takes::Networks,
        doc: "Addresses and networks of proxies that say who a request is by, parted by commas \
              (`docs/identity.md`); not set: none does.",
    },
    Setting {
        key: "auth.proxy.user_header",
        default: Some("x-forwarded-user"),
        takes: Takes::Header,
        doc: "Header in which they name the user.",
    },
    Setting {
        key: "auth.proxy.tenants_header",
        default: Some("x-indelible-tenants"),
        takes: Takes::Header,
        doc: "Header in which they name the tenants, parted by commas, `*` for all.",
    },
    Setting {
        key: "auth.proxy.roles_header",
        default: Some("x-indelible-roles"),
        takes: Takes::Header,
        doc: "Header in which they name the roles, parted by commas.",
    },
    Setting {
        key: "auth.proxy.roles",
        default: None,
        takes: Takes::Roles,
        doc: "What roles are called there, as `auth.jwt.roles`.",
    },
    Setting {
        key: "auth.names",
        default: Some("hidden"),
        takes: Takes::OneOf(&["hidden", "clear"]),
        doc: "What others than keys are called in records: a keyed hash of their name, or the \
              name itself where it is a short word without `@`; say `clear` only where names are \
              no personal data.",
    },
    Setting {
        key: "postgres.connections_min",
        default: Some("5"),
        takes: Takes::Number { min: 0, max: 1_000 },
        doc: "Connections to the ledger's database that are made at once; at most as many as \
              `postgres.connections_max`.",
    },
    Setting {
        key: "postgres.connections_max",
        default: Some("20"),
        takes: Takes::Number { min: 2, max: 1_000 },
        doc: "Connections to it at most; who finds none free waits for one.",
    },
    Setting {
        key: "postgres.connect_timeout_ms",
        default: Some("10000"),
        takes: TIMEOUT,
        doc: "How long a connection to it may take, and how long a free one is waited for.",
    },
    Setting {
        key: "postgres.statement_timeout_ms",
        default: Some("60000"),
        takes: TIMEOUT,
        doc: "How long a statement may take there.",
    },
    Setting {
        key: "postgres.lock_timeout_ms",
        default: Some("15000"),
        takes: TIMEOUT,
        doc: "How long a statement may wait for a lock that another server has.",
    },
    Setting {
        key: "output.utc",
        default: Some("false"),
        takes: Takes::Bool,
        doc: "Read and show times in UTC instead of the local time zone.",
    },
    Setting {
        key: "output.color",
        default: Some("auto"),
        takes: Takes::OneOf(&["auto", "always", "never"]),
        doc: "When to use colours; auto is on a terminal, unless `NO_COLOR` is set.",
    },
];
