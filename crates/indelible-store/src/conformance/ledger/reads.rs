//! What is read back: leaves, seals, ids, ranges and subtree roots.

use std::ops::{ControlFlow, Range};

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::limits::LEAF_BYTES_MAX;
use indelible_merkle::{Frontier, Hash, leaf_hash, root_of};

use super::{Read, generator, holds, one, read_all};
use crate::conformance::generate::new_record;
use crate::conformance::{MakeLedger, Seals};
use crate::{Append, Commit, Expected, Head, Kind, NewRecord, Stored};

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
                leaf: leaf.as_slice().into(),
                record_hash,
                audit_id: AuditId::mint(number, [1; 10]),
                occurred_at: Micros(0),
                ingested_at: Micros(5),
                filed: None,
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

/// Ranges of several logs are read as each by itself, in the order asked, also where they overlap,
/// are empty, are long, or reach behind a head; a visitor that breaks is called no more.
pub fn scattered_ranges_are_read_as_each_is(make: MakeLedger<'_>) {
    let fixture = make();
    let ledger = fixture.ledger();
    let mut generator = generator("scattered");
    for count in [40, 300, 400] {
        let appends = (0..3)
            .map(|tenant| generator.append(tenant, count))
            .collect();
        ledger.append(&Commit { appends }).unwrap();
    }
    let tenants: Vec<_> = generator.tenants().take(3).cloned().collect();
    let nobody = TenantId::parse("nobody-at-all").unwrap();
    let mut wanted: Vec<(&TenantId, Range<u64>)> = Vec::new();
    for number in (0..740).step_by(9) {
        let of = &tenants[usize::try_from(number % 3).unwrap()];
        wanted.push((of, number..number + 1 + number % 4));
    }
    wanted.push((&tenants[1], 5..5));
    wanted.push((&nobody, 0..3));
    wanted.push((&tenants[2], 100..700));
    wanted.push((&tenants[0], 738..760));
    wanted.push((&tenants[0], 3..6));
    let alone = wanted.iter().flat_map(|(tenant, range)| {
        let read = read_all(ledger, tenant, range.clone()).into_iter();
        read.map(|record| ((*tenant).clone(), record))
    });
    let alone: Vec<_> = alone.collect();
    assert!(alone.len() > 800);
    for stop in [usize::MAX, 1, 50, 500] {
        let mut found = Vec::new();
        let visit = &mut |tenant: &TenantId, stored: Stored<'_>| {
            let Stored::Record(record) = stored else {
                panic!("nothing is damaged")
            };
            let read = Read {
                sequence_number: record.sequence_number,
                leaf: record.leaf.to_vec(),
                sealed: record.sealed.to_vec(),
            };
            found.push((tenant.clone(), read));
            if found.len() == stop {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        ledger.read_ranges(&wanted, visit).unwrap();
        assert!(found == alone[..stop.min(alone.len())], "up to {stop}");
    }
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
