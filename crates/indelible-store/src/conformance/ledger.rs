//! The rules of the role [`Ledger`].

use std::ops::{ControlFlow, Range};

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::limits::LEAF_BYTES_MAX;
use indelible_merkle::{Frontier, Hash, leaf_hash, root_of};

use crate::conformance::generate::new_record;
use crate::conformance::{Generator, MakeLedger, Mix, Seals, operations, seed};
use crate::{Append, Commit, Expected, Head, Kind, Ledger, NewRecord, SealedValue, Stored, Terms};

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its place.
    pub sequence_number: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// Its personal values.
    pub sealed: Vec<SealedValue>,
}

/// All records of a range; damage fails the test.
pub fn read_all(ledger: &dyn Ledger, tenant: &TenantId, range: Range<u64>) -> Vec<Read> {
    let mut found = Vec::new();
    let visit = &mut |stored: Stored<'_>| {
        match stored {
            Stored::Record(r) => found.push(Read {
                sequence_number: r.sequence_number,
                leaf: r.leaf.to_vec(),
                sealed: r.sealed.to_vec(),
            }),
            Stored::Damaged { range, place } => panic!("{range:?} is damaged at {place}"),
        }
        ControlFlow::Continue(())
    };
    ledger.read(tenant, range, visit).unwrap();
    found
}

fn refused(ledger: &dyn Ledger, commit: &Commit, kind: Kind) {
    let error = ledger
        .append(commit)
        .expect_err("the commit must be refused");
    assert_eq!(error.kind(), kind, "{error}");
}

fn generator(name: &str) -> Generator {
    Generator::new(seed(name, 1), Mix::default())
}

fn one(append: Append) -> Commit {
    Commit {
        appends: vec![append],
    }
}

/// The tenant's log is exactly these records, and its head the one they lead to.
fn holds(ledger: &dyn Ledger, tenant: &TenantId, records: &[NewRecord], head: &Head) {
    assert_eq!(
        ledger.head(tenant).unwrap().as_ref(),
        Some(head),
        "{tenant}"
    );
    let read = read_all(ledger, tenant, 0..u64::MAX);
    assert_eq!(read.len(), records.len(), "{tenant}");
    for ((number, read), record) in (0..).zip(&read).zip(records) {
        assert_eq!(read.sequence_number, number);
        assert!(
            read.leaf == record.leaf,
            "leaf {number} of {tenant} changed"
        );
        assert_eq!(read.sealed, record.sealed, "seals of {number} of {tenant}");
    }
}

/// A new store has no tenants, no heads, no ids and no records.
pub fn an_empty_store_has_no_logs(make: MakeLedger<'_>) {
    let fixture = make().reopen();
    let ledger = fixture.ledger();
    let tenant = TenantId::parse("nobody").unwrap();
    assert!(ledger.tenants().unwrap().is_empty());
    assert_eq!(ledger.head(&tenant).unwrap(), None);
    assert_eq!(ledger.find(&tenant, &[AuditId([7; 16])]).unwrap(), [None]);
    assert!(read_all(ledger, &tenant, 0..10).is_empty());
    assert_eq!(
        ledger.subtree(&tenant, 0, 0).unwrap_err().kind(),
        Kind::NotFound
    );
}

/// Leaves come back byte for byte and seals as they were given, now and after reopening.
pub fn leaves_and_seals_come_back_verbatim(make: MakeLedger<'_>) {
    let mut fixture = make();
    let mut generator = generator("verbatim leaves");
    let mut kept: [Vec<NewRecord>; 2] = Default::default();
    for round in 0..6 {
        for (tenant, kept) in kept.iter_mut().enumerate() {
            let append = generator.append(tenant, 20 + round);
            kept.extend(append.records.clone());
            fixture.ledger().append(&one(append)).unwrap();
        }
        if round % 2 == 1 {
            fixture = fixture.reopen();
        }
        for (tenant, name) in generator.tenants().take(2).enumerate() {
            holds(
                fixture.ledger(),
                name,
                &kept[tenant],
                generator.head(tenant),
            );
        }
    }
    assert!(
        kept.iter()
            .flatten()
            .any(|r| r.sealed.iter().any(|v| v.blob))
    );
}

/// The ledger does not read leaves: bytes that are no record are kept as well as records.
pub fn any_bytes_come_back_verbatim(make: MakeLedger<'_>) {
    let fixture = make();
    let tenant = TenantId::parse("odd").unwrap();
    let hash = "0".repeat(64);
    let odd: Vec<Vec<u8>> = vec![
        b"x".to_vec(),
        b"{}".to_vec(),
        vec![0xff; 300],
        format!("{{\"previous_hash\":\"{hash}\"}}").into_bytes(),
        format!("\"previous_hash\":\"{}\"", hash.replace('0', "A")).into_bytes(),
        b"{\"event\":{\"audit_id\":\"not a uuid\"},\"previous_hash\":\"00\"}".to_vec(),
        (0..=255).collect(),
    ];
    let mut frontier = Frontier::new();
    let records: Vec<_> = (0..)
        .zip(odd)
        .map(|(number, leaf)| {
            let record_hash = leaf_hash(&leaf);
            frontier.append(record_hash);
            NewRecord {
                leaf,
                record_hash,
                audit_id: AuditId::mint(number, [1; 10]),
                occurred_at: Micros(0),
                ingested_at: Micros(5),
                terms: Terms::default(),
                numbers: Vec::new(),
                sealed: Vec::new(),
            }
        })
        .collect();
    let last_hash = records.last().unwrap().record_hash;
    let head = Head {
        frontier,
        last_hash,
        last_ingested_at: Micros(5),
    };
    let expected = Expected {
        size: 0,
        last_hash: Hash::ZERO,
    };
    let append = Append {
        tenant: tenant.clone(),
        expected,
        records: records.clone(),
        head: head.clone(),
    };
    fixture.ledger().append(&one(append)).unwrap();
    holds(fixture.ledger(), &tenant, &records, &head);
    let fixture = fixture.reopen();
    holds(fixture.ledger(), &tenant, &records, &head);
}

/// An append that names another size or hash than the head's is a conflict and changes nothing.
pub fn the_head_moves_only_from_where_it_was_read(make: MakeLedger<'_>) {
    let fixture = make();
    let ledger = fixture.ledger();
    let mut generator = generator("expected heads");
    let first = generator.append(0, 3);
    let kept = first.records.clone();
    let tenant = first.tenant.clone();
    let moved = |append: &Append, by: u64| {
        let mut append = append.clone();
        append.expected.size += by;
        let hashes = (0..append.head.frontier.size() + by).map(|_| Hash::ZERO);
        append.head.frontier = hashes.collect();
        append
    };
    refused(ledger, &one(moved(&first, 1)), Kind::Conflict);
    let mut other_hash = first.clone();
    other_hash.expected.last_hash = leaf_hash(b"another");
    refused(ledger, &one(other_hash), Kind::Conflict);
    assert_eq!(ledger.head(&tenant).unwrap(), None);
    assert!(ledger.tenants().unwrap().is_empty());
    ledger.append(&one(first)).unwrap();
    let head = generator.head(0).clone();
    let next = generator.append(0, 2);
    refused(ledger, &one(moved(&next, 1)), Kind::Conflict);
    let mut other_hash = next.clone();
    other_hash.expected.last_hash = Hash::ZERO;
    refused(ledger, &one(other_hash), Kind::Conflict);
    let mut from_start = next.clone();
    from_start.expected = Expected {
        size: 0,
        last_hash: Hash::ZERO,
    };
    from_start.head.frontier = [Hash::ZERO; 2].into_iter().collect();
    refused(ledger, &one(from_start), Kind::Conflict);
    holds(ledger, &tenant, &kept, &head);
    ledger.append(&one(next)).unwrap();
}

/// One conflict keeps every append of the commit out, wherever it stands in it.
pub fn a_commit_is_all_or_nothing(make: MakeLedger<'_>) {
    let fixture = make();
    let ledger = fixture.ledger();
    let mut generator = generator("all or nothing");
    let before: Vec<_> = (0..2).map(|tenant| generator.append(tenant, 4)).collect();
    ledger
        .append(&Commit {
            appends: before.clone(),
        })
        .unwrap();
    let heads: Vec<_> = (0..2)
        .map(|tenant| generator.head(tenant).clone())
        .collect();
    for wrong in 0..3 {
        let mut fork = generator.clone();
        let mut appends: Vec<_> = (0..3).map(|tenant| fork.append(tenant, 2)).collect();
        appends[wrong].expected.last_hash = leaf_hash(b"another");
        let new = appends[2].clone();
        let ids: Vec<_> = appends.iter().map(|a| a.records[0].audit_id).collect();
        refused(ledger, &Commit { appends }, Kind::Conflict);
        for ((append, head), id) in before.iter().zip(&heads).zip(ids) {
            holds(ledger, &append.tenant, &append.records, head);
            assert_eq!(ledger.find(&append.tenant, &[id]).unwrap(), [None]);
        }
        assert_eq!(ledger.head(&new.tenant).unwrap(), None);
        assert_eq!(ledger.tenants().unwrap().len(), 2);
    }
    let appends = (0..3).map(|tenant| generator.append(tenant, 2)).collect();
    ledger.append(&Commit { appends }).unwrap();
}

/// A commit or append without records, a tenant twice, and a head that does not count its records
/// are the caller's mistakes and change nothing.
pub fn malformed_commits_are_refused(make: MakeLedger<'_>) {
    let fixture = make();
    let ledger = fixture.ledger();
    let mut generator = generator("malformed commits");
    refused(ledger, &Commit::default(), Kind::Invalid);
    let good = generator.append(0, 2);
    let mut empty = generator.append(1, 1);
    empty.records.clear();
    empty.head.frontier = Frontier::new();
    refused(ledger, &one(empty.clone()), Kind::Invalid);
    refused(
        ledger,
        &Commit {
            appends: vec![good.clone(), empty],
        },
        Kind::Invalid,
    );
    let twice = generator.append(0, 2);
    refused(
        ledger,
        &Commit {
            appends: vec![good.clone(), twice],
        },
        Kind::Invalid,
    );
    let mut short = good.clone();
    short.head.frontier = Frontier::new();
    refused(ledger, &one(short), Kind::Invalid);
    let mut long = good.clone();
    long.records[1].leaf = vec![b' '; LEAF_BYTES_MAX + 1];
    refused(ledger, &one(long), Kind::Invalid);
    assert!(ledger.tenants().unwrap().is_empty());
    ledger.append(&one(good)).unwrap();
}

/// Sent again after an unknown outcome, a commit is a conflict and nothing is doubled.
pub fn the_same_commit_twice_adds_nothing(make: MakeLedger<'_>) {
    let mut fixture = make();
    let mut generator = generator("the same commit twice");
    for _ in 0..3 {
        let append = generator.append(0, 5);
        let size = append.head.frontier.size();
        fixture.ledger().append(&one(append.clone())).unwrap();
        refused(fixture.ledger(), &one(append.clone()), Kind::Conflict);
        fixture = fixture.reopen();
        refused(fixture.ledger(), &one(append.clone()), Kind::Conflict);
        let read = read_all(fixture.ledger(), &append.tenant, 0..u64::MAX);
        assert_eq!(read.len() as u64, size);
    }
}

/// Every committed id is found at its place, in the order asked, and in no other tenant's log.
pub fn ids_are_found_and_only_where_they_are(make: MakeLedger<'_>) {
    let mut fixture = make();
    let mut generator = generator("ids");
    let appends: Vec<_> = (0..2).map(|tenant| generator.append(tenant, 70)).collect();
    fixture
        .ledger()
        .append(&Commit {
            appends: appends.clone(),
        })
        .unwrap();
    for _ in 0..2 {
        let [mine, other] = appends.as_slice() else {
            unreachable!("two appends")
        };
        let mut ids: Vec<_> = mine.records.iter().map(|r| r.audit_id).collect();
        let mut expected: Vec<_> = (0..70).map(Some).collect();
        ids.reverse();
        expected.reverse();
        ids.insert(1, AuditId([9; 16]));
        expected.insert(1, None);
        ids.insert(3, ids[0]);
        expected.insert(3, expected[0]);
        assert_eq!(fixture.ledger().find(&mine.tenant, &ids).unwrap(), expected);
        let none = fixture.ledger().find(&other.tenant, &ids).unwrap();
        assert!(none.iter().all(Option::is_none), "{none:?}");
        assert!(fixture.ledger().find(&mine.tenant, &[]).unwrap().is_empty());
        fixture = fixture.reopen();
    }
}

/// A range read gives exactly the records that are there, in order; past the head there are none.
pub fn ranges_are_read_in_order_up_to_the_head(make: MakeLedger<'_>) {
    let fixture = make();
    let mut generator = generator("ranges");
    let records: Vec<_> = (0..4)
        .flat_map(|_| {
            let append = generator.append(0, 25);
            let records = append.records.clone();
            fixture.ledger().append(&one(append)).unwrap();
            records
        })
        .collect();
    let tenant = generator.tenants().next().unwrap();
    for (start, end) in [
        (0, 1),
        (0, 100),
        (24, 26),
        (99, 100),
        (99, 1_000),
        (30, 30),
        (100, 101),
    ] {
        let read = read_all(fixture.ledger(), tenant, start..end);
        let expected = (start..end.min(100)).collect::<Vec<_>>();
        assert_eq!(
            read.iter().map(|r| r.sequence_number).collect::<Vec<_>>(),
            expected
        );
        for r in read {
            assert!(
                r.leaf == records[r.sequence_number as usize].leaf,
                "{}",
                r.sequence_number
            );
        }
    }
    let end = u64::MAX;
    assert!(read_all(fixture.ledger(), tenant, end - 1..end).is_empty());
}

/// A visitor that breaks is called no more.
pub fn reading_stops_when_told(make: MakeLedger<'_>) {
    let fixture = make();
    let mut generator = generator("stopping");
    fixture
        .ledger()
        .append(&one(generator.append(0, 40)))
        .unwrap();
    let tenant = generator.tenants().next().unwrap();
    let mut seen = 0;
    let visit = &mut |_: Stored<'_>| {
        seen += 1;
        if seen == 7 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    fixture.ledger().read(tenant, 3..40, visit).unwrap();
    assert_eq!(seen, 7);
}

/// Every complete subtree has the root that RFC 6962 gives its leaves; incomplete ones are not
/// found, however large the numbers are.
pub fn subtrees_are_those_of_rfc_6962(make: MakeLedger<'_>) {
    let mut fixture = make();
    let mut generator = generator("subtrees");
    let mut hashes = Vec::new();
    for records in [300, 1, 299] {
        let append = generator.append(0, records);
        hashes.extend(append.records.iter().map(|r| r.record_hash));
        fixture.ledger().append(&one(append)).unwrap();
    }
    let tenant = generator.tenants().next().unwrap().clone();
    for _ in 0..2 {
        for level in 0_u32..=10 {
            let leaves = 1 << level;
            let complete = hashes.len() / leaves;
            for (index, chunk) in hashes.chunks_exact(leaves).enumerate() {
                let root = fixture
                    .ledger()
                    .subtree(&tenant, level, index as u64)
                    .unwrap();
                assert_eq!(
                    root,
                    root_of(chunk.iter().copied()),
                    "level {level} index {index}"
                );
            }
            let missing = fixture.ledger().subtree(&tenant, level, complete as u64);
            assert_eq!(missing.unwrap_err().kind(), Kind::NotFound);
        }
        for (level, index) in [
            (63, 1),
            (63, 2),
            (64, 0),
            (u32::MAX, 1),
            (1, u64::MAX),
            (0, u64::MAX),
        ] {
            let missing = fixture.ledger().subtree(&tenant, level, index);
            assert_eq!(
                missing.unwrap_err().kind(),
                Kind::NotFound,
                "{level} {index}"
            );
        }
        fixture = fixture.reopen();
    }
}

/// One commit may append to hundreds of logs; tenants are listed in order.
pub fn many_tenants_share_a_commit(make: MakeLedger<'_>) {
    let mix = Mix {
        tenants: 300,
        ..Mix::default()
    };
    let mut generator = Generator::new(seed("many tenants", 1), mix);
    let mut fixture = make();
    for _ in 0..2 {
        let appends = (0..300).map(|tenant| generator.append(tenant, 1)).collect();
        fixture.ledger().append(&Commit { appends }).unwrap();
        fixture = fixture.reopen();
    }
    let mut names: Vec<_> = generator.tenants().cloned().collect();
    names.sort();
    assert_eq!(fixture.ledger().tenants().unwrap(), names);
    for (tenant, name) in generator.tenants().enumerate() {
        let head = fixture.ledger().head(name).unwrap();
        assert_eq!(head.as_ref(), Some(generator.head(tenant)));
        let read = read_all(fixture.ledger(), name, 0..2);
        let root = root_of(read.iter().map(|r| leaf_hash(&r.leaf)));
        assert_eq!(root, generator.head(tenant).frontier.root(), "{name}");
    }
}

/// A leaf of 65,535 bytes between small ones, with a seal of 64 KiB, is kept.
pub fn the_biggest_leaf_is_kept(make: MakeLedger<'_>) {
    let fixture = make();
    let tenant = TenantId::parse("big").unwrap();
    let start = Head {
        frontier: Frontier::new(),
        last_hash: Hash::ZERO,
        last_ingested_at: Micros(0),
    };
    let mut head = start.clone();
    let mut records = Vec::new();
    for number in 0..5_u64 {
        let event = |filler: usize| {
            let filler: String = (0..filler)
                .map(|n| char::from(b'a' + (n * 7 % 26 + n / 99 % 3) as u8))
                .collect();
            format!("{{\"data\":\"{filler}\"}}").into_bytes()
        };
        let times = (AuditId::mint(number, [2; 10]), Micros(1), Micros(1));
        let handle = Seals::handle(&tenant, "big");
        let sealed = vec![Seals::blob(handle, &"personal ".repeat(7_281))];
        let mut bytes = event(10);
        if number % 2 == 1 {
            let small = new_record(&tenant, &mut head.clone(), &bytes, times, Vec::new());
            bytes = event(10 + LEAF_BYTES_MAX - small.leaf.len());
        }
        records.push(new_record(&tenant, &mut head, &bytes, times, sealed));
    }
    assert_eq!(
        records
            .iter()
            .filter(|r| r.leaf.len() == LEAF_BYTES_MAX)
            .count(),
        2
    );
    let expected = Expected {
        size: 0,
        last_hash: Hash::ZERO,
    };
    let append = Append {
        tenant: tenant.clone(),
        expected,
        records: records.clone(),
        head: head.clone(),
    };
    fixture.ledger().append(&one(append)).unwrap();
    holds(fixture.ledger(), &tenant, &records, &head);
    let fixture = fixture.reopen();
    holds(fixture.ledger(), &tenant, &records, &head);
}

/// Of several writers that build on the same head exactly one succeeds, every time.
pub fn one_of_two_rivals_wins(make: MakeLedger<'_>) {
    let fixture = make();
    let ledger = fixture.ledger();
    let mut generator = generator("rivals");
    let tenant = generator.tenants().next().unwrap().clone();
    for round in 0..8 {
        // Different records on the same head: each rival draws its own.
        let rivals: Vec<_> = (1..=4)
            .map(|n| {
                let mut fork = generator.clone();
                fork.append(1, n);
                (fork.append(0, 1 + n % 2), fork)
            })
            .collect();
        let outcomes = std::thread::scope(|scope| {
            let tries: Vec<_> = rivals
                .iter()
                .map(|(append, _)| scope.spawn(move || ledger.append(&one(append.clone()))))
                .collect();
            tries
                .into_iter()
                .map(|t| t.join().unwrap())
                .collect::<Vec<_>>()
        });
        let won: Vec<_> = rivals
            .iter()
            .zip(&outcomes)
            .filter(|(_, o)| o.is_ok())
            .collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert!(
            outcomes
                .iter()
                .filter_map(|o| o.as_ref().err())
                .all(|e| e.kind() == Kind::Conflict)
        );
        let ((append, fork), _) = won[0];
        assert_eq!(ledger.head(&tenant).unwrap().as_ref(), Some(&append.head));
        generator = fork.clone();
    }
    let size = generator.head(0).frontier.size();
    assert_eq!(read_all(ledger, &tenant, 0..u64::MAX).len() as u64, size);
}

/// Any run of operations, right and wrong ones, gives the same answers as the reference.
pub fn random_operations_agree_with_the_reference(make: MakeLedger<'_>) {
    operations::run(make, seed("ledger operations", 1));
}
