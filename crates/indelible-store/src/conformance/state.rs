//! The rules of the role [`State`].

use crate::conformance::{MakeState, Random, seed};
use crate::memory::MemoryState;
use crate::{Change, Kind, State, Version};

const SPACE: &str = "conformance";
const OTHER: &str = "other_space";
/// Random operations of one run.
const OPERATIONS: usize = 400;

fn put(key: &[u8], expected: Option<Version>, value: &[u8]) -> Change {
    Change {
        space: SPACE,
        key: key.to_vec(),
        expected,
        value: Some(value.to_vec()),
    }
}

fn remove(key: &[u8], expected: Option<Version>) -> Change {
    Change {
        space: SPACE,
        key: key.to_vec(),
        expected,
        value: None,
    }
}

fn conflict(state: &dyn State, changes: &[Change]) {
    let error = state
        .apply(changes)
        .expect_err("the expected version is not in force");
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
}

/// What was never written is not there, nor in any scan; removing it changes nothing.
pub fn what_was_never_written_is_not_there(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    assert_eq!(state.get(SPACE, b"a").unwrap(), None);
    assert!(state.scan(SPACE, b"", None, 10).unwrap().is_empty());
    state.apply(&[remove(b"a", None)]).unwrap();
    state.apply(&[]).unwrap();
    assert_eq!(state.get(SPACE, b"a").unwrap(), None);
}

/// The first write has version 1 and each further one the next.
pub fn versions_count_writes(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    for version in 1..=5_u64 {
        let value = version.to_be_bytes();
        state.apply(&[put(b"a", None, &value)]).unwrap();
        assert_eq!(
            state.get(SPACE, b"a").unwrap(),
            Some((value.to_vec(), version))
        );
    }
    state.apply(&[remove(b"a", Some(5))]).unwrap();
    assert_eq!(state.get(SPACE, b"a").unwrap(), None);
}

/// `Some(0)` means not there, another number exactly that version, `None` anything.
pub fn an_expected_version_must_be_in_force(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    conflict(state, &[put(b"a", Some(1), b"x")]);
    conflict(state, &[remove(b"a", Some(1))]);
    state.apply(&[put(b"a", Some(0), b"x")]).unwrap();
    conflict(state, &[put(b"a", Some(0), b"y")]);
    conflict(state, &[put(b"a", Some(2), b"y")]);
    conflict(state, &[remove(b"a", Some(0))]);
    assert_eq!(state.get(SPACE, b"a").unwrap(), Some((b"x".to_vec(), 1)));
    state.apply(&[put(b"a", Some(1), b"z")]).unwrap();
    state.apply(&[remove(b"a", Some(2))]).unwrap();
    state.apply(&[put(b"a", Some(0), b"again")]).unwrap();
    assert_eq!(state.get(SPACE, b"a").unwrap().unwrap().0, b"again");
}

/// One wrong version keeps every change of the set out, wherever it stands in it.
pub fn a_change_set_is_all_or_nothing(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    state
        .apply(&[put(b"kept", None, b"1"), put(b"gone", None, b"1")])
        .unwrap();
    for wrong in 0..3 {
        let mut set = vec![put(b"new", Some(0), b"2"), remove(b"gone", Some(1))];
        set.insert(wrong, put(b"kept", Some(7), b"2"));
        conflict(state, &set);
        assert_eq!(state.get(SPACE, b"new").unwrap(), None);
        assert_eq!(state.get(SPACE, b"gone").unwrap(), Some((b"1".to_vec(), 1)));
        assert_eq!(state.get(SPACE, b"kept").unwrap(), Some((b"1".to_vec(), 1)));
    }
    state
        .apply(&[put(b"new", Some(0), b"2"), remove(b"gone", Some(1))])
        .unwrap();
    assert_eq!(state.scan(SPACE, b"", None, 10).unwrap().len(), 2);
}

/// The same key in two spaces is two values.
pub fn spaces_are_apart(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    let other = Change {
        space: OTHER,
        ..put(b"a", Some(0), b"other")
    };
    state.apply(&[put(b"a", Some(0), b"this"), other]).unwrap();
    assert_eq!(state.get(SPACE, b"a").unwrap(), Some((b"this".to_vec(), 1)));
    assert_eq!(
        state.get(OTHER, b"a").unwrap(),
        Some((b"other".to_vec(), 1))
    );
    assert_eq!(state.scan(OTHER, b"", None, 10).unwrap().len(), 1);
}

/// A scan gives the keys of a prefix in the order of their bytes, from after a key, up to a limit.
pub fn scans_go_by_prefix_in_order(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    let keys: [&[u8]; 8] = [
        b"a",
        b"b",
        b"b\0",
        b"b\xff",
        b"b\xff\xff",
        b"ba",
        b"c",
        b"\xff\xff",
    ];
    let changes: Vec<_> = keys.iter().map(|key| put(key, Some(0), key)).collect();
    state.apply(&changes).unwrap();
    let scan = |prefix: &[u8], after: Option<&[u8]>, limit| -> Vec<Vec<u8>> {
        let found = state.scan(SPACE, prefix, after, limit).unwrap();
        assert!(
            found
                .iter()
                .all(|(key, value, version)| key == value && *version == 1)
        );
        found.into_iter().map(|(key, _, _)| key).collect()
    };
    let expected: [&[u8]; 5] = [b"b", b"b\0", b"ba", b"b\xff", b"b\xff\xff"];
    assert_eq!(scan(b"b", None, 100), expected);
    assert_eq!(scan(b"b", None, 2), expected[..2]);
    assert_eq!(scan(b"b", Some(b"b\0"), 100), expected[2..]);
    assert_eq!(scan(b"b", Some(b"b\0\0"), 2), expected[2..4]);
    assert_eq!(scan(b"b", Some(b"a"), 100), expected);
    assert!(scan(b"b", Some(b"c"), 100).is_empty());
    assert_eq!(scan(b"", None, 100).len(), 8);
    assert_eq!(scan(b"\xff", None, 100), [b"\xff\xff".as_slice()]);
    assert!(scan(b"d", None, 100).is_empty());
    assert!(scan(b"b", None, 0).is_empty());
}

/// Keys up to 512 bytes and values of any bytes, empty and a MiB long, come back as they were.
pub fn any_bytes_are_kept(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    let big: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let long_key = [0xff; 512];
    state
        .apply(&[put(b"empty", None, b""), put(&long_key, None, &big)])
        .unwrap();
    assert_eq!(state.get(SPACE, b"empty").unwrap(), Some((Vec::new(), 1)));
    assert_eq!(state.get(SPACE, &long_key).unwrap(), Some((big, 1)));
}

/// Of writers that expect the same version exactly one succeeds, every time.
pub fn one_of_two_rivals_wins(make: MakeState<'_>) {
    let fixture = make();
    let state = fixture.state();
    for version in 0..10 {
        let attempts = std::thread::scope(|scope| {
            let write = |n: u8| state.apply(&[put(b"a", Some(version), &[n])]).map(|()| n);
            let rivals: Vec<_> = (0..4).map(|n| scope.spawn(move || write(n))).collect();
            rivals
                .into_iter()
                .map(|rival| rival.join().unwrap())
                .collect::<Vec<_>>()
        });
        let winners: Vec<u8> = attempts
            .iter()
            .filter_map(|a| a.as_ref().ok().copied())
            .collect();
        let lost = attempts.iter().filter_map(|a| a.as_ref().err());
        assert!(lost.into_iter().all(|error| error.kind() == Kind::Conflict));
        assert_eq!(winners.len(), 1);
        assert_eq!(
            state.get(SPACE, b"a").unwrap(),
            Some((winners, version + 1))
        );
    }
}

/// What was applied is there after the store was closed and opened again, versions included.
pub fn values_survive_reopening(make: MakeState<'_>) {
    let mut fixture = make();
    for round in 0..3_u64 {
        let key = round.to_be_bytes();
        let changes = [put(b"counter", Some(round), &key), put(&key, Some(0), b"x")];
        fixture.state().apply(&changes).unwrap();
        fixture = fixture.reopen();
        let counter = fixture.state().get(SPACE, b"counter").unwrap();
        assert_eq!(counter, Some((key.to_vec(), round + 1)));
    }
    assert_eq!(
        fixture.state().scan(SPACE, b"\0", None, 10).unwrap().len(),
        3
    );
}

/// Any run of operations gives the same answers as the reference.
pub fn random_operations_agree_with_the_reference(make: MakeState<'_>) {
    let mut random = Random::new(seed("state operations", 1));
    let reference = MemoryState::new();
    let mut fixture = make();
    for operation in 0..OPERATIONS {
        let key = |random: &mut Random| {
            vec![b'k'; random.between(1, 3) as usize]
                .into_iter()
                .chain([random.below(4) as u8])
                .collect::<Vec<u8>>()
        };
        match random.below(20) {
            0 => fixture = fixture.reopen(),
            1..=4 => {
                let prefix = vec![b'k'; random.below(4) as usize];
                let after = random.chance(50).then(|| key(&mut random));
                let limit = random.index(8);
                let found = fixture
                    .state()
                    .scan(SPACE, &prefix, after.as_deref(), limit)
                    .unwrap();
                let expected = reference
                    .scan(SPACE, &prefix, after.as_deref(), limit)
                    .unwrap();
                assert_eq!(found, expected, "operation {operation}");
            }
            _ => {
                // Keys of one set differ, so that their order does not matter.
                let mut changes: Vec<Change> = Vec::new();
                for _ in 0..random.between(1, 3) {
                    let key = key(&mut random);
                    if changes.iter().all(|change| change.key != key) {
                        let expected = random.chance(60).then(|| random.below(3));
                        let value = random.chance(75).then(|| random.bytes::<5>().to_vec());
                        changes.push(Change {
                            space: SPACE,
                            key,
                            expected,
                            value,
                        });
                    }
                }
                let outcome = fixture.state().apply(&changes).map_err(|e| e.kind());
                let expected = reference.apply(&changes).map_err(|e| e.kind());
                assert_eq!(outcome, expected, "operation {operation}: {changes:?}");
            }
        }
        let all = |state: &dyn State| state.scan(SPACE, b"", None, 100).unwrap();
        assert_eq!(
            all(fixture.state()),
            all(&reference),
            "operation {operation}"
        );
    }
}
