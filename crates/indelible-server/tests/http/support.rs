//! A server in this process.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indelible_api::{CreateKey, CreatedKey, InForce, KeyTenants, Role, Setting};
use indelible_disk::FaultyDisk;
use indelible_event::Micros;
use indelible_log::attachments::Attachments;
use indelible_log::verify::Anchors;
use indelible_log::{
    Clock, Env, KeySigner, Keyring, Limits, Log, MasterKey, Options, Random, Signer, Stores,
};
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_server::access::{Trusted, TrustedIssuer, TrustedProxy};
use indelible_server::{Configuration, Parts, Server, Settings, Stop, access};
use indelible_store::memory::{MemoryLedger, MemoryState};
use indelible_store::{Index, Ledger, Result, State};
pub use indelible_testing::http::{Answer, Client};
use serde_json::{Value, json};

use crate::counted::Counted;

const ORIGIN: &str = "indelible.dev/test";

/// The time, moved ahead by so many microseconds.
#[derive(Default)]
struct Real(AtomicI64);

impl Clock for Real {
    fn now(&self) -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Micros(i64::try_from(since.as_micros()).unwrap() + self.0.load(Ordering::SeqCst))
    }
}

struct Counting(Mutex<u64>);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut state = self.0.lock().unwrap();
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z ^= z >> 27;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Option<Vec<u8>>>>);

impl SignerState for Kept {
    type Error = String;

    fn load(&self) -> std::result::Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn compare_and_swap(
        &self,
        old: Option<&[u8]>,
        new: &[u8],
    ) -> std::result::Result<bool, String> {
        let mut kept = self.0.lock().unwrap();
        let same = kept.as_deref() == old;
        if same {
            *kept = Some(new.to_vec());
        }
        Ok(same)
    }
}

/// The stores that a server is on, alone or with others.
#[derive(Clone, Default)]
pub struct Stand {
    pub ledger: Arc<MemoryLedger>,
    state: Arc<MemoryState>,
    rows: Arc<MemoryState>,
    kept: Kept,
    /// Where attachments and exports are.
    disk: OwnDisk,
    place: Place,
    /// What counts what is asked of the ledger, in its place.
    pub counted: Option<Arc<Counted>>,
    /// Who else than keys says who somebody is.
    pub trusted: Trusted,
    /// What somebody has set of it.
    pub configuration: Configuration,
}

/// A disk of its own.
#[derive(Clone)]
struct OwnDisk(Arc<FaultyDisk>);

impl Default for OwnDisk {
    fn default() -> Self {
        Self(Arc::new(FaultyDisk::new(1)))
    }
}

/// What a server is among those on the same stores.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Alone,
    Signing,
    WithoutSigner,
}

impl Stand {
    /// One that counts what is asked of its ledger.
    pub fn counting() -> (Self, Arc<Counted>) {
        let mut stand = Self::default();
        let counted = Counted::on(Arc::clone(&stand.ledger));
        stand.counted = Some(Arc::clone(&counted));
        (stand, counted)
    }

    /// That of a server which takes tokens of this issuer.
    pub fn trusting(issuer: TrustedIssuer) -> Self {
        Self {
            trusted: Trusted {
                issuer: Some(issuer),
                proxy: None,
            },
            ..Self::default()
        }
    }

    /// That of a server which takes this proxy's word.
    pub fn behind(proxy: TrustedProxy) -> Self {
        Self {
            trusted: Trusted {
                issuer: None,
                proxy: Some(proxy),
            },
            ..Self::default()
        }
    }

    /// That of the server that signs, and that of one which only commits.
    pub fn for_two() -> (Self, Self) {
        let signing = Self {
            place: Place::Signing,
            ..Self::default()
        };
        let without = Self {
            place: Place::WithoutSigner,
            disk: OwnDisk::default(),
            ..signing.clone()
        };
        (signing, without)
    }
}

/// A running server; stopped when dropped.
pub struct Served {
    pub address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<Result<()>>>,
    pub ledger: Arc<MemoryLedger>,
    /// Where attachments are.
    pub disk: Arc<FaultyDisk>,
    pub keyring: Arc<Keyring>,
    clock: Arc<Real>,
    keys: Vec<CreatedKey>,
}

pub fn env() -> Env {
    // No two servers draw the same.
    static SEED: AtomicU64 = AtomicU64::new(7);
    let seed = SEED.fetch_add(1, Ordering::Relaxed) << 32;
    Env {
        clock: Arc::new(Real::default()),
        random: Arc::new(Counting(Mutex::new(seed))),
    }
}

impl Served {
    /// One without keys, with the default limits.
    pub fn open() -> Self {
        Self::start(&[], |_| {})
    }

    /// One with keys of these roles and tenants; the first that is made is always an admin's.
    pub fn closed(keys: &[(Role, Option<&str>)]) -> Self {
        Self::start(keys, |_| {})
    }

    /// An open one whose keys are gone.
    pub fn without_master_key(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_with((Stand::default(), None), &[], change)
    }

    pub fn start(keys: &[(Role, Option<&str>)], change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(Stand::default(), keys, change)
    }

    /// One on these stores; the keys are made there.
    pub fn start_on(
        stand: Stand,
        keys: &[(Role, Option<&str>)],
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let master = Some(MasterKey::from_bytes([9; 32]));
        Self::start_with((stand, master), keys, change)
    }

    fn start_with(
        (stand, master): (Stand, Option<MasterKey>),
        keys: &[(Role, Option<&str>)],
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings {
            publish_interval: Duration::from_millis(50),
            verify_interval: Duration::from_millis(100),
            ..Settings::default()
        };
        change(&mut settings);
        let clock = Arc::new(Real::default());
        let env = Env {
            clock: clock.clone(),
            ..env()
        };
        let create = |role, tenants: Option<&str>| {
            let wanted = CreateKey {
                role,
                tenants: tenants.map_or(KeyTenants::All, |names| {
                    KeyTenants::Only(names.split(' ').map(str::to_owned).collect())
                }),
                name: None,
                query: None,
                expires: None,
                limits: None,
            };
            access::create(stand.state.as_ref(), &wanted, &env, access::COMMAND).unwrap()
        };
        if keys.first().is_some_and(|(role, _)| *role != Role::Admin) {
            create(Role::Admin, None);
        }
        let keys = keys.iter().map(|(role, tenants)| create(*role, *tenants));
        let keys = keys.collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let disk = Arc::clone(&stand.disk.0);
        let parts = parts(&stand, &disk, master, env);
        let keyring = Arc::clone(&parts.keyring);
        let server = Server::new(parts, settings, listener).unwrap();
        let stop = server.stop();
        let thread = Some(std::thread::spawn(move || server.run()));
        Self {
            address,
            stop,
            thread,
            ledger: stand.ledger,
            disk,
            keyring,
            clock,
            keys,
        }
    }

    /// Moves its clock ahead.
    pub fn move_clock(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Moves its clock back.
    pub fn move_clock_back(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.clock.0.fetch_sub(micros, Ordering::SeqCst);
    }

    /// The bearer text of the n-th key.
    pub fn key(&self, n: usize) -> &str {
        &self.keys[n].bearer
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.address.to_string()).unwrap()
    }

    /// Sends a request with these header lines and gives the answer.
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.connect().ask(method, path, headers, body).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// As `get`, with the n-th key.
    pub fn get_as(&self, n: usize, path: &str) -> Answer {
        let header = format!("Authorization: Bearer {}", self.key(n));
        self.send("GET", path, &[&header], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            &["Content-Type: application/json"],
            body.to_string().as_bytes(),
        )
    }

    pub fn post_as(&self, n: usize, path: &str, body: &Value) -> Answer {
        let header = format!("Authorization: Bearer {}", self.key(n));
        let headers = ["Content-Type: application/json", header.as_str()];
        self.send("POST", path, &headers, body.to_string().as_bytes())
    }

    /// As `post`, with this bearer text; any method.
    pub fn ask_with(&self, bearer: &str, method: &str, path: &str, body: &Value) -> Answer {
        let header = format!("Authorization: Bearer {bearer}");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = ["Content-Type: application/json", header.as_str()];
        self.send(method, path, &headers, body.as_bytes())
    }

    /// The events of `_system` of this type, oldest first, as the n-th key sees them.
    pub fn own_records(&self, n: usize, event_type: &str) -> Vec<Value> {
        let path = format!("/v1/records?tenant=_system&order=seq&limit=1000&q=type:{event_type}");
        let list = self.get_as(n, &path).is(200);
        let records = list["records"].as_array().unwrap().iter();
        records.map(|one| one["record"]["event"].clone()).collect()
    }

    /// Stops it and gives how it ended.
    pub fn end(mut self) -> Result<()> {
        self.stop.stop();
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn tell_to_stop(&self) {
        self.stop.stop();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub fn parts(stand: &Stand, disk: &Arc<FaultyDisk>, master: Option<MasterKey>, env: Env) -> Parts {
    let key = SigningKey::from_seed(ORIGIN, &[3; 32]).unwrap();
    let signer = || -> Arc<dyn Signer> {
        Arc::new(KeySigner::new(&key, ORIGIN, stand.kept.clone()).unwrap())
    };
    let signer = (stand.place != Place::WithoutSigner).then(signer);
    let (ledger, index): (Arc<dyn Ledger>, Arc<dyn Index>) = match &stand.counted {
        Some(counted) => (counted.clone(), counted.clone()),
        None => (stand.ledger.clone(), stand.ledger.clone()),
    };
    let stores = Stores {
        ledger,
        state: stand.state.clone(),
    };
    let rows: Arc<dyn State> = stand.rows.clone();
    let keyring = Keyring::open(rows, master, env.random.clone()).unwrap();
    let options = Options {
        origin: ORIGIN.to_owned(),
        verifier_key: key.verifier_key().to_string(),
        create_tenants: true,
        limits: Limits::default(),
    };
    let (ours, keys) = (stores.clone(), keyring.clone());
    let log = Log::open(ours, keys, signer, options, env.clone()).unwrap();
    log.take_attachments(Attachments::open(disk.clone(), keyring.clone(), env.clone()).unwrap());
    let anchors = Anchors {
        key: Some(key.verifier_key()),
        kept: indelible_log::verify::Kept::Elsewhere,
        checkpoint: None,
        values: true,
    };
    Parts {
        shared: stand.place != Place::Alone,
        stands_on: None,
        trusted: stand.trusted.clone(),
        configuration: stand.configuration.clone(),
        in_force: InForce {
            settings: vec![Setting {
                setting: "server.listen".to_owned(),
                value: Some("127.0.0.1:0".to_owned()),
                source: "command line".to_owned(),
                variable: "INDELIBLE_SERVER__LISTEN".to_owned(),
                doc: "Address and port.".to_owned(),
            }],
        },
        tls: None,
        log,
        stores,
        index,
        keyring,
        env,
        exports: indelible_server::ExportPlace {
            disk: disk.clone(),
            key: [5; 64],
        },
        anchors: Arc::new(move || anchors.clone()),
    }
}

/// Lines of the telemetry of all servers in this process, from `info` up.
pub fn telemetry() -> Vec<Value> {
    static LINES: OnceLock<Lines> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let lines = Lines::default();
        let kept = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || kept.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        lines
    });
    let lines = lines.0.lock().unwrap();
    let lines = std::str::from_utf8(&lines).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An answer without what is of its request alone.
pub fn bare(answer: &Answer) -> Value {
    let mut problem = answer.json();
    problem["request_id"] = Value::Null;
    json!({"status": answer.status, "problem": problem})
}

/// Event `n`, with an id of its own.
pub fn event(n: usize) -> Value {
    json!({
        "actor": {"id": "ada", "type": "user"},
        "audit_id": format!("019a9b00-0000-7000-8000-{n:012x}"),
        "data": {"n": n},
        "event_type": "document.viewed",
        "occurred_at": "2026-01-20T09:00:00Z",
        "outcome": "success",
        "target": {"id": format!("doc-{n}"), "type": "document"},
    })
}
