//! From what PostgreSQL says to what a caller does about it.
//!
//! Source: PostgreSQL 15 documentation, appendix A, "PostgreSQL Error Codes".

use std::error::Error as _;
use std::iter;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use indelible_store::{Error, Kind};
use tokio_postgres::error::SqlState;

/// The error of a call that certainly had no effect, or that only read.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
pub fn failed(doing: &str, error: tokio_postgres::Error) -> Error {
    let kind = error.code().map_or(Kind::Unavailable, kind);
    told(kind, doing, &error)
}

/// The error of a COMMIT: where the server did not answer, the outcome is not known.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
pub(crate) fn commit_failed(doing: &str, error: tokio_postgres::Error) -> Error {
    let kind = match error.code() {
        // The server says what happened, unless it went away while it did.
        Some(code) if !is_going_away(code) => kind(code),
        _ => Kind::UnknownOutcome,
    };
    told(kind, doing, &error)
}

/// The error of the pool: no connection was had.
pub(crate) fn no_connection(to: &str, error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            failed(to, error)
        }
        PoolError::Timeout(TimeoutType::Wait) => {
            let said = format!("{to}: every connection of the pool is busy");
            Error::new(Kind::Unavailable, said)
        }
        error => Error::new(Kind::Unavailable, to).caused_by(error),
    }
}

fn told(kind: Kind, doing: &str, error: &tokio_postgres::Error) -> Error {
    Error::new(kind, said(doing, error))
}

/// What happened, where, and what to do about it: in one text, since of several causes the lowest
/// is the one that tells (*connection refused*, *unknown issuer*).
pub(crate) fn said(doing: &str, error: &tokio_postgres::Error) -> String {
    let Some(said) = error.as_db_error() else {
        let causes = iter::successors(error.source(), |&cause| cause.source());
        let causes = causes.map(ToString::to_string);
        let said: Vec<String> = iter::once(error.to_string()).chain(causes).collect();
        return format!("{doing}: {}", said.join(": "));
    };
    let advice = advice(said.code()).or(said.hint());
    let advice = advice
        .map(|advice| format!(": {advice}"))
        .unwrap_or_default();
    let code = said.code().code();
    format!("{doing}: {} ({code}){advice}", said.message())
}

fn is_going_away(code: &SqlState) -> bool {
    code.code().starts_with("08") || code.code().starts_with("57P")
}

/// What to do, where the server does not say.
fn advice(code: &SqlState) -> Option<&'static str> {
    Some(match code.code() {
        "28P01" => "give the right password in the URL",
        "28000" => "make the role, or let it in by pg_hba.conf",
        "3D000" => "make the database, createdb as its owner",
        "53100" => "make room on the server's disk; nothing of the call was kept",
        "53300" => "raise max_connections, or let this server have fewer",
        "57014" => "it took longer than the statement timeout",
        "55P03" => "another server holds the log; the same call may succeed later",
        _ => return None,
    })
}

fn kind(code: &SqlState) -> Kind {
    match code.code() {
        // Unique violations: a rival was there first.
        "23505" => Kind::Conflict,
        "53100" => Kind::NoSpace,
        // A standby, or a role that may only read.
        "25006" | "42501" => Kind::ReadOnly,
        "XX001" | "XX002" => Kind::Corrupt,
        // A table, column or schema that is not there: not our version of it.
        "42P01" | "42703" | "3F000" => Kind::Format,
        // No such database, role or password: it will not get better by waiting.
        "3D000" | "28000" | "28P01" => Kind::Invalid,
        other => match other.get(..2) {
            // Data exceptions, broken constraints, and statements that are wrong.
            Some("22" | "23" | "42") => Kind::Invalid,
            _ => Kind::Unavailable,
        },
    }
}
