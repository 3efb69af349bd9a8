//! `stream.coverage`: what the ledger itself states of its producers' streams, once a day
//! (`spec/stream.md` §3).
//!
//! It states what is committed and counted, and only when all of the log is counted: what was
//! stated lately stands at the log's end, and would be stated again.

use indelible_event::{Micros, TenantId};
use indelible_proof::stream::Uncovered;
use indelible_store::Result;
use serde_json::json;

use super::Books;
use crate::env::Env;
use crate::own::{OwnEvent, own_event};

/// Ranges of one record: two numbers of 20 digits each, and a leaf has 65,535 bytes.
const RECORD_RANGES_MAX: usize = 1_024;
/// Records that are stated at a time; what is left is stated next time.
const RECORDS_MAX: usize = 64;
/// `YYYY-MM-DD`.
const DAY_BYTES: usize = 10;

const _: () = assert!(RECORD_RANGES_MAX * 44 < indelible_event::limits::EVENT_BYTES_MAX - 8_192);

/// The statements that are due: of streams of which something is new that was last stated, or first
/// heard, before today.
pub(crate) fn coverage(
    books: &Books,
    (env, now): (&Env, Micros),
    tenant: &TenantId,
) -> Result<Vec<OwnEvent>> {
    let today = now.to_rfc3339();
    let today = today.get(..DAY_BYTES).unwrap_or_default();
    let due = books.with(tenant, 1, |book, progress| {
        if progress.behind > 0 {
            return Vec::new();
        }
        book.streams.uncovered(Some(today))
    })?;
    let mut events = Vec::new();
    for Uncovered {
        stream,
        epoch,
        ranges,
    } in due
    {
        for some in ranges.chunks(RECORD_RANGES_MAX) {
            let ranges: Vec<_> = some.iter().map(|span| (span.first, span.last)).collect();
            let data = json!({"epoch": epoch, "ranges": ranges, "stream": stream});
            let target = ("stream", stream.as_str());
            events.push(own_event((env, now), "stream.coverage", target, &data));
        }
        if events.len() >= RECORDS_MAX {
            break;
        }
    }
    Ok(events)
}
