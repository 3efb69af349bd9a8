//! The programs that pages show: every block of Rust in README.md and docs/sdk.md, in the order of
//! its page, is compiled and run, and so is the example that speaks to a server.
//!
//! They are given to the compiler with the library that these tests use themselves, so nothing is
//! built for them. The address that the pages name becomes that of a server of the test.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use indelible::Audit;
use indelible_testing::newest_library;
use support::Place;
use support::served::Serving;

const ADDRESS: &str = "http://127.0.0.1:8080";

/// What stands around the blocks of a page: an executor for what is awaited.
const BEFORE: &str = "
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut page = pin!(page());
    loop {
        match page.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(ended) => return ended,
            Poll::Pending => std::thread::park(),
        }
    }
}

async fn page() -> Result<(), Box<dyn Error>> {
";

const AFTER: &str = "Ok(()) }\n";

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The blocks of Rust of a page as one program, and how many there are.
fn program(page: &str) -> (String, usize) {
    let (mut blocks, mut inside, mut count) = (String::new(), false, 0);
    for line in page.lines() {
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside && info.starts_with("rust");
            count += usize::from(inside);
        } else if inside {
            blocks.push_str(line);
            blocks.push('\n');
        }
    }
    (format!("{BEFORE}{blocks}{AFTER}"), count)
}

/// Compiles a program and runs it in `place`; what it said.
fn run(place: &Place, name: &str, source: &str) -> String {
    let source = place.file(&format!("{name}.rs"), source);
    let built = std::env::current_exe().unwrap();
    let built = built.parent().unwrap();
    let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--cap-lints", "allow", "--extern"])
        .arg(format!(
            "indelible={}",
            newest_library(built, "indelible").display()
        ))
        .arg("-L")
        .arg(format!("dependency={}", built.display()))
        .arg("-o")
        .arg(place.at(name))
        .arg(source)
        .output()
        .unwrap();
    let said = String::from_utf8(compiled.stderr).unwrap();
    assert!(compiled.status.success(), "{name}: {said}");
    let ran = Command::new(place.at(name))
        .current_dir(place.at("."))
        .env_clear()
        .env("HOME", place.at("home"))
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{name}: {said}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_programs_of_the_pages_do_what_they_say() {
    // The library is linked to this test, too, so that it is there.
    assert!(Audit::connect("no address").is_err());
    let place = Place::new();
    let serving = Serving::start(&place, "");
    let address = format!("http://{}", serving.address);
    let published = || {
        let (status, list) = serving.get("/v1/records?q=actor:publisher");
        assert_eq!(status, 200, "{list}");
        list["records"].as_array().unwrap().len()
    };
    let (readme, blocks) = program(&file("README.md"));
    assert_eq!(blocks, 1);
    assert!(readme.contains(ADDRESS));
    let said = run(&place, "readme", &readme.replace(ADDRESS, &address));
    assert_eq!((said.as_str(), published()), ("", 1));

    let (page, blocks) = program(&file("docs/sdk.md"));
    assert_eq!(blocks, 3);
    assert!(page.contains(ADDRESS));
    let said = run(&place, "page", &page.replace(ADDRESS, &address));
    assert_eq!(said, "2 committed, 0 dropped, 0 failed, 0 not settled\n");
    assert_eq!(published(), 2);
    place.ok("verify --data ./audit");

    let example = file("crates/indelible/examples/connect.rs");
    assert!(example.contains(ADDRESS));
    let said = run(&place, "connect", &example.replace(ADDRESS, &address));
    // The log's own record, those of the pages with what is said of their streams, and this one.
    assert!(said.starts_with("record 8\n1 committed, "), "{said}");
    assert_eq!(published(), 3);
}

#[test]
fn only_blocks_of_rust_are_run() {
    let page = "a\n```sh\nb\n```\n```rust\nc\n```\n```\nd\n```\n```rust\ne\n```\n";
    let (program, count) = program(page);
    assert_eq!(program, format!("{BEFORE}c\ne\n{AFTER}"));
    assert_eq!(count, 2);
}
