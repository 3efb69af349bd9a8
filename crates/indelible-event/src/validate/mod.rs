//! Admission: from a producer's bytes to the canonical event that may be committed.
//!
//! Not here: who may submit for which tenant, sealing of personal data, numbering. An event is
//! admitted whole or refused with every problem it has; one event's problems never touch another.
//! Nothing is dropped or cut: what an admitted event said, it still says, but for secrets.
//! Source: `spec/event.md`.

mod check;
mod fill;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::canonical::canonicalize;
use crate::catalogue::Catalogue;
use crate::edits::Edits;
use crate::ids::{AuditId, Micros, TenantId};
use crate::ledger::LedgerFlag;
use crate::limits::{EVENT_BYTES_MAX, EVENT_RAW_BYTES_MAX, PROBLEMS_MAX};
use crate::problem::{Problem, ProblemCode};
use crate::redact::redact_hinted;
use crate::view::{EventView, Fields, NotCanonical};

/// How much an event may deviate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every problem refuses the event.
    Strict,
    /// Problems in fields that nothing depends on are flagged and let pass.
    Lenient,
}

/// Who says the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A producer; it may not use the reserved event types.
    Producer,
    /// The ledger itself.
    Ledger,
}

/// What an event is held against.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// How much it may deviate.
    pub mode: Mode,
    /// The types of its dialect.
    pub catalogue: &'a Catalogue,
    /// Its dialect, for foreign ids: `native`, `cloudtrail` …
    pub dialect: &'a str,
    /// Who says it.
    pub origin: Origin,
    /// The tenant it was sent to, if that is settled.
    pub tenant: Option<&'a TenantId>,
    /// Our clock.
    pub now: Micros,
}

/// An event that may be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted<'a> {
    /// The canonical bytes, without secrets; borrowed if they are as they came.
    pub bytes: Cow<'a, [u8]>,
    /// Its id, which the bytes hold.
    pub audit_id: AuditId,
    /// Its time, which the bytes hold as its producer wrote it.
    pub occurred_at: Micros,
    /// Marks for the leaf.
    pub flags: BTreeSet<LedgerFlag>,
    /// JSON pointers of what was redacted.
    pub redactions: Vec<String>,
    /// False if lenient mode let problems pass.
    pub schema_valid: bool,
    /// The problems that lenient mode let pass.
    pub tolerated: Vec<Problem>,
    /// Where the fields are, if the bytes are those that were passed over, or follow from them.
    fields: Option<Box<Fields>>,
}

impl Admitted<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Admitted<'static> {
        Admitted {
            bytes: Cow::Owned(self.bytes.into_owned()),
            audit_id: self.audit_id,
            occurred_at: self.occurred_at,
            flags: self.flags,
            redactions: self.redactions,
            schema_valid: self.schema_valid,
            tolerated: self.tolerated,
            fields: self.fields,
        }
    }

    /// The view of the bytes, without passing over them again where that can be had.
    ///
    /// # Errors
    /// [`NotCanonical`] if the bytes were replaced by others.
    pub fn view(&self) -> Result<EventView<'_>, NotCanonical> {
        let text = std::str::from_utf8(&self.bytes).map_err(|_| NotCanonical)?;
        let known = self.fields.as_deref();
        match known.and_then(|fields| EventView::again(text, fields)) {
            Some(view) => Ok(view),
            None => EventView::parse(&self.bytes),
        }
    }
}

/// Holds one event against its dialect and brings it into the form that is committed. `random`
/// fills ten bytes and is only asked if the event has no id.
///
/// # Errors
/// Every problem of the event, each with its JSON pointer.
pub fn admit<'a>(
    raw: &'a [u8],
    admission: &Admission<'_>,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<Admitted<'a>, Vec<Problem>> {
    if raw.len() > EVENT_RAW_BYTES_MAX {
        return Err(vec![too_large(raw.len(), EVENT_RAW_BYTES_MAX)]);
    }
    if let Ok(view) = EventView::parse(raw) {
        return admit_view(view, true, admission, random);
    }
    let canonical = canonicalize(raw)?;
    match EventView::parse(&canonical) {
        Ok(view) => Ok(admit_view(view, false, admission, random)?.into_owned()),
        Err(_) => Err(vec![Problem::at(
            "",
            ProblemCode::WrongType,
            "write the event as a json object",
        )]),
    }
}

/// Holds many events against their dialect, each on its own; the answers are in their order.
pub fn admit_all<'e>(
    events: impl IntoIterator<Item = &'e [u8]>,
    admission: &Admission<'_>,
    random: &mut dyn FnMut(&mut [u8]),
) -> Vec<Result<Admitted<'e>, Vec<Problem>>> {
    events
        .into_iter()
        .map(|raw| admit(raw, admission, random))
        .collect()
}

fn admit_view<'a>(
    view: EventView<'a>,
    offsets_hold: bool,
    admission: &Admission<'_>,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<Admitted<'a>, Vec<Problem>> {
    let mut check = check::Check::new(&view, offsets_hold, admission);
    check.run();
    let filled = fill::fill(&mut check, random);
    let check::Check {
        edits,
        mut problems,
        tolerated,
        mut flags,
        ..
    } = check;
    let (came, hints) = (view.as_str(), view.hints());
    let (mut bytes, mut fields) = if edits.is_empty() {
        (Cow::Borrowed(came.as_bytes()), Some(view.into_found()))
    } else {
        let (bytes, fields) = edited(&view, edits);
        (Cow::Owned(bytes), fields)
    };
    let text = match &bytes {
        Cow::Borrowed(_) => Some(came),
        Cow::Owned(bytes) => std::str::from_utf8(bytes).ok(),
    };
    let redacted = text.and_then(|text| redact_hinted(text, hints));
    let redactions = redacted.map_or_else(Vec::new, |redacted| {
        bytes = Cow::Owned(redacted.bytes);
        fields = None;
        redacted.pointers
    });
    if bytes.len() > EVENT_BYTES_MAX {
        problems.push(too_large(bytes.len(), EVENT_BYTES_MAX));
    }
    match filled {
        Some((audit_id, occurred_at)) if problems.is_empty() => {
            let schema_valid = tolerated.is_empty();
            if !schema_valid {
                flags.insert(LedgerFlag::Lenient);
            }
            Ok(Admitted {
                bytes,
                audit_id,
                occurred_at,
                flags,
                redactions,
                schema_valid,
                tolerated,
                fields,
            })
        }
        _ => Err(capped(problems)),
    }
}

/// The event with its changes, and where its fields are now, where that follows from the changes.
fn edited(view: &EventView<'_>, edits: Edits) -> (Vec<u8>, Option<Box<Fields>>) {
    let follow = edits.can_be_followed();
    let applied = edits.applied(view.as_str());
    let text = std::str::from_utf8(&applied.bytes).ok();
    let fields = text
        .filter(|_| follow)
        .map(|text| view.moved_fields(text, &applied.kept, &applied.put));
    (applied.bytes, fields)
}

fn too_large(bytes: usize, bytes_max: usize) -> Problem {
    let message = format!(
        "the event is {bytes} bytes long and may have {bytes_max}; keep large content elsewhere \
         and refer to it by digest"
    );
    Problem::at("", ProblemCode::TooLarge, message)
}

fn capped(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    if let (Some(last), 1..) = (problems.last_mut(), more) {
        let _ = write!(last.message, "; and {more} more problems");
    }
    problems
}
