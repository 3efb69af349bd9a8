//! What belongs to a record: the records it came from and those that came from it, its correlation
//! in the order of time, and the execution of an agent that it is part of.
//!
//! Of one log, and of that only what the caller's query lets in: a parent that it does not is as
//! one that is not there. Parents are named by audit id or by the id of their source. Every part is
//! bounded, and says whether there is more. Nothing keeps producers from naming parents in a
//! circle: a record is in a tree once.

use std::collections::HashSet;

use indelible_event::ids::AuditId;
use indelible_event::{EventView, Field, LeafView};
use indelible_store::terms::normalise;
use indelible_store::{Direction, Expr, Index, Key, Ledger, Order, Query, Result};

use crate::page::{Damage, PageLimit, Row, page};

/// Records above one.
pub const ANCESTORS_MAX: usize = 64;
/// Records below one.
pub const DESCENDANTS_MAX: usize = 500;
/// How far below.
pub const DEPTH_MAX: usize = 32;
/// Records of one correlation, and of one execution.
pub const TIMELINE_MAX: usize = 500;
/// Leaves and personal values of one part, in bytes.
const PART_BYTES_MAX: usize = 4 << 20;
/// Parents that are asked for at once.
const AT_ONCE: usize = 32;

/// Where records are looked for.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Finds them.
    pub index: &'a dyn Index,
    /// Has them.
    pub ledger: &'a dyn Ledger,
    /// The log, and what of it may be seen.
    pub query: &'a Query,
}

/// How the way up ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Above {
    /// With a record that names no parent.
    Root,
    /// With one whose parent is not there.
    Missing(String),
    /// With one whose parent is on the way already.
    Cycle(String),
    /// It goes on, further than is followed.
    More(String),
}

/// A record below another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descendant {
    /// How far below: 1 for a child.
    pub depth: usize,
    /// The record.
    pub row: Row,
}

/// Some records, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// What they have in common.
    pub id: String,
    /// The records.
    pub rows: Vec<Row>,
    /// Whether there are more.
    pub more: bool,
}

/// What belongs to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Its parent, the parent of that, and so on.
    pub ancestors: Vec<Row>,
    /// How that ends.
    pub above: Above,
    /// Its children, in the order of time, each level after the one above it.
    pub descendants: Vec<Descendant>,
    /// Whether there are more of these, or they go further down.
    pub more_below: bool,
    /// Whether one of these, or of their ids, is above it, or itself.
    pub cycle_below: bool,
    /// The records with its correlation id.
    pub correlation: Option<Timeline>,
    /// The execution: the records whose request id, or target, is its request id.
    pub execution: Option<Timeline>,
    /// What could not be read on the way.
    pub damaged: Vec<Damage>,
}

/// What a record says of itself and others.
struct Named {
    audit_id: String,
    source_id: Option<String>,
    parent: Option<String>,
    correlation: Option<String>,
    request: Option<String>,
}

impl Named {
    fn of(row: &Row) -> Option<Self> {
        let leaf = LeafView::locate(&row.leaf).ok()?;
        let event = EventView::parse(leaf.event()).ok()?;
        let text = |field| {
            let text = event.text(field).map(std::borrow::Cow::into_owned);
            text.filter(|text| !text.trim().is_empty())
        };
        Some(Self {
            audit_id: text(Field::AuditId)?,
            source_id: text(Field::SourceEventId),
            parent: text(Field::ParentId),
            correlation: text(Field::CorrelationId),
            request: text(Field::RequestId),
        })
    }

    /// What children of it are filed under.
    fn as_parent(&self) -> impl Iterator<Item = Expr> {
        let ids = [Some(&self.audit_id), self.source_id.as_ref()];
        let ids = ids.into_iter().flatten();
        ids.map(|id| Expr::Is(Key::Parent, normalise(id).into_owned()))
    }
}

/// Finds what belongs to a record.
///
/// # Errors
/// Those of the index and of the ledger.
pub fn related(scope: Scope<'_>, row: &Row) -> Result<Related> {
    let named = Named::of(row);
    let mut damaged = Vec::new();
    let mut looking = Looking {
        scope,
        damaged: &mut damaged,
    };
    let mut seen = HashSet::from([row.place.sequence_number]);
    let parent = named.as_ref().and_then(|named| named.parent.clone());
    let (ancestors, above) = looking.ancestors(parent, &mut seen)?;
    let (descendants, more_below, cycle_below) = looking.descendants(named.as_ref(), &mut seen)?;
    let of = |named: &Named, id: fn(&Named) -> &Option<String>| id(named).clone();
    let correlation = named
        .as_ref()
        .and_then(|named| of(named, |n| &n.correlation));
    let correlation = correlation.map(|id| {
        let expr = Expr::Is(Key::Correlation, normalise(&id).into_owned());
        looking.timeline(id, expr)
    });
    let correlation = correlation.transpose()?;
    let execution = named.as_ref().and_then(|named| of(named, |n| &n.request));
    let execution = execution.map(|id| {
        let text = normalise(&id).into_owned();
        let keys = [Key::Request, Key::Target];
        let expr = Expr::Or(keys.map(|key| Expr::Is(key, text.clone())).into());
        looking.timeline(id, expr)
    });
    let execution = execution.transpose()?;
    Ok(Related {
        ancestors,
        above,
        descendants,
        more_below,
        cycle_below,
        correlation,
        execution,
        damaged,
    })
}

struct Looking<'a> {
    scope: Scope<'a>,
    damaged: &'a mut Vec<Damage>,
}

impl Looking<'_> {
    /// The oldest records for which this holds, and whether there are more.
    fn find(&mut self, expr: Expr, records: usize) -> Result<(Vec<Row>, bool)> {
        let query = Query {
            expr: Expr::And(vec![self.scope.query.expr.clone(), expr]),
            order: Order::Time,
            direction: Direction::OldestFirst,
            ..self.scope.query.clone()
        };
        let limit = PageLimit {
            bytes: PART_BYTES_MAX,
            ..PageLimit::from(records)
        };
        let page = page(self.scope.index, self.scope.ledger, &query, None, limit)?;
        for damage in page.damaged {
            if !self.damaged.contains(&damage) {
                self.damaged.push(damage);
            }
        }
        Ok((page.rows, page.next.is_some()))
    }

    fn ancestors(
        &mut self,
        mut parent: Option<String>,
        seen: &mut HashSet<u64>,
    ) -> Result<(Vec<Row>, Above)> {
        let mut rows: Vec<Row> = Vec::new();
        while let Some(id) = parent {
            if rows.len() >= ANCESTORS_MAX {
                return Ok((rows, Above::More(id)));
            }
            let by_source = Expr::Is(Key::SourceId, normalise(&id).into_owned());
            let by_id = AuditId::parse(&id).ok().map(Expr::Id);
            let expr = Expr::Or(by_id.into_iter().chain([by_source]).collect());
            let Some(row) = self.find(expr, 1)?.0.into_iter().next() else {
                return Ok((rows, Above::Missing(id)));
            };
            if !seen.insert(row.place.sequence_number) {
                return Ok((rows, Above::Cycle(id)));
            }
            parent = Named::of(&row).and_then(|named| named.parent);
            rows.push(row);
        }
        Ok((rows, Above::Root))
    }

    fn descendants(
        &mut self,
        root: Option<&Named>,
        seen: &mut HashSet<u64>,
    ) -> Result<(Vec<Descendant>, bool, bool)> {
        let mut found: Vec<Descendant> = Vec::new();
        let (mut more, mut cycle) = (false, false);
        let mut level: Vec<Expr> = root.into_iter().flat_map(Named::as_parent).collect();
        for depth in 1.. {
            if level.is_empty() {
                break;
            }
            if depth > DEPTH_MAX {
                more = true;
                break;
            }
            let mut below = Vec::new();
            for parents in level.chunks(AT_ONCE) {
                let left = DESCENDANTS_MAX - found.len();
                // One more tells whether there are more.
                let (rows, rest) = self.find(Expr::Or(parents.to_vec()), left + 1)?;
                more |= rest;
                for row in rows {
                    if !seen.insert(row.place.sequence_number) {
                        cycle = true;
                    } else if found.len() < DESCENDANTS_MAX {
                        below.extend(Named::of(&row).iter().flat_map(Named::as_parent));
                        found.push(Descendant { depth, row });
                    } else {
                        more = true;
                    }
                }
            }
            level = if more { Vec::new() } else { below };
        }
        Ok((found, more, cycle))
    }

    fn timeline(&mut self, id: String, expr: Expr) -> Result<Timeline> {
        let (rows, more) = self.find(expr, TIMELINE_MAX)?;
        Ok(Timeline { id, rows, more })
    }
}
