//! Which path leads where. `indelible_api::openapi::ROUTES` describes the same, and a test
//! compares.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use indelible_api::ProblemKind;

use crate::answer::{Refusal, refuse};
use crate::app::App;
use crate::{
    about, attachments, batch, counts, exports, guard, health, keys, ledger, list, pages, records,
    related, streams, submit, tail, viewers,
};

/// Every route.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/v1/events", post(submit::one))
        .route("/v1/events:batch", post(batch::batch))
        .route(
            "/v1/attachments/{digest}",
            get(attachments::get).put(attachments::put),
        )
        .route("/v1/records", get(list::list))
        .route("/v1/counts", get(counts::get))
        .route("/v1/records/{audit_id}", get(records::one))
        .route("/v1/records/{audit_id}/proof", get(records::proof))
        .route("/v1/records/{audit_id}/related", get(related::get))
        .route("/v1/tail", get(tail::tail))
        .route("/v1/export", get(exports::now))
        .route("/v1/exports", get(exports::list).post(exports::create))
        .route(
            "/v1/exports/{id}",
            get(exports::one).delete(exports::remove),
        )
        .route("/v1/exports/{id}/file", get(exports::file))
        .route("/v1/checkpoints", get(ledger::checkpoints))
        .route("/v1/tenants", get(ledger::tenants).post(ledger::create))
        .route("/v1/streams", get(streams::list))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}", delete(keys::revoke))
        .route("/v1/keys/{id}/rotate", post(keys::rotate))
        .route("/v1/access", get(about::access))
        .route("/v1/configuration", get(about::configuration))
        .route("/v1/viewer-tokens", post(viewers::create))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(pages::openapi))
        .route("/docs", get(pages::docs))
        .route("/", get(pages::index))
        .route("/embed", get(pages::embed))
        .route("/ui/{file}", get(pages::file));
    routes
        .fallback(missing)
        .method_not_allowed_fallback(wrong_method)
        // Bodies have limits of their own, route by route.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(app), guard::around))
        .with_state(Arc::clone(app))
}

async fn missing(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let text = match method {
        Method::CONNECT => "this server is no proxy: CONNECT leads nowhere",
        Method::OPTIONS if uri.path() == "*" => "the server as a whole takes no OPTIONS",
        _ if pages::is_looked_for(&method, &headers) => return pages::missing(),
        _ => return refuse(ProblemKind::NotFound, "there is no such path").into_response(),
    };
    let mut response = refuse(ProblemKind::MethodNotAllowed, text).into_response();
    let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

async fn wrong_method(method: Method) -> Refusal {
    refuse(
        ProblemKind::MethodNotAllowed,
        format!("the path does not take {method}"),
    )
}
