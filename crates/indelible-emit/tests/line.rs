//! The line of telemetry per event: what it says, what it never says, and that it is off.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indelible_emit::Actor;
use support::{Memory, quick, start};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn emit(log_events: bool, targets: &[&str]) {
    let mut options = quick();
    options.log_events = log_events;
    let emitter = start(Memory::default(), options);
    for target in targets {
        let ada = Actor::user("ada").name("Ada Lovelace").ip("192.0.2.1");
        let event = emitter.for_tenant("acme").action("content.publish");
        let event = event.actor(ada).target("post", target);
        let _ = event.failed("E1", "the message of ada@example.org").emit();
    }
    assert!(emitter.close(Duration::from_secs(20)).is_clean());
}

/// One test, since the worker writes to the subscriber of the whole process.
#[test]
fn a_line_says_what_the_event_is_about_and_nothing_personal() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();

    emit(false, &["456"]);
    assert_eq!(lines.take(), [""; 0], "off unless it is asked for");

    emit(true, &["456"]);
    let told = lines.take();
    assert_eq!(told.len(), 1, "{told:#?}");
    let line: serde_json::Value = serde_json::from_str(&told[0]).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        line["fields"],
        serde_json::json!({
            "message": "Audit: content.publish on post/456",
            "auditEvent": true,
            "actionType": "content.publish",
            "targetType": "post",
            "targetId": "456",
            "outcome": "failure",
            "clientId": "acme",
        })
    );

    let ids = [
        "ada@example.org",
        "192.0.2.1",
        "2001:db8::1",
        "a\nlevel=ERROR forged",
        "https://ada:hunter2@example.org",
    ];
    emit(true, &ids);
    let told = lines.take();
    assert_eq!(told.len(), ids.len());
    for line in told {
        assert!(line.contains("post/[withheld]"), "{line}");
    }
}
