//! What is written is read back by others' readers: the `csv` crate, Parquet's own, a JSON parser.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::canonicalize;
use indelible_event::ids::{Micros, TenantId};
use indelible_event::{LeafHead, write_leaf};
use indelible_export::{Columns, File, Format, Row, plain};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A leaf, and its event as it is shown.
type Record = (Vec<u8>, Vec<u8>);

fn record(number: u64, event: &Value) -> Record {
    let canonical = |event: &Value| {
        let text = event.to_string();
        canonicalize(text.as_bytes()).unwrap().into_owned()
    };
    // What is shown of a record may be longer than its leaf.
    let mut stored = event.clone();
    stored["actor"] = json!({"type": "user"});
    stored["data"] = Value::Null;
    let tenant = TenantId::parse("acme").unwrap();
    let head = LeafHead {
        ingested_at: Micros(1_770_000_000_000_000),
        ledger: br#"{"via":"http"}"#,
        previous_hash: &[7; 32],
        sequence_number: number,
        tenant_id: &tenant,
    };
    let mut leaf = Vec::new();
    write_leaf(&mut leaf, &canonical(&stored), &head).unwrap();
    (leaf, canonical(event))
}

fn written(format: Format, columns: &str, records: &[Record]) -> Vec<u8> {
    let columns = Columns::parse(columns).unwrap();
    let mut file = File::start(format, &columns, Vec::new()).unwrap();
    for (leaf, event) in records {
        file.row(&Row { leaf, event }).unwrap();
    }
    file.finish().unwrap()
}

/// Names and rows, as another's reader has them.
fn read(csv: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(csv);
    let texts = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let names = texts(reader.headers().unwrap());
    let rows = reader.records().map(|row| texts(&row.unwrap()));
    (names, rows.collect())
}

fn hostile() -> Vec<String> {
    let mut texts: Vec<_> = [
        "=cmd|' /C calc'!A0",
        "=HYPERLINK(\"http://x\",\"y\")",
        "+1+1",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "'quoted",
        "a \"b\" c",
        "\"",
        ",",
        "a;=1",
        "one\r\ntwo\nthree\rfour",
        "a\0b",
        "\0=1",
        "\u{202e}gnp.exe",
        "\u{202e}=1",
        "\u{feff}=1",
        "＝1",
        "\u{e0001}=1",
        "\u{34f}=1",
        "\u{3164}@1",
        "﹦1",
        "−1",
        " padded ",
        "",
        "null",
        "true",
        "1e5",
    ]
    .map(str::to_owned)
    .into();
    texts.push("=\",\r\n\0\u{202e}".repeat(4_000));
    texts
}

fn event(text: &str) -> Value {
    json!({
        "actor": {"id": text, "name": text, "type": "user"},
        "audit_id": "019a9b00-0000-7000-8000-000000000001",
        "data": {"text": text, "n": 1.50},
        "event_type": "document.viewed",
        "occurred_at": "2026-01-20T09:00:00+01:00",
        "outcome": "success",
        "performance": {"duration_ms": 12.5},
        "security": {"is_sensitive": true},
        "ai": {"total_tokens": u64::MAX},
    })
}

#[test]
fn no_hostile_text_is_a_formula_and_every_one_is_read_back() {
    let texts = hostile();
    let records: Vec<_> = (0..)
        .zip(&texts)
        .map(|(n, text)| record(n, &event(text)))
        .collect();
    let columns = "sequence_number,actor.id,actor.name,data,performance.duration_ms,target.id";
    let csv = written(Format::Csv, columns, &records);
    let (names, rows) = read(&csv);
    assert_eq!(names.join(","), columns);
    assert_eq!(rows.len(), texts.len());
    for (number, (row, text)) in rows.iter().zip(&texts).enumerate() {
        assert_eq!(row[0], number.to_string());
        assert_eq!(plain(&row[1]), text, "{text:?}");
        assert_eq!(plain(&row[2]), text, "the name stands in its place");
        let data: Value = serde_json::from_str(&row[3]).unwrap();
        assert_eq!(data["text"], text.as_str());
        assert_eq!(row[4], "12.5");
        assert_eq!(row[5], "");
        for cell in row {
            let seen = cell.trim_start_matches(|c: char| {
                let unseen = "\u{feff}\u{202e}\u{e0001}\u{34f}\u{3164}";
                c.is_whitespace() || c.is_control() || unseen.contains(c)
            });
            assert!(
                !seen.starts_with(['=', '+', '-', '@', '＝', '﹦', '−']),
                "{cell:?}"
            );
        }
    }
    // RFC 4180: every line ends with CR LF, the last one too.
    assert!(csv.starts_with(format!("{columns}\r\n").as_bytes()));
    assert!(csv.ends_with(b"\r\n"));
}

/// Events with what applications put into them.
fn paths() -> (&'static str, Vec<Record>, Vec<[&'static str; 6]>) {
    let mut first = event("x");
    first["data"] = json!({"amount": 0, "to": "-5", "items": [{"sku": "X"}, {"sku": 7}, {}]});
    first["changes"] = json!({"after": {"status": "=live"}, "fields": ["status"]});
    first["metadata"] = json!({"a.b": {"z": true, "a": null}});
    let mut second = event("x");
    second["data"] = json!({"amount": -5, "to": {"b": 1}, "items": "none"});
    second["changes"] = json!({"status": {"new": null}});
    let records = [first, second].map(|event| {
        // A number that no machine number is.
        let text = event
            .to_string()
            .replace("\"amount\":0", "\"amount\":12345678901234567.50");
        let (leaf, _) = record(0, &event);
        (leaf, canonicalize(text.as_bytes()).unwrap().into_owned())
    });
    let columns =
        r"data.amount,data.to,data.items.sku,changes.after.status,metadata.a\.b,data.items.0";
    let rows = vec![
        [
            "12345678901234567.50",
            "-5",
            r#"["X",7]"#,
            "=live",
            r#"{"a":null,"z":true}"#,
            r#"{"sku":"X"}"#,
        ],
        ["-5", r#"{"b":1}"#, "", "", "", ""],
    ];
    (columns, records.into(), rows)
}

#[test]
fn paths_lead_to_what_applications_put_there() {
    let (columns, records, wanted) = paths();
    let csv = written(Format::Csv, columns, &records);
    let (names, rows) = read(&csv);
    assert_eq!(names.join(","), columns);
    let plain = |row: &Vec<String>| row.iter().map(|cell| plain(cell).to_owned()).collect();
    let read: Vec<Vec<String>> = rows.iter().map(plain).collect();
    assert_eq!(read, wanted);
    // Digits of a text are a text, and a number is a number.
    assert_eq!((&rows[0][1][..], &rows[1][0][..]), ("'-5", "-5"));
    assert_eq!(rows[0][3], "'=live");
}

#[test]
fn a_row_of_one_empty_cell_is_no_blank_line() {
    let records: Vec<_> = (0..3).map(|n| record(n, &event("Ada"))).collect();
    let csv = written(Format::Csv, "target.id", &records);
    assert_eq!(
        String::from_utf8(csv.clone()).unwrap(),
        "target.id\r\n\"\"\r\n\"\"\r\n\"\"\r\n"
    );
    let (_, rows) = read(&csv);
    assert_eq!(rows, [[""], [""], [""]]);
}

#[test]
fn lines_are_the_leaves_and_the_records_as_shown() {
    let records: Vec<_> = (0..3).map(|n| record(n, &event("Ada"))).collect();
    let leaves = written(Format::Leaves, "", &records);
    let all: Vec<_> = leaves
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .collect();
    assert!(
        all.iter()
            .zip(&records)
            .all(|(line, (leaf, _))| line == leaf)
    );
    let joined = written(Format::Joined, "", &records);
    for (number, line) in std::str::from_utf8(&joined).unwrap().lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["event"]["actor"]["name"], "Ada");
        assert_eq!(line["sequence_number"], number);
    }
    assert!(!String::from_utf8(leaves).unwrap().contains("name"));
}

#[test]
fn what_is_no_record_is_refused_and_nothing_is_written_of_it() {
    let columns = Columns::usual();
    for format in [Format::Joined, Format::Csv] {
        let mut file = File::start(format, &columns, Vec::new()).unwrap();
        let before = file.inner_mut().len();
        let row = Row {
            leaf: b"{}",
            event: b"{}",
        };
        let refused = file.row(&row).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(file.finish().unwrap().len(), before);
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_parquet_it_says_what_to_build() {
    let refused = File::start(Format::Parquet, &Columns::usual(), Vec::new()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
    assert!(refused.to_string().contains("--features full"));
}

#[cfg(feature = "parquet")]
mod parquet {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;

    use super::*;

    /// The rows, each a list of names and values.
    pub fn read(bytes: Vec<u8>) -> Vec<Vec<(String, Field)>> {
        let bytes = ::parquet::file::reader::SerializedFileReader::new(bytes::Bytes::from(bytes));
        let reader: SerializedFileReader<_> = bytes.unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let row = |row: ::parquet::record::Row| row.into_columns();
        rows.map(|it| row(it.unwrap())).collect()
    }

    #[test]
    fn every_hostile_text_and_type_is_read_back() {
        let texts = hostile();
        let mut records: Vec<_> = (0..)
            .zip(&texts)
            .map(|(n, text)| record(n, &event(text)))
            .collect();
        let mut other = event("x");
        other["performance"]["duration_ms"] = json!("twelve");
        other["occurred_at"] = json!("yesterday");
        records.push(record(99, &other));
        let rows = read(written(Format::Parquet, "all", &records));
        assert_eq!(rows.len(), records.len());
        let cell = |row: &[(String, Field)], name: &str| {
            row.iter()
                .find(|(known, _)| known == name)
                .unwrap()
                .1
                .clone()
        };
        let text = |field: Field| match field {
            Field::Str(text) => text,
            Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        for (row, wanted) in rows.iter().zip(&texts) {
            assert_eq!(text(cell(row, "actor.id")), *wanted);
            assert_eq!(text(cell(row, "actor.name")), *wanted);
            assert_eq!(cell(row, "performance.duration_ms"), Field::Double(12.5));
            assert_eq!(cell(row, "security.is_sensitive"), Field::Bool(true));
            assert_eq!(cell(row, "ai.total_tokens"), Field::ULong(u64::MAX));
            let at = Micros::parse("2026-01-20T08:00:00Z").unwrap();
            assert_eq!(cell(row, "occurred_at"), Field::TimestampMicros(at.0));
            assert_eq!(cell(row, "target.id"), Field::Null);
        }
        let last = rows.last().unwrap();
        assert_eq!(cell(last, "performance.duration_ms"), Field::Null);
        assert_eq!(cell(last, "occurred_at"), Field::Null);
        let event: Value = serde_json::from_str(&text(cell(last, "event"))).unwrap();
        assert_eq!(event["performance"]["duration_ms"], "twelve");
    }

    #[test]
    fn paths_are_texts() {
        let (columns, records, wanted) = paths();
        let rows = read(written(Format::Parquet, columns, &records));
        for (row, wanted) in rows.iter().zip(&wanted) {
            for ((_, cell), wanted) in row.iter().zip(wanted) {
                match cell {
                    Field::Null => assert_eq!(*wanted, ""),
                    Field::Str(text) => assert_eq!(text, wanted),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(rows.len(), wanted.len());
    }

    #[test]
    fn many_rows_are_several_groups_and_none_is_a_table_too() {
        let one = record(7, &event(&"x".repeat(60_000)));
        let records = vec![one; 700];
        let bytes = written(Format::Parquet, "sequence_number,actor.id", &records);
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
        assert!(reader.metadata().num_row_groups() > 1);
        assert_eq!(read(bytes).len(), 700);
        assert_eq!(
            read(written(Format::Parquet, "", &[])),
            Vec::<Vec<_>>::new()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_text_is_read_back(
        texts in prop::collection::vec("[\\PC\r\n\t\0=+@'\",;-]{0,40}", 1..8),
    ) {
        let records: Vec<_> = (0..).zip(&texts).map(|(n, t)| record(n, &event(t))).collect();
        let (_, rows) = read(&written(Format::Csv, "actor.id,event", &records));
        prop_assert_eq!(rows.len(), texts.len());
        for (row, text) in rows.iter().zip(&texts) {
            prop_assert_eq!(plain(&row[0]), text);
            let event: Value = serde_json::from_str(&row[1]).unwrap();
            prop_assert_eq!(&event["actor"]["name"], text);
        }
    }
}
