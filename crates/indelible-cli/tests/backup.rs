//! Backups of a data directory: beside a writer, cut off at any moment, and refused where they
//! would harm something.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use indelible_testing::Dice;
use support::{Place, Ran, copy_dir, event, files_below, ndjson};

const DATA: &str = "indelible-data";
const EMIT: &str = "emit --tenant acme --action a.b --actor user:dana --outcome success";

/// A ledger with personal data and a dead letter.
fn ledger() -> Place {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..300));
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.file("bad.ndjson", "{\"event_type\":7}\n");
    place.ends(1, "import --format ndjson bad.ndjson --tenant acme");
    place
}

/// A writer that takes events from us and says when they are committed.
struct Feeding {
    child: std::process::Child,
    input: Option<std::process::ChildStdin>,
    receipts: std::io::Lines<BufReader<std::process::ChildStdout>>,
    sent: usize,
}

impl Feeding {
    fn start(place: &Place) -> Self {
        let line = "import --format ndjson - --tenant acme --receipts -";
        let mut command = place.command(line.split_whitespace());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        Self {
            input: child.stdin.take(),
            receipts: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            sent: 0,
        }
    }

    /// Sends events and waits for their receipts.
    fn feed(&mut self, count: usize) {
        let events = ndjson((self.sent..self.sent + count).map(event));
        let input = self.input.as_mut().unwrap();
        input.write_all(events.as_bytes()).unwrap();
        self.sent += count;
        for _ in 0..count {
            self.receipts.next().unwrap().unwrap();
        }
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// The lines of the log of acme as they are stored.
fn lines(place: &Place, flags: &str) -> String {
    let query =
        format!("query --json --limit 0 --order seq --oldest-first type:content.review {flags}");
    place.ok(&query).out
}

#[test]
fn beside_a_writer_every_backup_is_whole_and_goes_on_from_the_one_before() {
    let place = Place::new();
    let mut writer = Feeding::start(&place);
    let mut taken = Vec::new();
    for round in 0..6 {
        writer.feed(400);
        let made = std::thread::scope(|scope| {
            let backup = scope.spawn(|| place.run("backup --to bk --keys-to kk"));
            // More comes all the while.
            while !backup.is_finished() {
                writer.feed(20);
            }
            backup.join().unwrap()
        });
        assert_eq!(made.code, 0, "{round}: {}{}", made.out, made.err);
        taken.push(lines(&place, "--data bk"));
        let least = taken.last().unwrap().lines().count();
        assert!(
            least >= (round + 1) * 400,
            "{least} records in round {round}"
        );
    }
    writer.end();
    let all = lines(&place, "");
    for taken in &taken {
        assert!(all.starts_with(taken.as_str()));
    }
    place.ok("backup --to bk --keys-to kk");
    assert_eq!(place.exported("", "a"), place.exported("--data bk", "b"));
    place.ok("restore --from bk --keys-from kk --to back");
    place.ok(&format!("{EMIT} --data back"));
}

#[test]
fn a_backup_that_is_killed_before_it_has_a_name_goes_on() {
    let place = Place::new();
    place.ok(EMIT);
    for half in ["", "{\"fini"] {
        fs::create_dir(place.at("bk")).unwrap();
        fs::write(place.at("bk/BACKUP.new"), half).unwrap();
        place.ok("backup --to bk");
        assert!(!place.at("bk/BACKUP.new").exists());
        place.ok("verify --data bk");
        fs::remove_dir_all(place.at("bk")).unwrap();
    }
}

#[test]
fn a_backup_that_is_killed_goes_on_and_the_one_before_stays() {
    let mut dice = Dice::seeded();
    let place = Place::new();
    let mut writer = Feeding::start(&place);
    writer.feed(2_000);
    let (mut cut, mut least) = (0, 0);
    for round in 0..14 {
        writer.feed(700);
        let mut command = place.command("backup --to bk --keys-to kk".split_whitespace());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(60)));
        let signal = if round % 3 == 2 { "INT" } else { "KILL" };
        let id = child.id().to_string();
        drop(Command::new("kill").args(["-s", signal, &id]).status());
        let code = child.wait().unwrap().code();
        assert!(matches!(code, None | Some(0 | 130)), "{signal}: {code:?}");
        cut += usize::from(code != Some(0));
        if least > 0 {
            let ran = place.run("verify --data bk");
            assert_eq!(ran.code, 0, "{round}: {}{}", ran.out, ran.err);
            let there = lines(&place, "--data bk").lines().count();
            assert!(there >= least, "{there} of {least}");
        }
        if round % 4 == 3 {
            place.ok("backup --to bk --keys-to kk");
            least = lines(&place, "--data bk").lines().count();
            assert!(least >= 2_000 + 700 * (round + 1), "{least}");
        }
    }
    assert!(cut >= 4, "{cut} were cut off");
    writer.end();
    place.ok("backup --to bk --keys-to kk");
    assert_eq!(place.exported("", "a"), place.exported("--data bk", "b"));
    let left = files_below(&place.at("bk"));
    let is_left = |path: &&std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        [".new", ".part", ".copy"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    assert_eq!(left.iter().find(is_left), None);
    place.ok("restore --from bk --keys-from kk --to back");
}

/// Of what was sealed into a segment nothing is copied twice.
#[test]
fn only_what_is_new_is_copied() {
    let place = Place::new();
    place.file("a.ndjson", ndjson((0..90_000).map(event)));
    place.ok("import --format ndjson a.ndjson --tenant acme");
    let bytes = |ran: &Ran| ran.json().last().unwrap()["bytes"].as_u64().unwrap();
    let first = bytes(&place.ok("backup --to bk --json"));
    place.ok(EMIT);
    let second = bytes(&place.ok("backup --to bk --json"));
    let journal = files_below(&place.at("bk/journal"));
    let journal = journal.iter().map(|path| fs::metadata(path).unwrap().len());
    assert_eq!(second, journal.sum::<u64>());
    assert!(second * 4 < first, "{second} of {first}");
}

fn refused(place: &Place, line: &str, said: &str) {
    let ran = place.ends(3, line);
    assert!(ran.err.contains(said), "{line}: {}", ran.err);
}

#[test]
fn what_would_harm_something_is_refused() {
    let place = ledger();
    refused(&place, "backup --to indelible-data/bk", "may not lie in");
    refused(&place, "backup --to .", "may not lie in");
    refused(&place, "backup --to bk --keys-to bk/keys", "may not lie in");
    refused(
        &place,
        "backup --to keys/bk --keys-to keys",
        "may not lie in",
    );
    refused(
        &place,
        "backup --to home/.config/indelible/bk",
        "may not lie in",
    );
    place.ends(2, "backup");
    place.file("used/a.txt", "mine");
    refused(&place, "backup --to used", "used for something else");
    place.file("file", "mine");
    place.ends(3, "backup --to file");
    assert_eq!(files_below(&place.at("used")).len(), 1);
    // A ledger is no backup, though it is a data directory.
    place.ok(&format!("{EMIT} --data other"));
    refused(&place, "backup --to other", "used for something else");
    place.ok("backup --to bk --data other");
    refused(&place, "backup --to bk", "a backup of another ledger");
    refused(&place, "backup --data bk --to again", "is a backup itself");
    refused(&place, "backup --data nothing --to new", "no ledger");
    assert!(!place.at("new").exists());

    refused(
        &place,
        "restore --from indelible-data --to new",
        "no backup in",
    );
    refused(
        &place,
        "restore --from bk --to used",
        "used for something else",
    );
    refused(
        &place,
        "restore --from bk --to other",
        "used for something else",
    );
    refused(
        &place,
        "restore --from bk --to bk/new",
        "may not lie in its backup",
    );
    refused(
        &place,
        "restore --from bk --keys-from used --to new",
        "no key store",
    );
    fs::write(
        place.at("bk/BACKUP"),
        fs::read_to_string(place.at("bk/BACKUP"))
            .unwrap()
            .replace("finished", "begun"),
    )
    .unwrap();
    refused(&place, "restore --from bk --to new", "never finished");
    assert!(!place.at("new").exists());
}

#[test]
fn a_backup_is_never_set_back_nor_mixed_with_another_history() {
    let place = ledger();
    place.ok("backup --to old --keys-to kk");
    copy_dir(&place.at(DATA), &place.at("before"));
    place.ok(EMIT);
    place.ok("backup --to bk --keys-to kk");
    let lines = place.exported("--data bk", "there");
    // The source is set back, as by somebody who put an old copy into its place.
    fs::rename(place.at(DATA), place.at("after")).unwrap();
    fs::rename(place.at("before"), place.at(DATA)).unwrap();
    refused(&place, "backup --to bk", "is not the past of this ledger");
    // It goes on from there, to as many records and to more.
    place.ok("recover --yes");
    for _ in 0..3 {
        place.ok(EMIT);
        refused(&place, "backup --to bk", "is not the past of this ledger");
    }
    assert_eq!(place.exported("--data bk", "there"), lines);
    place.ok("verify --data bk");
    // The one from before is of its past.
    place.ok("backup --to old");
}

#[test]
fn damage_is_told_and_never_replaces_what_is_whole() {
    let place = Place::new();
    place.file("a.ndjson", ndjson((0..2_000).map(event)));
    place.ok("import --format ndjson a.ndjson --tenant acme");
    place.ok("backup --to bk --keys-to kk");
    let before = place.exported("--data bk", "there");
    let journal = files_below(&place.at("indelible-data/journal")).remove(0);
    let whole = fs::read(&journal).unwrap();
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let ran = place.run("backup --to bk");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("it stays as it is"), "{}", ran.err);
    assert_eq!(place.exported("--data bk", "there"), before);
    // Where there is no better one, everything that is there is kept.
    let kept = place.ends(1, "backup --to new");
    assert!(kept.out.contains("corrupt"), "{}", kept.out);
    let read = place.ends(1, "query --json --limit 0 --data new type:content.review");
    let there = place.ends(1, "query --json --limit 0 type:content.review");
    assert_eq!(read.out, there.out);
    assert!(!read.out.is_empty());
    fs::write(&journal, whole).unwrap();

    // Small files: what is in the backup stays.
    for (path, flags) in [("state.redb", ""), ("keys/keys.redb", "--keys-to kk")] {
        let file = place.at(&format!("{DATA}/{path}"));
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let told = place.ends(1, &format!("backup --to bk {flags}"));
        assert!(told.err.contains(path), "{}", told.err);
        place.ok("verify --data bk --require-anchor");
        fs::write(&file, whole).unwrap();
    }
    place.ok("restore --from bk --keys-from kk --to back");
    place.ok("backup --to bk --keys-to kk");
}

/// Keys of persons who came since an older key store was put back are in the copy alone.
#[test]
fn an_older_key_store_does_not_replace_its_copy() {
    let place = ledger();
    let store = place.at(&format!("{DATA}/keys/keys.redb"));
    let old = fs::read(&store).unwrap();
    place.ok(&EMIT.replace("acme", "globex"));
    place.file("b.json", support::cloudtrail_file(300..303));
    place.ok("import --format cloudtrail b.json --tenant globex");
    place.ok("backup --to bk --keys-to kk");
    fs::write(&store, old).unwrap();
    let told = place.ends(1, "backup --to bk --keys-to kk");
    assert!(told.err.contains("older than its copy"), "{}", told.err);
    place.ends(3, "backup --keys-to kk");
    place.ok("restore --from bk --keys-from kk --to back");
    let query = place.ok("query --json --limit 0 --tenant globex --data back");
    assert!(query.out.contains("198.51.100"), "{}", query.out);
}

/// A dead letter that was dropped is dropped from the backup too, and with it its key.
#[test]
fn dead_letters_go_from_the_backup_when_they_are_dropped() {
    let place = ledger();
    place.ok("backup --to bk");
    let letters = || files_below(&place.at("bk/dead-letters")).len();
    assert_eq!(letters(), 1);
    place.ok("dead-letters drop --all");
    place.ok("backup --to bk");
    assert_eq!(letters(), 0);
}
