//! Looking at bodies: which of some hits match, and what of them cannot be read.

use std::ops::{ControlFlow, Range};

use indelible_event::ids::TenantId;
use indelible_event::{EventView, LeafView};
use indelible_store::{Expr, Ledger, Place, Result, SealedValue, Stored, StoredRecord};

use crate::checking::Checking;
use crate::page::{Damage, Lost, runs};

/// What was found at some hits.
#[derive(Default)]
pub(super) struct Looked<'a> {
    /// How many match.
    pub(super) total: u64,
    /// These, where there is more to count of them.
    pub(super) kept: Vec<Kept<'a>>,
    pub(super) damaged: Vec<Damage>,
}

/// A record that matches.
pub(super) struct Kept<'a> {
    pub(super) hit: &'a Place,
    pub(super) leaf: Vec<u8>,
    pub(super) sealed: Vec<SealedValue>,
}

impl<'a> Looked<'a> {
    /// Looks at the bodies of these hits, which are in the order of their logs and numbers; `keeps`
    /// those that match.
    pub(super) fn at(
        ledger: &dyn Ledger,
        (expr, keeps): (&Expr, bool),
        hits: &[&'a Place],
    ) -> Result<Self> {
        let mut looked = Self::default();
        let mut checking = Checking::new(expr);
        let mut met = vec![false; hits.len()];
        let mut next = 0;
        let runs = runs(hits.iter().copied());
        ledger.read_ranges(&runs, &mut |tenant, stored| {
            match stored {
                Stored::Record(record) => {
                    let wanted = (tenant, record.sequence_number);
                    // They come in this order; some that stand between them are no hits.
                    let at = match hits.get(next) {
                        Some(hit) if key(hit) == wanted => Some(next),
                        _ => hits.binary_search_by_key(&wanted, |hit| key(hit)).ok(),
                    };
                    if let Some(at) = at {
                        next = at + 1;
                        if let (Some(met @ false), Some(hit)) = (met.get_mut(at), hits.get(at)) {
                            *met = true;
                            looked.meet((hit, keeps), &record, &mut checking);
                        }
                    }
                }
                Stored::Damaged { range, place } => {
                    let mut is_wanted = false;
                    for (hit, met) in hits.iter().zip(&mut met).filter(|(_, met)| !**met) {
                        if hit.tenant == *tenant && range.contains(&hit.sequence_number) {
                            *met = true;
                            is_wanted = true;
                        }
                    }
                    if is_wanted {
                        looked.damage(tenant, range, place.to_string());
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        for (hit, _) in hits.iter().zip(met).filter(|(_, met)| !met) {
            let said = "the index names a record that the log lacks".to_owned();
            let number = hit.sequence_number;
            looked.damage(&hit.tenant, number..number + 1, said);
        }
        Ok(looked)
    }

    fn damage(&mut self, tenant: &TenantId, range: Range<u64>, place: String) {
        let log = Some((tenant.clone(), range));
        let lost = Lost::Records;
        self.damaged.push(Damage { lost, log, place });
    }

    fn meet(
        &mut self,
        (hit, keeps): (&'a Place, bool),
        record: &StoredRecord<'_>,
        checking: &mut Checking<'_>,
    ) {
        let leaf = LeafView::locate(record.leaf).ok();
        let event = leaf.and_then(|leaf| EventView::parse(leaf.event()).ok());
        match event.and_then(|event| checking.holds(record, &event)) {
            Some(false) => {}
            Some(true) => {
                self.total += 1;
                if keeps {
                    self.kept.push(Kept {
                        hit,
                        leaf: record.leaf.to_vec(),
                        sealed: record.sealed.to_vec(),
                    });
                }
            }
            None => {
                let number = record.sequence_number;
                let said = "the stored bytes are not a record".to_owned();
                self.damage(&hit.tenant, number..number + 1, said);
            }
        }
    }
}

/// In what order they lie.
pub(super) fn key(hit: &Place) -> (&TenantId, u64) {
    (&hit.tenant, hit.sequence_number)
}
