//! What a run found: figures with their targets and what they are to be compared with, as a table
//! for people and as one JSON document for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::machine::Machine;

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Target {
    /// Whether `value` reaches it.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Which part of the benchmark.
    pub part: &'static str,
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What it is to reach.
    pub target: Option<Target>,
    /// How it stands to another figure: the factor, and to what.
    pub ratio: Option<(f64, String)>,
}

/// All figures of a run.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    settings: Value,
    figures: Vec<Figure>,
    notes: Vec<(&'static str, String)>,
}

impl Report {
    /// A report without figures; `settings` are what the run was asked for.
    pub fn new(machine: Machine, settings: Value) -> Self {
        Self {
            machine,
            settings,
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds a figure without target and ratio.
    pub fn plain(&mut self, part: &'static str, name: &str, value: f64, unit: &'static str) {
        let name = name.to_owned();
        self.figure(Figure {
            part,
            name,
            value,
            unit,
            target: None,
            ratio: None,
        });
    }

    /// Adds a figure with its target.
    pub fn aimed(
        &mut self,
        part: &'static str,
        name: &str,
        (value, unit): (f64, &'static str),
        target: Target,
    ) {
        self.plain(part, name, value, unit);
        if let Some(figure) = self.figures.last_mut() {
            figure.target = Some(target);
        }
    }

    /// Adds a remark.
    pub fn note(&mut self, part: &'static str, text: String) {
        self.notes.push((part, text));
    }

    /// The value of a figure that was added.
    pub fn value(&self, part: &str, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|f| f.part == part && f.name == name)
            .map(|f| f.value)
    }

    /// Says how a figure stands to another one: `value ÷ other`.
    pub fn compare(&mut self, part: &str, name: &str, other: (&str, &str), said: &str) {
        let Some(base) = self.value(other.0, other.1).filter(|base| *base > 0.0) else {
            return;
        };
        if let Some(figure) = self
            .figures
            .iter_mut()
            .find(|f| f.part == part && f.name == name)
        {
            figure.ratio = Some((figure.value / base, said.to_owned()));
        }
    }

    /// The report as a table.
    pub fn table(&self) -> String {
        let mut out = format!("{}\n", self.machine.line());
        let mut parts: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !parts.contains(&figure.part) {
                parts.push(figure.part);
            }
        }
        for part in parts {
            let _ = writeln!(out, "\n{part}");
            for figure in self.figures.iter().filter(|figure| figure.part == part) {
                let _ = writeln!(out, "{}", line(figure));
            }
            for (_, text) in self.notes.iter().filter(|(of, _)| *of == part) {
                let _ = writeln!(out, "  ({text})");
            }
        }
        out
    }

    /// The report as one JSON document.
    pub fn json(&self) -> Value {
        let machine = &self.machine;
        let figures: Vec<Value> = self.figures.iter().map(figure_json).collect();
        let notes: Vec<Value> = self
            .notes
            .iter()
            .map(|(part, text)| json!({"part": part, "text": text}))
            .collect();
        json!({
            "machine": {
                "cores": machine.cores,
                "processor": machine.processor,
                "sha_instructions": machine.sha_instructions,
                "memory_bytes": machine.memory_bytes,
                "kernel": machine.kernel,
                "file_system": machine.file_system,
                "load_before": machine.load,
            },
            "settings": self.settings,
            "figures": figures,
            "notes": notes,
        })
    }
}

fn line(figure: &Figure) -> String {
    let target = figure.target.map_or_else(String::new, |target| {
        let (sign, bound) = match target {
            Target::AtLeast(bound) => ("≥", bound),
            Target::AtMost(bound) => ("≤", bound),
        };
        let met = if target.is_met(figure.value) {
            "met"
        } else {
            "NOT met"
        };
        format!("{sign} {} {met}", number(bound))
    });
    let ratio = figure
        .ratio
        .as_ref()
        .map_or_else(String::new, |(factor, to)| {
            format!("{} × {to}", number(*factor))
        });
    let (name, value) = (&figure.name, number(figure.value));
    let text = format!(
        "  {name:<44} {value:>12} {:<10} {target:<18} {ratio}",
        figure.unit
    );
    text.trim_end().to_owned()
}

fn figure_json(figure: &Figure) -> Value {
    let target = figure.target.map(|target| match target {
        Target::AtLeast(bound) => json!({"at_least": bound, "met": target.is_met(figure.value)}),
        Target::AtMost(bound) => json!({"at_most": bound, "met": target.is_met(figure.value)}),
    });
    let ratio = figure
        .ratio
        .as_ref()
        .map(|(factor, to)| json!({"factor": factor, "to": to}));
    json!({
        "part": figure.part,
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "target": target,
        "ratio": ratio,
    })
}

/// A number with as many digits as say something, thousands set apart.
pub fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 1_000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn numbers_are_written_to_be_read() {
        assert_eq!(number(0.456), "0.46");
        assert_eq!(number(45.67), "45.7");
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(999.96), "1000.0");
    }

    #[test]
    fn a_report_says_what_is_not_met_and_how_figures_stand_to_each_other() {
        let machine = Machine::look(&std::env::temp_dir());
        let mut report = Report::new(machine, json!({"events": 5}));
        report.figure(Figure {
            part: "append",
            name: "ours".to_owned(),
            value: 100.0,
            unit: "events/s",
            target: Some(Target::AtLeast(200.0)),
            ratio: None,
        });
        report.plain("append", "peer", 10.0, "events/s");
        report.compare("append", "ours", ("append", "peer"), "peer");
        let table = report.table();
        assert!(
            table.contains("≥ 200.0 NOT met") && table.contains("10.0 × peer"),
            "{table}"
        );
        let json = report.json();
        assert_eq!(json["figures"][0]["target"]["met"], false);
        assert_eq!(json["figures"][0]["ratio"]["factor"], 10.0);
        assert_eq!(json["settings"]["events"], 5);
    }
}
