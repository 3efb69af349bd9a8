//! `GET /v1/keys`, `POST /v1/keys`, `POST /v1/keys/{id}/rotate`, `DELETE /v1/keys/{id}`; and what
//! is done for keys while nobody asks.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::StatusCode;
use indelible_api::{CreateKey, Keys, RotateKey};
use indelible_log::Env;
use indelible_store::{Error, Kind, Result as StoreResult};

use crate::access::{Access, Actor, Principal};
use crate::answer::{Answer, Refusal, json};
use crate::app::App;
use crate::guard::{Needs, allow};
use crate::ledger::small;
use crate::read::blocking;
use crate::serve::Stop;
use crate::submit::{Nothing, nothing};

/// All keys, without secrets.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
) -> Answer {
    allow(principal.as_deref(), Needs::Administer)?;
    nothing(query)?;
    let keys = blocking(&app, |app| Ok(app.access.list()?)).await?;
    json(StatusCode::OK, &Keys { keys })
}

/// Makes a key; on an open server this closes it.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    request: Request,
) -> Answer {
    let by = allow(principal.as_deref(), Needs::Administer)?.clone();
    nothing(query)?;
    let wanted: CreateKey = small(&app, request).await?;
    let create = move |access: &Access, env: &Env, by: Actor<'_>| access.create(&wanted, env, by);
    let created = changed(&app, by, create).await?;
    tracing::info!(
        key = created.key.id,
        role = created.key.role.word(),
        "a key was made"
    );
    json(StatusCode::CREATED, &created)
}

/// Gives a key a new secret.
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let by = allow(principal.as_deref(), Needs::Administer)?.clone();
    nothing(query)?;
    let wanted: RotateKey = small(&app, request).await?;
    let rotate =
        move |access: &Access, env: &Env, by: Actor<'_>| access.rotate((&id, &wanted), env, by);
    let rotated = changed(&app, by, rotate).await?;
    tracing::info!(key = rotated.key.id, "a key has a new secret");
    json(StatusCode::OK, &rotated)
}

/// Revokes a key at once.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    Path(id): Path<String>,
) -> Answer {
    let by = allow(principal.as_deref(), Needs::Administer)?.clone();
    nothing(query)?;
    let revoke = move |access: &Access, env: &Env, by: Actor<'_>| access.revoke(&id, env, by);
    let key = changed(&app, by, revoke).await?;
    tracing::info!(key = key.id, "a key was revoked");
    json(StatusCode::OK, &key)
}

/// Makes a change of keys, and writes its record.
async fn changed<T: Send + 'static>(
    app: &Arc<App>,
    by: Principal,
    change: impl FnOnce(&Access, &Env, Actor<'_>) -> StoreResult<T> + Send + 'static,
) -> Result<T, Refusal> {
    blocking(app, move |app| {
        let id = by.submitter();
        let by = (by.kind(), id.as_deref().unwrap_or("anybody"));
        let changed = change(&app.access, &app.env, by)?;
        write_operations(app);
        Ok(changed)
    })
    .await
}

/// Writes the records of what was done. It is done, and in force: a record that cannot be written
/// now is written later.
pub(crate) fn write_operations(app: &App) {
    if let Err(error) = app.feed.write_operations() {
        tracing::error!(%error, "records of what was done to the ledger are still to be written");
    }
}

/// Until the server stops: learns what other servers did with keys, writes what records are left
/// to be written, and keeps when keys were used. Whether the database answers is seen by it.
pub(crate) fn follow(app: &Arc<App>, stop: &Stop) {
    // A moment of grace, since it was not asked yet.
    app.metrics.database(true, app.env.clock.now());
    loop {
        let stops = stop.wait(app.settings.publish_interval);
        if app.shared {
            let followed = app.access.follow();
            let away = |error: &Error| error.kind() == Kind::Unavailable;
            let answered = !followed.as_ref().is_err_and(away);
            app.metrics.database(answered, app.env.clock.now());
            if let Err(error) = followed {
                tracing::error!(%error, "callers' keys cannot be read: those known stay a while");
            }
        }
        if let Err(error) = app.access.keep_used() {
            tracing::warn!(%error, "it cannot be kept when keys were last used");
        }
        if let Err(error) = app.limits.keep(app.stores.state.as_ref()) {
            tracing::warn!(%error, "it cannot be kept what tenants have used of their day");
        }
        write_operations(app);
        if stops {
            return;
        }
    }
}
