//! `docs/metrics.md`, made from the tables of the server's, the emitter's and the relay's metrics,
//! and compared with them.
//!
//! `INDELIBLE_UPDATE_DOCS=1 cargo test -p indelible-server reference` writes the page anew.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::Path;

use indelible_api::metrics::{Kind, Metric};

use super::page::METRICS;

const HEAD: &str = "\
# Metrics

*Made from the program's own tables by `INDELIBLE_UPDATE_DOCS=1 cargo test -p indelible-server
reference`; a test compares it with them. How they are scraped, which alerts there are and what to
do then is said in [operating.md](operating.md).*

A histogram `x` is told as `x_bucket`, `x_sum` and `x_count`. No label has a tenant, a person or a
path as it was sent.
";

const SERVER: &str = "
## The server

`GET /metrics` of `indelible serve`. Counters begin anew with the process.

";

const EMITTER: &str = "
## The emitter

`indelible::prometheus()`, in every program that emits. `service` is what the program calls itself
with `.service(name)`, else `unknown`; several emitters of one service are one sum, and of their
buffers the fullest.

";

const OUTBOX: &str = "
## The relay of an outbox

`GET /metrics` of `indelible relay --listen`, and `relay.metrics().prometheus()` in a program.
Counters begin anew with the process.

";

#[test]
fn the_page_is_what_the_tables_say() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("INDELIBLE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "it is behind: INDELIBLE_UPDATE_DOCS=1 cargo test -p indelible-server reference"
    );
}

#[test]
fn every_name_is_one_metric_and_ends_as_its_kind_does() {
    let outbox = indelible_outbox::METRICS;
    let all = [METRICS.as_slice(), indelible_emit::METRICS, outbox].concat();
    for (at, metric) in all.iter().enumerate() {
        let name = metric.name;
        let same = |other: &Metric| other.name == name;
        assert_eq!(all.iter().position(same), Some(at), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "{name}"
        );
        assert!(
            metric.kind != Kind::Histogram || name.ends_with("_seconds"),
            "{name}"
        );
        assert!(
            metric.help.ends_with('.') && !metric.help.contains('|'),
            "{name}"
        );
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (head, metrics) in [
        (SERVER, METRICS.as_slice()),
        (EMITTER, indelible_emit::METRICS),
        (OUTBOX, indelible_outbox::METRICS),
    ] {
        page.push_str(head);
        page.push_str("| metric | | labels | |\n|---|---|---|---|\n");
        for Metric {
            name,
            kind,
            help,
            labels,
        } in metrics
        {
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            let (kind, labels) = (kind.as_str(), labels.join(" "));
            writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
        }
    }
    page
}
