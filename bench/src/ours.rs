//! Our ledger as the benchmark opens it: in process, on a real disk, keys and signer in memory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, Options as EmbeddedOptions, StateMode, open_state};
use indelible_event::catalogue::NATIVE;
use indelible_event::{Micros, Mode, TenantId};
use indelible_log::{
    Admission, Clock, Env, KeySigner, Keyring, Limits, Log, MasterKey, Options, Random,
    SealingPolicy, Signer, Stores, Submission,
};
use indelible_postgres::Postgres;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_store::memory::MemoryState;
use indelible_store::{RowOpener, State};

use crate::Fault;
use crate::forgetting::Forgetting;
use crate::load::{Made, now, tenants};

const ORIGIN: &str = "indelible.dev/bench";
/// Where the wrapped keys lie; their bytes are told apart.
pub const KEYS_DIR: &str = "keys/";
const KEYS: &str = "keys/keys.redb";
const STATE: &str = "state.redb";

/// An open ledger.
pub struct Ours {
    /// The writer.
    pub log: Log,
    tenants: Vec<TenantId>,
    admission: Arc<Admission>,
}

/// The parts below the writer.
pub struct Stood {
    /// Records and small state.
    pub stores: Stores,
    /// Keys of data subjects.
    pub keyring: Arc<Keyring>,
    /// The records and their index.
    pub embedded: Arc<Embedded>,
    /// Where the signer keeps its last checkpoint.
    signer: PathBuf,
}

/// Makes a data directory.
///
/// # Errors
/// When it is there already or cannot be made.
pub fn create(dir: &Path) -> Result<(), Fault> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir));
    disk.create_dir_all("keys")?;
    let random = SystemRandom;
    let (mut ledger_id, mut hash_key) = ([0; 16], [0; 16]);
    random.fill(&mut ledger_id);
    random.fill(&mut hash_key);
    Embedded::create(&*disk, ledger_id, hash_key, now())?;
    Ok(())
}

/// Opens the stores of a data directory.
///
/// # Errors
/// As the stores'.
pub fn stand(dir: &Path, read_only: bool) -> Result<Stood, Fault> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir));
    let mode = if read_only {
        StateMode::Read
    } else {
        StateMode::Create
    };
    let keys: Arc<dyn State> = Arc::new(open_state(Arc::clone(&disk), KEYS, mode)?);
    let keyring = Keyring::open(keys, Some(master()), Arc::new(SystemRandom))?;
    let opener = Arc::clone(&keyring) as Arc<dyn RowOpener>;
    let options = EmbeddedOptions {
        read_only,
        ..EmbeddedOptions::default()
    };
    let embedded = Arc::new(Embedded::open(
        Arc::clone(&disk),
        Some(opener),
        options,
        &mut |_| {},
    )?);
    let state: Arc<dyn State> = Arc::new(open_state(Arc::clone(&disk), STATE, mode)?);
    let stores = Stores {
        ledger: Arc::clone(&embedded) as _,
        state,
    };
    Ok(Stood {
        stores,
        keyring,
        embedded,
        signer: dir.with_extension("signer"),
    })
}

impl Ours {
    /// Opens a data directory for writing.
    ///
    /// # Errors
    /// As the stores'.
    pub fn open(dir: &Path, tenant_count: u32) -> Result<Self, Fault> {
        Self::on(stand(dir, false)?, tenant_count)
    }

    /// Starts the writer on opened stores.
    ///
    /// # Errors
    /// As the writer's.
    pub fn on(stood: Stood, tenant_count: u32) -> Result<Self, Fault> {
        Self::start(
            stood.stores,
            stood.keyring,
            Kept::Beside(stood.signer),
            tenant_count,
        )
    }

    /// Starts the writer on a ledger in a database; its keys are those of any other here.
    ///
    /// # Errors
    /// As the writer's.
    pub fn on_database(postgres: &Arc<Postgres>, tenant_count: u32) -> Result<Self, Fault> {
        let stores = Stores {
            ledger: Arc::clone(postgres) as _,
            state: Arc::clone(postgres) as _,
        };
        let random = Arc::new(SystemRandom);
        let keyring = Keyring::open(postgres.key_store(), Some(master()), random)?;
        let kept = Kept::InMemory(Arc::default());
        Self::start(stores, keyring, kept, tenant_count)
    }

    /// A ledger that forgets: what everything but the store costs.
    ///
    /// # Errors
    /// As the writer's.
    pub fn forgetting(tenant_count: u32) -> Result<Self, Fault> {
        let stores = Stores {
            ledger: Arc::new(Forgetting::default()),
            state: Arc::new(MemoryState::new()),
        };
        let keys = Arc::new(MemoryState::new());
        let keyring = Keyring::open(keys, Some(master()), Arc::new(SystemRandom))?;
        Self::start(
            stores,
            keyring,
            Kept::InMemory(Arc::default()),
            tenant_count,
        )
    }

    fn start(
        stores: Stores,
        keyring: Arc<Keyring>,
        kept: Kept,
        tenant_count: u32,
    ) -> Result<Self, Fault> {
        let key = SigningKey::from_seed(ORIGIN, &[7; 32])?;
        let signer: Arc<dyn Signer> = Arc::new(KeySigner::new(&key, ORIGIN, kept)?);
        let options = Options {
            origin: ORIGIN.to_owned(),
            verifier_key: key.verifier_key().to_string(),
            create_tenants: true,
            limits: Limits::default(),
        };
        let env = Env {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        };
        let log = Log::open(stores, keyring, Some(signer), options, env)?;
        let admission = Arc::new(Admission {
            mode: Mode::Strict,
            catalogue: &NATIVE,
            dialect: None,
            submitted_by: None,
            via: None,
            sealing: Arc::new(SealingPolicy::default()),
        });
        Ok(Self {
            log,
            tenants: tenants(tenant_count)?,
            admission,
        })
    }

    /// A batch as it is submitted.
    ///
    /// # Errors
    /// When an event is of a tenant that is not there.
    pub fn submissions(&self, batch: Vec<Made>) -> Result<Vec<Submission>, Fault> {
        batch
            .into_iter()
            .map(|made| {
                let tenant = self.tenants.get(usize::try_from(made.tenant)?);
                let tenant = tenant
                    .ok_or("an event of a tenant that is not there")?
                    .clone();
                let admission = Arc::clone(&self.admission);
                Ok(Submission {
                    tenant,
                    event: made.event,
                    admission,
                    stream: None,
                })
            })
            .collect()
    }
}

fn master() -> MasterKey {
    MasterKey::from_bytes([9; 32])
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        now()
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness there is nothing to measure; keys must not be made from zeros.
        assert!(
            getrandom::fill(bytes).is_ok(),
            "the system gives no random bytes"
        );
    }
}

/// What the signer keeps: a file outside of the data directory, or nothing that lasts.
#[derive(Clone, Debug)]
enum Kept {
    /// Beside the data directory.
    Beside(PathBuf),
    /// Of a ledger that forgets, or is opened once.
    InMemory(Arc<Mutex<Option<Vec<u8>>>>),
}

impl SignerState for Kept {
    type Error = Fault;

    fn load(&self) -> Result<Option<Vec<u8>>, Fault> {
        match self {
            Self::Beside(file) if !file.exists() => Ok(None),
            Self::Beside(file) => Ok(Some(std::fs::read(file)?)),
            Self::InMemory(kept) => Ok(kept.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    fn compare_and_swap(&self, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Fault> {
        if self.load()?.as_deref() != old {
            return Ok(false);
        }
        match self {
            Self::Beside(path) => {
                let beside = path.with_extension("new");
                let mut file = std::fs::File::create(&beside)?;
                file.write_all(new)?;
                file.sync_all()?;
                std::fs::rename(&beside, path)?;
            }
            Self::InMemory(kept) => {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(new.to_vec());
            }
        }
        Ok(true)
    }
}
