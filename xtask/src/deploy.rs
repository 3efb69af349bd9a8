//! The files of `deploy/`: Prometheus' own tool on the rules, on their tests, and on what the
//! server and a program that emits really tell; and that every metric they name is one that there
//! is.

#![expect(clippy::print_stdout, reason = "a command line speaks to its user")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::serving::{Place, Serving};
use crate::steps::WITH_FEATURES;
use crate::tools::{Stop, needed, succeed};

const FOLDER: &str = "deploy/prometheus";
const RULES: &str = "deploy/prometheus/alerts.yml";
const TESTS: &str = "deploy/prometheus/alerts_test.yml";
const DASHBOARD: &str = "deploy/grafana/dashboard.json";
/// What each metric means, made from the code.
const REFERENCE: &str = "docs/metrics.md";
/// What to do at each alert.
const PAGE: &str = "docs/operating.md";

/// An event for the server, so that its figures are of something.
const EVENT: &str = r#"{"actor":{"id":"ada","type":"user"},"event_type":"document.viewed","occurred_at":"2026-01-15T10:00:00Z","outcome":"success","target":{"id":"1","type":"document"}}"#;

/// Runs it; returns how many checks there were.
///
/// # Errors
/// When the machine lacks promtool, or anything is not as it should be.
pub fn run(root: &Path) -> Result<u64, Stop> {
    let install = "apt-get install prometheus, or take promtool alone out of its package";
    needed("promtool", install)?;
    named(root)?;
    let folder = root.join(FOLDER);
    let checks: [&[&str]; 3] = [
        &["check", "rules", "alerts.yml"],
        &["check", "config", "prometheus.yml"],
        &["test", "rules", "alerts_test.yml"],
    ];
    for arguments in checks {
        let mut promtool = Command::new("promtool");
        succeed(promtool.args(arguments).current_dir(&folder))
            .map_err(|failure| format!("promtool {}: {failure}", arguments.join(" ")))?;
    }
    let place = Place::make(root, "deploy")?;
    check(&place, "server", &told_by_server(root, &place)?)?;
    check(&place, "emitter", &told_by_emitter(root, &place)?)?;
    Ok(6)
}

fn told_by_server(root: &Path, place: &Place) -> Result<String, Stop> {
    let build = ["build", "-p", "indelible-cli"];
    succeed(Command::new(env!("CARGO")).args(build).current_dir(root))?;
    let mut server = place.serve()?;
    server.ask("POST", "/v1/events", EVENT)?;
    let text = server.ask("GET", "/metrics", "")?;
    server.stop()?;
    Ok(text)
}

fn told_by_emitter(root: &Path, place: &Place) -> Result<String, Stop> {
    // As the tests of features build it, so that it is built once.
    let build = format!("build {WITH_FEATURES} --example axum_server");
    let mut cargo = Command::new(env!("CARGO"));
    succeed(cargo.args(build.split(' ')).current_dir(root))?;
    let mut program = place.program(root.join("target/debug/examples/axum_server"));
    program.args(["audit", "127.0.0.1:0"]);
    let program = Serving::start(&mut program)?;
    program.ask("GET", "/posts/1", "")?;
    program.ask("GET", "/metrics", "")
}

/// Has promtool read a page of metrics.
fn check(place: &Place, whose: &str, text: &str) -> Result<(), Stop> {
    let path = place.path.join(format!("{whose}.prom"));
    let failed = |error: std::io::Error| format!("the metrics of the {whose}: {error}");
    fs::write(&path, text).map_err(failed)?;
    let page = fs::File::open(&path).map_err(failed)?;
    let mut promtool = Command::new("promtool");
    let lines = text.lines().count();
    println!(
        "{lines} lines of metrics of the {whose}: {}",
        path.display()
    );
    succeed(promtool.args(["check", "metrics"]).stdin(Stdio::from(page)))
        .map_err(|failure| Stop::Failed(format!("promtool check metrics, {whose}: {failure}")))
}

/// Every metric that the files name is in the reference, and every alert has its test and its
/// section.
fn named(root: &Path) -> Result<(), String> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("cannot read {path}: {error}"))
    };
    let known = metrics(&read(REFERENCE)?);
    let dashboard = read(DASHBOARD)?;
    let queries = queries(&dashboard).map_err(|error| format!("{DASHBOARD}: {error}"))?;
    for (path, text) in [(RULES, read(RULES)?), (DASHBOARD, queries)] {
        let named = metrics(&text);
        let part = ["_bucket", "_sum", "_count"];
        let is_known = |name: &String| {
            let whole = part.iter().find_map(|part| name.strip_suffix(part));
            known.contains(name) || whole.is_some_and(|whole| known.contains(whole))
        };
        if named.is_empty() {
            return Err(format!("{path} names no metric"));
        }
        if let Some(unknown) = named.iter().find(|name| !is_known(name)) {
            return Err(format!(
                "{path} names {unknown}, which is not in {REFERENCE}"
            ));
        }
    }
    let (tests, page) = (read(TESTS)?, read(PAGE)?);
    for alert in alerts(&read(RULES)?) {
        if !tests.contains(&format!("alertname: {alert}\n        exp_alerts")) {
            return Err(format!("{TESTS} has no case in which {alert} fires"));
        }
        if !page.contains(&format!("`{alert}`")) {
            return Err(format!("{PAGE} does not say what to do at {alert}"));
        }
    }
    Ok(())
}

/// Everything in a text that is called as our metrics are.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("audit_") || word.starts_with("indelible_");
    words.filter(ours).map(str::to_owned).collect()
}

fn alerts(rules: &str) -> impl Iterator<Item = &str> {
    rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
}

/// The queries of a dashboard, one a line; of its panels and of its variables.
fn queries(dashboard: &str) -> Result<String, String> {
    let dashboard: Value = serde_json::from_str(dashboard).map_err(|error| error.to_string())?;
    let panels = dashboard["panels"].as_array().ok_or("has no panels")?;
    let variables = dashboard["templating"]["list"].as_array();
    let mut queries = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().filter(|all| !all.is_empty());
        let targets =
            targets.ok_or_else(|| format!("the panel {} asks nothing", panel["title"]))?;
        queries.extend(targets.iter().map(|target| &target["expr"]));
    }
    let variables = variables.into_iter().flatten();
    queries.extend(variables.map(|variable| &variable["query"]["query"]));
    let texts: Vec<_> = queries.into_iter().filter_map(Value::as_str).collect();
    Ok(texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_name_what_there_is() {
        named(&crate::source::root()).unwrap();
    }

    #[test]
    fn metrics_are_told_from_other_words() {
        let text = "sum(rate(audit_a_total{service=\"x\"}[5m])) / indelible_b > rate\n`audit_c`";
        let names = ["audit_a_total", "audit_c", "indelible_b"].map(str::to_owned);
        assert_eq!(metrics(text), BTreeSet::from(names));
        let rules = "groups:\n  - alert: One\n    expr: x\n  - alert: Two\n";
        assert_eq!(alerts(rules).collect::<Vec<_>>(), ["One", "Two"]);
    }

    #[test]
    fn a_dashboard_that_asks_nothing_is_told() {
        let panel =
            |rest: &str| format!("{{\"panels\":[{{\"title\":\"A\",\"type\":\"stat\"{rest}}}]}}");
        assert!(
            queries(&panel(""))
                .unwrap_err()
                .contains("\"A\" asks nothing")
        );
        let asks = panel(",\"targets\":[{\"expr\":\"audit_x\"}]");
        assert_eq!(queries(&asks).as_deref(), Ok("audit_x"));
        assert!(queries("{").is_err());
    }
}
