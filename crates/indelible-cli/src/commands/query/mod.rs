//! `query`: records that match, as a table for people or as JSON lines for programs.
//!
//! They come from a data directory (`here`) or a server (`there`) and are shown alike.

pub(super) mod here;
pub(super) mod shown;
pub(super) mod there;

use shown::Lines;
pub(super) use there::cursor;

use indelible_event::ids::{Micros, TenantId};
use indelible_query::{Asked, Cursor, ParseContext, Parsed, parse};
use indelible_store::{Direction, Order};

use crate::args::{Query, SortOrder};
use crate::config::Config;
use crate::exit::{Failure, Result};
use crate::ledger;
use crate::output::Output;
use crate::process::{environment, tenant_to_read};
use crate::remote::Remote;

/// Said where sealed values are asked for by a part of them.
pub(super) const PARTS: &str = "sealed values were not searched: they are found by the whole of \
                                one, and not by wildcards or large networks";

/// What is asked, wherever it is answered.
pub(super) struct Asking {
    pub(super) parsed: Parsed,
    pub(super) tenant: Option<TenantId>,
    pub(super) order: Order,
    pub(super) direction: Direction,
    /// 0 for all.
    pub(super) limit: usize,
    /// When the first page was asked.
    pub(super) now: Micros,
}

impl Asking {
    fn of(args: &Query, now: Option<Micros>, config: &Config, output: &Output) -> Result<Self> {
        let now = now.unwrap_or_else(|| environment().clock.now());
        Ok(Self {
            parsed: parsed(&args.text.join(" "), now, output)?,
            tenant: tenant_to_read(args.tenant.as_deref(), config)?,
            order: match args.order {
                SortOrder::Time => Order::Time,
                SortOrder::Seq => Order::Sequence,
            },
            direction: if args.oldest_first {
                Direction::OldestFirst
            } else {
                Direction::NewestFirst
            },
            limit: args.limit,
            now,
        })
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            parsed: &self.parsed,
            order: self.order,
            direction: self.direction,
        }
    }
}

/// Finds and prints.
pub fn run(args: &Query, config: &Config, output: &mut Output) -> Result {
    if let Some(remote) = Remote::meant(&args.through, config, output)? {
        let (after, now) = cursor(args.after.as_deref())?;
        let asking = Asking::of(args, now, config, output)?;
        return there::give((&asking, after), &remote, &mut Lines::default(), output);
    }
    let after = args.after.as_deref().map(Cursor::decode).transpose();
    let after = after.map_err(|error| Failure::Usage(error.to_string()))?;
    let now = after.as_ref().map(|cursor| cursor.now);
    let answer = here::Answer {
        asking: Asking::of(args, now, config, output)?,
        reading: ledger::read(config, output)?,
    };
    answer.give(after, &mut Lines::default(), output)
}

/// What a text asks, in the zone of whoever asks.
///
/// # Errors
/// [`Failure::Usage`] with what is wrong in it.
pub(super) fn parsed(text: &str, now: Micros, output: &Output) -> Result<Parsed> {
    let context = ParseContext {
        now,
        zone: output.zone.zone().clone(),
    };
    parse(text, &context).map_err(|errors| {
        Failure::Usage(
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        )
    })
}
