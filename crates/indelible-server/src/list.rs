//! `GET /v1/records`: a query, its page, its cursor.
//!
//! A cursor of the query crate carries `as_of` and names its query; it goes out sealed
//! (`cursor_key`), since places in the whole ledger tell how much everybody writes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use indelible_api::limits::{
    PAGE_BYTES_MAX, PAGE_LOOKED_AT_MAX, PAGE_RECORDS_DEFAULT, PAGE_RECORDS_MAX, QUERY_BYTES_MAX,
};
use indelible_api::{JSON, NDJSON, Problem, ProblemKind, RecordList, Unreadable};
use indelible_event::ids::TenantId;
use indelible_query::{Asked, Cursor, Damage, PageLimit, ParseContext, Parsed, page, parse};
use indelible_store::{Direction, Order};
use serde::{Deserialize, Serialize};

use crate::accept::prefers;
use crate::access::Principal;
use crate::accesses::{Shown, What, hidden};
use crate::answer::{Answer, Refusal, refuse, typed, written};
use crate::app::App;
use crate::binding::{is_bound, sought};
use crate::guard::{Needs, allow};
use crate::read::blocking;
use crate::records::{After, record};
use crate::submit::{bad_query, tenant_named};

/// How it is called in records of who read what.
const ROUTE: &str = "/v1/records";
/// What its cursors are of.
const RECORDS: &str = "records";
const NEXT_CURSOR: &str = "x-next-cursor";
/// How often and how long `after` waits for its record.
const AFTER_TRIES: u32 = 40;
const AFTER_PAUSE: Duration = Duration::from_millis(50);

/// What a list is asked by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    q: String,
    tenant: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    #[serde(default)]
    order: Sort,
    after: Option<String>,
    #[serde(default)]
    purpose: Purpose,
}

/// What the records are for, as whoever asks says, and as what that is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Purpose {
    #[default]
    Read,
    Export,
}

impl Purpose {
    fn what(self) -> What {
        match self {
            Self::Read => What::Read,
            Self::Export => What::Exported,
        }
    }
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sort {
    #[default]
    Newest,
    Oldest,
    Seq,
    SeqNewest,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Newest, Self::Oldest, Self::Seq, Self::SeqNewest];

    /// The one of this word.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.word() == word)
    }

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Seq => "seq",
            Self::SeqNewest => "seq-newest",
        }
    }

    pub(crate) fn parts(self) -> (Order, Direction) {
        match self {
            Self::Newest => (Order::Time, Direction::NewestFirst),
            Self::Oldest => (Order::Time, Direction::OldestFirst),
            Self::Seq => (Order::Sequence, Direction::OldestFirst),
            Self::SeqNewest => (Order::Sequence, Direction::NewestFirst),
        }
    }
}

/// Whether lines are preferred to a document.
fn wants_lines(headers: &HeaderMap) -> bool {
    prefers(headers, |kind| match kind {
        NDJSON | "application/ndjson" | "application/jsonl" => Some(true),
        JSON | "application/*" | "*/*" => Some(false),
        _ => None,
    })
}

/// Finds records.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let Query(wanted) = query.map_err(|error| bad_query(&error))?;
    if let Some(after) = &wanted.after {
        wait_for(&app, &principal, After::parse(after)?).await?;
    }
    let lines = wants_lines(&headers);
    // Written where it is read, so that no more lists are kept than are read at a time.
    let (body, cursor) = blocking(&app, move |app| {
        let list = find(app, &principal, &wanted)?;
        let body = if lines {
            ndjson(&list)?
        } else {
            written(&list)?
        };
        Ok((app.memory.lists.keep(body)?, list.next_cursor))
    })
    .await?;
    if !lines {
        return Ok(typed(StatusCode::OK, JSON, body));
    }
    let mut response: Response<Body> = typed(StatusCode::OK, NDJSON, body);
    if let Some(cursor) = cursor
        && let Ok(value) = HeaderValue::from_str(&cursor)
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static(NEXT_CURSOR), value);
    }
    Ok(response)
}

/// One record per line.
fn ndjson(list: &RecordList) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    for record in &list.records {
        body.extend(written(record)?);
        body.push(b'\n');
    }
    Ok(body)
}

/// Waits until the record of a receipt is there: read your own writes, on whichever server.
async fn wait_for(app: &Arc<App>, principal: &Principal, after: After) -> Result<(), Refusal> {
    if !principal.may_see(&after.tenant) {
        return Err(hidden(app, principal, ROUTE, &after.tenant));
    }
    let (after, principal) = (Arc::new(after), Arc::new(principal.clone()));
    for _ in 0..AFTER_TRIES {
        let (wanted, principal) = (Arc::clone(&after), Arc::clone(&principal));
        if blocking(app, move |app| wanted.is_there(app, &principal)).await? {
            return Ok(());
        }
        tokio::time::sleep(AFTER_PAUSE).await;
    }
    let text = "the record of `after` is not there yet";
    Err(refuse(ProblemKind::NotYet, text))
}

fn find(app: &App, principal: &Principal, wanted: &Wanted) -> Result<RecordList, Refusal> {
    let scope = principal.scope();
    let cursor = wanted.cursor.as_deref();
    let cursor = cursor.map(|text| opened(app, &scope, text)).transpose()?;
    let limit = page_limit(wanted.limit)?;
    let now = cursor
        .as_ref()
        .map_or_else(|| app.env.clock.now(), |cursor| cursor.now);
    let parsed = parsed(&wanted.q, now)?;
    let (order, direction) = wanted.order.parts();
    let tenants = tenants(app, principal, wanted.tenant.as_deref(), &parsed)?;
    let bound = bound(&parsed, wanted.tenant.as_ref().map(|_| tenants.as_slice()));
    let asked = Asked {
        parsed: &bound,
        order,
        direction,
    };
    let resolved = sought(app, principal, &parsed, &tenants)?;
    let mut query = resolved.query;
    (query.order, query.direction) = (order, direction);
    if let Some(cursor) = &cursor {
        cursor
            .check(&asked)
            .map_err(|error| refuse(ProblemKind::BadCursor, error.to_string()))?;
        query.as_of = Some(cursor.as_of);
    }
    let place = cursor.map(|cursor| cursor.place);
    let page = page(
        app.index.as_ref(),
        app.stores.ledger.as_ref(),
        &query,
        place.as_ref(),
        PageLimit {
            records: limit,
            bytes: PAGE_BYTES_MAX,
            looked_at: PAGE_LOOKED_AT_MAX,
        },
    )?;
    note(app, principal, wanted, (&query, &page.rows));
    let with = (app.keyring.as_ref(), principal.sight());
    let records = page
        .rows
        .into_iter()
        .map(|row| record(with, &row.place.tenant, &row.leaf, &row.sealed));
    let next = page
        .next
        .map(|place| Cursor::new(&asked, place, page.as_of, now));
    Ok(RecordList {
        records: records.collect::<Result<_, _>>()?,
        next_cursor: next
            .map(|cursor| app.cursor_key.seal((RECORDS, &scope), &cursor.encode()))
            .transpose()?,
        indexed_up_to: principal.sees_all().then_some(page.as_of),
        unreadable: page
            .damaged
            .into_iter()
            .map(|damage| unreadable(damage, is_bound(principal, &tenants)))
            .collect(),
        unsearched: resolved
            .unsearched
            .iter()
            .map(ToString::to_string)
            .collect(),
    })
}

/// What a cursor is of: also of the tenant that was named beside the query.
fn bound(parsed: &Parsed, named_beside: Option<&[TenantId]>) -> Parsed {
    let mut bound = parsed.clone();
    if let Some(tenants) = named_beside {
        let named = parsed.tenants.as_ref();
        let both = |tenant: &&TenantId| named.is_none_or(|named| named.contains(tenant));
        bound.tenants = Some(tenants.iter().filter(both).cloned().collect());
    }
    bound
}

/// Notes who reads which records.
fn note(
    app: &App,
    principal: &Principal,
    wanted: &Wanted,
    (query, rows): (&indelible_store::Query, &[indelible_query::Row]),
) {
    let mut shown = Shown::of(query.tenants.as_deref().unwrap_or_default());
    for row in rows {
        shown.add(&row.place.tenant, 1);
    }
    let (done, now) = (
        (wanted.purpose.what(), ROUTE, wanted.q.as_str()),
        app.env.clock.now(),
    );
    app.accesses.note(principal, done, &shown, now);
}

fn opened(app: &App, scope: &str, cursor: &str) -> Result<Cursor, Refusal> {
    let text = app.cursor_key.open((RECORDS, scope), cursor)?;
    Cursor::decode(&text).map_err(|error| refuse(ProblemKind::BadCursor, error.to_string()))
}

/// What a page has at most.
pub(crate) fn page_limit(asked: Option<usize>) -> Result<usize, Refusal> {
    let limit = asked.unwrap_or(PAGE_RECORDS_DEFAULT);
    if (1..=PAGE_RECORDS_MAX).contains(&limit) {
        return Ok(limit);
    }
    let text = format!("the limit must be from 1 to {PAGE_RECORDS_MAX}");
    Err(refuse(ProblemKind::BadRequest, text))
}

/// The logs to look in: without a name, those of the tenants and not the ledger's own.
pub(crate) fn tenants(
    app: &App,
    principal: &Principal,
    named: Option<&str>,
    parsed: &Parsed,
) -> Result<Vec<TenantId>, Refusal> {
    if let Some(named) = named {
        let tenant = tenant_named(named)?;
        if !app.is_there(principal, &tenant)? {
            return Err(hidden(app, principal, ROUTE, &tenant));
        }
        return Ok(vec![tenant]);
    }
    let mut tenants = app.visible(principal)?;
    let asked = |tenant: &TenantId| parsed.tenants.as_ref().is_some_and(|t| t.contains(tenant));
    tenants.retain(|tenant| !tenant.is_ours() || asked(tenant));
    let named = parsed.tenants.as_deref().unwrap_or_default();
    for part in named.iter().filter(|tenant| principal.sees_part_of(tenant)) {
        if named.len() > 1 {
            let text = format!("of {part} you see a part: ask for it alone");
            return Err(refuse(ProblemKind::BadQuery, text));
        }
        if app.has_tenant(part)? {
            return Ok(vec![part.clone()]);
        }
    }
    Ok(tenants)
}

pub(crate) fn parsed(text: &str, now: indelible_event::Micros) -> Result<Parsed, Refusal> {
    if text.len() > QUERY_BYTES_MAX {
        let text = format!("a query may have {QUERY_BYTES_MAX} bytes");
        return Err(refuse(ProblemKind::BadQuery, text));
    }
    parse(text, &ParseContext::utc(now)).map_err(|errors| {
        let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Problem::new(ProblemKind::BadQuery, all.join("\n")).into()
    })
}

/// What of damage is told to whom.
pub(crate) fn unreadable(damage: Damage, is_bound: bool) -> Unreadable {
    let (tenant, range) = damage.log.unzip();
    if is_bound {
        // Which records those are may be none of its business; that some are is.
        return Unreadable {
            tenant_id: tenant.map(|tenant| tenant.to_string()),
            first: None,
            last: None,
            place: "records of this log cannot be read".to_owned(),
        };
    }
    Unreadable {
        tenant_id: tenant.map(|tenant| tenant.to_string()),
        first: range.as_ref().map(|range| range.start),
        last: range.map(|range| range.end.saturating_sub(1)),
        place: damage.place,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    #[test]
    fn lines_are_given_to_who_prefers_them() {
        for (accept, lines) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/x-ndjson", true),
            ("APPLICATION/X-NDJSON", true),
            ("application/x-ndjson;q=0, application/json", false),
            ("application/x-ndjson;q=0.5, application/json;q=0.4", true),
            ("application/json;q=0.5, application/x-ndjson; q=0.4", false),
            ("application/x-ndjson, */*", true),
            ("text/html, application/ndjson", true),
            ("application/x-ndjsonp", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wants_lines(&headers), lines, "{accept}");
        }
    }
}
