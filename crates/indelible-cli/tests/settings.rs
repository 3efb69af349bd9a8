//! Configuration, usage and exit codes as users meet them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::os::unix::ffi::OsStrExt;

use support::Place;

#[test]
fn exit_codes() {
    let place = Place::new();
    place.ends(2, "");
    place.ends(2, "nonsense");
    place.ends(2, "import");
    place.ends(0, "--help");
    place.ends(0, "--version");
    let none = place.ends(3, "query");
    assert!(
        none.err.contains("there is no ledger in ./indelible-data"),
        "{}",
        none.err
    );
    place.ends(3, "import --format ndjson nowhere.ndjson");
    assert!(
        !place.at("indelible-data").exists(),
        "nothing is made for an import of nothing"
    );
    std::fs::create_dir(place.at("empty")).unwrap();
    place.ends(3, "import --format ndjson empty");
    place.ok("keys init");
    let wrong = place.ends(2, "query actr:x");
    assert!(wrong.err.contains("did you mean `actor`?"), "{}", wrong.err);
    place.ends(3, "query --tenant nobody");
    place.ends(3, "prove 5 --tenant nobody");
    place.ends(2, "prove x --tenant nobody");
    place.ends(2, "dead-letters show x");
}

#[test]
fn a_setting_that_is_not_one_ends_every_command() {
    let place = Place::new();
    place.file("indelible.toml", "dta = \"./x\"\n");
    for line in ["config check", "config show", "query"] {
        let ran = place.ends(2, line);
        assert!(ran.err.contains("did you mean `data`?"), "{}", ran.err);
    }
    let ran = place
        .command(["config", "check"])
        .env("INDELIBLE_DATAA", "x")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(
        String::from_utf8(ran.stderr)
            .unwrap()
            .contains("INDELIBLE_DATA`?")
    );
}

#[test]
fn a_data_directory_that_is_no_text_is_the_same_from_both_places() {
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"d\xff");
    let emit = "emit --tenant acme --actor user:a --action a.b --outcome success";
    let ran = place
        .command(emit.split(' '))
        .env("INDELIBLE_DATA", name)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(place.at("").join(name).join("FORMAT").exists());
    let ran = place
        .command(["query", "--json", "type:a.b", "--data"])
        .arg(name)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap().lines().count(), 1);
    let ran = place
        .command(["query", "type:a.b"])
        .env("INDELIBLE_TENANT", name)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("INDELIBLE_TENANT is not UTF-8"), "{said}");
}

#[test]
fn every_layer_says_where_its_value_is_from() {
    let place = Place::new();
    place.file(
        "indelible.toml",
        "data = \"./from-file\"\ntenant = \"acme\"\n",
    );
    let ran = place
        .command(["config", "show", "--json", "--color", "never"])
        .env("INDELIBLE_DATA", "./from-env")
        .output()
        .unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    let rows: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let row = |name: &str| rows.iter().find(|row| row["setting"] == name).unwrap();
    assert_eq!(row("data")["value"], "./from-env");
    assert_eq!(row("data")["source"], "environment, INDELIBLE_DATA");
    assert_eq!(row("tenant")["source"], "indelible.toml");
    assert_eq!(row("output.color")["source"], "command line");
    assert_eq!(row("sealing")["source"], "default");
    place.ok("emit --actor user:a --action a.b --outcome success");
    assert!(place.at("from-file/FORMAT").exists());
    assert_eq!(
        place.ok("query --json type:a.b").json()[0]["record"]["tenant_id"],
        "acme"
    );
}

#[test]
fn fewest_and_most_connections_are_held_against_each_other() {
    let place = Place::new();
    let ran = |variables: &[(&str, &str)]| {
        let mut command = place.command(["config", "show", "--json"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said + &errors)
    };
    let min = |n| ("INDELIBLE_POSTGRES__CONNECTIONS_MIN", n);
    let max = |n| ("INDELIBLE_POSTGRES__CONNECTIONS_MAX", n);
    assert_eq!(ran(&[min("2"), max("3")]).0, Some(0));
    assert_eq!(ran(&[max("3")]).0, Some(0), "nobody said the minimum");
    let (code, said) = ran(&[min("30")]);
    assert_eq!(code, Some(2), "{said}");
    let wanted = "environment, INDELIBLE_POSTGRES__CONNECTIONS_MIN: postgres.connections_min is \
                  30, but postgres.connections_max is 20 (default)";
    assert!(said.contains(wanted), "{said}");
    let (code, said) = ran(&[max("1"), ("INDELIBLE_POSTGRES__LOCK_TIMEOUT_MS", "soon")]);
    assert_eq!(code, Some(2), "{said}");
    for wanted in [
        "INDELIBLE_POSTGRES__CONNECTIONS_MAX is `1`, but must be a whole number from 2 to 1000",
        "INDELIBLE_POSTGRES__LOCK_TIMEOUT_MS is `soon`, but must be",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    place.file("indelible.toml", "[postgres]\nconnect_timeout = 5\n");
    let ran = place.ends(2, "config check");
    assert!(
        ran.err.contains("`postgres.connect_timeout_ms`?"),
        "{}",
        ran.err
    );
}

#[test]
fn a_number_is_no_text_and_a_part_no_more_than_the_whole() {
    let place = Place::new();
    for (file, told) in [
        (
            "tails_max = \"7\"",
            "`limits.tails_max` must be a whole number",
        ),
        (
            "tails_max = [7]",
            "`limits.tails_max` must be a whole number",
        ),
        (
            "key_tails_max = 7.0",
            "`limits.key_tails_max` must be a whole number",
        ),
        (
            "key_tails_max = 5000",
            "limits.key_tails_max is 5000, but limits.tails_max is 2000",
        ),
        (
            "key_exports_max = 20\nexports_max = 10",
            "limits.key_exports_max is 20, but limits.exports_max is 10",
        ),
        (
            "export_bytes_max = 9000000000\nexports_bytes_max = 8000000000",
            "limits.export_bytes_max is 9000000000, but limits.exports_bytes_max is 8000000000",
        ),
    ] {
        place.file("indelible.toml", format!("[limits]\n{file}\n"));
        let ran = place.ends(2, "config check");
        assert!(ran.err.contains(told), "{file}: {}", ran.err);
    }
    place.file("indelible.toml", "[output]\nutc = \"true\"\n");
    let ran = place.ends(2, "config check");
    assert!(ran.err.contains("must be true or false"), "{}", ran.err);
    // A part that nobody said is no mistake where less was said of the whole.
    place.file("indelible.toml", "[limits]\ntails_max = 500\n");
    place.ok("config check");
}

#[test]
fn completions_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.ok(&format!("completions {shell}"));
        assert!(ran.out.contains("dead-letters"), "{shell}");
    }
}

#[test]
fn tables_fit_and_have_no_colours_unless_wanted() {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..60));
    place.ok("import --format cloudtrail a.json --tenant a-tenant-with-quite-a-long-name");
    place.ok("emit --tenant other --actor user:x --action a.b --outcome success");
    for width in [80, 120, 160] {
        let ran = place
            .command(["query", "--limit", "0"])
            .env("COLUMNS", width.to_string())
            .output()
            .unwrap();
        let out = String::from_utf8(ran.stdout).unwrap();
        assert!(!out.contains('\x1b'));
        let widest = out.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} > {width}\n{out}");
        assert!(out.lines().count() > 60);
    }
    let ran = place.ok("query --limit 5 --color always");
    assert!(ran.out.contains("\x1b[32m"), "{}", ran.out);
    let whole = place.ok("query --limit 0");
    assert!(
        !whole.out.contains('…'),
        "nothing is cut where there is no terminal"
    );
}

#[test]
fn times_are_local_unless_utc_is_wanted() {
    let place = Place::new();
    place.file("e.ndjson", support::ndjson([support::event(0)]));
    place.ok("import --format ndjson e.ndjson");
    let with_zone = |args: &[&str]| {
        let ran = place
            .command(args)
            .env("TZ", "Asia/Tokyo")
            .output()
            .unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    assert!(with_zone(&["query", "type:content.review", "--utc"]).contains("2023-11-14 22:13:20Z"));
    if std::path::Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
        assert!(with_zone(&["query", "type:content.review"]).contains("2023-11-15 07:13:20 "));
    } else {
        indelible_testing::declare_skipped(
            "settings::times_are_local_unless_utc_is_wanted",
            "there is no time zone database",
        );
    }
}

#[test]
fn an_unknown_zone_is_said_once_and_times_are_in_utc() {
    let place = Place::new();
    place.file("e.ndjson", support::ndjson([support::event(0)]));
    place.ok("import --format ndjson e.ndjson");
    let with_zone = |zone: &str, args: &[&str]| {
        let ran = place.command(args).env("TZ", zone).output().unwrap();
        let (out, err) = (String::from_utf8(ran.stdout), String::from_utf8(ran.stderr));
        let (out, err) = (out.unwrap(), err.unwrap());
        assert!(out.contains("2023-11-14 22:13:20Z"), "{out}");
        err
    };
    let query = ["query", "type:content.review", "--tenant", "default"];
    let err = with_zone("Mars/Olympus", &query);
    let said = "warning: times are in UTC, TZ=Mars/Olympus is no zone: ";
    assert!(err.starts_with(said), "{err}");
    assert_eq!(err.matches("TZ=").count(), 1, "{err}");
    assert_eq!(with_zone("", &query), "");
    assert_eq!(
        with_zone("Mars/Olympus", &[&query[..], &["--utc"]].concat()),
        ""
    );
}

#[test]
fn keys_are_private_and_listed() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let key = place.ok("keys init").out;
    assert_eq!(place.ok("keys show").out, key);
    assert_eq!(place.ok("keys init").out, key, "a ledger keeps its keys");
    let files = support::files_below(&place.at("home/.config/indelible"));
    assert!(files.len() >= 2, "{files:?}");
    for file in &files {
        let mode = std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    place.ok("keys files");
    let master = files
        .iter()
        .find(|file| file.ends_with("master.key"))
        .unwrap();
    std::fs::set_permissions(master, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.ends(1, "keys files");
    assert!(ran.out.contains("chmod 600"), "{}", ran.out);
    for file in support::files_below(&place.at("indelible-data")) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(memchr::memmem::find(&bytes, b"PRIVATE+KEY").is_none());
        assert!(memchr::memmem::find(&bytes, b"indelible-master-key").is_none());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    place.file("e.ndjson", support::ndjson((0..3000).map(support::event)));
    place.ok("import --format ndjson e.ndjson");
    let mut command = place.command(["query", "--json", "--limit", "0"]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn another_format_says_what_to_do() {
    let place = Place::new();
    place.ok("keys init");
    let format = String::from_utf8(place.read("indelible-data/FORMAT")).unwrap();
    let newer = format
        .lines()
        .next()
        .unwrap()
        .replacen("\"format\":1", "\"format\":2", 1);
    assert_ne!(newer, format.lines().next().unwrap());
    place.file("indelible-data/FORMAT", newer + "\n");
    let ran = place.ends(3, "verify");
    assert!(
        ran.err.contains("format 2") && ran.err.contains("update indelible"),
        "{}",
        ran.err
    );
    place.ends(3, "emit --actor user:a --action a.b --outcome success");
}

#[test]
fn an_address_with_a_password_is_refused_and_not_repeated() {
    let place = Place::new();
    let ran = place.ends(2, "tenants list --url http://ada:hunter2@127.0.0.1:1");
    assert!(ran.err.contains("no password"), "{}", ran.err);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn a_writer_that_knows_no_server_says_that_it_writes_here() {
    let place = Place::new();
    let emit = [
        "emit",
        "--action",
        "a.b",
        "--actor",
        "user:ada",
        "--target",
        "post:1",
        "--outcome",
        "success",
        "--tenant",
        "acme",
    ];
    let told = |more: &[&str]| {
        let mut command = place.command(emit.iter().chain(more));
        command.env("INDELIBLE_URL", "http://127.0.0.1:1");
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let err = told(&[]);
    assert!(
        err.contains("indelible-data, and not to the server"),
        "{err}"
    );
    let err = told(&["--data", "elsewhere"]);
    assert!(!err.contains("not to the server"), "{err}");
}
