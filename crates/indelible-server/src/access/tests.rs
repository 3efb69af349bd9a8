//! Keys are kept as hashes, found by what was shown once, and refused when revoked.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use indelible_api::{KeyTenants, Role};
use indelible_event::ids::Micros;
use indelible_log::{Clock, Random};
use indelible_store::memory::MemoryState;

use indelible_store::Change;

use super::rows::SPACE;
use super::*;

const NOW: Micros = Micros(1_770_000_000_000_000);
const HOUR: i64 = 3_600_000_000;
const BY: Actor<'static> = ("service", "key:test");

struct Fixed(AtomicU8);

struct Told(AtomicI64);

impl Clock for Told {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

fn env() -> Env {
    Env {
        clock: Arc::new(Told(AtomicI64::new(NOW.0))),
        random: Arc::new(Fixed(AtomicU8::new(1))),
    }
}

fn wanted(role: Role, tenants: Option<&[&str]>) -> CreateKey {
    CreateKey {
        role,
        tenants: tenants.map_or(KeyTenants::All, |names| {
            KeyTenants::Only(names.iter().map(|n| (*n).to_owned()).collect())
        }),
        name: None,
        query: None,
        expires: None,
        limits: None,
    }
}

#[test]
fn a_key_is_found_by_its_secret_and_by_nothing_else() {
    let state = Arc::new(MemoryState::new());
    let access = Access::load(Arc::clone(&state) as _).unwrap();
    assert!(access.is_open());
    let env = env();
    access.create(&wanted(Role::Admin, None), &env, BY).unwrap();
    let created = access
        .create(&wanted(Role::Reader, Some(&["acme"])), &env, BY)
        .unwrap();
    assert!(!access.is_open());
    let bearer = &created.bearer;
    let (id, secret) = bearer
        .strip_prefix("ind_")
        .unwrap()
        .split_once('_')
        .unwrap();
    let principal = access.principal(bearer, NOW).unwrap();
    assert_eq!(principal.role(), Role::Reader);
    let acme = TenantId::parse("acme").unwrap();
    assert!(principal.may_see(&acme) && principal.only_tenant() == Some(&acme));
    assert!(!principal.may_see(&TenantId::parse("globex").unwrap()));
    let other = format!(
        "{}{}",
        if secret.starts_with('0') { '1' } else { '0' },
        &secret[1..]
    );
    for wrong in [
        String::new(),
        id.to_owned(),
        format!("ind_{id}_"),
        format!("ind_{id}_{other}"),
        format!("ind_{id}_{secret}00"),
        format!("ind_{id}_{}", &secret[..62]),
        format!("ind_0000_{secret}"),
        format!("IND_{id}_{secret}"),
    ] {
        let found = access.principal(&wrong, NOW);
        assert_eq!(found, Err(NotInForce::Unknown), "{wrong}");
    }
    let stored = state.scan(SPACE, b"", None, 10).unwrap();
    let texts = stored
        .iter()
        .map(|(_, row, _)| String::from_utf8(row.clone()).unwrap());
    let text: String = texts.collect();
    assert!(text.contains(id));
    assert!(!text.contains(secret), "the secret is kept: {text}");
}

#[test]
fn a_revoked_key_is_refused_and_the_server_stays_closed() {
    let state = Arc::new(MemoryState::new());
    let access = Access::load(Arc::clone(&state) as _).unwrap();
    let env = env();
    let created = access.create(&wanted(Role::Admin, None), &env, BY).unwrap();
    let revoked = access.revoke(&created.key.id, &env, BY).unwrap();
    assert!(revoked.revoked_at.is_some());
    let why = access.principal(&created.bearer, NOW).unwrap_err();
    assert_eq!(why, NotInForce::Revoked(NOW.to_rfc3339()));
    let (id, _) = created.bearer.rsplit_once('_').unwrap();
    let guessed = access.principal(&format!("{id}_{}", "00".repeat(32)), NOW);
    assert_eq!(guessed, Err(NotInForce::Unknown), "who has not the secret");
    assert!(!access.is_open());
    assert_eq!(access.revoke(&created.key.id, &env, BY).unwrap(), revoked);
    assert_eq!(
        access.revoke("nobody", &env, BY).unwrap_err().kind(),
        Kind::NotFound
    );
    assert!(
        !Access::load(state).unwrap().is_open(),
        "also after a restart"
    );
}

#[test]
fn bindings_must_be_names_of_tenants() {
    let state = MemoryState::new();
    for tenants in [&["a b"][..], &[], &[""], &["acme", "_system"]] {
        let error = create(&state, &wanted(Role::Reader, Some(tenants)), &env(), BY).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{tenants:?}");
    }
}

#[test]
fn the_ledgers_own_logs_are_for_auditors_of_all_tenants() {
    let system = TenantId::parse("_system").unwrap();
    let of = |role, tenants| Principal::Known {
        who: Who::Key("x".into()),
        role,
        tenants,
        queries: Arc::default(),
    };
    assert!(of(Role::Auditor, None).may_see(&system));
    assert!(!of(Role::Reader, None).may_see(&system));
    let acme: Arc<[TenantId]> = Arc::new([TenantId::parse("acme").unwrap()]);
    assert!(!of(Role::Admin, Some(acme)).may_see(&system));
}

#[test]
fn no_admin_is_bound_to_tenants() {
    let state = MemoryState::new();
    let error = create(&state, &wanted(Role::Admin, Some(&["acme"])), &env(), BY).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.context().contains("choose another role"), "{error}");
    assert!(list(&state).unwrap().is_empty());
    create(&state, &wanted(Role::Admin, None), &env(), BY).unwrap();
}

#[test]
fn the_first_key_is_an_admins_or_nobody_could_make_another() {
    let state = MemoryState::new();
    let (env, admin) = (env(), wanted(Role::Admin, None));
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        let error = create(&state, &wanted(role, None), &env, BY).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.context().contains("--role admin"), "{error}");
    }
    assert!(list(&state).unwrap().is_empty());
    create(&state, &admin, &env, BY).unwrap();
    create(&state, &wanted(Role::Emitter, None), &env, BY).unwrap();
    assert_eq!(list(&state).unwrap().len(), 2);
}

/// An admin's key beside one that the test is about.
fn with(change: impl FnOnce(&mut CreateKey)) -> (Arc<MemoryState>, Access, Env, CreatedKey) {
    let state = Arc::new(MemoryState::new());
    let access = Access::load(Arc::clone(&state) as _).unwrap();
    let env = env();
    access.create(&wanted(Role::Admin, None), &env, BY).unwrap();
    let mut asked = wanted(Role::Reader, None);
    change(&mut asked);
    let created = access.create(&asked, &env, BY).unwrap();
    (state, access, env, created)
}

#[test]
fn a_key_ends_by_itself_when_it_was_said() {
    let (_, access, ..) = with(|_| {});
    assert_eq!(access.list().unwrap()[0].expires_at, None);
    let (state, access, env, created) = with(|asked| asked.expires = Some("2h".to_owned()));
    let end = Micros(NOW.0 + 2 * HOUR);
    assert_eq!(created.key.expires_at, Some(end.to_rfc3339()));
    assert!(access.principal(&created.bearer, Micros(end.0 - 1)).is_ok());
    let over = Err(NotInForce::Expired(end.to_rfc3339()));
    assert_eq!(access.principal(&created.bearer, end), over);
    for wrong in ["0", "2026-01-01", "soon", "-1d"] {
        let asked = CreateKey {
            expires: Some(wrong.to_owned()),
            ..wanted(Role::Reader, None)
        };
        let error = create(state.as_ref(), &asked, &env, BY).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{wrong}");
    }
}

#[test]
fn a_new_secret_leaves_the_old_one_its_grace() {
    let (_, access, env, created) = with(|_| {});
    let id = created.key.id.as_str();
    let rotate = |grace: Option<&str>| {
        let wanted = RotateKey {
            grace: grace.map(str::to_owned),
            expires: None,
        };
        access.rotate((id, &wanted), &env, BY)
    };
    let second = rotate(None).unwrap();
    assert_eq!(second.key.id, created.key.id);
    assert_ne!(second.bearer, created.bearer);
    let end = Micros(NOW.0 + 24 * HOUR);
    for bearer in [&created.bearer, &second.bearer] {
        assert!(access.principal(bearer, Micros(end.0 - 1)).is_ok());
    }
    let over = Err(NotInForce::Replaced(end.to_rfc3339()));
    assert_eq!(access.principal(&created.bearer, end), over);
    assert!(access.principal(&second.bearer, end).is_ok());
    // With no grace the one in force ends at once, and so does what was left of the first.
    let third = rotate(Some("0")).unwrap();
    let found = access.principal(&created.bearer, NOW);
    assert_eq!(found, Err(NotInForce::Unknown));
    let over = Err(NotInForce::Replaced(NOW.to_rfc3339()));
    assert_eq!(access.principal(&second.bearer, NOW), over);
    assert!(access.principal(&third.bearer, NOW).is_ok());
    for wrong in ["", "1", "91d", "-1h", "24"] {
        assert_eq!(rotate(Some(wrong)).unwrap_err().kind(), Kind::Invalid);
    }
    access.revoke(id, &env, BY).unwrap();
    assert_eq!(rotate(None).unwrap_err().kind(), Kind::Invalid);
    let revoked = NotInForce::Revoked(NOW.to_rfc3339());
    assert_eq!(access.principal(&third.bearer, NOW), Err(revoked));
}

#[test]
fn an_expired_key_gets_a_new_secret_only_with_a_new_end() {
    let (_, access, env, created) = with(|asked| asked.expires = Some("1h".to_owned()));
    let env = Env {
        clock: Arc::new(Told(AtomicI64::new(NOW.0 + HOUR))),
        ..env
    };
    let id = created.key.id.as_str();
    let mut wanted = RotateKey::default();
    let error = access.rotate((id, &wanted), &env, BY).unwrap_err();
    assert!(error.context().contains("has expired"), "{error}");
    wanted.expires = Some("1d".to_owned());
    let rotated = access.rotate((id, &wanted), &env, BY).unwrap();
    let now = env.clock.now();
    assert!(access.principal(&rotated.bearer, now).is_ok());
}

#[test]
fn the_hour_of_the_last_use_is_kept_with_one_write_an_hour() {
    let (state, access, _, created) = with(|_| {});
    let used = |id: &str| state.get("api_keys_used", id.as_bytes()).unwrap();
    let id = created.key.id.as_str();
    access.keep_used().unwrap();
    assert_eq!(used(id), None);
    for minute in 0..50 {
        let at = Micros(NOW.0 + minute * 60_000_000);
        access.principal(&created.bearer, at).unwrap();
        access.keep_used().unwrap();
    }
    let (_, early, _, made) = with(|_| {});
    early.principal(&made.bearer, NOW).unwrap();
    early.keep_used().unwrap();
    let key = early.list().unwrap().pop().unwrap();
    assert_eq!(
        key.last_used_at,
        Some(key.created_at),
        "not before it was made"
    );
    // 02:40 to 03:30: two hours.
    assert_eq!(used(id).unwrap().1, 2, "writes");
    let key = access.list().unwrap().pop().unwrap();
    let hour = "2026-02-02T03:00:00.000000Z";
    assert_eq!(key.last_used_at.as_deref(), Some(hour));
    // A clock that is behind makes nothing younger, and a wrong secret is no use.
    access.principal(&created.bearer, NOW).unwrap();
    let late = Micros(NOW.0 + 5 * HOUR);
    let (start, _) = created.bearer.rsplit_once('_').unwrap();
    let wrong = format!("{start}_{}", "00".repeat(32));
    access.principal(&wrong, late).unwrap_err();
    access.keep_used().unwrap();
    assert_eq!(used(id).unwrap().1, 2);
}

#[test]
fn every_change_keeps_its_record_until_it_is_written() {
    let (state, access, env, created) = with(|asked| asked.query = Some("type:a.b".to_owned()));
    let id = created.key.id.as_str();
    access
        .rotate((id, &RotateKey::default()), &env, BY)
        .unwrap();
    access.revoke(id, &env, BY).unwrap();
    access.revoke(id, &env, BY).unwrap();
    let kept = state.scan("operations", b"", None, 10).unwrap();
    let kept: Vec<String> = kept
        .into_iter()
        .map(|(_, event, _)| String::from_utf8(event).unwrap())
        .filter(|event| event.contains(id))
        .collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    for what in ["config.changed", "key.rotated", "key.revoked"] {
        let one = kept.iter().find(|event| event.contains(what)).unwrap();
        assert!(one.contains(r#""actor":{"id":"key:test""#), "{one}");
        let secret = created.bearer.rsplit('_').next().unwrap();
        assert!(!one.contains(secret) && !one.contains("type:a.b"), "{one}");
    }
}

#[test]
fn a_query_is_of_a_reader_and_can_be_read() {
    let state = MemoryState::new();
    let env = env();
    create(&state, &wanted(Role::Admin, None), &env, BY).unwrap();
    let with = |role, query: &str| {
        let asked = CreateKey {
            query: Some(query.to_owned()),
            ..wanted(role, None)
        };
        create(&state, &asked, &env, BY)
    };
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Reader) {
        let error = with(role, "type:a.b").unwrap_err();
        assert!(error.context().contains("only a reader"), "{error}");
    }
    let long = "a".repeat(4_097);
    for wrong in ["", "  ", "actr:ada", "(type:a.b", long.as_str()] {
        assert_eq!(with(Role::Reader, wrong).unwrap_err().kind(), Kind::Invalid);
    }
    let error = with(Role::Reader, "actr:ada").unwrap_err();
    assert!(error.context().contains("actor"), "suggests: {error}");
    with(Role::Reader, "type:a.b -actor:ada").unwrap();
}

#[test]
fn a_server_whose_keys_are_taken_away_below_it_stays_closed() {
    let state: Arc<dyn State> = Arc::new(MemoryState::new());
    let access = Access::load(Arc::clone(&state)).unwrap();
    assert!(access.is_open());
    let made = access
        .create(&wanted(Role::Admin, None), &env(), BY)
        .unwrap();
    for (key, ..) in state.scan(SPACE, b"", None, 10).unwrap() {
        let change = Change {
            space: SPACE,
            key,
            expected: None,
            value: None,
        };
        state.apply(&[change]).unwrap();
    }
    access.follow().unwrap();
    assert!(!access.is_open());
    assert!(access.principal(&made.bearer, NOW).is_err());
}

#[test]
fn what_others_call_somebody_is_hashed_unless_it_is_a_word_that_may_be_told() {
    let env = env();
    let key = CursorKey::load(&MemoryState::new(), &env).unwrap();
    let other = CursorKey::load(&MemoryState::new(), &env).unwrap();
    let of = |names: Names, key: &CursorKey, issuer: &str, subject: &str| {
        names.of(key, issuer, subject).unwrap()
    };
    let mail = "dana.geheim@example.com";
    let hidden = of(Names::Hidden, &key, "a", mail);
    assert_eq!(hidden.len(), 32);
    assert!(hidden.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(
        hidden,
        of(Names::Hidden, &key, "a", mail),
        "one name for ever"
    );
    assert_eq!(
        hidden,
        of(Names::Clear, &key, "a", mail),
        "an address is never told"
    );
    assert_ne!(
        hidden,
        of(Names::Hidden, &key, "b", mail),
        "another issuer's is another"
    );
    assert_ne!(
        hidden,
        of(Names::Hidden, &other, "a", mail),
        "nobody guesses without the key"
    );
    assert_ne!(hidden, of(Names::Hidden, &key, "a", "dana"));
    assert_eq!(
        of(Names::Clear, &key, "a", "auth0|5f7c8ec7"),
        "auth0|5f7c8ec7"
    );
    for hashed in ["dana geheim", "dána", "a\nb", &"x".repeat(65)] {
        assert_eq!(of(Names::Clear, &key, "a", hashed).len(), 32, "{hashed}");
    }
}
