//! Metrics as Prometheus scrapes them: what each is called and means, and the page of their values.
//!
//! The server and the emitter write the same form, each from a table of its own, which is also what
//! `docs/metrics.md` is made from. Not here: counting. A label's values must be few, and nobody's
//! names: that is up to who writes. Source: Prometheus, "Exposition formats", text format 0.0.4.

use std::fmt::{Display, Write as _};

/// Content type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows, and begins anew with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many durations were no longer than each of some bounds.
    Histogram,
}

/// A metric's name and meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it says, as a sentence.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// Durations by length.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    /// Upper bounds, in seconds, ascending.
    pub bounds_s: &'a [f64],
    /// How many are within each bound and beyond the one before, and in the end how many are beyond
    /// all.
    pub counts: &'a [u64],
    /// How long they were together, in microseconds.
    pub sum_us: u64,
}

/// A page of metrics, each at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    text: String,
}

/// The values of a metric on its page.
#[derive(Debug)]
pub struct Values<'a> {
    text: &'a mut String,
    metric: &'a Metric,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Metric {
    /// A counter; its name ends with `_total`.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::of(name, Kind::Counter, labels, help)
    }

    /// A gauge.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::of(name, Kind::Gauge, labels, help)
    }

    /// A histogram; its name ends with `_seconds`.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::of(name, Kind::Histogram, labels, help)
    }

    const fn of(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            help,
            labels,
        }
    }
}

impl Page {
    /// Begins a metric; its values follow before the next is begun.
    pub fn metric<'a>(&'a mut self, metric: &'a Metric) -> Values<'a> {
        let Metric { name, help, .. } = metric;
        let kind = metric.kind.as_str();
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Values {
            text: &mut self.text,
            metric,
        }
    }

    /// A metric without labels.
    pub fn single(&mut self, metric: &Metric, value: impl Display) {
        self.metric(metric).value(&[], value);
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Values<'_> {
    /// The value where the labels have these values, in the order of their names.
    pub fn value(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The durations where the labels have these values.
    pub fn times(&mut self, labels: &[&str], times: Times<'_>) {
        let mut within = 0;
        for (bound, count) in times.bounds_s.iter().zip(times.counts) {
            within += count;
            self.line("_bucket", labels, Some(&bound.to_string()), within);
        }
        let all: u64 = times.counts.iter().sum();
        self.line("_bucket", labels, Some("+Inf"), all);
        let (whole, part) = (times.sum_us / 1_000_000, times.sum_us % 1_000_000);
        self.line("_sum", labels, None, format_args!("{whole}.{part:06}"));
        self.line("_count", labels, None, all);
    }

    fn line(&mut self, part: &str, labels: &[&str], bound: Option<&str>, value: impl Display) {
        debug_assert_eq!(
            labels.len(),
            self.metric.labels.len(),
            "{}",
            self.metric.name
        );
        let _ = write!(self.text, "{}{part}", self.metric.name);
        let pairs = self
            .metric
            .labels
            .iter()
            .copied()
            .zip(labels.iter().copied());
        let mut before = '{';
        for (name, value) in pairs.chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.text, "{before}{name}=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_form_that_is_scraped() {
        let mut page = Page::default();
        page.single(&Metric::gauge("a_size", &[], "What\nwaits."), 3);
        let total = Metric::counter("b_total", &["service", "reason"], "Events.");
        let mut values = page.metric(&total);
        values.value(&["a \"b\" \\ c\nd", "full"], 7);
        let took = Metric::histogram("c_seconds", &["service"], "How long.");
        let times = Times {
            bounds_s: &[0.005, 1.0],
            counts: &[1, 0, 2],
            sum_us: 3_000_009,
        };
        page.metric(&took).times(&["x"], times);
        let text = "\
# HELP a_size What\\nwaits.
# TYPE a_size gauge
a_size 3
# HELP b_total Events.
# TYPE b_total counter
b_total{service=\"a \\\"b\\\" \\\\ c\\nd\",reason=\"full\"} 7
# HELP c_seconds How long.
# TYPE c_seconds histogram
c_seconds_bucket{service=\"x\",le=\"0.005\"} 1
c_seconds_bucket{service=\"x\",le=\"1\"} 1
c_seconds_bucket{service=\"x\",le=\"+Inf\"} 3
c_seconds_sum{service=\"x\"} 3.000009
c_seconds_count{service=\"x\"} 3
";
        assert_eq!(page.into_text(), text);
    }
}
