//! Settles the two fields that every record has and an event may lack: its id and its time.
//!
//! Not here: everything else of the check. An event without a time takes that of its id, so that
//! a repeat of it is equal. Source: `spec/event.md`, "Ids" and "Times".

use super::Mode;
use super::check::Check;
use crate::canonical::string_token;
use crate::field::Field;
use crate::ids::{AuditId, Micros};
use crate::ledger::LedgerFlag;
use crate::limits::{
    AHEAD_MINUTES_MAX, FOREIGN_ID_CHARS_MAX, LATE_AFTER_HOURS, MICROS_PER_HOUR, MICROS_PER_MINUTE,
    TIME_BYTES_MAX,
};
use crate::problem::ProblemCode;

/// The time as the event has it.
#[derive(Clone, Copy)]
enum Written {
    /// Absent or null.
    Nothing,
    /// Something that is not a time; the problem is noted.
    Bad,
    /// A time.
    At(Micros),
}

/// The event's id and time; `None` if there is a problem with either.
pub(super) fn fill(
    check: &mut Check<'_, '_, '_>,
    random: &mut dyn FnMut(&mut [u8]),
) -> Option<(AuditId, Micros)> {
    let written = written_time(check);
    let audit_id = settle_id(check, written, random)?;
    let occurred_at = match written {
        Written::At(time) => time,
        Written::Bad => return None,
        Written::Nothing => time_of_id(check, audit_id)?,
    };
    judge_time(check, audit_id, occurred_at)
}

fn written_time(check: &mut Check<'_, '_, '_>) -> Written {
    if matches!(check.view.raw(Field::OccurredAt), None | Some("null")) {
        return Written::Nothing;
    }
    let Some(text) = check.view.text(Field::OccurredAt) else {
        check.refuse(
            Field::OccurredAt,
            ProblemCode::WrongType,
            "write the time as a string",
        );
        return Written::Bad;
    };
    if text.len() > TIME_BYTES_MAX {
        let message = format!("write the time in at most {TIME_BYTES_MAX} bytes");
        check.refuse(Field::OccurredAt, ProblemCode::TooLong, message);
        return Written::Bad;
    }
    match Micros::parse(&text) {
        Ok(time) => Written::At(time),
        Err(error) => {
            check.refuse(Field::OccurredAt, ProblemCode::BadTime, error.to_string());
            Written::Bad
        }
    }
}

/// Fills in the time of the id, to the millisecond.
fn time_of_id(check: &mut Check<'_, '_, '_>, audit_id: AuditId) -> Option<Micros> {
    let ms = i64::try_from(audit_id.unix_ms()).unwrap_or(i64::MAX);
    let Some(time) = Micros::from_unix_ms(ms) else {
        let message = "the time in the id is after the year 9999; write occurred_at";
        check.refuse(Field::AuditId, ProblemCode::OutOfRange, message);
        return None;
    };
    check.put(Field::OccurredAt, &string_token(&time.to_rfc3339_ms()));
    Some(time)
}

fn judge_time(
    check: &mut Check<'_, '_, '_>,
    audit_id: AuditId,
    time: Micros,
) -> Option<(AuditId, Micros)> {
    let ahead = time.0.saturating_sub(check.admission.now.0);
    if ahead > AHEAD_MINUTES_MAX * MICROS_PER_MINUTE {
        // What is said of a stream is as true by a wrong clock, and nobody would say it again.
        if check.admission.mode == Mode::Strict && !check.is_statement() {
            let message = format!(
                "the time is more than {AHEAD_MINUTES_MAX} minutes ahead of our clock; check the \
                 producer's"
            );
            check.refuse(Field::OccurredAt, ProblemCode::FutureTime, message);
            return None;
        }
        check.flags.insert(LedgerFlag::Future);
    }
    if ahead < -LATE_AFTER_HOURS * MICROS_PER_HOUR {
        check.flags.insert(LedgerFlag::Late);
    }
    Some((audit_id, time))
}

fn settle_id(
    check: &mut Check<'_, '_, '_>,
    written: Written,
    random: &mut dyn FnMut(&mut [u8]),
) -> Option<AuditId> {
    if matches!(check.view.raw(Field::AuditId), None | Some("null")) {
        let mut bytes = [0; 10];
        random(&mut bytes);
        let audit_id = AuditId::mint(check.admission.now.unix_ms(), bytes);
        check.put(Field::AuditId, &string_token(&audit_id.to_string()));
        return Some(audit_id);
    }
    let Some(text) = check.view.text(Field::AuditId) else {
        check.refuse(
            Field::AuditId,
            ProblemCode::WrongType,
            "write the id as a string",
        );
        return None;
    };
    if let Ok(audit_id) = AuditId::parse(&text)
        && audit_id.is_time_ordered()
    {
        if text.as_bytes() != audit_id.text() {
            check.put(Field::AuditId, &string_token(&audit_id.to_string()));
        }
        return Some(audit_id);
    }
    foreign_id(check, &text, written)
}

/// An id that is not ordered by time is kept as the source's own, and a v8 id made of it.
fn foreign_id(check: &mut Check<'_, '_, '_>, text: &str, written: Written) -> Option<AuditId> {
    if text.is_empty() || text.chars().count() > FOREIGN_ID_CHARS_MAX {
        let message =
            format!("write an id of 1 to {FOREIGN_ID_CHARS_MAX} characters, or leave the key out");
        check.refuse(Field::AuditId, ProblemCode::BadId, message);
        return None;
    }
    let occurred_at = match written {
        Written::At(time) => time,
        Written::Bad => return None,
        Written::Nothing => {
            let message = "an event whose id is not a uuid of version 7 or 8 needs occurred_at";
            check.refuse(Field::OccurredAt, ProblemCode::RequiredMissing, message);
            return None;
        }
    };
    let source = check.view.text(Field::SourceService).unwrap_or_default();
    let dialect = check.admission.dialect;
    let audit_id = AuditId::foreign(dialect, &source, text, "", occurred_at.unix_ms());
    let given = string_token(text);
    match check.view.raw(Field::SourceEventId) {
        Some(raw) if raw != given && raw != "null" => {
            let message = "audit_id and source_event_id are two foreign ids; keep one of them";
            check.refuse(Field::AuditId, ProblemCode::Contradiction, message);
            return None;
        }
        _ => {
            check.put(Field::AuditId, &string_token(&audit_id.to_string()));
            check.put(Field::SourceEventId, &given);
        }
    }
    Some(audit_id)
}
