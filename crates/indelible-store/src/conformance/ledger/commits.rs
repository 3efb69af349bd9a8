//! What a commit is: a compare-and-swap of heads, all or nothing.

use indelible_event::limits::LEAF_BYTES_MAX;
use indelible_merkle::{Frontier, Hash, leaf_hash, root_of};

use super::{generator, holds, one, read_all, refused};
use crate::conformance::{Generator, MakeLedger, Mix, seed};
use crate::{Append, Commit, Expected, Kind};

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
    long.records[1].leaf = vec![b' '; LEAF_BYTES_MAX + 1].as_slice().into();
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
