//! One changed byte, in any file of the data directory: found, named, and mended if it can be.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_store::{Index, Ledger, Stored};
use serde_json::Value;
use support::Place;

fn ledger() -> Place {
    let place = Place::new();
    // Small batches: a log's records lie in several frames.
    place.file("indelible.toml", "[import]\nbatch_records = 25\n");
    place.file("a.json", support::cloudtrail_file(0..200));
    place.file("bad.ndjson", "{broken\n");
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.ok("import --format cloudtrail a.json --tenant beta");
    place.ends(1, "import --format ndjson bad.ndjson --tenant beta");
    place
}

/// Files whose every byte is under a checksum; the lock holds none, and free pages of the state
/// store hold nothing.
fn checked(place: &Place) -> Vec<PathBuf> {
    let data = place.at("indelible-data");
    let skipped = |path: &PathBuf| {
        path.ends_with("LOCK")
            || path
                .extension()
                .is_some_and(|extension| extension == "redb")
    };
    support::files_below(&data)
        .into_iter()
        .filter(|path| !skipped(path))
        .collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_untouched_directory_is_clean() {
    let place = ledger();
    let ran = place.ok("fsck");
    assert!(ran.out.contains("sound"), "{}", ran.out);
    place.ok("verify");
}

#[test]
fn one_flipped_byte_anywhere_is_found_and_mended_where_it_can_be() {
    let place = ledger();
    let data = place.at("indelible-data");
    support::copy_dir(&data, &place.at("whole"));
    let mut seen = 0;
    for file in checked(&place) {
        let length = std::fs::metadata(&file).unwrap().len();
        let length = usize::try_from(length).unwrap();
        for at in [0, length / 3, length.saturating_sub(1)] {
            if at >= length {
                continue;
            }
            flip(&file, at);
            let name = file.strip_prefix(&data).unwrap().display().to_string();
            let ran = place.run("fsck --json");
            assert!(
                matches!(ran.code, 1 | 3),
                "{name} byte {at}: {} {}",
                ran.out,
                ran.err
            );
            let verified = place.run("verify");
            assert!(
                matches!(verified.code, 1 | 3),
                "{name} byte {at}: {}",
                verified.out
            );
            if ran.out.contains("derived-damaged") && !ran.out.contains("\"corrupt\"") {
                place.ok("fsck --repair");
                place.ok("verify");
            }
            std::fs::remove_dir_all(&data).unwrap();
            support::copy_dir(&place.at("whole"), &data);
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen}");
    place.ok("verify");
}

#[test]
fn a_damaged_record_is_named_by_tenant_and_number_and_its_neighbours_are_read() {
    let place = ledger();
    let journal = checked(&place)
        .into_iter()
        .filter(|path| path.parent().unwrap().ends_with("journal"))
        .max_by_key(|path| std::fs::metadata(path).unwrap().len())
        .unwrap();
    let length = usize::try_from(std::fs::metadata(&journal).unwrap().len()).unwrap();
    flip(&journal, length / 4);
    let ran = place.ends(1, "verify --json");
    let mut named = 0;
    for line in ran.json() {
        for finding in line["findings"].as_array().into_iter().flatten() {
            assert_eq!(
                finding["finding"], "corrupt",
                "one cause, one finding: {finding}"
            );
            assert!(
                finding["file"].as_str().unwrap().contains("journal"),
                "{finding}"
            );
            named += usize::from(finding["first"].is_u64() && finding["last"].is_u64());
        }
    }
    assert!(named >= 1, "{}", ran.out);
    let found = place.run("query --json --limit 0 tenant:acme,beta");
    assert!(found.json().len() > 100, "the others are still read");
    // The damaged log takes no more records; every other one does, and is published.
    let emit = |tenant: &str| {
        place.run(&format!(
            "emit --tenant {tenant} --actor user:x --action a.b --outcome success"
        ))
    };
    let refused = emit("acme");
    assert_eq!(refused.code, 3, "{}", refused.out);
    assert!(refused.err.contains("acme"), "{}", refused.err);
    let taken = emit("gamma");
    assert_eq!(taken.code, 0, "{}", taken.err);
    let exported = place.ends(1, "export --tenant acme --out acme.ndjson");
    assert!(
        exported.err.contains(" of acme cannot be read: "),
        "{}",
        exported.err
    );
}

/// Files that are gone or cut short hold no damaged byte, and are found all the same.
#[test]
fn lost_and_shortened_files_are_found() {
    let place = ledger();
    let data = place.at("indelible-data");
    support::copy_dir(&data, &place.at("whole"));
    let journal = "journal/00000000000000000000";
    let cut = std::fs::read(data.join(journal)).unwrap();
    for (path, left) in [
        (journal, None),
        (journal, Some(&cut[..cut.len() / 2])),
        ("state.redb", None),
        ("keys/keys.redb", None),
        ("state.redb", Some(&[0; 100][..])),
    ] {
        match left {
            None => std::fs::remove_file(data.join(path)).unwrap(),
            Some(bytes) => std::fs::write(data.join(path), bytes).unwrap(),
        }
        let ran = place.ends(1, "fsck");
        assert!(!ran.out.contains("sound"), "{path}: {}", ran.out);
        std::fs::remove_dir_all(&data).unwrap();
        support::copy_dir(&place.at("whole"), &data);
    }
    place.ok("fsck");
}

/// The only file of the journal becomes the records of a segment, as if it had been full.
fn seal(place: &Place) {
    let data = place.at("indelible-data");
    let journal = data.join("journal/00000000000000000000");
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let disk = Arc::new(RealDisk::new(data.clone()));
    let ledger = Embedded::open(disk, None, options, &mut |_| {}).unwrap();
    let last = ledger.mark().unwrap() - 1;
    let segment = data.join(format!("segments/{:020}-{last:020}", 0));
    std::fs::create_dir_all(&segment).unwrap();
    std::fs::rename(journal, segment.join("records")).unwrap();
    // It names no segment, so that this one would go back to the journal; without it, it is made
    // again from what there is.
    std::fs::remove_file(data.join("segments/MANIFEST")).unwrap();
    place.ok("fsck --repair");
    place.ok("verify");
}

/// What was published and cannot be read any more is named before anything is written or served:
/// by what was published, since nothing that is left says whose it was.
#[test]
fn nothing_is_served_or_written_where_published_records_are_lost() {
    let place = ledger();
    let journal = place.at("indelible-data/journal/00000000000000000000");
    let bytes = std::fs::read(&journal).unwrap();
    let last = memchr::memmem::rfind(&bytes, b"iFRM").unwrap();
    flip(&journal, last + 60);
    for line in [
        "serve --listen 127.0.0.1:0",
        "emit --tenant gamma --actor user:x --action a.b --outcome success",
    ] {
        let refused = place.ends(3, line);
        assert!(refused.err.contains("corrupt: "), "{}", refused.err);
        let place = format!("bytes {last} to {}", bytes.len());
        assert!(refused.err.contains(&place), "{}", refused.err);
        assert!(
            refused.err.contains("restore what is missing"),
            "{}",
            refused.err
        );
    }
}

#[test]
fn what_is_made_again_for_every_read_is_said() {
    let place = ledger();
    seal(&place);
    let says = |text: &str| {
        let ran = place.ok("query --tenant acme --limit 0");
        assert_eq!(ran.err, text);
    };
    says("");
    let made = support::files_below(&place.at("indelible-data/segments"));
    let postings = made.iter().find(|path| path.ends_with("postings")).unwrap();
    std::fs::remove_file(postings).unwrap();
    let name = postings.strip_prefix(place.at("indelible-data")).unwrap();
    let name = name.to_str().unwrap();
    says(&format!(
        "made again in memory, as every read will: {name}; see indelible fsck --repair\n"
    ));
    place.ok("fsck --repair");
    says("");
    // What is not to be made again for good is not promised to be.
    let records = made.iter().find(|path| path.ends_with("records")).unwrap();
    flip(records, std::fs::read(records).unwrap().len() / 2);
    std::fs::remove_file(postings).unwrap();
    let ran = place.run("query --tenant acme --limit 0");
    assert!(!ran.err.contains("fsck --repair"), "{}", ran.err);
}

#[test]
fn a_query_that_may_lack_records_says_which_and_exits_1() {
    let place = ledger();
    let query = "query --json --limit 0 tenant:acme,beta";
    let whole = place.ok(query).json().len();
    for sealed in [false, true] {
        if sealed {
            seal(&place);
            assert_eq!(place.ok(query).json().len(), whole);
        }
        let name = if sealed {
            "records"
        } else {
            "00000000000000000000"
        };
        let files = checked(&place).into_iter();
        let file = files
            .filter(|path| path.ends_with(name))
            .max_by_key(|path| std::fs::metadata(path).unwrap().len())
            .unwrap();
        // The texts of the first record, of one in the middle, and of the last.
        let bytes = std::fs::read(&file).unwrap();
        let texts: Vec<_> = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, window)| *window == 0xFD2F_B528_u32.to_le_bytes())
            .map(|(at, _)| at + 10)
            .collect();
        for at in [texts[0], texts[texts.len() / 2], texts[texts.len() - 1]] {
            flip(&file, at);
            for line in [query, "query --limit 5 tenant:acme,beta"] {
                let ran = place.ends(1, line);
                let why = format!("{line}, byte {at} of {}:\n{}", file.display(), ran.err);
                assert!(ran.err.contains("cannot be read: "), "{why}");
                assert!(ran.err.contains("indelible verify"), "{why}");
                let named = ran.err.contains(" of acme ") || ran.err.contains(" of beta ");
                assert!(named, "{why}");
            }
            let found = place.run(query).json().len();
            assert!(found < whole && found > whole / 2, "{found} of {whole}");
            flip(&file, at);
        }
        assert_eq!(place.ok(query).json().len(), whole);
    }
}

/// Where the first, a middle and the last personal row of a file of records stand, and of which
/// record it is.
fn personal_rows(place: &Place, file: &Path) -> Vec<(usize, String, u64)> {
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let disk = Arc::new(RealDisk::new(place.at("indelible-data")));
    let ledger = Embedded::open(disk, None, options, &mut |_| {}).unwrap();
    let bytes = std::fs::read(file).unwrap();
    let mut rows = Vec::new();
    for name in ["acme", "beta"] {
        let tenant = indelible_event::ids::TenantId::parse(name).unwrap();
        let visit = &mut |stored: Stored<'_>| {
            if let Stored::Record(record) = stored {
                let values = record.sealed.iter().filter(|value| !value.blob);
                let at = values.filter_map(|value| memchr::memmem::find(&bytes, &value.row));
                rows.extend(at.map(|at| (at, name.to_owned(), record.sequence_number)));
            }
            ControlFlow::Continue(())
        };
        ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
    }
    rows.sort();
    rows.dedup_by_key(|(at, ..)| *at);
    assert!(rows.len() > 10, "{} rows", rows.len());
    [0, rows.len() / 2, rows.len() - 1]
        .map(|n| rows[n].clone())
        .to_vec()
}

/// A value that cannot be read is not shown as merely sealed, and a search by it does not pass over
/// the record in silence.
#[test]
fn a_damaged_personal_value_is_told_and_takes_no_record_along() {
    let place = ledger();
    seal(&place);
    let query = "query --json --limit 0 tenant:acme,beta";
    let whole = place.ok(query);
    let files = checked(&place).into_iter();
    let file = files
        .max_by_key(|path| (path.ends_with("records"), path.clone()))
        .unwrap();
    for (at, tenant, number) in personal_rows(&place, &file) {
        let why = format!("byte {at}, record {number} of {tenant}");
        flip(&file, at + 9);
        let ran = place.ends(1, query);
        let said = "personal values of ";
        let told: Vec<_> = told(&ran.err)
            .into_iter()
            .map(|(damage, _)| damage)
            .collect();
        let [damage] = &told[..] else {
            panic!("{why}: {}", ran.err)
        };
        assert!(ran.err.contains(said), "{why}: {}", ran.err);
        assert_eq!(damage.tenant, tenant, "{why}");
        assert!(
            (damage.first..=damage.last).contains(&number),
            "{why}: {damage:?}"
        );
        assert!(ran.err.contains("indelible verify"), "{why}");
        assert_eq!(ran.json().len(), whole.json().len(), "{why}");
        // The value that is not shown any more, and the search for it.
        let the = |lines: Vec<Value>| {
            let of = |line: &Value| {
                line["record"]["tenant_id"] == *tenant
                    && line["record"]["sequence_number"] == number
            };
            lines.into_iter().find(of).unwrap()["record"]["event"]["actor"].clone()
        };
        let (before, after) = (the(whole.json()), the(ran.json()));
        let lost = ["ip", "user_agent"]
            .into_iter()
            .find(|name| before[name] != after[name]);
        let name = lost.unwrap_or_else(|| panic!("{why}: {before} {after}"));
        let qualifier = if name == "ip" { "ip" } else { "agent-string" };
        let text = format!("{qualifier}:\"{}\"", before[name].as_str().unwrap());
        let ran = place.run_args(["query", "--json", "--limit", "0", &text]);
        assert_eq!(ran.code, 1, "{why}: {text}: {}", ran.err);
        assert!(ran.err.contains(said), "{why}: {text}: {}", ran.err);
        let ran = place.ends(1, "verify --json");
        let named = ran.json().into_iter().any(|line| {
            let findings = line["findings"].as_array().cloned().unwrap_or_default();
            findings.iter().all(|f| f["finding"] == "corrupt") && !findings.is_empty()
        });
        assert!(
            named && !ran.out.contains("sealed-value"),
            "{why}: {}",
            ran.out
        );
        let ran = place.ends(
            1,
            &format!("export --tenant {tenant} --out x.ndjson --force"),
        );
        assert!(ran.err.contains("personal values of"), "{why}: {}", ran.err);
        flip(&file, at + 9);
    }
    place.ok("verify");
    assert_eq!(place.ok(query).out, whole.out);
}

/// Records that are named as damaged, and where they stood.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Damaged {
    file: String,
    bytes: (u64, u64),
    tenant: String,
    first: u64,
    last: u64,
}

/// Bytes before the first frame of a file of records.
const FILE_HEADER_BYTES: usize = 44;

/// The findings of `verify --json` or `fsck --json`: each of them corrupt, with its place; and
/// whether it names records.
fn found(lines: &[Value], why: &str) -> Vec<(Damaged, bool)> {
    let inner = |line: &Value| match line["findings"].as_array() {
        Some(findings) => findings.clone(),
        None if line["finding"].is_string() => vec![line.clone()],
        None => Vec::new(),
    };
    let mut all: Vec<_> = lines.iter().flat_map(inner).collect();
    all.sort_by_key(ToString::to_string);
    let damaged = all.iter().map(|finding| {
        assert_eq!(finding["finding"], "corrupt", "{why}: {finding}");
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let damaged = Damaged {
            file: finding["file"].as_str().unwrap().to_owned(),
            bytes: (number(&finding["bytes"][0]), number(&finding["bytes"][1])),
            tenant: finding["tenant_id"].as_str().unwrap_or_default().to_owned(),
            first: number(&finding["first"]),
            last: number(&finding["last"]),
        };
        let named = finding["tenant_id"].is_string() && finding["last"].is_u64();
        (damaged, named)
    });
    let mut damaged: Vec<_> = damaged.collect();
    damaged.sort();
    damaged
}

/// What `query` says on standard error; and whether it is about personal values.
fn told(err: &str) -> Vec<(Damaged, bool)> {
    let told = err.lines().filter_map(|line| {
        let (what, place) = line.split_once(" cannot be read: ")?;
        let (numbers, tenant) = what.rsplit_once(" of ")?;
        let (first, last) = match numbers.rsplit_once(" to ") {
            Some(span) => span,
            None => (numbers, numbers.rsplit_once(' ')?.1),
        };
        let (file, bytes) = place.split_once(", bytes ")?;
        let (from, to) = bytes.split_once(" to ")?;
        let damaged = Damaged {
            file: file.to_owned(),
            bytes: (from.parse().unwrap(), to.parse().unwrap()),
            tenant: tenant.to_owned(),
            first: first.rsplit(' ').next()?.parse().unwrap(),
            last: last.parse().unwrap(),
        };
        Some((damaged, what.contains("personal values")))
    });
    told.collect()
}

/// One flipped bit of byte `at` of a file of records: one cause, whose records are named, and
/// everybody says the same. Returns whether records cannot be read.
fn one_cause(place: &Place, name: &str, at: usize, why: &str) -> bool {
    let verified = place.ends(1, "verify --json");
    let damage = found(&verified.json(), why);
    let mut places: Vec<_> = damage
        .iter()
        .map(|(of, _)| (of.file.clone(), of.bytes))
        .collect();
    places.dedup();
    let [(file, (from, to))] = &places[..] else {
        panic!("{why}: not one cause: {}", verified.out)
    };
    assert!(
        file == name && (*from..*to).contains(&(at as u64)),
        "{why}: {file}, {from} to {to}"
    );
    // The header of a file holds no records.
    let named = damage.iter().all(|(_, named)| *named);
    assert!(named || at < 44, "{why}: nobody is named: {}", verified.out);
    let checked = place.ends(1, "fsck --json");
    assert_eq!(
        found(&checked.json(), why),
        damage,
        "{why}: fsck says otherwise"
    );
    let asked = place.run("query --json --limit 0 tenant:acme,beta");
    let told = told(&asked.err);
    assert_eq!(
        asked.code,
        i32::from(!told.is_empty()),
        "{why}: {}",
        asked.err
    );
    // Values of records that can be read stand under the records that cannot.
    let frame = told.iter().any(|(_, values)| !values);
    for (of, values) in &told {
        let known = damage.iter().any(|(known, _)| known == of);
        assert!(
            known || (*values && frame),
            "{why}: query says {of:?}: {}",
            verified.out
        );
    }
    // What a log's own findings name is what an answer lacks.
    for line in verified.json().iter().filter(|line| line["part"].is_null()) {
        let tenant = line["tenant_id"].as_str().unwrap_or_default();
        for (of, _) in found(std::slice::from_ref(line), why) {
            let said = told.iter().any(|(told, _)| *told == of);
            assert!(
                said || tenant == "_system",
                "{why}: query lacks {of:?}: {}",
                asked.err
            );
        }
    }
    frame
}

#[test]
fn a_flipped_bit_of_records_is_one_cause_and_everybody_names_the_same() {
    let given = std::env::var("INDELIBLE_SEED").ok();
    let seed = given.map_or(0x000D_A3A6_ED00, |seed| seed.parse().unwrap());
    let rounds = indelible_testing::rounds("INDELIBLE_DAMAGE_ROUNDS", 12, 400);
    let mut dice = indelible_testing::Dice::of(seed);
    let place = ledger();
    let mut lost = 0;
    for sealed in [false, true] {
        if sealed {
            seal(&place);
            place.file("more.json", support::cloudtrail_file(200..230));
            place.ok("import --format cloudtrail more.json --tenant acme");
        }
        place.ok("verify");
        place.ok("fsck");
        let data = place.at("indelible-data");
        let truth = |path: &PathBuf| {
            path.ends_with("records") || path.parent().unwrap().ends_with("journal")
        };
        let files: Vec<_> = checked(&place).into_iter().filter(truth).collect();
        for round in 0..rounds {
            let file = &files[dice.place(files.len())];
            let name = file.strip_prefix(&data).unwrap().display().to_string();
            let mut bytes = std::fs::read(file).unwrap();
            // The last frame is where nothing behind it tells what it was. The header of a file,
            // which can be made again, is left alone.
            let last = memchr::memmem::rfind(&bytes, b"iFRM").unwrap();
            let at = match round % 4 {
                0 => last + dice.place(bytes.len() - last),
                _ => FILE_HEADER_BYTES + dice.place(bytes.len() - FILE_HEADER_BYTES),
            };
            let bit = dice.place(8);
            let why = format!("INDELIBLE_SEED={seed}: round {round}: {name}: byte {at}, bit {bit}");
            bytes[at] ^= 1 << bit;
            std::fs::write(file, &bytes).unwrap();
            lost += usize::from(one_cause(&place, &name, at, &why));
            bytes[at] ^= 1 << bit;
            std::fs::write(file, &bytes).unwrap();
        }
    }
    assert!(lost > 0, "seed {seed}: no record was lost");
    place.ok("verify");
}
