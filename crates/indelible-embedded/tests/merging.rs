//! A writer's merges get on whatever is damaged: what is derived is made again on the way, and a
//! segment whose records are damaged stays as it is, so that what is known of the damage stays.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::Micros;
use indelible_proof::finding::FindingKind;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Commit, Index, Ledger, Query, Unread};
use support::*;

const DERIVED: [&str; 5] = ["postings", "columns", "ids", "tiles", "personal"];

/// A writer, what makes its commits, and what was committed.
struct World {
    disk: FaultyDisk,
    ledger: Option<Embedded>,
    generator: Generator,
    commits: Vec<Commit>,
}

impl World {
    fn new() -> Self {
        let disk = FaultyDisk::new(0);
        Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
        let mix = Mix {
            tenants: 9,
            ..Mix::default()
        };
        Self {
            ledger: Some(open(&disk)),
            disk,
            generator: Generator::new(11, mix),
            commits: Vec::new(),
        }
    }

    fn ledger(&self) -> &Embedded {
        self.ledger.as_ref().unwrap()
    }

    fn append(&mut self) {
        let commit = self.generator.commit(6);
        self.ledger().append(&commit).unwrap();
        self.commits.push(commit);
    }

    /// Appends until there are so many segments.
    fn until(&mut self, merged: usize, fresh: usize) {
        for _ in 0..400 {
            if self.segments() == (merged, fresh) {
                return;
            }
            self.append();
        }
        panic!("{:?} instead of {merged} and {fresh}", self.segments());
    }

    /// Merged segments, and those that are not.
    fn segments(&self) -> (usize, usize) {
        let manifest = self.disk.read("segments/MANIFEST").unwrap_or_default();
        let manifest = String::from_utf8(manifest).unwrap();
        let count = |what: &str| manifest.matches(what).count();
        (count("\"clustered\":true"), count("\"clustered\":false"))
    }

    fn reopen(&mut self) {
        self.ledger = None;
        self.ledger = Some(open(&self.disk));
    }

    /// The file `name` of the last segment.
    fn file(&self, name: &str) -> (String, u64) {
        let mut files = files(&self.disk).into_iter();
        let of = |(path, _): &(String, u64)| path.ends_with(name) || path.starts_with(name);
        files.rfind(of).unwrap()
    }

    fn flip(&self, path: &str, at: u64) {
        self.disk.damage(path, at, |byte| *byte ^= 0x10).unwrap();
    }

    fn unread(&self) -> Vec<Unread> {
        self.ledger().unread(&Query::default()).unwrap()
    }
}

#[test]
fn a_damaged_derived_file_is_made_again_and_merged() {
    for name in DERIVED {
        for part in 0..4 {
            let mut world = World::new();
            world.until(0, 1);
            let (path, bytes) = world.file(name);
            // In the first page, in others, in the directory of the file.
            world.flip(&path, [13, bytes / 3, bytes / 2, bytes - 1][part]);
            if part == 2 {
                world.reopen();
            }
            world.until(1, 0);
            let why = format!("{name}, part {part}");
            assert_eq!(world.ledger().trouble(), None, "{why}");
            assert_eq!(world.ledger().check(&mut |_| {}).unwrap(), [], "{why}");
            let hits = world
                .ledger()
                .search(&Query::default(), None, 10_000)
                .unwrap();
            let hits: Places = hits
                .hits
                .into_iter()
                .map(|hit| (hit.tenant, hit.sequence_number))
                .collect();
            assert_eq!(hits, all(&world.commits), "{why}");
            assert_eq!(read(world.ledger()).0, all(&world.commits), "{why}");
        }
    }
}

#[test]
fn a_segment_with_damaged_records_stays_and_the_others_are_merged() {
    for part in [0, 1, 2, 3, 4] {
        let mut world = World::new();
        world.until(0, 1);
        let (path, bytes) = world.file("records");
        let before = world.disk.read(&path).unwrap();
        // In the first frame's header, in its rows and blocks, and in the last block.
        let at = [50, 90, bytes / 3, bytes / 2, bytes - 1][part];
        world.flip(&path, at);
        if part == 3 {
            world.reopen();
        }
        world.until(1, 1);
        let why = format!("byte {at} of {path}");
        assert_eq!(world.ledger().trouble(), None, "{why}");
        let findings = world.ledger().check(&mut |_| {}).unwrap();
        assert!(!findings.is_empty(), "{why}");
        for finding in findings {
            assert_eq!(finding.kind, FindingKind::Corrupt, "{why}");
            assert_eq!(finding.place.unwrap().file, path, "{why}");
        }
        // What was damaged can be brought back from a copy, and is then merged no differently.
        world.flip(&path, at);
        assert_eq!(world.disk.read(&path).unwrap(), before);
        world.reopen();
        assert_eq!(world.ledger().check(&mut |_| {}).unwrap(), []);
        assert_eq!(read(world.ledger()).0, all(&world.commits));
    }
}

#[test]
fn damage_of_unknown_ownership_is_named_after_merges_too() {
    let mut world = World::new();
    (0..3).for_each(|_| world.append());
    // The last frame of a journal, then something that may have been a frame.
    let (path, bytes) = world.file("journal");
    world.ledger = None;
    let file = world.disk.open(&path, indelible_disk::Open::Write).unwrap();
    file.write_at(&[7; 50], bytes).unwrap();
    world.reopen();
    let somewhere = |unread: &[Unread]| unread.iter().filter(|u| u.log.is_none()).count();
    assert_eq!(somewhere(&world.unread()), 1);
    world.until(1, 1);
    for _ in 0..2 {
        let unread = world.unread();
        assert_eq!(somewhere(&unread), 1, "{unread:?}");
        assert_eq!(unread[0].place.bytes, bytes..bytes + 50);
        assert_eq!(world.ledger().trouble(), None);
        assert_eq!(world.ledger().check(&mut |_| {}).unwrap().len(), 1);
        world.reopen();
    }
}

#[test]
fn a_segment_with_holes_is_not_merged() {
    let mut world = World::new();
    for tenant in [0, 1, 2] {
        let appends = vec![world.generator.append(tenant, 5)];
        world.commits.push(Commit { appends });
        world
            .ledger()
            .append(world.commits.last().unwrap())
            .unwrap();
    }
    let (path, _) = world.file("journal");
    world.ledger = None;
    world.flip(&path, 60);
    world.reopen();
    let before = world.unread();
    assert!(!before.is_empty());
    // The damaged log takes no more; others do.
    for n in 0..40 {
        let appends = vec![world.generator.append(3 + n % 3, 5)];
        world.commits.push(Commit { appends });
        world
            .ledger()
            .append(world.commits.last().unwrap())
            .unwrap();
    }
    assert!(world.segments().0 >= 1, "{:?}", world.segments());
    for _ in 0..2 {
        let (whole, damaged) = read(world.ledger());
        let mut named = damaged;
        let mut somewhere = false;
        for unread in world.unread() {
            match unread.log {
                Some((tenant, range)) => named.extend(range.map(|n| (tenant.clone(), n))),
                None => somewhere = true,
            }
        }
        let lost = all(&world.commits).difference(&whole).count();
        assert!(somewhere || named.len() >= lost, "{lost} lost, {named:?}");
        assert!(world.segments().1 >= 1, "what is damaged stays as it is");
        assert_eq!(world.ledger().trouble(), None);
        world.reopen();
    }
}

/// Opens with the two threads, as programs do, or without; merging so many segments into one.
fn open_with(disk: &FaultyDisk, background: bool, merge_segments: usize) -> Embedded {
    let options = Options {
        background,
        merge_segments,
        ..options()
    };
    let (disk, opener) = (Arc::new(disk.clone()), Some(Arc::new(Seals) as _));
    Embedded::open(disk, opener, options, &mut |_| {}).unwrap()
}

#[test]
fn what_is_due_is_merged_when_somebody_waits_for_it_and_not_by_opening() {
    let mut world = World::new();
    world.ledger = None;
    world.ledger = Some(open_with(&world.disk, false, 1_000));
    world.until(0, 4);
    // As a command does that writes one event: merging is due, and it neither waits nor begins.
    world.ledger = None;
    world.ledger = Some(open_with(&world.disk, true, 2));
    world.append();
    assert_eq!(world.ledger().check(&mut |_| {}).unwrap(), []);
    world.ledger = None;
    assert_eq!(world.segments(), (0, 4));
    // Given up at once: whatever it came to is whole.
    world.ledger = Some(open_with(&world.disk, true, 2));
    world.ledger().finish(&mut || true).unwrap();
    world.ledger = None;
    world.ledger = Some(open_with(&world.disk, true, 2));
    world.ledger().finish(&mut || false).unwrap();
    assert_eq!(world.segments(), (2, 0));
    assert_eq!(world.ledger().check(&mut |_| {}).unwrap(), []);
    // The end is no end: later appends seal and merge by themselves.
    world.until(3, 0);
}
