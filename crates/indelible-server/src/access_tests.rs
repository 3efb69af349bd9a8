//! Keys are kept as hashes, found by what was shown once, and refused when revoked.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU8, Ordering};

use indelible_event::ids::Micros;
use indelible_log::{Clock, Random};
use indelible_store::memory::MemoryState;

use super::*;

struct Fixed(AtomicU8);

impl Clock for Fixed {
    fn now(&self) -> Micros {
        Micros(1_770_000_000_000_000)
    }
}

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

fn env() -> Env {
    Env {
        clock: Arc::new(Fixed(AtomicU8::new(0))),
        random: Arc::new(Fixed(AtomicU8::new(1))),
    }
}

fn wanted(role: Role, tenants: Option<&[&str]>) -> CreateKey {
    CreateKey {
        role,
        tenants: tenants.map(|names| names.iter().map(|n| (*n).to_owned()).collect()),
        name: None,
    }
}

#[test]
fn a_key_is_found_by_its_secret_and_by_nothing_else() {
    let state = Arc::new(MemoryState::new());
    let access = Access::load(Arc::clone(&state) as _).unwrap();
    assert!(access.is_open());
    let env = env();
    access.create(&wanted(Role::Admin, None), &env).unwrap();
    let created = access
        .create(&wanted(Role::Reader, Some(&["acme"])), &env)
        .unwrap();
    assert!(!access.is_open());
    let bearer = &created.bearer;
    let (id, secret) = bearer
        .strip_prefix("ind_")
        .unwrap()
        .split_once('_')
        .unwrap();
    let principal = access.principal(bearer).unwrap();
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
        assert_eq!(access.principal(&wrong), None, "{wrong}");
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
    let created = access.create(&wanted(Role::Admin, None), &env).unwrap();
    let revoked = access.revoke(&created.key.id, &env).unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(access.principal(&created.bearer), None);
    assert!(!access.is_open());
    assert_eq!(access.revoke(&created.key.id, &env).unwrap(), revoked);
    assert_eq!(
        access.revoke("nobody", &env).unwrap_err().kind(),
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
        let error = create(&state, &wanted(Role::Reader, Some(tenants)), &env()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{tenants:?}");
    }
}

#[test]
fn the_ledgers_own_logs_are_for_auditors_of_all_tenants() {
    let system = TenantId::parse("_system").unwrap();
    let of = |role, tenants| Principal::Key {
        id: "x".into(),
        role,
        tenants,
    };
    assert!(of(Role::Auditor, None).may_see(&system));
    assert!(!of(Role::Reader, None).may_see(&system));
    let acme: Arc<[TenantId]> = Arc::new([TenantId::parse("acme").unwrap()]);
    assert!(!of(Role::Admin, Some(acme)).may_see(&system));
}

#[test]
fn no_admin_is_bound_to_tenants() {
    let state = MemoryState::new();
    let error = create(&state, &wanted(Role::Admin, Some(&["acme"])), &env()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.context().contains("choose another role"), "{error}");
    assert!(list(&state).unwrap().is_empty());
    create(&state, &wanted(Role::Admin, None), &env()).unwrap();
}

#[test]
fn the_first_key_is_an_admins_or_nobody_could_make_another() {
    let state = MemoryState::new();
    let (env, admin) = (env(), wanted(Role::Admin, None));
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        let error = create(&state, &wanted(role, None), &env).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.context().contains("--role admin"), "{error}");
    }
    assert!(list(&state).unwrap().is_empty());
    create(&state, &admin, &env).unwrap();
    create(&state, &wanted(Role::Emitter, None), &env).unwrap();
    assert_eq!(list(&state).unwrap().len(), 2);
}
