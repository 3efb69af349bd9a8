//! `docs/query.md` says what is so: its queries are read, its mistakes refused, its examples find
//! what it says, its table has every qualifier.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::{EventView, Field};
use indelible_merkle::{Frontier, Hash};
use indelible_query::{ParseContext, QUALIFIERS, page, parse, resolve};
use indelible_store::conformance::generate::new_record;
use indelible_store::memory::MemoryLedger;
use indelible_store::{Append, Commit, Expected, Head, Ledger as _};

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/query.md");
    std::fs::read_to_string(path).unwrap()
}

/// The lines of all fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let (document, fence) = (document(), format!("```{language}"));
    let mut lines = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match line {
            "```" => inside = false,
            line if line.starts_with("```") => inside = line == fence,
            line if inside => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

/// The rows of the table with this head, as cells.
fn table(head: &str) -> Vec<Vec<String>> {
    let document = document();
    let rows = document.lines().skip_while(|line| *line != head).skip(2);
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

fn context() -> ParseContext {
    ParseContext::utc(Micros::parse("2026-11-20T10:30:00Z").unwrap())
}

/// The page's records, committed.
fn ledger(tenant: &TenantId) -> MemoryLedger {
    let mut head = Head {
        frontier: Frontier::new(),
        last_hash: Hash::ZERO,
        last_ingested_at: Micros(0),
    };
    let lines = blocks("ndjson");
    let records = lines.iter().map(|line| {
        let event = EventView::parse(line.as_bytes()).unwrap();
        let id = AuditId::parse(&event.text(Field::AuditId).unwrap()).unwrap();
        let occurred_at = Micros::parse(&event.text(Field::OccurredAt).unwrap()).unwrap();
        new_record(
            tenant,
            &mut head,
            line.as_bytes(),
            (id, occurred_at, occurred_at),
            Vec::new(),
        )
    });
    let records: Vec<_> = records.collect();
    let expected = Expected {
        size: 0,
        last_hash: Hash::ZERO,
    };
    let ledger = MemoryLedger::new();
    let append = Append {
        tenant: tenant.clone(),
        expected,
        records,
        head,
    };
    ledger
        .append(&Commit {
            appends: vec![append],
        })
        .unwrap();
    ledger
}

#[test]
fn every_query_is_read_and_every_mistake_refused() {
    let queries = blocks("query");
    assert!(queries.len() >= 8);
    for text in queries {
        assert!(parse(&text, &context()).is_ok(), "{text}");
    }
    let mistakes = blocks("query-error");
    assert!(mistakes.len() >= 12);
    for text in mistakes {
        assert_eq!(
            parse(&text, &context()).expect_err(&text).len(),
            1,
            "{text}"
        );
    }
}

#[test]
fn every_example_finds_what_it_says() {
    let tenant = TenantId::parse("acme").unwrap();
    let ledger = ledger(&tenant);
    let examples = table("| query | finds |");
    assert!(examples.len() >= 40);
    for cells in examples {
        let text = code(&cells[1]);
        let parsed = parse(text, &context()).unwrap_or_else(|e| panic!("{text}: {}", e[0]));
        let query = resolve(&parsed, std::slice::from_ref(&tenant), None).query;
        let rows = page(&ledger, &ledger, &query, None, 100).unwrap().rows;
        let found: Vec<_> = rows
            .iter()
            .map(|r| r.place.sequence_number.to_string())
            .collect();
        assert_eq!(found.join(" "), cells[2], "{text}");
    }
}

#[test]
fn every_qualifier_is_in_the_table_with_its_values() {
    let rows = table("| qualifier | finds |");
    assert_eq!(rows.len(), QUALIFIERS.len());
    for (cells, qualifier) in rows.iter().zip(QUALIFIERS) {
        assert_eq!(code(&cells[1]), format!("{}:", qualifier.name));
        let mut help = qualifier.help.to_owned();
        if !qualifier.values.is_empty() {
            let values: Vec<_> = qualifier.values.iter().map(|v| format!("`{v}`")).collect();
            help = format!("{help}: {}", values.join(", "));
        }
        assert_eq!(cells[2], help, "{}", qualifier.name);
    }
}

#[test]
fn the_drawn_error_is_the_one_that_is_drawn() {
    let errors = parse("actor:a acter:bob", &context()).unwrap_err();
    assert!(document().contains(&format!("```\n{}\n```", errors[0])));
}
