//! What comes out of the spool: events, each put together with what stands beside it.

use indelible_buffer::{SpoolError, SpoolReader};

use crate::frame::Pieces;
use crate::transport::Outgoing;

/// What came out of the spool at once.
#[derive(Default)]
pub(crate) struct Spooled {
    pub(crate) events: Vec<Outgoing>,
    pub(crate) unreadable: usize,
    /// There is more than this.
    pub(crate) more: bool,
    /// What was wrong behind these.
    pub(crate) trouble: Option<SpoolError>,
}

/// The next events of the spool. What stands beside one comes before it, in pieces, of which a
/// batch may hold a part.
pub(crate) fn next_of_spool(
    spool: &mut SpoolReader,
    pieces: &mut Pieces,
    items_max: usize,
    bytes_max: usize,
) -> Spooled {
    let mut batch = Spooled::default();
    loop {
        let items = match spool.next(items_max, bytes_max) {
            Ok(items) => items,
            Err(error) => {
                batch.trouble = Some(error);
                return batch;
            }
        };
        let bytes: usize = items.iter().map(Vec::len).sum();
        batch.more = items.len() >= items_max || bytes >= bytes_max;
        for item in &items {
            if pieces.take(item) {
                continue;
            }
            match pieces.event(item) {
                Some(event) => batch.events.push(event),
                None => batch.unreadable += 1,
            }
        }
        if items.is_empty() {
            // Whoever wrote them died over their event.
            pieces.clear();
        }
        if !pieces.any() {
            return batch;
        }
    }
}
