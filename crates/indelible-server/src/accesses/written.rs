//! Notes that are due become records of `_system`.

use std::time::Duration;

use indelible_event::ids::{Micros, TenantId};
use indelible_log::registry::log_row;
use indelible_log::{AccessEvent, Operation};
use serde_json::{Map, Value, json};

use super::What;
use super::notes::{Detail, Key, Note};
use crate::app::App;
use crate::serve::Stop;

/// How often it is looked what is due, at most.
const LOOKED_EVERY: Duration = Duration::from_secs(1);
/// Events that wait to be written again after they failed; those beyond are counted instead.
const WAITING_MAX: usize = 8_192;

/// Writes what is due until the server stops.
pub(crate) fn run(app: &App, stop: &Stop) {
    let every = app.settings.publish_interval.min(LOOKED_EVERY);
    let after = i64::try_from(app.settings.access_interval.as_micros()).unwrap_or(i64::MAX);
    let mut waiting = Vec::new();
    while !stop.wait(every) {
        let before = app.env.clock.now().0.saturating_sub(after);
        write(app, Micros(before), &mut waiting);
    }
    *app.accesses.waiting() = waiting;
}

/// Writes everything that is left, when nothing more is asked.
pub(crate) fn write_all(app: &App) {
    let mut waiting = std::mem::take(&mut *app.accesses.waiting());
    write(app, Micros(i64::MAX), &mut waiting);
    if !waiting.is_empty() {
        let lost = waiting.len();
        tracing::error!(lost, "records of who read what could not be written");
    }
}

fn write(app: &App, before: Micros, waiting: &mut Vec<AccessEvent>) {
    let (due, left_out) = app.accesses.lock().take(before);
    waiting.extend(due.iter().map(|(key, note)| of_note(app, key, *note)));
    waiting.extend(
        left_out
            .into_iter()
            .map(|(what, note)| lacking(app, what, note)),
    );
    if waiting.is_empty() {
        return;
    }
    if let Err(error) = app.feed.write_accesses(waiting) {
        tracing::error!(%error, "records of who read what are still to be written");
    }
    if waiting.len() > WAITING_MAX {
        let lost = waiting.len() - WAITING_MAX;
        waiting.drain(..lost);
        app.accesses.lock().lose(lost, app.env.clock.now());
        tracing::error!(lost, "records of who read what found no room to wait");
    }
}

/// The event of a note. One of what was denied is written whether that is there or not: the numbers
/// of `_system` would tell which it is.
fn of_note(app: &App, key: &Key, note: Note) -> AccessEvent {
    let log_id = key.tenant.as_ref().and_then(|tenant| log_id(app, tenant));
    let mut data = counted(key.what, note);
    data.insert("route".to_owned(), json!(key.route));
    let mut put = |name: &str, value: &str| data.insert(name.to_owned(), json!(value));
    if let Some(log_id) = &log_id {
        put("log_id", log_id);
    }
    let mut target = match &key.tenant {
        Some(tenant) => ("tenant", tenant.as_str()),
        None => ("ledger", "indelible"),
    };
    if key.what == What::ViewerMade {
        if let Some(tenant) = &key.tenant {
            put("tenant", tenant.as_str());
        }
        let maker = key.actor.1.strip_prefix("key:").unwrap_or(&key.actor.1);
        target = ("key", maker);
    }
    match &key.detail {
        Detail::Query(query) if query.is_empty() => {}
        Detail::Query(query) => drop(put("query", query)),
        Detail::Refused(why, claimed, network) => {
            put("reason", why);
            if let Some(network) = network {
                put("network", network);
            }
            if let Some(claimed) = claimed {
                target = ("key", claimed);
            }
        }
        Detail::Viewer { has_query, lasts } => {
            let last_end = Micros(note.until.0.saturating_add(*lasts));
            put("expires_at", &last_end.to_rfc3339());
            data.insert("has_query".to_owned(), json!(has_query));
        }
        Detail::Others => drop(data.insert("others".to_owned(), json!(true))),
    }
    let operation = Operation {
        event_type: key.what.event_type(),
        actor: (key.actor.0, &key.actor.1),
        target,
        outcome: key.what.outcome(),
        data: &Value::Object(data),
    };
    AccessEvent::new(&app.env, note.until, &operation)
}

/// The event of what found no room.
fn lacking(app: &App, what: What, note: Note) -> AccessEvent {
    let mut data = counted(what, note);
    data.insert("left_out".to_owned(), json!(true));
    let operation = Operation {
        event_type: what.event_type(),
        actor: ("system", "indelible"),
        target: ("ledger", "indelible"),
        outcome: what.outcome(),
        data: &Value::Object(data),
    };
    AccessEvent::new(&app.env, note.until, &operation)
}

fn counted(what: What, note: Note) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("requests".to_owned(), json!(note.requests));
    match what.change() {
        Some(change) => data.insert("change".to_owned(), json!(change)),
        None => data.insert("records".to_owned(), json!(note.records)),
    };
    data.insert("since".to_owned(), json!(note.since.to_rfc3339()));
    data.insert("until".to_owned(), json!(note.until.to_rfc3339()));
    data
}

fn log_id(app: &App, tenant: &TenantId) -> Option<String> {
    let row = log_row(app.stores.state.as_ref(), tenant);
    row.ok().flatten().map(|row| row.log_id)
}
