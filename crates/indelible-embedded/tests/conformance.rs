//! The embedded ledger passes the suites of its roles, with segments small enough that every suite
//! meets sealed and merged ones, and two threads that count.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::Micros;
use indelible_store::conformance::{LedgerFixture, Seals};
use indelible_store::{Index, Ledger};

struct Fixture {
    disk: Arc<dyn Disk>,
    options: Options,
    embedded: Option<Embedded>,
}

impl Fixture {
    fn make(options: Options) -> Box<dyn LedgerFixture> {
        let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
        Embedded::create(&*disk, [1; 16], [2; 16], Micros(0)).unwrap();
        let embedded = Some(open(&disk, &options));
        Box::new(Self {
            disk,
            options,
            embedded,
        })
    }
}

fn open(disk: &Arc<dyn Disk>, options: &Options) -> Embedded {
    let opener = Some(Arc::new(Seals) as _);
    Embedded::open(Arc::clone(disk), opener, options.clone(), &mut |_| {}).unwrap()
}

impl LedgerFixture for Fixture {
    fn ledger(&self) -> &dyn Ledger {
        self.embedded.as_ref().unwrap()
    }

    fn index(&self) -> &dyn Index {
        self.embedded.as_ref().unwrap()
    }

    fn reopen(mut self: Box<Self>) -> Box<dyn LedgerFixture> {
        self.embedded.take().unwrap().close().unwrap();
        self.embedded = Some(open(&self.disk, &self.options));
        self
    }
}

fn tail() -> Box<dyn LedgerFixture> {
    Fixture::make(Options::default())
}

fn segments() -> Box<dyn LedgerFixture> {
    Fixture::make(Options {
        seal_records: 40,
        merge_segments: 0,
        shared_rows: 1,
        background: false,
        ..Options::default()
    })
}

fn merged() -> Box<dyn LedgerFixture> {
    Fixture::make(Options {
        seal_records: 25,
        block_bytes: 2048,
        merge_segments: 3,
        ..Options::default()
    })
}

indelible_store::ledger_conformance!(ledger_in_the_tail, tail);
indelible_store::ledger_conformance!(ledger_in_segments, segments);
indelible_store::ledger_conformance!(ledger_in_merged_segments, merged);
indelible_store::index_conformance!(index_in_the_tail, tail, 1_000);
indelible_store::index_conformance!(index_in_segments, segments, 1_000);
indelible_store::index_conformance!(index_in_merged_segments, merged);
