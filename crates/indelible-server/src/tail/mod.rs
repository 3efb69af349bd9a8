//! `GET /v1/tail`: records as they are committed, as server-sent events or over WebSocket.
//!
//! A request is checked as a list is, and then answered for as long as its reader takes it
//! (`follow`). All tails share one reading of the ledger (`hub`). They are bounded by key and in
//! all, keep their connection, and end alone.

mod follow;
mod hub;
mod place;
mod wire;
mod wish;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use indelible_api::tail::EVENT_STREAM;
use indelible_api::{JSON, ProblemKind};

use crate::accept::prefers;
use crate::access::Principal;
use crate::accesses::Shown;
use crate::answer::{Answer, Refusal, refuse, typed};
use crate::app::App;
use crate::caller::{Caller, spawn};
use crate::guard::{Asker, Needs, Peer, allow};
use crate::serve::Place;
use crate::settings::Settings;
use crate::share::gets_one;
use crate::stream::GoesOn;
use crate::submit::{bad_query, only_if};

use follow::Following;
use hub::Hub;
use place::{Name, Places};
use wire::Wire;
use wish::{From, Wanted, Wish};

pub(crate) use hub::run;

/// The most that a client says over WebSocket, bytes.
const SAID_BYTES_MAX: usize = 4 << 10;
/// Where a reader that lost its connection says what came last.
const LAST_EVENT_ID: &str = "last-event-id";

/// All tails.
pub(crate) struct Tails {
    hub: Hub,
    held: Arc<Mutex<Held>>,
    all_max: usize,
    by_key_max: usize,
    wishes: Mutex<Vec<Weak<Wish>>>,
}

/// How many places are taken, and by whom: in the name of a key, token or user, and for a party.
#[derive(Default)]
struct Held {
    all: usize,
    by_key: HashMap<String, usize>,
    by_party: HashMap<String, usize>,
}

/// A place among the tails; given back when it is dropped.
pub(crate) struct Seat {
    key: String,
    party: String,
    held: Arc<Mutex<Held>>,
}

impl Tails {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            hub: Hub::default(),
            held: Arc::default(),
            all_max: settings.tails_max,
            by_key_max: settings.tails_per_key_max,
            wishes: Mutex::default(),
        }
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        lock(&self.held).all
    }

    fn seat(&self, principal: &Principal) -> Result<Seat, Refusal> {
        let (key, party) = (principal.submitter().unwrap_or_default(), principal.party());
        let mut held = lock(&self.held);
        let of = |all: &HashMap<String, usize>, name| all.get(name).copied().unwrap_or_default();
        let (by_key, by_party) = (of(&held.by_key, &key), of(&held.by_party, &party));
        let free = self.all_max.saturating_sub(held.all);
        if by_key >= self.by_key_max {
            let text = format!("you have {by_key} tails open, as many as one key may have");
            return Err(refuse(ProblemKind::TooManyTails, text));
        }
        if free == 0 {
            let text = "as many tails are open as the server has room for";
            return Err(refuse(ProblemKind::Overloaded, text));
        }
        if !gets_one(by_party, free) {
            let text = "all who see what you see have as many tails open as is their part now: \
                        what is free is kept for others";
            return Err(refuse(ProblemKind::TooManyTails, text));
        }
        held.all += 1;
        *held.by_key.entry(key.clone()).or_default() += 1;
        *held.by_party.entry(party.clone()).or_default() += 1;
        Ok(Seat {
            key,
            party,
            held: Arc::clone(&self.held),
        })
    }

    /// The same wish for all that ask alike.
    fn shared(&self, wish: Wish) -> Arc<Wish> {
        let mut wishes = lock(&self.wishes);
        wishes.retain(|wish| wish.strong_count() > 0);
        let known = wishes.iter().filter_map(Weak::upgrade);
        if let Some(known) = { known }.find(|known| **known == wish) {
            return known;
        }
        let wish = Arc::new(wish);
        wishes.push(Arc::downgrade(&wish));
        wish
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        held.all -= 1;
        give_back(&mut held.by_key, &self.key);
        give_back(&mut held.by_party, &self.party);
    }
}

fn give_back(held: &mut HashMap<String, usize>, name: &str) {
    if let Some(count) = held.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            held.remove(name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of a request a tail keeps.
type Asked = (
    Extension<Arc<Place>>,
    Extension<Peer>,
    Extension<GoesOn>,
    Uri,
    HeaderMap,
);

/// Follows what is committed.
pub(crate) async fn tail(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Wanted>, QueryRejection>,
    (Extension(place), Extension(Peer(peer)), Extension(goes_on), uri, headers): Asked,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let wanted = wanted(query, &headers)?;
    let upgrade = match upgrade {
        Ok(upgrade) => Some(upgrade),
        Err(error) if headers.contains_key(header::UPGRADE) => {
            return Err(refuse(ProblemKind::BadRequest, error.body_text()));
        }
        Err(_) => None,
    };
    if upgrade.is_some() {
        must_be_ours(&uri, &headers)?;
    } else if !wants_events(&headers) {
        let text = "a tail comes as text/event-stream, or over WebSocket";
        return Err(refuse(ProblemKind::BadRequest, text));
    }
    let seat = app.tails.seat(&principal)?;
    let name = Name::of(&wanted.q, wanted.tenant.as_deref(), &principal.scope());
    let after = wanted.after.as_deref();
    let places = after.map(|after| Places::of(after, &app.cursor_key, &name));
    let start = || (wanted.from == Some(From::Start)).then(Places::default);
    let places = places.transpose()?.or_else(start);
    let asker = Asker {
        headers,
        peer: Some(peer),
    };
    let mut following = Following {
        app: Arc::clone(&app),
        asker,
        principal,
        wanted,
        name,
        places,
        wish: None,
        seen: Shown::default(),
        logs: None,
        goes_on: goes_on.clone(),
        _seat: seat,
    };
    following.look().await?;
    following.note_opened();
    goes_on.begins();
    let Some(upgrade) = upgrade else {
        let (wire, body) = Wire::events(Caller::now().gone);
        spawn(following.run(wire));
        let mut response: Response<Body> = typed(StatusCode::OK, EVENT_STREAM, Body::new(body));
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        return Ok(response);
    };
    let upgrade = upgrade.max_message_size(SAID_BYTES_MAX);
    let caller = Caller::now();
    let response = upgrade.on_upgrade(async move |socket| {
        caller.has(following.run(Wire::socket(socket))).await;
        drop(place);
    });
    Ok(response)
}

/// What is asked, from where the reader says that it was.
fn wanted(
    query: Result<Query<Wanted>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Wanted, Refusal> {
    let Query(mut wanted) = query.map_err(|error| bad_query(&error))?;
    // A browser that opens a tail again sends `Last-Event-ID` to the same URL, with its `from`.
    only_if(
        (wanted.from.is_some(), "from"),
        (
            wanted.after.is_none(),
            "without `after`, which says where the tail begins",
        ),
    )?;
    let last = headers.get(LAST_EVENT_ID);
    let last = last.and_then(|last| last.to_str().ok());
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        wanted.after = Some(last.to_owned());
    }
    Ok(wanted)
}

/// Whether events are taken; who says nothing takes anything.
fn wants_events(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::ACCEPT)
        || prefers(headers, |kind| match kind {
            EVENT_STREAM | "text/*" | "*/*" => Some(true),
            JSON => Some(false),
            _ => None,
        })
}

/// Refuses a WebSocket that a page of another site opens: browsers let it, and send its name.
fn must_be_ours(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
    };
    let origin = origin.to_str().ok();
    let origin = origin.and_then(|origin| origin.split_once("://"));
    if origin.is_some_and(|(_, site)| Some(site) == host) {
        return Ok(());
    }
    let text = "a page of another site may not open a tail";
    Err(refuse(ProblemKind::Forbidden, text))
}
