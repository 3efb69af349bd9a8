//! Records of a data directory.

use std::ops::ControlFlow;

use indelible_event::leaf::LeafView;
use indelible_event::view::EventView;
use indelible_log::export::joined;
use indelible_query::{Cursor, Damage, Lost, Row, Seen, for_each, page, resolve};
use indelible_store::{Error, Kind, Place};

use super::shown::{Found, Rows};
use super::{Asking, PARTS};
use crate::cancel;
use crate::damage::Told;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Reading};
use crate::output::{Output, Show};

/// An answer from a data directory.
pub struct Answer {
    pub asking: Asking,
    pub reading: Reading,
}

impl Answer {
    /// Gives its records to `rows`, and tells what it lacks.
    ///
    /// # Errors
    /// [`Failure::No`] when it lacks records; else when it cannot be read.
    pub fn give(&self, after: Option<Cursor>, rows: &mut dyn Rows, output: &mut Output) -> Result {
        let reading = &self.reading;
        let mut tenants = ledger::tenants(reading)?;
        if let Some(tenant) = &self.asking.tenant {
            if !tenants.contains(tenant) {
                let text = format!("there is no tenant {tenant} in {}", reading.path.shown());
                return Err(Failure::Could(text));
            }
            tenants = vec![tenant.clone()];
        }
        let resolved = resolve(
            &self.asking.parsed,
            &tenants,
            Some(reading.keyring.as_ref()),
        );
        if !resolved.unsearched.is_empty() {
            if self.asking.parsed.ask.asks_for_parts() {
                output.warn(PARTS);
            } else {
                let why = ledger::no_master(reading);
                output.warn(format_args!(
                    "sealed values were not searched: {why} (--keys)"
                ));
            }
        }
        let asked = self.asking.asked();
        let mut query = resolved.query;
        (query.order, query.direction) = (asked.order, asked.direction);
        if let Some(cursor) = &after {
            cursor
                .check(&asked)
                .map_err(|error| Failure::Usage(error.to_string()))?;
            query.as_of = Some(cursor.as_of);
        }
        let after = after.map(|cursor| cursor.place);
        if self.asking.limit == 0 {
            self.all((&query, after.as_ref()), rows, output)
        } else {
            self.page((&query, after.as_ref()), rows, output)
        }
    }

    fn page(
        &self,
        (query, after): (&indelible_store::Query, Option<&Place>),
        rows: &mut dyn Rows,
        output: &mut Output,
    ) -> Result {
        let (index, ledger) = (self.reading.index(), self.reading.stores.ledger.as_ref());
        let page =
            page(index, ledger, query, after, self.asking.limit).or_could("read the answer")?;
        let mut told = Told::default();
        for row in &page.rows {
            self.row(row, rows, &mut told, output)?;
        }
        rows.end(output)?;
        if page.rows.is_empty() && !output.json {
            output.note("no records match");
        }
        page.damaged
            .into_iter()
            .for_each(|damage| told.damage(damage));
        if let Some(next) = page.next {
            let cursor = Cursor::new(&self.asking.asked(), next, page.as_of, self.asking.now);
            output.flush()?;
            output.note(format_args!("there are more: --after {}", cursor.encode()));
        }
        told.finish(&self.reading, query, output)
    }

    /// All records, as they come.
    fn all(
        &self,
        (query, after): (&indelible_store::Query, Option<&Place>),
        rows: &mut dyn Rows,
        output: &mut Output,
    ) -> Result {
        let (index, ledger) = (self.reading.index(), self.reading.stores.ledger.as_ref());
        let mut result = Ok(());
        let mut told = Told::default();
        let _gently = cancel::gently();
        for_each(index, ledger, query, after, &mut |seen| {
            match seen {
                _ if cancel::wanted() => {
                    let text = "the answer is not whole".to_owned();
                    result = Err(Failure::Cancelled(text));
                }
                Seen::Row(row) => {
                    result = self.row(&row, rows, &mut told, output);
                }
                Seen::Damaged(damage) => told.damage(damage),
            }
            if result.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .or_could("read the answer")?;
        rows.end(output)?;
        result?;
        told.finish(&self.reading, query, output)
    }

    /// Gives a record; one whose bytes are no record is told as damage.
    fn row(&self, row: &Row, rows: &mut dyn Rows, told: &mut Told, output: &mut Output) -> Result {
        let place = &row.place;
        let (leaf, event) = match self.opened(row) {
            Ok(opened) => opened,
            Err(error) if error.kind() == Kind::Unavailable => {
                let number = place.sequence_number;
                let doing = format_args!("read record {number} of {}", place.tenant);
                return Err(error).or_could(doing);
            }
            Err(error) => {
                let number = place.sequence_number;
                told.damage(Damage {
                    lost: Lost::Records,
                    log: Some((place.tenant.clone(), number..number + 1)),
                    place: error.to_string(),
                });
                return Ok(());
            }
        };
        let found = Found {
            place,
            leaf: &leaf,
            event: &event,
            record_hash: row.record_hash,
        };
        rows.take(&found, output)
    }

    /// The leaf, and its event with its personal values back in place.
    fn opened<'r>(&self, row: &'r Row) -> indelible_store::Result<(LeafView<'r>, Vec<u8>)> {
        let corrupt = |e: &dyn std::fmt::Display| Error::new(Kind::Corrupt, e.to_string());
        let leaf = LeafView::parse(&row.leaf).map_err(|e| corrupt(&e))?;
        let (keyring, tenant) = (&self.reading.keyring, &row.place.tenant);
        let event = joined(keyring, tenant, leaf.event(), &row.sealed)?;
        EventView::parse(&event).map_err(|e| corrupt(&e))?;
        Ok((leaf, event))
    }
}
