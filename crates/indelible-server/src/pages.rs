//! The first page, the page of the API, and what they are made of: files of `ui/`, in the binary.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use indelible_api::{JSON, PROBLEM_CONTENT_TYPE, ProblemKind, openapi};

use crate::accept::prefers;
use crate::answer::{Answer, refuse, typed};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// Name and content of each file that is named.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../../ui/", $name)))),*]
    };
}

/// What the pages are made of.
const FILES: &[(&str, &str)] = files![
    "access.js",
    "admin.js",
    "api.js",
    "app.js",
    "address.js",
    "chart.js",
    "columns.js",
    "complete.js",
    "diff.js",
    "dom.js",
    "docs.js",
    "embed.css",
    "embed.js",
    "erased.js",
    "facets.js",
    "fields.js",
    "hidden.js",
    "json.js",
    "leaf.js",
    "list.css",
    "list.js",
    "live.js",
    "mark.svg",
    "overview.js",
    "pages.css",
    "parts.js",
    "prove.js",
    "query.js",
    "record.css",
    "record.js",
    "related.js",
    "rows.js",
    "sealed.js",
    "style.css",
    "traces.js",
    "trust.js",
    "verify.js",
    "views.js",
    "words.js",
];

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => STYLE,
        Some("svg") => IMAGE,
        _ => SCRIPT,
    }
}

/// The first page.
pub(crate) async fn index() -> Answer {
    Ok(typed(
        StatusCode::OK,
        HTML,
        include_str!("../../../ui/index.html"),
    ))
}

/// The list and the record of one tenant, for a frame in a page of somebody else's.
pub(crate) async fn embed() -> Answer {
    Ok(typed(
        StatusCode::OK,
        HTML,
        include_str!("../../../ui/embed.html"),
    ))
}

/// The API's description as a page.
pub(crate) async fn docs() -> Answer {
    Ok(typed(
        StatusCode::OK,
        HTML,
        include_str!("../../../ui/docs.html"),
    ))
}

/// Whether somebody looks for a page: a browser asks for HTML first, programs do not.
pub(crate) fn is_looked_for(method: &Method, headers: &HeaderMap) -> bool {
    let is_html = |kind: &str| match kind {
        "text/html" | "application/xhtml+xml" => Some(true),
        JSON | PROBLEM_CONTENT_TYPE | "application/*" | "*/*" => Some(false),
        _ => None,
    };
    matches!(*method, Method::GET | Method::HEAD) && prefers(headers, is_html)
}

/// The page of a path that leads nowhere.
pub(crate) fn missing() -> Response<Body> {
    typed(
        StatusCode::NOT_FOUND,
        HTML,
        include_str!("../../../ui/missing.html"),
    )
}

/// What the pages load.
pub(crate) async fn file(Path(name): Path<String>) -> Answer {
    let found = FILES.iter().find(|(file, _)| *file == name);
    let (name, content) =
        found.ok_or_else(|| refuse(ProblemKind::NotFound, "there is no such file"))?;
    Ok(typed(StatusCode::OK, kind(name), *content))
}

/// The API's description.
pub(crate) async fn openapi() -> Answer {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());
    Ok(typed(StatusCode::OK, JSON, DOCUMENT.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_load_only_what_is_here_and_set_no_markup_from_data() {
        let pages = [
            include_str!("../../../ui/index.html"),
            include_str!("../../../ui/docs.html"),
            include_str!("../../../ui/embed.html"),
            include_str!("../../../ui/missing.html"),
        ];
        for text in pages
            .into_iter()
            .chain(FILES.iter().map(|(_, content)| *content))
        {
            for never in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!text.contains(never), "{never}");
            }
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !text.contains("://") && !text.contains("src=\"//"),
                "{text:.80}"
            );
        }
        for page in pages {
            assert!(!page.contains("<script>") && !page.contains(" style="));
        }
    }
}
