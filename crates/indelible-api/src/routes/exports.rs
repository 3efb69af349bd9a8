//! The routes of exports.

use super::{
    Answer, BadQuery, Body, ExportTooLarge, NoSuchRange, NotDone, NotFound, Parameter, QUERY,
    Route, TENANT, Timeout, TooLarge, TooManyExports, UnsupportedType,
};

const WHO: &str = "reader, auditor, privacy_officer, admin";

const ASKED: [Parameter; 5] = [
    Parameter {
        name: "format",
        schema: r#"{"enum":["leaves","joined","csv","parquet"],"default":"leaves"}"#,
        description: "Exact leaves, readable records, or a table.",
    },
    QUERY,
    TENANT,
    Parameter {
        name: "columns",
        schema: r#"{"type":"string","maxLength":4096,"pattern":"^[a-z_., ]*$"}"#,
        description: "Columns of a table, with commas between them, also paths like `data.amount`; \
                      `all` for all.",
    },
    Parameter {
        name: "order",
        schema: r#"{"enum":["newest","oldest","seq","seq-newest"],"default":"seq"}"#,
        description: "By sequence number, or by time.",
    },
];

pub(super) const NOW: Route = Route {
    method: "get",
    path: "/v1/export",
    summary: "Export what a query finds, up to 16 MiB, in one answer.",
    who: WHO,
    query: &ASKED,
    body: Body::None,
    answers: &[Answer::Text(200, "*/*")],
    problems: &[BadQuery, NotFound, ExportTooLarge],
};

pub(super) const MAKE: Route = Route {
    method: "post",
    path: "/v1/exports",
    summary: "Export what a query finds to a file that is kept for a day.",
    who: WHO,
    query: &[],
    body: Body::Json("CreateExport"),
    answers: &[Answer::Json(201, "Export")],
    problems: &[
        BadQuery,
        NotFound,
        Timeout,
        TooLarge,
        UnsupportedType,
        TooManyExports,
    ],
};

pub(super) const ALL: Route = Route {
    method: "get",
    path: "/v1/exports",
    summary: "The exports of who asks, and how far they are.",
    who: WHO,
    query: &[],
    body: Body::None,
    answers: &[Answer::Json(200, "Exports")],
    problems: &[],
};

pub(super) const ONE: Route = Route {
    method: "get",
    path: "/v1/exports/{id}",
    summary: "How far an export is.",
    who: WHO,
    query: &[],
    body: Body::None,
    answers: &[Answer::Json(200, "Export")],
    problems: &[NotFound],
};

pub(super) const FILE: Route = Route {
    method: "get",
    path: "/v1/exports/{id}/file",
    summary: "The file of an export, as a whole or a range of it.",
    who: WHO,
    query: &[],
    body: Body::None,
    answers: &[Answer::Text(200, "*/*"), Answer::Text(206, "*/*")],
    problems: &[NotFound, NotDone, NoSuchRange],
};

pub(super) const REMOVE: Route = Route {
    method: "delete",
    path: "/v1/exports/{id}",
    summary: "Remove an export, its file, and the key that the file was encrypted under.",
    who: WHO,
    query: &[],
    body: Body::None,
    answers: &[Answer::Json(200, "Export")],
    problems: &[NotFound],
};
