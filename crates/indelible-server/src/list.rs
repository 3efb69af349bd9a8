//! `GET /v1/records`: a query, its page, its cursor.
//!
//! A cursor of the query crate carries `as_of` and names its query; here it is sealed under a key
//! of ours (AES-256-SIV, RFC 5297), so that nobody makes one up, and since places in the whole
//! ledger tell how much everybody writes. It grants nothing: what may be seen is asked on every
//! page.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_api::limits::{
    CURSOR_BYTES_MAX, PAGE_BYTES_MAX, PAGE_RECORDS_DEFAULT, PAGE_RECORDS_MAX, QUERY_BYTES_MAX,
};
use indelible_api::{JSON, NDJSON, Problem, ProblemKind, RecordList, Unreadable};
use indelible_event::ids::TenantId;
use indelible_log::Env;
use indelible_query::{
    Asked, Cursor, Damage, PageLimit, ParseContext, Parsed, page, parse, resolve,
};
use indelible_store::{Change, Direction, Error, Kind, Order, State as StateStore};
use serde::Deserialize;

use crate::accept::prefers;
use crate::access::Principal;
use crate::answer::{Answer, Refusal, refuse, typed, written};
use crate::app::App;
use crate::guard::{Needs, allow};
use crate::read::blocking;
use crate::records::{After, record};
use crate::submit::{bad_query, no_tenant, tenant_named};

const SPACE: &str = "server";
const KEY: &[u8] = b"cursor_seal_key";
/// What is sealed under the key.
const SEALED: &[u8] = b"indelible/cursor/v1";
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
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sort {
    #[default]
    Newest,
    Oldest,
    Seq,
    SeqNewest,
}

impl Sort {
    fn parts(self) -> (Order, Direction) {
        match self {
            Self::Newest => (Order::Time, Direction::NewestFirst),
            Self::Oldest => (Order::Time, Direction::OldestFirst),
            Self::Seq => (Order::Sequence, Direction::OldestFirst),
            Self::SeqNewest => (Order::Sequence, Direction::NewestFirst),
        }
    }
}

/// The key that cursors are sealed under; lives in the state store, so that they outlive a restart.
pub(crate) struct CursorKey([u8; 64]);

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey")
    }
}

impl CursorKey {
    pub(crate) fn load(state: &dyn StateStore, env: &Env) -> indelible_store::Result<Self> {
        let corrupt = || Error::new(Kind::Corrupt, "the key of the cursors");
        if let Some((bytes, _)) = state.get(SPACE, KEY)? {
            return bytes.try_into().map(Self).map_err(|_| corrupt());
        }
        let key = env.random_bytes::<64>();
        let change = Change {
            space: SPACE,
            key: KEY.to_vec(),
            expected: Some(0),
            value: Some(key.to_vec()),
        };
        match state.apply(&[change]) {
            Ok(()) => Ok(Self(key)),
            // Another server on the same store was first.
            Err(error) if error.kind() == Kind::Conflict => Self::load(state, env),
            Err(error) => Err(error),
        }
    }

    fn seal(&self, cursor: &Cursor) -> Result<String, Refusal> {
        let sealed = Aes256Siv::new(&self.0.into()).encrypt([SEALED], cursor.encode().as_bytes());
        let failed = |_| refuse(ProblemKind::Internal, "the cursor cannot be written");
        Ok(URL_SAFE_NO_PAD.encode(sealed.map_err(failed)?))
    }

    fn open(&self, sealed: &str) -> Result<Cursor, Refusal> {
        let wrong = |text: &str| refuse(ProblemKind::BadCursor, text);
        let not_ours = || wrong("this is not a cursor of this server");
        if sealed.len() > CURSOR_BYTES_MAX {
            return Err(not_ours());
        }
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| not_ours())?;
        let text = Aes256Siv::new(&self.0.into()).decrypt([SEALED], &sealed);
        let text = text.ok().and_then(|text| String::from_utf8(text).ok());
        Cursor::decode(&text.ok_or_else(not_ours)?).map_err(|error| wrong(&error.to_string()))
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
        return Err(no_tenant(&after.tenant).into());
    }
    let after = Arc::new(after);
    for _ in 0..AFTER_TRIES {
        let wanted = Arc::clone(&after);
        if blocking(app, move |app| wanted.is_there(app)).await? {
            return Ok(());
        }
        tokio::time::sleep(AFTER_PAUSE).await;
    }
    let text = "the record of `after` is not there yet";
    Err(refuse(ProblemKind::NotYet, text))
}

fn find(app: &App, principal: &Principal, wanted: &Wanted) -> Result<RecordList, Refusal> {
    let cursor = wanted
        .cursor
        .as_deref()
        .map(|text| app.cursor_key.open(text))
        .transpose()?;
    let limit = page_limit(wanted.limit)?;
    let now = cursor
        .as_ref()
        .map_or_else(|| app.env.clock.now(), |cursor| cursor.now);
    let parsed = parsed(&wanted.q, now)?;
    let (order, direction) = wanted.order.parts();
    let tenants = tenants(app, principal, wanted.tenant.as_deref(), &parsed)?;
    // A cursor is of the tenant that was named beside the query, too.
    let mut bound = parsed.clone();
    if wanted.tenant.is_some() {
        let named = parsed.tenants.as_ref();
        let both = |tenant: &&TenantId| named.is_none_or(|named| named.contains(tenant));
        bound.tenants = Some(tenants.iter().filter(both).cloned().collect());
    }
    let asked = Asked {
        parsed: &bound,
        order,
        direction,
    };
    let resolved = resolve(&parsed, &tenants, Some(app.keyring.as_ref()));
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
        },
    )?;
    let records = page
        .rows
        .into_iter()
        .map(|row| record(&app.keyring, &row.place.tenant, &row.leaf, &row.sealed));
    let next = page
        .next
        .map(|place| Cursor::new(&asked, place, page.as_of, now));
    Ok(RecordList {
        records: records.collect::<Result<_, _>>()?,
        next_cursor: next
            .map(|cursor| app.cursor_key.seal(&cursor))
            .transpose()?,
        indexed_up_to: principal.sees_all().then_some(page.as_of),
        unreadable: page.damaged.into_iter().map(unreadable).collect(),
        unsearched: resolved
            .unsearched
            .iter()
            .map(ToString::to_string)
            .collect(),
    })
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
fn tenants(
    app: &App,
    principal: &Principal,
    named: Option<&str>,
    parsed: &Parsed,
) -> Result<Vec<TenantId>, Refusal> {
    if let Some(named) = named {
        let tenant = tenant_named(named)?;
        if !principal.may_see(&tenant) || !app.has_tenant(&tenant)? {
            return Err(no_tenant(&tenant).into());
        }
        return Ok(vec![tenant]);
    }
    let mut tenants = app.visible(principal)?;
    let asked = |tenant: &TenantId| parsed.tenants.as_ref().is_some_and(|t| t.contains(tenant));
    tenants.retain(|tenant| !tenant.is_ours() || asked(tenant));
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

fn unreadable(damage: Damage) -> Unreadable {
    let (tenant, range) = damage.log.unzip();
    Unreadable {
        tenant_id: tenant.map(|tenant| tenant.to_string()),
        first: range.as_ref().map(|range| range.start),
        last: range.map(|range| range.end.saturating_sub(1)),
        place: damage.place,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use axum::http::header;
    use indelible_event::ids::Micros;
    use indelible_store::Place;
    use indelible_store::memory::MemoryState;

    use super::*;

    struct Fixed(u8);

    impl indelible_log::Clock for Fixed {
        fn now(&self) -> Micros {
            Micros(0)
        }
    }

    impl indelible_log::Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn key(state: &MemoryState, random: u8) -> CursorKey {
        let (clock, random) = (Arc::new(Fixed(0)), Arc::new(Fixed(random)));
        CursorKey::load(state, &Env { clock, random }).unwrap()
    }

    #[test]
    fn a_cursor_tells_nothing_outlives_a_restart_and_is_of_one_server() {
        let parsed = parsed("", Micros(0)).unwrap();
        let asked = Asked {
            parsed: &parsed,
            order: Order::Time,
            direction: Direction::NewestFirst,
        };
        let place = Place {
            occurred_at: Micros(5),
            tenant: TenantId::parse("acme").unwrap(),
            sequence_number: 7,
        };
        let cursor = Cursor::new(&asked, place, 123_456_789, Micros(9));
        let state = MemoryState::new();
        let sealed = key(&state, 1).seal(&cursor).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        let clear = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
        assert!(clear(
            &URL_SAFE_NO_PAD.decode(cursor.encode()).unwrap(),
            b"acme"
        ));
        assert!(!clear(&bytes, b"acme") && !clear(&bytes, cursor.encode().as_bytes()));
        assert!(Cursor::decode(&sealed).is_err());
        assert!(Cursor::decode(&String::from_utf8_lossy(&bytes)).is_err());
        assert_eq!(key(&state, 2).open(&sealed).unwrap(), cursor, "a restart");
        let other = key(&MemoryState::new(), 2).open(&sealed).unwrap_err();
        assert_eq!(other.0.kind(), Some(ProblemKind::BadCursor));
    }

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
