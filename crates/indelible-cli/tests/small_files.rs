//! Small files that change: the state store, the key store, the keys and the signer's memory.
//! Damage to one of them is told by name; readers go on without it, writers do not.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use support::Place;
use support::served::Serving;

const EMIT: &str = "emit --tenant acme --actor user:x --action a.b --outcome success";
const QUERY: &str = "query --json --limit 0 tenant:acme";
const EXPORT: &str = "export --tenant acme --out x.ndjson --force";

fn ledger() -> Place {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..120));
    place.file("bad.ndjson", "{broken\n");
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.ends(1, "import --format ndjson bad.ndjson --tenant acme");
    place
}

/// A file of the key folder.
fn key_file(place: &Place, name: &str) -> PathBuf {
    let mut folders = std::fs::read_dir(place.at("home/.config/indelible")).unwrap();
    folders.next().unwrap().unwrap().path().join(name)
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= bit;
    std::fs::write(path, bytes).unwrap();
}

fn bytes_of(path: &Path) -> usize {
    usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap()
}

/// Half of the file is gone.
fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// `verify` and `fsck` name the file and the next step, and end with a finding.
#[track_caller]
fn is_named(place: &Place, name: &str) {
    for line in ["fsck --json", "verify --json"] {
        let ran = place.ends(1, line);
        let lines = ran.json();
        let mut findings = lines.iter().flat_map(|line| {
            let several = line["findings"].as_array().cloned().unwrap_or_default();
            several.into_iter().chain([line.clone()])
        });
        let named = findings.any(|finding| {
            let file = finding["file"].as_str().unwrap_or_default();
            let message = finding["message"].as_str().unwrap_or_default();
            finding["finding"] == "corrupt" && file.ends_with(name) && message.contains("restore")
        });
        assert!(named, "{line}, {name}:\n{}", ran.out);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
    }
}

/// A writer refuses, names the file and the next step, and leaves every file as it is. Of a whole
/// state file that it opened before, redb may have changed the header.
#[track_caller]
fn is_refused(place: &Place, name: &str) {
    let state = || {
        let files = files(place);
        let names: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        let opened = |file: &Kept| {
            let state_file = Path::new(&file.path).extension() == Some("redb".as_ref());
            state_file && !file.path.ends_with(name)
        };
        let same: Vec<_> = files.into_iter().filter(|file| !opened(file)).collect();
        (names, same)
    };
    let before = state();
    let refused = place.ends(3, EMIT);
    assert!(refused.err.contains(name), "{}", refused.err);
    assert!(refused.err.contains("restore"), "{}", refused.err);
    assert!(!refused.err.contains("panicked"), "{}", refused.err);
    assert_eq!(state(), before, "a refused writer writes nothing");
}

/// A file as it is: which one, and its content in short.
#[derive(Debug, PartialEq)]
struct Kept {
    path: String,
    inode: u64,
    content: indelible_merkle::Hash,
}

/// Every file of data and keys; the lock says who held it last.
fn files(place: &Place) -> Vec<Kept> {
    let mut files = support::files_below(&place.at("indelible-data"));
    files.extend(support::files_below(&place.at("home")));
    files.retain(|path| !path.ends_with("LOCK"));
    files.sort();
    let keep = |path: PathBuf| Kept {
        inode: std::fs::metadata(&path).unwrap().ino(),
        content: indelible_merkle::leaf_hash(&std::fs::read(&path).unwrap()),
        path: path.to_str().unwrap().to_owned(),
    };
    files.into_iter().map(keep).collect()
}

/// Places of a file that redb uses: the header and a step through all pages.
fn places(path: &Path) -> Vec<usize> {
    (0..bytes_of(path))
        .step_by(5_003)
        .chain([64, 128, 192])
        .collect()
}

#[test]
fn a_flipped_byte_of_a_state_file_stops_no_reader_and_is_never_a_panic() {
    let place = ledger();
    let rows = place.ok(QUERY).json().len();
    for name in ["state.redb", "keys/keys.redb"] {
        let path = place.at("indelible-data").join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut noticed = 0;
        for at in places(&path) {
            flip(&path, at, 0x10);
            let why = format!("{name}, byte {at}");
            let found = place.ok(QUERY);
            assert_eq!(found.json().len(), rows, "{why}");
            assert!(!found.err.contains("panicked"), "{why}: {}", found.err);
            let ran = place.run("fsck");
            assert!(matches!(ran.code, 0 | 1), "{why}: {}", ran.err);
            if ran.code == 1 {
                noticed += 1;
                assert!(ran.out.contains(name), "{why}: {}", ran.out);
                assert!(found.err.contains(name), "{why}: {}", found.err);
                if noticed % 8 == 1 {
                    is_named(&place, name);
                    is_refused(&place, name);
                    let exported = place.run(EXPORT);
                    assert!(matches!(exported.code, 0 | 1), "{why}: {}", exported.err);
                }
            }
            std::fs::write(&path, &whole).unwrap();
        }
        assert!(noticed >= 2, "{name}: {noticed} noticed");
    }
    place.ok("fsck");
    place.ok(EMIT);
}

#[test]
fn without_the_state_store_all_records_are_found_verified_and_exported() {
    let place = ledger();
    place.ok(EXPORT);
    let before = place.read("x.ndjson");
    let rows = place.ok(QUERY).json();
    let state = place.at("indelible-data/state.redb");
    for damage in [cut as fn(&Path), |path| std::fs::remove_file(path).unwrap()] {
        let whole = std::fs::read(&state).unwrap();
        damage(&state);
        assert_eq!(place.ok(QUERY).json(), rows);
        let verified = place.ends(1, "verify");
        let all = format!("{} records checked", rows.len());
        assert!(verified.out.contains(&all), "{}", verified.out);
        assert!(
            verified.out.contains("not checked   what was published"),
            "{}",
            verified.out
        );
        assert!(!verified.out.contains("rolled-back"), "{}", verified.out);
        let exported = place.ends(1, EXPORT);
        assert!(
            exported.err.contains("without a checkpoint"),
            "{}",
            exported.err
        );
        assert!(place.read("x.ndjson") == before, "the same lines");
        assert!(!place.at("x.ndjson.checkpoint").exists(), "nor an old one");
        place.ok("verify x.ndjson");
        let listed = place.ok("tenants list --json").json();
        let acme = listed.iter().find(|line| line["tenant_id"] == "acme");
        let acme = acme.unwrap();
        assert_eq!(acme["records"], rows.len());
        assert!(acme["published"].is_null(), "it is not known");
        is_named(&place, "state.redb");
        is_refused(&place, "state.redb");
        is_named(&place, "state.redb");
        std::fs::write(&state, whole).unwrap();
    }
    place.ok("verify");
}

/// What does not stand in the damaged file is told, and what does is refused by its name.
#[test]
fn proofs_and_keys_are_told_as_long_as_what_they_stand_in_is_whole() {
    let place = ledger();
    let lines = ["prove 7 --tenant acme", "keys show", "keys list"];
    place.ok("keys create --role admin");
    let told = lines.map(|line| place.ok(line).out);
    let state = place.at("indelible-data/state.redb");
    let store = place.at("indelible-data/keys/keys.redb");
    let (master, signing) = (
        key_file(&place, "master.key"),
        key_file(&place, "signing.key"),
    );
    let signed = key_file(&place, "signer.checkpoint");
    let gone = |path: &Path| std::fs::remove_file(path).unwrap();
    for damage in [cut as fn(&Path), gone] {
        for (path, needed) in [
            (&state, &lines[..]),
            (&signing, &["keys show"]),
            (&store, &[]),
            (&master, &[]),
            (&signed, &[]),
        ] {
            let name = path.file_name().unwrap().to_str().unwrap();
            let whole = std::fs::read(path).unwrap();
            damage(path);
            for (line, told) in lines.iter().zip(&told) {
                if needed.contains(line) {
                    let refused = place.ends(3, line);
                    assert!(refused.err.contains(name), "{line}: {}", refused.err);
                    assert!(!refused.err.contains("goes on"), "{line}: {}", refused.err);
                    assert_eq!(refused.out, "", "{line}");
                } else {
                    assert_eq!(place.ok(line).out, *told, "{line} without {name}");
                }
            }
            std::fs::write(path, whole).unwrap();
        }
    }
}

#[test]
fn damaged_keys_of_persons_are_as_absent_ones() {
    let place = ledger();
    let master = key_file(&place, "master.key");
    let kept = std::fs::read(&master).unwrap();
    std::fs::remove_file(&master).unwrap();
    let sealed = place.ok(QUERY);
    std::fs::write(&master, &kept).unwrap();
    assert_ne!(place.ok(QUERY).out, sealed.out);
    let store = place.at("indelible-data/keys/keys.redb");
    // The second is a key, and another one.
    let another = |path: &Path| flip(path, 40, 0x01);
    let gone = |path: &Path| std::fs::remove_file(path).unwrap();
    let damages = [
        (&master, cut as fn(&Path)),
        (&master, another),
        (&store, cut),
        (&store, gone),
    ];
    for (path, damage) in damages {
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = std::fs::read(path).unwrap();
        damage(path);
        let found = place.ok(QUERY);
        assert_eq!(found.out, sealed.out, "{name}");
        assert!(found.err.contains(name), "{}", found.err);
        let exported = place.ok(EXPORT);
        assert!(exported.err.contains("stay sealed"), "{}", exported.err);
        assert!(!place.at("x.ndjson.disclosures").exists());
        is_named(&place, name);
        let verified = place.ends(1, "verify");
        assert!(!verified.out.contains("sealed-value"), "{}", verified.out);
        let searched = place.ok("query actor:ada");
        for said in [verified.out, searched.err] {
            assert!(said.contains("the master key cannot be used"), "{said}");
            assert!(!said.contains("the master key is not here"), "{said}");
        }
        is_refused(&place, name);
        std::fs::write(path, whole).unwrap();
    }
    place.ok("verify");
    place.ok(EMIT);
}

#[test]
fn a_damaged_signing_key_or_memory_of_the_signer_stops_writers_only() {
    let place = ledger();
    let rows = place.ok(QUERY).out;
    for name in ["signing.key", "signer.checkpoint"] {
        let path = key_file(&place, name);
        let whole = std::fs::read(&path).unwrap();
        // Cut, a digit of its last line, no text at all.
        for damage in [
            cut as fn(&Path),
            |path| flip(path, bytes_of(path) - 12, 0x01),
            |path| flip(path, 3, 0x80),
        ] {
            damage(&path);
            assert_eq!(place.ok(QUERY).out, rows, "{name}");
            place.ok(EXPORT);
            is_named(&place, name);
            is_refused(&place, name);
            let problems = place.ends(1, "keys files");
            assert!(problems.out.contains(name), "{}", problems.out);
            std::fs::write(&path, &whole).unwrap();
        }
    }
    place.ok("verify");
    place.ok(EMIT);
}

#[test]
fn a_lost_memory_of_the_signer_is_said() {
    let place = ledger();
    let signed = key_file(&place, "signer.checkpoint");
    let whole = std::fs::read(&signed).unwrap();
    std::fs::remove_file(&signed).unwrap();
    let verified = place.ends(1, "verify");
    assert!(verified.out.contains("rolled-back"), "{}", verified.out);
    assert!(
        verified.out.contains("no memory of signing"),
        "{}",
        verified.out
    );
    is_refused(&place, "signer.checkpoint");
    std::fs::write(&signed, whole).unwrap();
    place.ok("verify");
    // Where no signer ever was, there is nothing to miss, and that is said too.
    let elsewhere = place.ok("verify --keys elsewhere");
    assert!(
        elsewhere.out.contains("not checked   what was signed"),
        "{}",
        elsewhere.out
    );
}

/// What is left when nothing of the signer's memory can be restored.
#[test]
fn recovery_goes_on_from_a_damaged_or_lost_memory_of_the_signer() {
    for damage in [cut as fn(&Path), |path| std::fs::remove_file(path).unwrap()] {
        let place = ledger();
        damage(&key_file(&place, "signer.checkpoint"));
        place.ends(1, "recover");
        place.ok("recover --yes");
        place.ok(EMIT);
        place.ok("verify");
        place.ok("fsck");
    }
}

#[test]
fn keys_that_others_can_read_are_warned_of() {
    let place = ledger();
    assert!(!place.ok(EMIT).err.contains("chmod"));
    for name in ["signing.key", "master.key"] {
        let path = key_file(&place, name);
        let private = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let chmod = format!("chmod 600 {}", path.display());
        let ran = place.ok(EMIT);
        assert!(ran.err.contains(&chmod), "{}", ran.err);
        let mut serving = Serving::start(&place, "");
        let mut errors = serving.errors();
        assert_eq!(serving.signal("TERM"), Some(0));
        let mut err = String::new();
        errors.read_to_string(&mut err).unwrap();
        assert!(err.contains(&chmod), "{err}");
        std::fs::set_permissions(&path, private).unwrap();
    }
    assert!(!place.ok(EMIT).err.contains("chmod"));
}

/// A second writer must have the lock before it opens anything: what the first writes from then on
/// would else go into files that are no longer there.
#[test]
fn a_second_writer_does_not_touch_the_files_of_the_first() {
    let place = ledger();
    let mut serving = Serving::start(&place, "");
    let before = files(&place);
    for name in ["keys.redb", "state.redb"] {
        assert!(
            before.iter().any(|file| file.path.ends_with(name)),
            "{name}"
        );
    }
    for second in [
        EMIT,
        "import --format cloudtrail a.json --tenant acme",
        "serve --listen 127.0.0.1:0",
        "tenants create other",
        "recover --yes",
    ] {
        let refused = place.ends(3, second);
        assert!(
            refused.err.contains("process "),
            "{second}: {}",
            refused.err
        );
        assert_eq!(files(&place), before, "{second}");
    }
    // A key that is made now is there after the end.
    let mut event = support::event(1);
    event["actor"]["display_name"] = "Zebedee Quill".into();
    let sent = serving.send("POST", "/v1/events?tenant=acme", &[], &event.to_string());
    assert_eq!(sent.unwrap().0, 201);
    assert_eq!(serving.signal("TERM"), Some(0));
    let found = place.ok(QUERY);
    assert!(found.out.contains("Zebedee Quill"), "{}", found.out);
    place.ok("verify");
}

/// An older copy of the key store opens and is whole: only the count of its writes tells.
#[test]
fn an_older_key_store_is_told_and_stops_writers() {
    let place = ledger();
    let store = place.at("indelible-data/keys/keys.redb");
    let find = "query --json --limit 0 email:new@example.org";
    let older = std::fs::read(&store).unwrap();
    let mut event = support::event(1);
    event["actor"]["id"] = "somebody-new".into();
    event["actor"]["email"] = "new@example.org".into();
    place.file("new.ndjson", support::ndjson([event]));
    place.ok("import --format ndjson new.ndjson --tenant acme");
    assert_eq!(place.ok(find).json().len(), 1);
    let newest = std::fs::read(&store).unwrap();

    std::fs::write(&store, &older).unwrap();
    let found = place.ok(find);
    assert_eq!(found.json().len(), 0);
    assert!(found.err.contains("keys/keys.redb"), "{}", found.err);
    assert!(found.err.contains("older copy"), "{}", found.err);
    for line in ["fsck", "verify"] {
        let told = place.ends(1, line);
        assert_eq!(told.out.matches("older copy").count(), 1, "{}", told.out);
        assert!(told.out.contains("rolled-back"), "{}", told.out);
    }
    let records = place.read("indelible-data/journal/00000000000000000000");
    for line in [EMIT, "import --format ndjson new.ndjson --tenant acme"] {
        let refused = place.ends(3, line);
        assert!(refused.err.contains("older copy"), "{}", refused.err);
        assert!(refused.err.contains("restore"), "{}", refused.err);
        let of_signer = refused.err.contains("signer.checkpoint");
        assert!(!of_signer, "{}", refused.err);
    }
    let after = place.read("indelible-data/journal/00000000000000000000");
    assert!(after == records, "a refused writer writes nothing");

    std::fs::write(&store, &newest).unwrap();
    place.ok("verify");
    place.ok(EMIT);
    assert_eq!(place.ok(find).json().len(), 1);

    // What is left when no newer copy can be restored.
    std::fs::write(&store, &older).unwrap();
    place.ok("recover --yes");
    place.ok(EMIT);
    place.ok("fsck");
    let said = place.ok("query --json type:log.recovered --tenant acme");
    assert!(said.out.contains("key store"), "{}", said.out);
}

#[test]
fn a_format_of_another_ledger_is_named_beside_the_file_that_disagrees() {
    let (place, other) = (ledger(), ledger());
    let format = place.at("indelible-data/FORMAT");
    let kept = std::fs::read(&format).unwrap();
    std::fs::write(&format, other.read("indelible-data/FORMAT")).unwrap();
    for line in [QUERY, "verify", "fsck", EXPORT, EMIT] {
        let ran = place.run(line);
        let told = [ran.out, ran.err].concat();
        assert_ne!(ran.code, 0, "{line}: {told}");
        let either = "either journal/00000000000000000000 or FORMAT is of another ledger";
        assert!(told.contains(either), "{line}: {told}");
    }
    std::fs::write(&format, kept).unwrap();
    place.ok("verify");
}

#[test]
fn a_server_that_could_not_seal_does_not_start_and_one_that_runs_goes_on() {
    let place = ledger();
    let master = key_file(&place, "master.key");
    let mut serving = Serving::start(&place, "");
    std::fs::remove_file(&master).unwrap();
    let personal = serde_json::json!({
        "actor": {"email": "grace@example.com", "id": "grace", "type": "user"},
        "event_type": "a.b", "outcome": "success",
    });
    let path = "/v1/events?tenant=acme";
    let sent = serving.send("POST", path, &[], &personal.to_string());
    assert_eq!(sent.unwrap().0, 201);
    let (_, found) = serving.get("/v1/records?q=email:grace@example.com");
    assert_eq!(found["records"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(serving.signal("TERM"), Some(0));
    let ran = place.ends(3, "serve --listen 127.0.0.1:0");
    let folder = master.parent().unwrap().file_name().unwrap();
    assert!(ran.err.contains("the master key is not in"), "{}", ran.err);
    assert!(ran.err.contains(folder.to_str().unwrap()), "{}", ran.err);
    assert!(ran.err.contains("--keys"), "{}", ran.err);
    assert_eq!(ran.out, "");
}
