//! A disk that is full when a server starts after a crash: it says what is wrong, and reading goes
//! on.
//!
//! The disk is a small one in memory, mounted where only this test sees it; where the system does
//! not allow that, the test is skipped by name.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Command;

use support::Place;

/// Exit code: there is no such disk to be had.
const NO_DISK: i32 = 77;
const ACT: &str = r#"
mount -t tmpfs -o size=8m tmpfs full || exit 77
"$0" emit --data full/d --tenant acme --action content.publish --actor user:ada --target post:1 \
    --outcome success >/dev/null
"$0" serve --data full/d --listen 127.0.0.1:0 >listens &
server=$!
until [ -s listens ]; do sleep 0.02; done
kill -9 $server
wait $server || true
head -c 9m /dev/zero >full/rest || true
for act in "serve --listen 127.0.0.1:0" query "verify --require-anchor" \
    "export --tenant acme --out acme.ndjson"; do
    code=0
    "$0" $act --data full/d >/dev/null 2>"${act%% *}.told" || code=$?
    echo "${act%% *} $code"
done
rm full/rest
"$0" emit --data full/d --tenant acme --action content.publish --actor user:ada --target post:2 \
    --outcome success >/dev/null
echo room
"#;

#[test]
fn a_full_disk_refuses_a_writer_clearly_and_no_reader() {
    let place = Place::new();
    std::fs::create_dir(place.at("full")).unwrap();
    let indelible = place.command([""; 0]).get_program().to_owned();
    let unshared = |line: &[&str]| {
        let mut command = Command::new("unshare");
        command.arg("-rm").args(line).arg(&indelible);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", place.at("home"))
            .current_dir(place.at(""));
        command.output().ok()
    };
    let may = unshared(&["true"]).is_some_and(|ran| ran.status.success());
    let ran = may.then(|| unshared(&["sh", "-ec", ACT])).flatten();
    let Some(ran) = ran.filter(|ran| ran.status.code() != Some(NO_DISK)) else {
        let name = "a_full_disk_refuses_a_writer_clearly_and_no_reader";
        indelible_testing::declare_skipped(name, "no disk of its own can be mounted");
        return;
    };
    let told = String::from_utf8(ran.stdout).unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(
        told, "serve 3\nquery 0\nverify 0\nexport 0\nroom\n",
        "{errors}"
    );
    let why = String::from_utf8(place.read("serve.told")).unwrap();
    for part in [
        "for writing, the disk is full",
        ".redb.new",
        "query, verify and export still read it, with --data full/d",
    ] {
        assert!(why.contains(part), "{why}");
    }
}
