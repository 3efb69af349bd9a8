//! What is asked to be exported, by whom, and the records that this is, page by page.
//!
//! The one place where an export's records are found and opened: an answer and a job give the same.

use std::sync::Arc;

use indelible_api::limits::{EXPORT_COLUMNS_BYTES_MAX, PAGE_BYTES_MAX, PAGE_RECORDS_MAX};
use indelible_api::{CreateExport, ProblemKind, Role, Unreadable};
use indelible_event::LeafView;
use indelible_event::ids::{Micros, TenantId};
use indelible_export::{Columns, Format, has_parquet};
use indelible_log::export::joined_as;
use indelible_log::mask::Sight;
use indelible_query::{Damage, PageLimit, Row, page};
use indelible_store::{Place, Query, Tally};
use serde::{Deserialize, Serialize};

use crate::access::{Principal, Who};
use crate::accesses::Shown;
use crate::answer::{Refusal, refuse};
use crate::app::App;
use crate::binding::{is_bound, sought};
use crate::list::{Sort, parsed, tenants, unreadable};

/// Records that are looked at for one page.
const LOOKED_AT_MAX: usize = 10_000;
/// Damage that is told of one by one.
const DAMAGES_MAX: usize = 50;

/// What is exported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    format: String,
    pub(super) q: String,
    pub(super) tenant: Option<String>,
    /// Names of columns, as [`Columns`] writes them.
    columns: String,
    pub(super) order: Sort,
}

impl Asked {
    /// Reads what was sent.
    pub(super) fn read(wanted: CreateExport) -> Result<Self, Refusal> {
        let wrong = |text: String| refuse(ProblemKind::BadRequest, text);
        let format = Format::named(&wanted.format).ok_or_else(|| {
            let names = Format::ALL.map(Format::name).join(", ");
            wrong(format!("the format is one of {names}"))
        })?;
        if format == Format::Parquet && !has_parquet() {
            let text = "this server was built without Parquet; ask for csv, or build the server \
                        with --features full";
            return Err(wrong(text.to_owned()));
        }
        let columns = wanted.columns.unwrap_or_default();
        if !format.has_columns() && !columns.is_empty() {
            let text = "columns are those of tables: say csv or parquet".to_owned();
            return Err(wrong(text));
        }
        if columns.len() > EXPORT_COLUMNS_BYTES_MAX {
            let text = format!("names of columns may have {EXPORT_COLUMNS_BYTES_MAX} bytes");
            return Err(wrong(text));
        }
        let columns = Columns::parse(&columns).map_err(|why| wrong(why.to_string()))?;
        let order = match wanted.order {
            None => Sort::Seq,
            Some(order) => Sort::named(&order).ok_or_else(|| {
                wrong("the order is one of seq, seq-newest, oldest, newest".to_owned())
            })?,
        };
        Ok(Self {
            format: format.name().to_owned(),
            q: wanted.q.unwrap_or_default(),
            tenant: wanted.tenant,
            columns: columns.to_string(),
            order,
        })
    }

    pub(super) fn format(&self) -> Format {
        Format::named(&self.format).unwrap_or(Format::Leaves)
    }

    pub(super) fn columns(&self) -> Columns {
        Columns::parse(&self.columns).unwrap_or_else(|_| Columns::usual())
    }

    /// The names of the columns, of a table.
    pub(super) fn named_columns(&self) -> Option<String> {
        self.format().has_columns().then(|| self.columns.clone())
    }
}

/// Who an export is of: who asked, and all that he might see then. Whoever may see something else
/// now is somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// `None` for anybody on an open server.
    pub(super) name: Option<String>,
    role: Role,
    tenants: Option<Vec<String>>,
    queries: Vec<String>,
}

impl Owner {
    pub(super) fn of(principal: &Principal) -> Self {
        let tenants = match principal {
            Principal::Known { tenants, .. } => tenants.as_deref(),
            Principal::Open => None,
        };
        let names = |tenants: &[TenantId]| tenants.iter().map(ToString::to_string).collect();
        Self {
            name: principal.submitter(),
            role: principal.role(),
            tenants: tenants.map(names),
            queries: principal.queries().map(str::to_owned).collect(),
        }
    }

    /// For whom it is kept, where that is shared; as `Principal::party`.
    pub(super) fn party(&self) -> String {
        match &self.tenants {
            Some(names) => names.join(" "),
            None => self.name.clone().unwrap_or_default(),
        }
    }

    /// Who that is; `None` where it cannot be told any more.
    pub(super) fn principal(&self) -> Option<Principal> {
        let Some(name) = &self.name else {
            return Some(Principal::Open);
        };
        let (kind, id) = name.split_once(':')?;
        let who = match kind {
            "key" => Who::Key(id.into()),
            "jwt" => Who::Token(id.into()),
            "proxy" => Who::Proxy(id.into()),
            _ => return None,
        };
        let parse = |names: &Vec<String>| {
            let names = names.iter().map(|name| TenantId::parse(name));
            names.collect::<Result<Arc<[TenantId]>, _>>()
        };
        Some(Principal::Known {
            who,
            role: self.role,
            tenants: self.tenants.as_ref().map(parse).transpose().ok()?,
            queries: self
                .queries
                .iter()
                .map(|query| query.as_str().into())
                .collect(),
        })
    }
}

/// The records of an export, as of one moment.
pub(super) struct Selection {
    query: Query,
    after: Option<Place>,
    is_bound: bool,
    sight: Sight,
    /// Of whom how many records were given.
    pub(super) seen: Vec<(TenantId, u64)>,
    /// Records that it may lack.
    pub(super) unreadable: Vec<Unreadable>,
    /// Tenants whose personal values were not searched.
    pub(super) unsearched: Vec<String>,
}

/// Takes a leaf and its event as it may be shown.
pub(super) type Give<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), Refusal>;

/// What came of one page.
pub(super) struct Paged {
    /// Whether there may be more.
    pub(super) more: bool,
    /// How many records were looked at, at most.
    pub(super) looked_at: usize,
}

impl Selection {
    /// What the principal may see of what is asked; relative times count from `now`, and all is as
    /// of the mark, or of this moment.
    pub(super) fn begin(
        app: &App,
        principal: &Principal,
        asked: &Asked,
        (now, as_of): (Micros, Option<u64>),
    ) -> Result<Self, Refusal> {
        let parsed = parsed(&asked.q, now)?;
        let tenants = tenants(app, principal, asked.tenant.as_deref(), &parsed)?;
        let resolved = sought(app, principal, &parsed, &tenants)?;
        let mut query = resolved.query;
        (query.order, query.direction) = asked.order.parts();
        query.as_of = Some(match as_of {
            Some(as_of) => as_of,
            None => app.index.mark()?,
        });
        let unsearched = resolved.unsearched.iter().map(ToString::to_string);
        Ok(Self {
            query,
            after: None,
            is_bound: is_bound(principal, &tenants),
            sight: principal.sight(),
            seen: Vec::new(),
            unreadable: Vec::new(),
            unsearched: unsearched.collect(),
        })
    }

    /// How many records there will be, where the index can tell.
    pub(super) fn total(&self, app: &App) -> Result<Option<u64>, Refusal> {
        let tallied = app.index.tally(&self.query, &Tally::default())?;
        Ok(tallied.exact.then_some(tallied.total))
    }

    /// What was seen, for the record of who exported what.
    pub(super) fn seen(&self) -> Shown {
        let mut seen = Shown::of(self.query.tenants.as_deref().unwrap_or_default());
        for (tenant, count) in &self.seen {
            seen.add(tenant, *count);
        }
        seen
    }

    /// Gives the leaves and events of the next page.
    pub(super) fn page(&mut self, app: &App, give: Give<'_>) -> Result<Paged, Refusal> {
        let limit = PageLimit {
            records: PAGE_RECORDS_MAX,
            bytes: PAGE_BYTES_MAX,
            looked_at: LOOKED_AT_MAX,
        };
        let (index, ledger) = (app.index.as_ref(), app.stores.ledger.as_ref());
        let page = page(index, ledger, &self.query, self.after.as_ref(), limit)?;
        for damage in page.damaged {
            self.lacks(damage);
        }
        for row in &page.rows {
            give(&row.leaf, &shown((app, self.sight), row)?)?;
            let tenant = &row.place.tenant;
            match self.seen.iter_mut().find(|(known, _)| known == tenant) {
                Some((_, count)) => *count += 1,
                None => self.seen.push((tenant.clone(), 1)),
            }
        }
        let is_full = page.rows.len() == PAGE_RECORDS_MAX;
        self.after = page.next;
        Ok(Paged {
            more: self.after.is_some(),
            looked_at: if is_full {
                page.rows.len()
            } else {
                LOOKED_AT_MAX
            },
        })
    }

    fn lacks(&mut self, damage: Damage) {
        let told = unreadable(damage, self.is_bound);
        if self.unreadable.len() < DAMAGES_MAX && !self.unreadable.contains(&told) {
            self.unreadable.push(told);
        }
    }
}

/// The event with its personal values in their places, as whoever asks sees them.
fn shown((app, sight): (&App, Sight), row: &Row) -> Result<Vec<u8>, Refusal> {
    let unreadable = |_| refuse(ProblemKind::Internal, "a stored record cannot be read");
    let leaf = LeafView::locate(&row.leaf).map_err(unreadable)?;
    let with = (app.keyring.as_ref(), &row.place.tenant);
    let (event, _) = joined_as(sight, with.0, with.1, leaf.event(), &row.sealed)?;
    Ok(event)
}
