//! `GET /v1/export`, and exports as jobs: `POST /v1/exports`, the list, how far one is, its file as
//! a whole or a range, its removal.
//!
//! What fits one answer is made before the answer begins, so that none breaks off in the middle.
//! What is larger is written to a file beside the ledger by a thread of its own (`work`), encrypted
//! (`file`), bounded and removed in time (`jobs`). Somebody else's export answers exactly as one
//! that does not exist, and whoever asks is asked anew who he is. Source: `docs/export.md`.

mod asked;
mod file;
mod jobs;
mod work;

use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use indelible_api::limits::{EXPORT_ANSWER_BYTES_MAX, EXPORT_ANSWER_LOOKED_AT_MAX};
use indelible_api::{CreateExport, ExportStatus, Exports, ProblemKind};
use indelible_event::ids::TenantId;
use indelible_export::{File, Format, Row};
use indelible_store::Error;
use serde::Deserialize;
use tokio::sync::mpsc::{Sender, channel};

use crate::access::Principal;
use crate::accesses::{Shown, What};
use crate::answer::{Answer, Refusal, json, refuse, typed};
use crate::app::App;
use crate::attachments::Chunks;
use crate::caller::spawn;
use crate::guard::{Needs, allow};
use crate::ledger::small;
use crate::list::parsed;
use crate::read::blocking;
use crate::submit::{Nothing, bad_query, nothing};
use asked::{Asked, Owner, Selection};
use file::{CHUNK_BYTES, Source};
use jobs::Job;

pub use jobs::ExportPlace;
pub(crate) use jobs::Jobs;
pub(crate) use work::run;

/// Routes, as the records of who exported what have them.
const NOW: &str = "/v1/export";
const JOBS: &str = "/v1/exports";
const FILE: &str = "/v1/exports/{id}/file";
/// How many records an answer has.
const RECORDS: HeaderName = HeaderName::from_static("x-export-records");
/// How many places of damage may hold records that an answer lacks.
const UNREADABLE: HeaderName = HeaderName::from_static("x-export-unreadable");
/// How many tenants' personal values were not searched.
const UNSEARCHED: HeaderName = HeaderName::from_static("x-export-unsearched");
/// What a download holds at most: a chunk, its ciphertext, what leaves meanwhile.
const TRANSFER_BYTES: usize = 4 * CHUNK_BYTES;
/// What Parquet keeps of rows before it writes them.
const PARQUET_BYTES: usize = 20 << 20;

/// What `GET /v1/export` is asked by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    format: Option<String>,
    q: Option<String>,
    tenant: Option<String>,
    columns: Option<String>,
    order: Option<String>,
}

type Who = Option<Extension<Principal>>;
type Parameters = Result<Query<Nothing>, QueryRejection>;

/// Exports in one answer.
pub(crate) async fn now(
    State(app): State<Arc<App>>,
    principal: Who,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let Query(wanted) = query.map_err(|error| bad_query(&error))?;
    let asked = Asked::read(CreateExport {
        format: wanted
            .format
            .unwrap_or_else(|| Format::Leaves.name().to_owned()),
        q: wanted.q,
        tenant: wanted.tenant,
        columns: wanted.columns,
        order: wanted.order,
    })?;
    let format = asked.format();
    let (body, selection, records) =
        blocking(&app, move |app| whole(app, &principal, &asked)).await?;
    let mut response = typed(StatusCode::OK, format.content_type(), body);
    let headers = response.headers_mut();
    saved_as(headers, "export", format);
    let counts = [
        (RECORDS, records),
        (UNREADABLE, selection.unreadable.len()),
        (UNSEARCHED, selection.unsearched.len()),
    ];
    for (name, count) in counts {
        if count > 0 || name == RECORDS {
            headers.insert(name, HeaderValue::from(count));
        }
    }
    Ok(response)
}

/// All of a small export; refuses one that is not.
fn whole(
    app: &App,
    principal: &Principal,
    asked: &Asked,
) -> Result<(Bytes, Selection, usize), Refusal> {
    let now = app.env.clock.now();
    let mut selection = Selection::begin(app, principal, asked, (now, None))?;
    let mut granted = app.memory.lists.empty();
    if asked.format() == Format::Parquet {
        granted.grow(PARQUET_BYTES)?;
    }
    let failed = |error: std::io::Error| refuse(ProblemKind::Internal, error.to_string());
    let file = File::start(asked.format(), &asked.columns(), Vec::new());
    let mut file = file.map_err(failed)?;
    let (mut counted, mut looked_at, mut records) = (0, 0, 0);
    loop {
        let paged = selection.page(app, &mut |leaf, event| {
            records += 1;
            file.row(&Row { leaf, event }).map_err(failed)?;
            let bytes = file.inner_mut().len();
            if bytes > EXPORT_ANSWER_BYTES_MAX {
                return Err(too_large(format!(
                    "more than {EXPORT_ANSWER_BYTES_MAX} bytes"
                )));
            }
            granted.grow(bytes.saturating_sub(counted))?;
            counted = counted.max(bytes);
            Ok(())
        })?;
        if !paged.more {
            break;
        }
        looked_at += paged.looked_at;
        if looked_at >= EXPORT_ANSWER_LOOKED_AT_MAX {
            let text = format!("more than {EXPORT_ANSWER_LOOKED_AT_MAX} records to look at");
            return Err(too_large(text));
        }
    }
    let body = file.finish().map_err(failed)?;
    if body.len() > EXPORT_ANSWER_BYTES_MAX {
        return Err(too_large(format!(
            "more than {EXPORT_ANSWER_BYTES_MAX} bytes"
        )));
    }
    granted.grow(body.len().saturating_sub(granted.bytes()))?;
    let done = (What::Exported, NOW, asked.q.as_str());
    app.accesses.note(principal, done, &selection.seen(), now);
    Ok((granted.keep(body), selection, records))
}

fn too_large(text: String) -> Refusal {
    refuse(ProblemKind::ExportTooLarge, text)
}

/// Makes a job.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    principal: Who,
    query: Parameters,
    request: Request,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    nothing(query)?;
    let wanted: CreateExport = small(&app, request).await?;
    let asked = Asked::read(wanted)?;
    let made = blocking(&app, move |app| {
        let now = app.env.clock.now();
        // What cannot be asked is refused now, and not found out later.
        let selection = Selection::begin(app, &principal, &asked, (now, None))?;
        let q = asked.q.clone();
        let job = app
            .exports
            .make(Owner::of(&principal), asked, (&app.env, &app.settings))?;
        app.accesses.note(
            &principal,
            (What::Exported, JOBS, &q),
            &selection.seen(),
            now,
        );
        Ok(job)
    });
    let job = made.await?;
    let mut response = json(StatusCode::CREATED, &job.told())?;
    if let Ok(place) = HeaderValue::from_str(&format!("{JOBS}/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// The jobs of who asks.
pub(crate) async fn list(State(app): State<Arc<App>>, principal: Who, query: Parameters) -> Answer {
    let owner = Owner::of(allow(principal.as_deref(), Needs::Read)?);
    nothing(query)?;
    let jobs = blocking(&app, move |app| Ok(app.exports.list(&owner))).await?;
    let exports = jobs.iter().map(Job::told).collect();
    json(StatusCode::OK, &Exports { exports })
}

/// One of them.
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    principal: Who,
    Path(id): Path<String>,
    query: Parameters,
) -> Answer {
    let owner = Owner::of(allow(principal.as_deref(), Needs::Read)?);
    nothing(query)?;
    let job = blocking(&app, move |app| Ok(app.exports.get(&owner, &id))).await?;
    json(StatusCode::OK, &job.ok_or_else(missing)?.told())
}

/// Removes one of them.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    principal: Who,
    Path(id): Path<String>,
    query: Parameters,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    nothing(query)?;
    let removed = blocking(&app, move |app| {
        let removed = app.exports.remove(&Owner::of(&principal), &id)?;
        if let Some(job) = &removed {
            let tenant = job.asked.tenant.as_deref().map(TenantId::parse);
            let (tenant, now) = (tenant.transpose().ok().flatten(), app.env.clock.now());
            app.accesses
                .export_removed(&principal, tenant.as_ref(), now);
        }
        Ok(removed)
    });
    let removed = removed.await?;
    json(StatusCode::OK, &removed.ok_or_else(missing)?.told())
}

fn missing() -> Refusal {
    refuse(ProblemKind::NotFound, "there is no export with this id")
}

/// The file of one of them, or a range of it.
pub(crate) async fn file(
    State(app): State<Arc<App>>,
    principal: Who,
    Path(id): Path<String>,
    query: Parameters,
    headers: HeaderMap,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    nothing(query)?;
    let owner = Owner::of(&principal);
    let job = blocking(&app, move |app| Ok(app.exports.get(&owner, &id))).await?;
    let job = job.ok_or_else(missing)?;
    if job.status != ExportStatus::Done {
        let text = job
            .failure
            .unwrap_or_else(|| "it is not written yet".to_owned());
        return Err(refuse(ProblemKind::NotDone, text));
    }
    let tag = format!("\"{}\"", job.id);
    let range = match asked_range(&headers, &tag, job.bytes) {
        Ok(range) => range,
        Err(refusal) => return Ok(unsatisfied(refusal, job.bytes)),
    };
    let mut granted = app.memory.lists.empty();
    granted.grow(TRANSFER_BYTES)?;
    let part = range.clone().unwrap_or(0..job.bytes);
    let (reading, wanted) = (job.clone(), part.clone());
    // The first chunk is read before anything is said.
    let (source, first) = blocking(&app, move |app| {
        // The query still has to be one that he may ask.
        parsed(&reading.asked.q, reading.created)?;
        let source = app.exports.source(&reading)?;
        let first = piece(&source, &wanted, wanted.start / CHUNK_BYTES as u64)?;
        let mut seen = Shown::of(&[]);
        for (tenant, count) in &reading.seen {
            if let Ok(tenant) = TenantId::parse(tenant) {
                seen.add(&tenant, *count);
            }
        }
        let done = (What::Exported, FILE, reading.asked.q.as_str());
        app.accesses
            .note(&principal, done, &seen, app.env.clock.now());
        Ok((source, first))
    })
    .await?;
    let (left, (sender, chunks)) = (part.end - part.start, channel(1));
    spawn(send((app, source), part, first, sender));
    let body = Chunks::new(chunks, left, granted);
    let format = job.asked.format();
    let status = if range.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let mut response = typed(status, format.content_type(), Body::new(body));
    let headers = response.headers_mut();
    saved_as(
        headers,
        &format!("export-{}", job.id.get(..8).unwrap_or_default()),
        format,
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, job.bytes);
        if let Ok(text) = HeaderValue::from_str(&text) {
            headers.insert(header::CONTENT_RANGE, text);
        }
    }
    Ok(response)
}

/// The part of a chunk that is in the range.
fn piece(source: &Source, range: &Range<u64>, number: u64) -> Result<Bytes, Error> {
    let chunk = source.chunk(number)?;
    let from = number * CHUNK_BYTES as u64;
    let within = |at: u64| usize::try_from(at.saturating_sub(from)).unwrap_or(usize::MAX);
    let (start, end) = (within(range.start), within(range.end).min(chunk.len()));
    Ok(Bytes::copy_from_slice(
        chunk.get(start..end).unwrap_or_default(),
    ))
}

/// Reads chunk after chunk as they are taken; whoever asked may go.
async fn send(
    (app, source): (Arc<App>, Source),
    range: Range<u64>,
    first: Bytes,
    sender: Sender<Result<Bytes, Error>>,
) {
    let (source, size) = (Arc::new(source), CHUNK_BYTES as u64);
    if sender.send(Ok(first)).await.is_err() {
        return;
    }
    for number in range.start / size + 1..range.end.div_ceil(size) {
        let (reading, wanted) = (Arc::clone(&source), range.clone());
        let next = blocking(&app, move |_| Ok(piece(&reading, &wanted, number)));
        let next = next.await.unwrap_or_else(|_| {
            let text = "too many searches are waiting";
            Err(Error::new(indelible_store::Kind::Unavailable, text))
        });
        let failed = next.is_err();
        if let Err(error) = &next {
            tracing::error!(%error, "the file of an export could not be read");
        }
        if sender.send(next).await.is_err() || failed {
            return;
        }
    }
}

/// The range that is asked for, `None` for all: also where several are, or those of another file
/// (RFC 9110 §14).
fn asked_range(headers: &HeaderMap, tag: &str, bytes: u64) -> Result<Option<Range<u64>>, Refusal> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let is_of_this = text(header::IF_RANGE).is_none_or(|of| of == tag);
    let spec = text(header::RANGE).filter(|_| is_of_this);
    let spec = spec.and_then(|range| range.trim().strip_prefix("bytes="));
    let Some((from, to)) = spec.and_then(|spec| spec.trim().split_once('-')) else {
        return Ok(None);
    };
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        text if text.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(Some(text.parse().unwrap_or(u64::MAX)))
        }
        _ => Err(()),
    };
    let range = match (number(from), number(to)) {
        (Ok(Some(from)), Ok(None)) => from..bytes,
        (Ok(Some(from)), Ok(Some(to))) if from <= to => from..to.saturating_add(1).min(bytes),
        (Ok(None), Ok(Some(last))) => bytes.saturating_sub(last)..bytes,
        _ => return Ok(None),
    };
    if range.is_empty() {
        let text = format!("the file has {bytes} bytes");
        return Err(refuse(ProblemKind::NoSuchRange, text));
    }
    Ok(Some(range))
}

fn unsatisfied(refusal: Refusal, bytes: u64) -> Response<Body> {
    let mut response = refusal.into_response();
    if let Ok(text) = HeaderValue::from_str(&format!("bytes */{bytes}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, text);
    }
    response
}

/// Whatever it is, a browser saves it and does not show it as a page of ours.
fn saved_as(headers: &mut HeaderMap, name: &str, format: Format) {
    let text = format!("attachment; filename=\"{name}.{}\"", format.extension());
    if let Ok(text) = HeaderValue::from_str(&text) {
        headers.insert(header::CONTENT_DISPOSITION, text);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ranges_are_read_as_they_are_written() {
        let of = |range: &str, tag: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
            if let Some(tag) = tag {
                headers.insert(header::IF_RANGE, HeaderValue::from_str(tag).unwrap());
            }
            asked_range(&headers, "\"a\"", 100).map_err(|refusal| refusal.0.status)
        };
        for (range, wanted) in [
            ("bytes=0-0", Ok(Some(0..1))),
            ("bytes=10-", Ok(Some(10..100))),
            ("bytes=-5", Ok(Some(95..100))),
            ("bytes=-500", Ok(Some(0..100))),
            ("bytes=90-5000", Ok(Some(90..100))),
            ("bytes=0-99999999999999999999999", Ok(Some(0..100))),
            ("bytes=100-", Err(416)),
            ("bytes=-0", Err(416)),
            ("bytes=5-4", Ok(None)),
            ("bytes=0-1,5-6", Ok(None)),
            ("bytes=a-b", Ok(None)),
            ("items=0-1", Ok(None)),
            ("bytes=", Ok(None)),
        ] {
            assert_eq!(of(range, None), wanted, "{range}");
        }
        assert_eq!(of("bytes=1-2", Some("\"a\"")), Ok(Some(1..3)));
        assert_eq!(of("bytes=1-2", Some("\"b\"")), Ok(None), "another file's");
    }
}
