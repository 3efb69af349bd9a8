//! What the client sends, made before the clock starts: batches of lines as they are or compressed,
//! and single events. Each event names its tenant, as those of the SDK do.

use crate::event::tenant_name;

use crate::Fault;
use crate::http::{Sent, post};
use crate::load::{Load, Made};

/// What zstd calls its fastest level that still compresses well.
const LEVEL: i32 = 1;

/// How batches are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    Plain,
    /// As the SDK sends them.
    Zstd,
}

impl Packing {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "lines",
            Self::Zstd => "zstd",
        }
    }
}

/// Puts the name of its tenant into each event, where canonical JSON has it: behind the target.
///
/// # Errors
/// When an event is no object.
pub fn name_tenants(load: &mut Load) -> Result<(), Fault> {
    for made in load.batches.iter_mut().flatten() {
        if made.event.pop() != Some(b'}') {
            return Err("an event is no object".into());
        }
        let member = format!(",\"tenant_id\":\"{}\"}}", tenant_name(made.tenant));
        made.event.extend_from_slice(member.as_bytes());
        load.bytes += member.len() as u64 - 1;
    }
    Ok(())
}

/// One request for each batch.
///
/// # Errors
/// When one cannot be compressed.
pub fn batches(load: &Load, packing: Packing) -> Result<Vec<Vec<u8>>, Fault> {
    load.batches
        .iter()
        .map(|batch| request(batch, packing))
        .collect()
}

/// The request of one batch.
///
/// # Errors
/// When it cannot be compressed.
pub fn request(batch: &[Made], packing: Packing) -> Result<Vec<u8>, Fault> {
    let mut lines = Vec::with_capacity(batch.iter().map(|made| made.event.len() + 1).sum());
    for made in batch {
        lines.extend_from_slice(&made.event);
        lines.push(b'\n');
    }
    let mut sent = Sent {
        path: "/v1/events:batch",
        content_type: "application/x-ndjson",
        encoding: None,
    };
    if packing == Packing::Zstd {
        sent.encoding = Some("zstd");
        lines = zstd::bulk::compress(&lines, LEVEL)?;
    }
    Ok(post(sent, &lines))
}

/// One request for each event.
pub fn singles(load: &Load) -> Vec<Vec<u8>> {
    let sent = Sent {
        path: "/v1/events",
        content_type: "application/json",
        encoding: None,
    };
    let events = load.batches.iter().flatten();
    events.map(|made| post(sent, &made.event)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use crate::event::{Generator, Shape};
    use indelible_event::catalogue::NATIVE;
    use indelible_event::{Admission, Mode, Origin, admit};

    use super::*;
    use crate::load::now;

    #[test]
    fn an_event_with_its_tenant_is_still_canonical() {
        let start = now();
        let mut generator = Generator::new(Shape::default(), 1, start);
        let mut load = Load::next(&mut generator, 50, 50);
        name_tenants(&mut load).unwrap();
        let mut bytes = 0;
        for made in load.batches.iter().flatten() {
            let tenant = tenant_name(made.tenant).parse().unwrap();
            let rules = Admission {
                mode: Mode::Strict,
                catalogue: &NATIVE,
                dialect: "native",
                origin: Origin::Producer,
                tenant: Some(&tenant),
                now: start,
            };
            let admitted = admit(&made.event, &rules, &mut |_| {}).unwrap();
            assert_eq!(admitted.bytes, made.event);
            bytes += made.event.len() as u64;
        }
        assert_eq!(load.bytes, bytes);
        let requests = batches(&load, Packing::Plain).unwrap();
        assert!(requests[0].len() as u64 > bytes);
        assert!(batches(&load, Packing::Zstd).unwrap()[0].len() as u64 * 3 < bytes);
        assert_eq!(singles(&load).len(), 50);
    }
}
