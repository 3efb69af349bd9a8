//! Running the command as a user does, in a directory and a home of its own, and the
//! CloudTrail-like records that tests import.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests; not every test file uses all of it"
)]

pub mod held;
pub mod others;
pub mod own_postgres;
pub mod proxy;
pub mod served;
pub mod survive;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A working directory and a home that are removed in the end.
pub struct Place {
    dir: tempfile::TempDir,
    /// What `INDELIBLE_LEDGER` says; nothing for the data directory.
    ledger: Option<String>,
}

/// What a run of the command came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir, ledger: None }
    }

    /// One whose ledger is in this database.
    pub fn with_ledger(url: &str) -> Self {
        Self {
            ledger: Some(url.to_owned()),
            ..Self::new()
        }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.at(name)).unwrap()
    }

    /// Gives another server what it needs to seal: the ledger's master key, and none to sign with.
    pub fn copy_master_key(&self, keys: &str) {
        let config = self.at("home/.config/indelible");
        let files = files_below(&config);
        let master = files.iter().find(|path| path.ends_with("master.key"));
        let master = master.unwrap();
        let name = master.strip_prefix(&config).unwrap();
        let name = format!("{keys}/{}", name.display());
        self.file(&name, std::fs::read(master).unwrap());
    }

    /// The command, ready to be started: nothing of this process's environment reaches it.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_indelible"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.at("home"))
            .env("TZ", "UTC")
            .envs(self.ledger.iter().map(|url| ("INDELIBLE_LEDGER", url)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a line of arguments, split at blanks.
    pub fn run(&self, line: &str) -> Ran {
        self.run_args(line.split_whitespace())
    }

    pub fn run_args<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        ran(self.command(args).output().unwrap())
    }

    /// Runs with `input` on standard input.
    pub fn run_with_input(&self, line: &str, input: &[u8]) -> Ran {
        let mut command = self.command(line.split_whitespace());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        ran(output)
    }

    /// Runs a line that must end with `code`.
    #[track_caller]
    pub fn ends(&self, code: i32, line: &str) -> Ran {
        let ran = self.run(line);
        assert_eq!(ran.code, code, "{line}\n{}\n{}", ran.out, ran.err);
        ran
    }

    /// Runs a line that must succeed.
    #[track_caller]
    pub fn ok(&self, line: &str) -> Ran {
        self.ends(0, line)
    }
}

impl Place {
    /// Everything that an export of acme writes: lines, disclosures, checkpoint.
    #[track_caller]
    pub fn exported(&self, flags: &str, name: &str) -> [Vec<u8>; 3] {
        self.ok(&format!(
            "export --force --tenant acme --out {name} {flags}"
        ));
        let part = |end: &str| std::fs::read(self.at(&format!("{name}{end}"))).unwrap_or_default();
        [part(""), part(".disclosures"), part(".checkpoint")]
    }
}

impl Ran {
    /// The JSON lines of standard output.
    pub fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn ran(output: std::process::Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every file below `dir`.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// Copies a directory with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
}

/// Record `n` of a CloudTrail-like log: users, roles and services, with and without errors.
pub fn cloudtrail_record(n: usize) -> Value {
    let users = ["ada", "bert-jan", "grace"];
    let user = users[n % users.len()];
    let (second, minute) = (n % 60, (n / 60) % 60);
    let mut record = json!({
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": format!("AIDA{}", n % users.len()),
            "arn": format!("arn:aws:iam::123456789012:user/{user}"),
            "accountId": "123456789012",
            "accessKeyId": "AKIAEXAMPLE",
            "userName": user,
        },
        "eventTime": format!("2023-07-10T11:{minute:02}:{second:02}Z"),
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetBucketAcl",
        "awsRegion": "us-east-1",
        "sourceIPAddress": format!("198.51.100.{}", n % 200),
        "userAgent": format!("[aws-cli/2.{} Python/3.11]", n % 7),
        "requestParameters": {"bucketName": format!("bucket-{}", n % 5), "weight": 1.50},
        "responseElements": null,
        "requestID": format!("REQ{n}"),
        "eventID": format!("00000000-0000-4000-8000-{n:012}"),
        "readOnly": true,
        "eventType": "AwsApiCall",
    });
    match n % 6 {
        3 => {
            record["errorCode"] = json!("AccessDenied");
            record["errorMessage"] = json!(format!("denied to ops+{n}@example.com"));
        }
        4 => record["errorCode"] = json!("NoSuchBucket"),
        5 => {
            record["userIdentity"] =
                json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"});
            record["sourceIPAddress"] = json!("ec2.amazonaws.com");
            record["userAgent"] = json!("ec2.amazonaws.com");
            record["requestParameters"] = json!({"contact": format!("team{n}@example.com")});
        }
        _ => {}
    }
    record
}

/// Records `range` as one CloudTrail file.
pub fn cloudtrail_file(range: std::ops::Range<usize>) -> String {
    let records: Vec<_> = range.map(cloudtrail_record).collect();
    json!({"Records": records}).to_string()
}

/// A small event of our own.
pub fn event(n: usize) -> Value {
    json!({
        "audit_id": format!("018bcfe5-6800-7000-8000-{n:012x}"),
        "event_type": "content.review",
        "occurred_at": "2023-11-14T22:13:20Z",
        "actor": {"type": "user", "id": format!("user-{}", n % 10)},
        "target": {"type": "post", "id": format!("post-{n}")},
        "outcome": "success",
    })
}

/// Lines of JSON.
pub fn ndjson(events: impl IntoIterator<Item = Value>) -> String {
    let mut lines: Vec<String> = events.into_iter().map(|event| event.to_string()).collect();
    lines.push(String::new());
    lines.join("\n")
}
