//! The log of a server, up to the head that it published.

use std::ops::{ControlFlow, Range};

use indelible_log::attachments::references;
use indelible_log::export::{Exported, Summary};
use indelible_log::registry::PublishedHead;
use indelible_merkle::{Frontier, leaf_hash};

use crate::exit::Result;
use crate::remote::{Asked, Checked, Purpose, Remote, Unreadable};

/// Gives every record to `give`, until it breaks off; what is not there is given as damaged. Which
/// root they lead to is computed here.
///
/// # Errors
/// When the server cannot be asked, or gives what is no record of this log or not the next one.
pub fn export(
    remote: &Remote,
    head: &PublishedHead,
    give: &mut dyn FnMut(Exported<'_>) -> ControlFlow<()>,
) -> Result<Summary> {
    let mut summary = Summary {
        records: 0,
        disclosures: 0,
        closed: 0,
        damaged: 0,
        damaged_values: 0,
        attachments: 0,
        size: head.size,
        forked: false,
    };
    let mut unreadable = Unreadable::new(&head.tenant, head.size);
    let mut tree = Frontier::new();
    let mut next = 0;
    let mut pages = remote.records(Asked {
        purpose: Purpose::Export,
        ..Asked::log(&head.tenant, head.size)
    });
    while let Some(page) = pages.next()? {
        unreadable.take(&page.unreadable);
        for record in &page.records {
            let checked = Checked::of(record).map_err(|what| remote.strange(what))?;
            let number = checked.place.sequence_number;
            if checked.place.tenant != head.tenant || number < next || number >= head.size {
                let (tenant, of) = (&checked.place.tenant, &head.tenant);
                let what = format!("record {number} of {tenant} in the place of {next} of {of}");
                return Err(remote.strange(what));
            }
            let leaf = checked.leaf.bytes();
            tree.append(leaf_hash(leaf));
            summary.records += 1;
            summary.attachments += references(leaf).count() as u64;
            let record = Exported::Record {
                sequence_number: number,
                leaf,
                disclosures: &[],
                joined: checked.event,
            };
            summary.damaged += number - next;
            if lacking(next..number, &mut unreadable, give).is_break() || give(record).is_break() {
                return Ok(summary);
            }
            next = number + 1;
        }
    }
    summary.damaged += head.size - next;
    let _ = lacking(next..head.size, &mut unreadable, give);
    summary.forked = tree.size() == head.size && tree.root() != head.root;
    Ok(summary)
}

/// Gives records that did not come as damaged: where, as far as the server says that.
fn lacking(
    mut records: Range<u64>,
    unreadable: &mut Unreadable<'_>,
    give: &mut dyn FnMut(Exported<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut damaged = |range: Range<u64>, place| {
        if range.is_empty() {
            return ControlFlow::Continue(());
        }
        give(Exported::Damaged { range, place })
    };
    while let Some((span, place)) = unreadable.before(records.end) {
        let (first, last) = (
            span.first.max(records.start),
            span.last.min(records.end - 1),
        );
        damaged(records.start..first, None)?;
        damaged(first..last + 1, Some(place))?;
        records.start = records.start.max(last + 1);
    }
    damaged(records, None)
}
