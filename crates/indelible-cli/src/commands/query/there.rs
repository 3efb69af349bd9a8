//! Records of a server, checked as far as they can be without its ledger.
//!
//! The text is read here, in the zone and at the time of whoever asks, and sent as what it means:
//! the server would take a time without a zone for one in UTC. A cursor is the server's, with the
//! time of the first page behind a dot, so that `24h` stays what it was.

use std::cmp::Ordering;

use indelible_api::{RecordList, Unreadable};
use indelible_event::ids::{Micros, TenantId};
use indelible_query::{Damage, Lost};
use indelible_store::{Place, Query};

use super::shown::{Found, Rows};
use super::{Asking, PARTS};
use crate::cancel;
use crate::damage::Told;
use crate::exit::{Failure, Result};
use crate::output::{Output, Show};
use crate::remote::{Asked, Checked, Pages, Purpose, Remote};

/// Where the page before ended for the server, and when its first was asked.
///
/// # Errors
/// [`Failure::Usage`] when what stands behind the dot is no time.
pub fn cursor(after: Option<&str>) -> Result<(Option<String>, Option<Micros>)> {
    let Some(after) = after.map(str::trim) else {
        return Ok((None, None));
    };
    // One that was got without this command has no time.
    let Some((cursor, now)) = after.split_once('.') else {
        return Ok((Some(after.to_owned()), None));
    };
    let now = now.parse().map_err(|_| {
        let text = format!(
            "`{}` is no cursor: ask for the first page again",
            after.shown()
        );
        Failure::Usage(text)
    })?;
    Ok((Some(cursor.to_owned()), Some(Micros(now))))
}

/// Asks, gives the records to `rows`, and tells what the answer lacks.
///
/// # Errors
/// [`Failure::No`] when it lacks records; else when the server cannot be asked, or its answer
/// cannot be right.
pub fn give(
    (asking, after): (&Asking, Option<String>),
    remote: &Remote,
    rows: &mut dyn Rows,
    output: &mut Output,
) -> Result {
    let text = asking.parsed.to_string();
    let mut pages = remote.records(Asked {
        text: &text,
        tenant: asking.tenant.as_ref(),
        order: (asking.order, asking.direction),
        cursor: after,
        most: match asking.limit {
            0 => u64::MAX,
            limit => limit as u64,
        },
        purpose: Purpose::Read,
    });
    let mut answer = Answer::new(asking, remote, rows);
    let _gently = (asking.limit == 0).then(cancel::gently);
    let result = answer.read(&mut pages, output);
    // Also what came before it broke off.
    answer.rows.end(output)?;
    result?;
    if answer.last.is_none() && !output.json {
        output.note("no records match");
    }
    if let Some(next) = &answer.next {
        output.flush()?;
        let now = asking.now.0;
        output.note(format_args!("there are more: --after {next}.{now}"));
    }
    answer.told.tell("the answer may lack records", output)
}

struct Answer<'a> {
    asking: &'a Asking,
    remote: &'a Remote,
    /// The order that the records must have.
    order: Query,
    last: Option<Place>,
    /// The cursor of the next page.
    next: Option<String>,
    rows: &'a mut dyn Rows,
    told: Told,
    has_warned: bool,
}

impl<'a> Answer<'a> {
    fn new(asking: &'a Asking, remote: &'a Remote, rows: &'a mut dyn Rows) -> Self {
        Self {
            asking,
            remote,
            order: Query {
                order: asking.order,
                direction: asking.direction,
                ..Query::default()
            },
            last: None,
            next: None,
            rows,
            told: Told::default(),
            has_warned: false,
        }
    }

    fn read(&mut self, pages: &mut Pages<'_>, output: &mut Output) -> Result {
        while let Some(page) = pages.next()? {
            self.next.clone_from(&page.next_cursor);
            self.page(page, output)?;
        }
        Ok(())
    }

    fn page(&mut self, page: RecordList, output: &mut Output) -> Result {
        if !page.unsearched.is_empty() && !self.has_warned {
            self.has_warned = true;
            if self.asking.parsed.ask.asks_for_parts() {
                output.warn(PARTS);
            } else {
                output.warn(format_args!(
                    "sealed values of {} were not searched: the server has not got the keys",
                    page.unsearched.join(", ")
                ));
            }
        }
        for unreadable in page.unreadable {
            self.told.damage(self.damage(unreadable)?);
        }
        for record in &page.records {
            if cancel::wanted() {
                return Err(Failure::Cancelled("the answer is not whole".to_owned()));
            }
            let checked = Checked::of(record).map_err(|what| self.remote.strange(what))?;
            self.is_next(&checked.place)?;
            let found = Found {
                place: &checked.place,
                leaf: &checked.leaf,
                event: checked.event,
                record_hash: checked.record_hash,
            };
            self.rows.take(&found, output)?;
            self.last = Some(checked.place);
        }
        Ok(())
    }

    /// Whether this record was asked for and stands behind the one before, so that no answer goes
    /// round in a circle.
    fn is_next(&self, place: &Place) -> Result {
        let Place {
            tenant,
            sequence_number,
            ..
        } = place;
        let (named, within) = (&self.asking.tenant, &self.asking.parsed.tenants);
        if named.as_ref().is_some_and(|named| named != tenant)
            || within
                .as_ref()
                .is_some_and(|within| !within.contains(tenant))
        {
            let what = format!("a record of {tenant}, which was not asked for");
            return Err(self.remote.strange(what));
        }
        let behind = |last| self.order.compare(last, place) == Ordering::Less;
        if self.last.as_ref().is_some_and(|last| !behind(last)) {
            let what = format!("record {sequence_number} of {tenant} is out of its order");
            return Err(self.remote.strange(what));
        }
        Ok(())
    }

    fn damage(&self, unreadable: Unreadable) -> Result<Damage> {
        let Unreadable {
            tenant_id,
            first,
            last,
            place,
        } = unreadable;
        let tenant = tenant_id.map(|name| TenantId::parse(&name)).transpose();
        let tenant = tenant.map_err(|error| self.remote.strange(error))?;
        let records = match (first, last) {
            (Some(first), Some(last)) if first <= last && last < u64::MAX => Some(first..last + 1),
            (None, None) => None,
            _ => return Err(self.remote.strange("records without a first and a last")),
        };
        Ok(Damage {
            lost: Lost::Records,
            log: tenant.zip(records),
            place,
        })
    }
}
