//! `GET /v1/streams`: what the ledger has of its producers' streams, and what is missing.
//!
//! A cursor says the place in the list: `TENANT EPOCH STREAM`, or `TENANT` alone behind everything
//! of a tenant.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use indelible_api::limits::PAGE_BYTES_MAX;
use indelible_api::{JSON, Numbers, ProblemKind, Stream, Streams};
use indelible_event::ids::TenantId;
use indelible_log::streams::Known;
use serde::Deserialize;

use crate::access::Principal;
use crate::accesses::hidden;
use crate::answer::{Answer, Refusal, refuse, typed, written};
use crate::app::App;
use crate::guard::{Needs, allow};
use crate::list::page_limit;
use crate::read::blocking;
use crate::submit::{bad_query, tenant_named};

/// What its cursors are of.
const STREAMS: &str = "streams";
/// Turns of reading that one request may take to bring what is known up to date.
const TURNS_MAX: u32 = 128;
/// What a range of numbers takes at most in the answer.
const RANGE_BYTES: usize = 48;
/// What an entry takes without texts and ranges.
const ENTRY_BYTES: usize = 512;

/// Which streams are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichStreams {
    tenant: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Where a page goes on.
struct After {
    tenant: TenantId,
    /// The stream and epoch that came last; `None` when all of the tenant came.
    stream: Option<(String, u64)>,
}

impl After {
    fn open(app: &App, scope: &str, cursor: &str) -> Result<Self, Refusal> {
        let text = app.cursor_key.open((STREAMS, scope), cursor)?;
        let wrong = || {
            let text = "this cursor is of another version";
            refuse(ProblemKind::BadCursor, text)
        };
        let mut parts = text.splitn(3, ' ');
        let tenant = parts.next().unwrap_or_default();
        let tenant = TenantId::parse(tenant).map_err(|_| wrong())?;
        let stream = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(epoch), Some(stream)) => {
                let epoch = epoch.parse().map_err(|_| wrong())?;
                Some((stream.to_owned(), epoch))
            }
            (Some(_), None) => return Err(wrong()),
        };
        Ok(Self { tenant, stream })
    }
}

/// The streams of the tenants that may be seen.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<WhichStreams>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Whole)?.clone();
    let Query(which) = query.map_err(|error| bad_query(&error))?;
    let body = blocking(&app, move |app| {
        let cursor = which.cursor.as_deref();
        let scope = principal.scope();
        let after = cursor.map(|cursor| After::open(app, &scope, cursor));
        let after = after.transpose()?;
        let mut tenants = match which.tenant.as_deref().map(tenant_named).transpose()? {
            None => {
                let mut tenants = app.visible(&principal)?;
                tenants.retain(|tenant| !tenant.is_ours());
                tenants
            }
            Some(tenant) if principal.may_see(&tenant) && app.has_tenant(&tenant)? => vec![tenant],
            Some(tenant) => return Err(hidden(app, &principal, "/v1/streams", &tenant)),
        };
        if let Some(after) = &after {
            let left = |tenant: &TenantId| {
                *tenant > after.tenant || (*tenant == after.tenant && after.stream.is_some())
            };
            tenants.retain(left);
        }
        let page = page(
            (app, &scope),
            &tenants,
            after.as_ref(),
            page_limit(which.limit)?,
        )?;
        app.memory.lists.keep(written(&page)?)
    });
    Ok(typed(StatusCode::OK, JSON, body.await?))
}

/// One page: so many entries, of so many tenants at most.
fn page(
    (app, scope): (&App, &str),
    tenants: &[TenantId],
    after: Option<&After>,
    limit: usize,
) -> Result<Streams, Refusal> {
    let mut page = Streams::default();
    let (mut turns, mut bytes) = (TURNS_MAX, 0);
    for (index, tenant) in tenants.iter().enumerate() {
        if index >= limit {
            let behind = tenants.get(index - 1);
            let next = behind.map(|tenant| app.cursor_key.seal((STREAMS, scope), tenant.as_str()));
            page.next_cursor = next.transpose()?;
            break;
        }
        let (known, progress) = app.books.look(tenant, turns)?;
        turns = turns.saturating_sub(progress.turns);
        page.behind += progress.behind;
        let after = after.filter(|after| after.tenant == *tenant);
        let after = after.and_then(|after| after.stream.as_ref());
        for known in known {
            let name = known.verdict.stream.as_deref();
            let place = name.map(|name| (name, known.verdict.epoch));
            let told = after.is_some_and(|(stream, epoch)| {
                place.is_some_and(|place| place <= (stream.as_str(), *epoch))
            });
            if told {
                continue;
            }
            if page.streams.len() >= limit || bytes >= PAGE_BYTES_MAX {
                let behind = page.streams.last().map(behind);
                let next = behind.map(|text| app.cursor_key.seal((STREAMS, scope), &text));
                page.next_cursor = next.transpose()?;
                return Ok(page);
            }
            bytes += weight(&known);
            page.streams.push(entry(tenant, known));
        }
    }
    Ok(page)
}

/// The place behind the entry.
fn behind(entry: &Stream) -> String {
    let tenant = &entry.tenant_id;
    match (&entry.stream, &entry.numbers) {
        (Some(stream), Some(numbers)) => format!("{tenant} {} {stream}", numbers.epoch),
        _ => tenant.clone(),
    }
}

/// About how many bytes it takes in the answer.
fn weight(known: &Known) -> usize {
    let lost = known.verdict.lost.iter();
    let lost: usize = lost.map(|loss| RANGE_BYTES + loss.reason.len()).sum();
    ENTRY_BYTES + known.verdict.gaps.len() * RANGE_BYTES * 2 + lost * 2
}

fn entry(tenant: &TenantId, known: Known) -> Stream {
    let Known {
        verdict,
        credentials,
    } = known;
    let (words, word) = (verdict.to_string(), verdict.word().to_owned());
    let gaps = verdict.gaps.iter().map(|gap| (gap.first, gap.last));
    let lost = verdict.lost.into_iter();
    let lost = lost.map(|loss| (loss.span.first, loss.span.last, loss.reason));
    let numbers = Numbers {
        epoch: verdict.epoch,
        gaps: gaps.collect(),
        last: verdict.last,
        lost: lost.collect(),
        credentials: credentials.len() as u64,
        submitted_by: credentials.into_iter().next().filter(|by| !by.is_empty()),
    };
    Stream {
        tenant_id: tenant.to_string(),
        numbers: verdict.stream.is_some().then_some(numbers),
        stream: verdict.stream,
        records: verdict.records,
        limited: verdict.limited,
        verdict: words,
        word,
    }
}
