//! `PUT` and `GET /v1/attachments/{digest}`, and the removal of what no event named.
//!
//! A body is passed on chunk by chunk and never kept whole; no thread waits for a client. What an
//! upload and a download hold is counted as a fixed part of the memory there is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use indelible_api::{AttachmentNamed, AttachmentStored, ProblemKind};
use indelible_event::ids::{Micros, TenantId};
use indelible_log::attachments::{
    ATTACHMENT_BYTES_MAX, Attachments, CHUNK_BYTES, Digest, Stored, Upload, UploadError, Whole,
    references,
};
use indelible_store::{Error, Kind};
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::access::Principal;
use crate::accesses::{Shown, What};
use crate::answer::{Answer, NO_SPACE, Refusal, json, refuse};
use crate::app::App;
use crate::body::{self, Pieces};
use crate::budget::Granted;
use crate::caller::spawn;
use crate::guard::{Needs, allow};
use crate::limits::Brought;
use crate::read::blocking;
use crate::records::{find, stored};
use crate::serve::Stop;
use crate::submit::{Addressing, Target, bad_query, let_in, tenant_named, whose};

/// How it is called in records of who read what.
const ROUTE: &str = "/v1/attachments/{digest}";
/// What a transfer holds at most: a chunk, its ciphertext, what arrives or leaves meanwhile.
const TRANSFER_BYTES: usize = 4 * CHUNK_BYTES;
/// The content type of what came without one.
const UNKNOWN_TYPE: &str = "application/octet-stream";

type Asked<T> = (
    State<Arc<App>>,
    Option<Extension<Principal>>,
    Path<String>,
    Result<Query<T>, QueryRejection>,
);

/// Whose attachment is asked for, and which record names it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whence {
    tenant: Option<String>,
    record: Option<String>,
}

/// Stores one attachment.
pub(crate) async fn put(
    (state, principal, digest, query): Asked<Target>,
    request: Request,
) -> Answer {
    let State(app) = state;
    let principal = allow(principal.as_deref(), Needs::Emit)?;
    let target = whose(query)?;
    let let_in = let_in(&app, principal, target.as_ref())?;
    let (tenant, digest) = named(&app, principal, target, &digest)?;
    let store = store(&app)?;
    let (parts, body) = request.into_parts();
    let media_type = media_type(&parts.headers)?;
    let mut pieces = Pieces::new(body, &parts, &app, ATTACHMENT_BYTES_MAX)?;
    let mut granted = app.memory.requests.empty();
    granted.grow(TRANSFER_BYTES)?;
    let stored = receive(&mut pieces, (&store, &tenant), digest, &media_type).await;
    let (bytes, media_type, stored) = match stored {
        Ok(stored) => {
            app.metrics.attachment_stored();
            stored
        }
        Err(refusal) => {
            // Of the store: whoever sends is told in other words.
            if refusal.0.kind() == Some(ProblemKind::Unavailable) {
                let for_space = refusal.0.detail == NO_SPACE;
                app.metrics
                    .attachment_failed(app.env.clock.now(), for_space);
            }
            pieces.drain().await;
            return Err(refusal);
        }
    };
    drop(granted);
    if let Some(tenant) = &let_in {
        let (name, rates) = (principal.submitter(), app.rates(principal));
        let brought = Brought { events: 0, bytes };
        app.limits
            .charge((name.as_deref(), &rates), tenant, brought);
    }
    let status = match stored {
        Stored::New => StatusCode::CREATED,
        Stored::Repeat => StatusCode::OK,
    };
    let attachment = AttachmentNamed {
        bytes,
        digest: digest.to_string(),
        media_type,
    };
    json(status, &AttachmentStored { attachment })
}

async fn receive(
    pieces: &mut Pieces,
    (store, tenant): (&Arc<Attachments>, &TenantId),
    digest: Digest,
    media_type: &str,
) -> Result<(u64, String, Stored), Refusal> {
    let begin = (Arc::clone(store), tenant.clone(), media_type.to_owned());
    let mut upload = on_disk(move || begin.0.put(&begin.1, digest, &begin.2)).await?;
    let (mut bytes, mut waiting) = (0, Vec::with_capacity(CHUNK_BYTES));
    while let Some(piece) = pieces.next().await? {
        bytes += piece.len() as u64;
        waiting.extend_from_slice(&piece);
        if waiting.len() >= CHUNK_BYTES {
            (upload, waiting) = write(upload, waiting).await?;
        }
    }
    let (upload, _) = write(upload, waiting).await?;
    let media_type = upload.media_type().to_owned();
    Ok((bytes, media_type, on_disk(move || upload.finish()).await?))
}

async fn write(mut upload: Upload, mut bytes: Vec<u8>) -> Result<(Upload, Vec<u8>), Refusal> {
    on_disk(move || {
        upload.write(&bytes)?;
        bytes.clear();
        Ok((upload, bytes))
    })
    .await
}

/// Does a part of an upload where it may wait for the disk.
async fn on_disk<T: Send + 'static>(
    part: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(part).await;
    let done = done.map_err(|_| refuse(ProblemKind::Internal, "the upload did not end well"))?;
    done.map_err(|error| match error {
        UploadError::TooLarge => refuse(ProblemKind::TooLarge, error.to_string()),
        UploadError::WrongDigest(_) => refuse(ProblemKind::WrongDigest, error.to_string()),
        UploadError::Store(error) => error.into(),
    })
}

/// Gives one attachment.
pub(crate) async fn get((state, principal, digest, query): Asked<Whence>) -> Answer {
    let State(app) = state;
    let principal = allow(principal.as_deref(), Needs::Read)?;
    let Query(whence) = query.map_err(|error| bad_query(&error))?;
    let tenant = whence.tenant.as_deref().map(tenant_named).transpose()?;
    let (tenant, digest) = named(&app, principal, tenant, &digest)?;
    let missing = || {
        let text = "there is no attachment with this digest";
        refuse(ProblemKind::NotFound, text)
    };
    // Whether some record that it may see names it, nothing tells without reading the log.
    if principal.is_narrowed() && whence.record.is_none() {
        let text = "there is no attachment with this digest that you may read by its digest alone: \
                    say record=ID of a record that names it";
        return Err(refuse(ProblemKind::NotFound, text));
    }
    let store = store(&app)?;
    let asked = digest.to_string();
    let mut granted = app.memory.lists.empty();
    granted.grow(TRANSFER_BYTES)?;
    // The first chunk is read before anything is said.
    let by = principal.clone();
    let found = blocking(&app, move |app| {
        if let Some(record) = &whence.record
            && !is_named(app, &by, (&tenant, record), &digest)?
        {
            return Ok(None);
        }
        let Some(whole) = store.get(&tenant, &digest)? else {
            return Ok(None);
        };
        let first = whole.chunk(0)?;
        let done = (What::Read, ROUTE, asked.as_str());
        let (seen, now) = (Shown::of(&[tenant]), app.env.clock.now());
        app.accesses.note(&by, done, &seen, now);
        Ok(Some((whole, Bytes::copy_from_slice(&first))))
    });
    let Some((whole, first)) = found.await? else {
        return Err(missing());
    };
    let media_type = HeaderValue::from_str(whole.media_type());
    let (left, (sender, chunks)) = (whole.bytes(), channel(1));
    spawn(send(app, whole, first, sender));
    let body = Chunks::new(chunks, left, granted);
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    let unknown = |_| HeaderValue::from_static(UNKNOWN_TYPE);
    headers.insert(header::CONTENT_TYPE, media_type.unwrap_or_else(unknown));
    // Whatever it is, a browser saves it and does not show it as a page of ours.
    let saved = HeaderValue::from_static("attachment");
    headers.insert(header::CONTENT_DISPOSITION, saved);
    Ok(response)
}

/// Reads chunk after chunk as they are taken; whoever asked may go.
async fn send(app: Arc<App>, whole: Whole, first: Bytes, sender: Sender<Result<Bytes, Error>>) {
    let whole = Arc::new(whole);
    let mut next = Ok(first);
    for number in 1..=whole.chunks() {
        let failed = next.is_err();
        if sender.send(next).await.is_err() || failed || number == whole.chunks() {
            return;
        }
        let reading = Arc::clone(&whole);
        let chunk = blocking(&app, move |_| {
            Ok(reading
                .chunk(number)
                .map(|chunk| Bytes::copy_from_slice(&chunk)))
        });
        next = match chunk.await {
            Ok(Err(error)) => {
                tracing::error!(%error, "an attachment could not be read");
                Err(error)
            }
            Ok(chunk) => chunk,
            Err(_) => Err(Error::new(
                Kind::Unavailable,
                "too many searches are waiting",
            )),
        };
    }
}

/// A download: an error cuts the answer off, short of its length.
pub(crate) struct Chunks {
    chunks: Receiver<Result<Bytes, Error>>,
    left: u64,
    _granted: Granted,
}

impl Chunks {
    /// So many bytes, which come through a channel and count as what was granted.
    pub(crate) fn new(chunks: Receiver<Result<Bytes, Error>>, left: u64, granted: Granted) -> Self {
        Self {
            chunks,
            left,
            _granted: granted,
        }
    }
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.chunks.poll_recv(context).map(|chunk| {
            let chunk = chunk?;
            if let Ok(bytes) = &chunk {
                self.left = self.left.saturating_sub(bytes.len() as u64);
            }
            Some(chunk.map(Frame::data))
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Whether this record is there for the principal and names the attachment.
fn is_named(
    app: &App,
    principal: &Principal,
    (tenant, record): (&TenantId, &str),
    digest: &Digest,
) -> Result<bool, Refusal> {
    let found = find(app, principal, Some(tenant.clone()), record);
    let (tenant, number) = match found {
        Err(refusal) if refusal.0.kind() == Some(ProblemKind::NotFound) => return Ok(false),
        found => found?,
    };
    let leaf = stored(app, &tenant, number, principal.sight())?.leaf;
    Ok(references(leaf.as_bytes()).any(|named| named.digest == *digest))
}

fn named(
    app: &App,
    principal: &Principal,
    tenant: Option<TenantId>,
    digest: &str,
) -> Result<(TenantId, Digest), Refusal> {
    let tenant = Addressing::new((app, ROUTE), principal, tenant)
        .tenant(b"")
        .map_err(Refusal)?;
    let digest = Digest::parse(digest).ok_or_else(|| {
        let text = "an attachment is named by sha256: and 64 lower-case hex digits";
        refuse(ProblemKind::BadRequest, text)
    })?;
    Ok((tenant, digest))
}

fn store(app: &App) -> Result<Arc<Attachments>, Refusal> {
    let text = "this ledger keeps no attachments";
    let store = app.attachments.as_ref().map(Arc::clone);
    store.ok_or_else(|| refuse(ProblemKind::NotFound, text))
}

fn media_type(headers: &HeaderMap) -> Result<String, Refusal> {
    body::must_be_identity(headers)?;
    let Some(named) = headers.get(header::CONTENT_TYPE) else {
        return Ok(UNKNOWN_TYPE.to_owned());
    };
    let text = named.to_str().ok().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        let text = "the Content-Type is no plain text";
        refuse(ProblemKind::UnsupportedType, text)
    })?;
    Ok(text.to_owned())
}

/// Removes what was uploaded and not named in time, until the server stops.
pub(crate) fn collect(app: &App, stop: &Stop) {
    let Some(store) = &app.attachments else {
        return;
    };
    while !stop.wait(app.settings.attachments_interval) {
        let grace = i64::try_from(app.settings.attachments_grace.as_micros()).unwrap_or(i64::MAX);
        let before = app.env.clock.now().0.saturating_sub(grace);
        match store.collect(Micros(before)) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "attachments that no event named are removed"),
            Err(error) => tracing::error!(%error, "attachments could not be removed"),
        }
    }
}
