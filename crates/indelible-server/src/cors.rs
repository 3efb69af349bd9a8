//! Pages of other origins that may read our answers: none, but those that the configuration names.
//!
//! No cookie and no client certificate is ever asked for, so whoever is named gets nothing beside
//! what his own key or token gets. Source: the Fetch standard, §3.3.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

/// How long a browser may believe what it was told, in seconds.
const BELIEVED_S: &str = "600";

/// What our answers say in headers, beside those that a page may always read (§3.3.5 there).
const EXPOSED: &str = "accept-ranges, allow, content-disposition, content-range, etag, location, \
    retry-after, www-authenticate, x-export-records, x-export-unreadable, x-export-unsearched, \
    x-next-cursor, x-request-id";

/// The origin of this request, if it is one of those.
fn named<'a>(origins: &[String], headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let is_one = |named: &String| named.as_bytes() == origin.as_bytes();
    origins.iter().any(is_one).then_some(origin)
}

/// The answer to a browser that asks whether a page of a named origin may ask; `None` for any other
/// request.
pub(crate) fn preflight(
    origins: &[String],
    method: &Method,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let asks = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if *method != Method::OPTIONS || !asks {
        return None;
    }
    named(origins, headers)?;
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, DELETE",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "accept, authorization, content-encoding, content-type, if-range, last-event-id, \
             range, x-request-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, BELIEVED_S),
    ] {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
    Some(answer)
}

/// What an answer says of who may read it.
pub(crate) fn readers(
    origins: &[String],
    headers: &HeaderMap,
) -> Vec<(header::HeaderName, HeaderValue)> {
    if origins.is_empty() {
        return Vec::new();
    }
    let mut said = vec![(header::VARY, HeaderValue::from_static("origin"))];
    if let Some(origin) = named(origins, headers) {
        said.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
        let exposed = HeaderValue::from_static(EXPOSED);
        said.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed));
    }
    said
}
