//! Every write, sync, rename and removal that a small life of a ledger makes fails, tears or is
//! followed by a power cut, one at a time; afterwards the product's own verifier decides.
//!
//! What was acknowledged is there exactly once, every log verifies, and the same events can be
//! submitted again and add only what was missing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use indelible_disk::{Disk, Fault, FaultyDisk, Operation};
use indelible_embedded::{Embedded, StateMode, open_state};
use indelible_event::Micros;
use indelible_log::verify::{Anchors, Kept, verify_log, verify_registry};
use indelible_log::{Keyring, Limits, Log, MasterKey, Options, Outcome, Stores};
use indelible_merkle::{Hash, leaf_hash};
use indelible_store::{Kind, Ledger, State, Stored};
use support::{ORIGIN, START, World, event, submission, tenant};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Where a record with this event was acknowledged.
type Acknowledged = BTreeMap<(String, u64), (u64, Hash)>;

struct Opened {
    log: Log,
    stores: Stores,
    keyring: Arc<Keyring>,
}

fn open(disk: &FaultyDisk, world: &World) -> Fallible<Opened> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    if disk.len("FORMAT")?.is_none() {
        Embedded::create(disk, [1; 16], [2; 16], Micros(START))?;
    }
    disk.create_dir_all("keys")?;
    let keys: Arc<dyn State> = Arc::new(open_state(
        Arc::clone(&shared),
        "keys/keys.redb",
        StateMode::Create,
    )?);
    let master = Some(MasterKey::from_bytes([9; 32]));
    let keyring = Keyring::open(keys, master, world.random.clone())?;
    let options = indelible_embedded::Options {
        seal_records: 16,
        merge_segments: 2,
        background: false,
        ..indelible_embedded::Options::default()
    };
    let opener = Some(Arc::clone(&keyring) as Arc<dyn indelible_store::RowOpener>);
    let ledger = Embedded::open(Arc::clone(&shared), opener, options, &mut |_| {})?;
    let state = open_state(shared, "state.redb", StateMode::Create)?;
    let stores = Stores {
        ledger: Arc::new(ledger),
        state: Arc::new(state),
    };
    let options = Options {
        origin: ORIGIN.to_owned(),
        verifier_key: World::key().verifier_key().to_string(),
        create_tenants: true,
        limits: Limits {
            group_records_max: 7,
            ..Limits::default()
        },
    };
    let signer = Some(world.signer(ORIGIN));
    let log = Log::open(
        stores.clone(),
        Arc::clone(&keyring),
        signer,
        options,
        world.env(),
    )?;
    Ok(Opened {
        log,
        stores,
        keyring,
    })
}

/// Submits events `from..to` to two tenants, notes what was acknowledged, and publishes.
fn work(opened: &Opened, from: u64, to: u64, acknowledged: &mut Acknowledged) -> Fallible<()> {
    let names = ["acme", "beta"];
    let batch: Vec<_> = (from..to)
        .flat_map(|n| names.map(|name| (name, n)))
        .collect();
    let submissions = batch
        .iter()
        .map(|(name, n)| submission(name, event(*n, "x")))
        .collect();
    for ((name, n), outcome) in batch.iter().zip(opened.log.submit(submissions).wait()) {
        match outcome {
            Outcome::New(r) | Outcome::Repeat { receipt: r, .. } => {
                let place = (r.sequence_number, r.record_hash);
                let before = acknowledged.insert(((*name).to_owned(), *n), place);
                assert!(
                    before.is_none_or(|before| before == place),
                    "{name} {n} moved"
                );
            }
            Outcome::Failed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    opened.log.publish()?;
    Ok(())
}

/// The life: open, work, close, open again, work, close. Errors end a part of it, never the test.
fn live(disk: &FaultyDisk, world: &World, acknowledged: &mut Acknowledged) {
    let _ = (|| {
        let opened = open(disk, world)?;
        work(&opened, 0, 12, acknowledged)?;
        work(&opened, 12, 20, acknowledged)
    })();
    let _ = (|| {
        let opened = open(disk, world)?;
        work(&opened, 16, 24, acknowledged)
    })();
}

fn check(opened: &Opened, acknowledged: &Acknowledged, context: &str) {
    let anchors = Anchors {
        key: Some(World::key().verifier_key()),
        kept: Kept::Elsewhere,
        checkpoint: None,
        values: true,
    };
    assert_eq!(
        verify_registry(&opened.stores, &anchors).unwrap(),
        vec![],
        "{context}"
    );
    for name in opened.stores.ledger.tenants().unwrap() {
        let verdict = verify_log(
            &opened.stores,
            &opened.keyring,
            &name,
            &anchors,
            &mut |_, _| ControlFlow::Continue(()),
        );
        assert_eq!(verdict.unwrap().integrity, vec![], "{context}: {name}");
    }
    for ((name, n), (number, hash)) in acknowledged {
        let mut found = None;
        let ledger: &dyn Ledger = opened.stores.ledger.as_ref();
        let read = ledger.read(&tenant(name), *number..number + 1, &mut |stored| {
            if let Stored::Record(record) = stored {
                found = Some(leaf_hash(record.leaf));
            }
            ControlFlow::Break(())
        });
        read.unwrap();
        assert_eq!(
            found,
            Some(*hash),
            "{context}: event {n} of {name} was acknowledged"
        );
    }
}

/// After the fault: start again, check, submit everything again, check again.
fn after(disk: &FaultyDisk, world: &World, mut acknowledged: Acknowledged, context: &str) {
    disk.crash();
    disk.reboot();
    let opened = open(disk, world).unwrap_or_else(|e| panic!("{context}: does not open: {e}"));
    check(&opened, &acknowledged, context);
    work(&opened, 0, 24, &mut acknowledged).unwrap();
    assert_eq!(acknowledged.len(), 48, "{context}: everything goes in");
    check(&opened, &acknowledged, context);
    for name in ["acme", "beta"] {
        let size = opened
            .stores
            .ledger
            .head(&tenant(name))
            .unwrap()
            .unwrap()
            .frontier
            .size();
        assert_eq!(size, 25, "{context}: every event of {name} is there once");
    }
}

fn operations() -> Vec<(Operation, String)> {
    let (disk, world) = (FaultyDisk::new(0), World::new(0));
    let mut acknowledged = Acknowledged::new();
    live(&disk, &world, &mut acknowledged);
    assert_eq!(acknowledged.len(), 48);
    let history = disk.history();
    after(&disk, &world, acknowledged, "without a fault");
    history
}

/// Runs the life with one fault, and says in which case it went wrong.
fn run(at: u64, fault: Fault, what: &(Operation, String)) -> Result<(), String> {
    let context = format!("{fault:?} at {at}, {:?} {}", what.0, what.1);
    let life = AssertUnwindSafe(|| {
        let (disk, world) = (FaultyDisk::new(at), World::new(at));
        disk.plan(at, fault);
        let mut acknowledged = Acknowledged::new();
        live(&disk, &world, &mut acknowledged);
        after(&disk, &world, acknowledged, &context);
    });
    std::panic::catch_unwind(life).map_err(|_| context.clone())
}

#[test]
fn each_single_fault_leaves_every_acknowledged_event() {
    let history = operations();
    println!("{} operations", history.len());
    let mut wrong = Vec::new();
    let faults = [
        Fault::Failed,
        Fault::FailedButPersisted,
        Fault::CrashedAfter,
        Fault::Torn { bytes: 9 },
    ];
    for (at, what) in (0..).zip(&history) {
        for fault in faults {
            if what.0 == Operation::Write || !matches!(fault, Fault::Torn { .. }) {
                wrong.extend(run(at, fault, what).err());
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Which sync of the program an operation is: what it syncs, whatever numbers are in the name.
fn sync_of((operation, path): &(Operation, String)) -> Option<String> {
    let mut name: Vec<char> = path.chars().collect();
    name.dedup_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit());
    let name: String = name
        .into_iter()
        .map(|c| if c.is_ascii_digit() { 'N' } else { c })
        .collect();
    match operation {
        Operation::SyncData => Some(format!("bytes of {name}")),
        Operation::SyncDir => Some(format!("names in {name}/")),
        _ => None,
    }
}

/// Whether a power cut shows that a sync, which the program does at `places`, was removed from it.
fn is_noticed(places: &[u64], history: &[(Operation, String)]) -> bool {
    let first = places.first().copied().unwrap_or(0);
    let cuts = (first..history.len() as u64).filter(|cut| !places.contains(cut));
    let noticed_at = |cut: u64, seed: u64| {
        let (disk, world) = (FaultyDisk::new(seed), World::new(0));
        for place in places {
            disk.plan(*place, Fault::Ignored);
        }
        disk.plan(cut, Fault::CrashedAfter);
        let life = AssertUnwindSafe(|| {
            let mut acknowledged = Acknowledged::new();
            live(&disk, &world, &mut acknowledged);
            after(&disk, &world, acknowledged, "forgotten");
        });
        std::panic::catch_unwind(life).is_err()
    };
    cuts.step_by(5).any(|cut| noticed_at(cut, cut))
}

/// The first test can fail: whichever sync of the program is removed, it notices; but for those
/// whose loss costs nothing, which are named here with the reason.
#[test]
fn every_removed_sync_is_noticed() {
    let history = operations();
    let mut syncs: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (at, operation) in (0..).zip(&history) {
        if let Some(sync) = sync_of(operation) {
            syncs.entry(sync).or_default().push(at);
        }
    }
    let mut unnoticed: Vec<_> = syncs
        .iter()
        .filter(|(_, places)| !is_noticed(places, &history))
        .map(|(sync, _)| sync.as_str())
        .collect();
    unnoticed.sort_unstable();
    assert_eq!(unnoticed, COSTS_NOTHING);
    let all: Vec<_> = syncs.keys().map(String::as_str).collect();
    for sync in [
        "bytes of journal/N",
        "bytes of state.redb",
        "bytes of keys/keys.redb",
    ] {
        assert!(all.contains(&sync), "{all:?}");
    }
}

/// Syncs without which nothing is lost: of derived files, which opening or `fsck --repair` makes
/// again from the records. They save that work after a power cut.
const COSTS_NOTHING: [&str; 8] = [
    "bytes of personal/N-N.new",
    "bytes of segments/HEADS.new",
    "bytes of segments/MANIFEST.new",
    "bytes of segments/N-N.new/columns",
    "bytes of segments/N-N.new/ids",
    "bytes of segments/N-N.new/postings",
    "bytes of segments/N-N.new/tiles",
    "names in personal/",
];

#[test]
fn a_full_disk_refuses_cleanly_and_goes_on_when_there_is_room() {
    let (disk, world) = (FaultyDisk::new(1), World::new(1));
    let mut acknowledged = Acknowledged::new();
    let opened = open(&disk, &world).unwrap();
    work(&opened, 0, 5, &mut acknowledged).unwrap();
    disk.set_room(Some(disk.used()));
    let batch = (5..10).map(|n| submission("acme", event(n, "x"))).collect();
    for outcome in opened.log.submit(batch).wait() {
        let Outcome::Failed(e) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(e.kind(), Kind::NoSpace, "{e}");
    }
    check(&opened, &acknowledged, "while it is full");
    disk.set_room(None);
    work(&opened, 0, 12, &mut acknowledged).unwrap();
    assert_eq!(acknowledged.len(), 24);
    check(&opened, &acknowledged, "when there is room again");
}
