//! Export: every leaf up to the newest published head, the disclosures, the signed checkpoint.

use std::ops::{ControlFlow, Range};

use indelible_event::ids::TenantId;
use indelible_event::leaf::LeafView;
use indelible_event::view::EventView;
use indelible_merkle::{Frontier, leaf_hash};
use indelible_proof::disclosure::DisclosureLine;
use indelible_proof::finding::Place;
use indelible_store::{Error, Kind, Result, SealedValue, Stored, StoredRecord};

use crate::attachments::references;
use crate::disclose::disclose;
use crate::keyring::{Keyring, Opened};
use crate::log::Stores;
use crate::mask::{Sight, masked_token};
use crate::registry::{PublishedHead, log_row, published_at};
use crate::rollback::lost_tail;
use crate::seal::{put_back, unseal};

/// One thing an export gives, in order of sequence numbers.
#[derive(Debug)]
pub enum Exported<'a> {
    /// A record.
    Record {
        /// Its place.
        sequence_number: u64,
        /// The leaf, byte for byte: one line of the export.
        leaf: &'a [u8],
        /// Its disclosures, one line per subject.
        disclosures: &'a [DisclosureLine],
        /// The event with its personal values back in place, as far as they open.
        joined: &'a [u8],
    },
    /// Records that cannot be read.
    Damaged {
        /// Their sequence numbers.
        range: Range<u64>,
        /// Where the damage is; `None` where the bytes that they stood in are gone.
        place: Option<Place>,
    },
}

/// What an export gave.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Records given.
    pub records: u64,
    /// Disclosure lines given.
    pub disclosures: u64,
    /// Records with values that stay closed: erased, or the keys are not here.
    pub closed: u64,
    /// Records that could not be read.
    pub damaged: u64,
    /// Records with values whose stored bytes changed: given without any disclosures.
    pub damaged_values: u64,
    /// How often the records name attachments, whose bytes are not given.
    pub attachments: u64,
    /// How many records of the log it is about: it ends before this number.
    pub size: u64,
    /// Whether all records were given and do not lead to the published root.
    pub forked: bool,
}

/// The newest published head of a tenant's log.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such tenant, or nothing of it is published.
pub fn published_head(stores: &Stores, tenant: &TenantId) -> Result<PublishedHead> {
    let state = stores.state.as_ref();
    let row = log_row(state, tenant)?
        .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no tenant {tenant}")))?;
    published_at(state, row.slot)?.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("nothing of the log of {tenant} is published yet"),
        )
    })
}

/// Gives everything up to a published head to `give`, until it breaks off; without one, up to the
/// head that is stored. What was published and is not here is given as damaged.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such tenant; else as the stores.
pub fn export(
    stores: &Stores,
    keyring: &Keyring,
    tenant: &TenantId,
    head: Option<&PublishedHead>,
    give: &mut dyn FnMut(Exported<'_>) -> ControlFlow<()>,
) -> Result<Summary> {
    let size = match head {
        Some(head) => head.size,
        None => stored_size(stores, tenant)?,
    };
    let mut summary = Summary::of(size);
    let (mut failed, mut end, mut broken_off) = (None, 0, false);
    let mut tree = Frontier::new();
    stores.ledger.read(tenant, 0..size, &mut |stored| {
        let flow = match stored {
            Stored::Damaged { range, place } => {
                end = range.end;
                summary.damaged += range.end.saturating_sub(range.start);
                let place = Some(place);
                give(Exported::Damaged { range, place })
            }
            Stored::Record(record) if record.sequence_number < end => {
                failed = Some(stands_twice(tenant, record.sequence_number));
                ControlFlow::Break(())
            }
            Stored::Record(record) => {
                end = record.sequence_number + 1;
                tree.append(leaf_hash(record.leaf));
                match open(keyring, tenant, &record) {
                    Ok(opened) => {
                        summary.count(&record, &opened);
                        let (disclosures, _, joined) = &opened;
                        give(Exported::Record {
                            sequence_number: record.sequence_number,
                            leaf: record.leaf,
                            disclosures,
                            joined,
                        })
                    }
                    Err(e) => {
                        failed = Some(e);
                        ControlFlow::Break(())
                    }
                }
            }
        };
        broken_off = flow.is_break();
        flow
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !broken_off
        && let Some(head) = head
        && let Some(lost) = lost_tail(stores.ledger.as_ref(), end, head)?
    {
        summary.damaged += lost.records.count();
        let (range, place) = (end..head.size, lost.place);
        let _ = give(Exported::Damaged { range, place });
    }
    let whole = |head: &PublishedHead| !broken_off && tree.size() == head.size;
    summary.forked = head.is_some_and(|head| whole(head) && tree.root() != head.root);
    Ok(summary)
}

impl Summary {
    fn of(size: u64) -> Self {
        Self {
            records: 0,
            disclosures: 0,
            closed: 0,
            damaged: 0,
            damaged_values: 0,
            attachments: 0,
            size,
            forked: false,
        }
    }

    fn count(&mut self, record: &StoredRecord<'_>, (lines, closed, _): &Joined) {
        let damaged = record.unread.is_some();
        self.records += 1;
        self.disclosures += lines.len() as u64;
        self.closed += u64::from(*closed && !damaged);
        self.damaged_values += u64::from(damaged);
        self.attachments += references(record.leaf).count() as u64;
    }
}

/// Which of them is the record cannot be told here.
fn stands_twice(tenant: &TenantId, number: u64) -> Error {
    let said = format!("record {number} of {tenant} stands twice: see verify");
    Error::new(Kind::Corrupt, said)
}

fn stored_size(stores: &Stores, tenant: &TenantId) -> Result<u64> {
    let head = stores.ledger.head(tenant)?;
    let head =
        head.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no tenant {tenant}")))?;
    Ok(head.frontier.size())
}

type Joined = (Vec<DisclosureLine>, bool, Vec<u8>);

fn open(keyring: &Keyring, tenant: &TenantId, record: &StoredRecord<'_>) -> Result<Joined> {
    let number = record.sequence_number;
    let corrupt =
        |e: String| Error::new(Kind::Corrupt, format!("record {number} of {tenant}: {e}"));
    let leaf = LeafView::locate(record.leaf).map_err(|e| corrupt(e.to_string()))?;
    if record.sealed.is_empty() {
        return Ok((Vec::new(), false, leaf.event().to_vec()));
    }
    let event = EventView::parse(leaf.event()).map_err(|e| corrupt(e.to_string()))?;
    let disclosed = disclose(keyring, tenant, &event, record)?;
    let joined = joined(keyring, tenant, leaf.event(), record.sealed)?;
    Ok((disclosed.lines, !disclosed.closed.is_empty(), joined))
}

/// What an answer shows of the personal values of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personal {
    /// All there are.
    Shown,
    /// Their shapes, since whoever asks may not see more.
    Masked,
    /// Some stay closed: erased, or the keys are not here.
    Closed,
}

/// An event as somebody sees it, and what of its personal values that is.
///
/// # Errors
/// As the key store's.
pub fn joined_as(
    sight: Sight,
    keyring: &Keyring,
    tenant: &TenantId,
    event: &[u8],
    sealed: &[SealedValue],
) -> Result<(Vec<u8>, Personal)> {
    if sealed.is_empty() {
        return Ok((event.to_vec(), Personal::Shown));
    }
    let opened = sealed.iter().map(|value| keyring.open_value(tenant, value));
    let opened = opened.collect::<Result<Vec<_>>>()?;
    let is_value = |one: &Opened| matches!(one, Opened::Value { .. });
    let personal = match sight {
        _ if !opened.iter().all(is_value) => Personal::Closed,
        Sight::Clear => Personal::Shown,
        Sight::Masked => Personal::Masked,
    };
    if sight == Sight::Clear {
        return Ok((unseal(event, &opened)?, personal));
    }
    let masked = opened.into_iter().filter_map(|one| match one {
        Opened::Value { pointer, value } => {
            let value = masked_token(&pointer, &value);
            Some((pointer, value))
        }
        Opened::Sealed(_) => None,
    });
    Ok((put_back(event, &masked.collect::<Vec<_>>())?, personal))
}

/// An event with its personal values back in place, as far as they open: for who has the keys
/// himself. Whoever is asked for it by others asks [`joined_as`].
///
/// # Errors
/// As the key store's.
pub fn joined(
    keyring: &Keyring,
    tenant: &TenantId,
    event: &[u8],
    sealed: &[SealedValue],
) -> Result<Vec<u8>> {
    joined_as(Sight::Clear, keyring, tenant, event, sealed).map(|(event, _)| event)
}
