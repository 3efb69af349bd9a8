//! The exports that are kept: what each is, in a file of its own beside its data, and in memory.
//!
//! Bounded in number, for each owner and in all, in bytes and in time; what is over is removed,
//! file and key. Invariant: nobody but its owner learns that one is there. One that was being
//! written when the server ended begins again, as of the same moment, so that it becomes the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use indelible_api::{Export, ExportStatus, ProblemKind, Unreadable};
use indelible_disk::{Disk, DiskErrorKind};
use indelible_event::ids::Micros;
use indelible_log::Env;
use indelible_store::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use super::asked::{Asked, Owner};
use super::file::{Key, Room, Sink, Source, failed};
use crate::access::{hex, unhex};
use crate::answer::{Refusal, refuse};
use crate::settings::Settings;
use crate::share::{self, gets_one};

const DIRECTORY: &str = "exports";
const JOB: &str = ".job";
const DATA: &str = ".data";
/// What the files of jobs are sealed for.
const SEALED: &str = "indelible/export/v1";
/// How often one is begun before it is given up.
const TRIES_MAX: u32 = 5;
/// When to ask again where all keys together have as many as there may be.
const FULL_RETRY_MICROS: i64 = 60_000_000;

/// Where exports are kept, and the key that what is said of them is encrypted under.
pub struct ExportPlace {
    /// The files.
    pub disk: Arc<dyn Disk>,
    /// The key; not among the files.
    pub key: [u8; 64],
}

/// One export.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) owner: Owner,
    pub(super) asked: Asked,
    /// That of its file, in hex.
    key: String,
    pub(super) created: Micros,
    expires: Micros,
    pub(super) as_of: Option<u64>,
    pub(super) status: ExportStatus,
    tries: u32,
    pub(super) records: u64,
    pub(super) of: Option<u64>,
    pub(super) bytes: u64,
    pub(super) failure: Option<String>,
    pub(super) unreadable: Vec<Unreadable>,
    pub(super) unsearched: Vec<String>,
    /// Of whom how many records it has.
    pub(super) seen: Vec<(String, u64)>,
}

/// All of them.
pub(crate) struct Jobs {
    place: ExportPlace,
    jobs: Mutex<BTreeMap<String, Job>>,
    /// Whose was begun last, so that another's is next.
    last: Mutex<Option<Owner>>,
}

impl Job {
    /// What is said of it.
    pub(super) fn told(&self) -> Export {
        Export {
            id: self.id.clone(),
            status: self.status,
            format: self.asked.format().name().to_owned(),
            q: self.asked.q.clone(),
            tenant: self.asked.tenant.clone(),
            columns: self.asked.named_columns(),
            order: self.asked.order.word().to_owned(),
            created_at: self.created.to_rfc3339(),
            expires_at: self.expires.to_rfc3339(),
            records: self.records,
            of: self.of,
            bytes: self.bytes,
            failure: self.failure.clone(),
            unreadable: self.unreadable.clone(),
            unsearched: self.unsearched.clone(),
        }
    }

    fn key(&self) -> Result<Key> {
        let key = unhex(&self.key).and_then(|key| key.try_into().ok());
        key.ok_or_else(|| Error::new(Kind::Corrupt, "the key of an export"))
    }

    fn is_unfinished(&self) -> bool {
        matches!(self.status, ExportStatus::Waiting | ExportStatus::Running)
    }
}

impl Jobs {
    /// Those that are kept in a place; what is of no use there is removed.
    pub(crate) fn load(place: ExportPlace) -> Result<Self> {
        let jobs = Self {
            place,
            jobs: Mutex::default(),
            last: Mutex::default(),
        };
        let names = jobs.disk().list(DIRECTORY).map_err(failed)?;
        let mut found = BTreeMap::new();
        for id in names.iter().filter_map(|name| name.strip_suffix(JOB)) {
            match jobs.read(id) {
                Ok(job) => drop(found.insert(id.to_owned(), job)),
                Err(error) => tracing::error!(%error, "an export cannot be read and is removed"),
            }
        }
        for name in names {
            let id = name.split('.').next().unwrap_or_default();
            let job = found.get(id);
            let is_data = name.ends_with(DATA) && job.is_some_and(|job| !job.is_unfinished());
            if !(is_data || name.ends_with(JOB) && job.is_some()) {
                let path = format!("{DIRECTORY}/{name}");
                jobs.disk().remove(&path).map_err(failed)?;
            }
        }
        *jobs.all() = found;
        Ok(jobs)
    }

    fn read(&self, id: &str) -> Result<Job> {
        let sealed = self.disk().read(&path(id, JOB)).map_err(failed)?;
        let damaged = || Error::new(Kind::Corrupt, format!("what is said of the export {id}"));
        let opened = self.cipher().decrypt([SEALED, id], &sealed);
        let mut job: Job = opened
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or_else(damaged)?;
        if job.status == ExportStatus::Running {
            job.status = ExportStatus::Waiting;
        }
        Ok(job)
    }

    fn write(&self, job: &Job) -> Result<()> {
        let refused = || Error::new(Kind::Invalid, "what is said of an export");
        let text = serde_json::to_vec(job).map_err(|_| refused())?;
        let sealed = self.cipher().encrypt([SEALED, job.id.as_str()], &text);
        let sealed = sealed.map_err(|_| refused())?;
        self.disk().create_dir_all(DIRECTORY).map_err(failed)?;
        self.disk()
            .replace(&path(&job.id, JOB), &sealed)
            .map_err(failed)
    }

    /// Makes one, if there is room.
    pub(super) fn make(
        &self,
        owner: Owner,
        asked: Asked,
        (env, settings): (&Env, &Settings),
    ) -> std::result::Result<Job, Refusal> {
        let now = env.clock.now();
        let kept = i64::try_from(settings.exports_kept.as_micros()).unwrap_or(i64::MAX);
        let job = Job {
            id: hex(&env.random_bytes::<16>()),
            owner,
            asked,
            key: hex(&env.random_bytes::<64>()),
            created: now,
            expires: Micros(now.0.saturating_add(kept)),
            as_of: None,
            status: ExportStatus::Waiting,
            tries: 0,
            records: 0,
            of: None,
            bytes: 0,
            failure: None,
            unreadable: Vec::new(),
            unsearched: Vec::new(),
            seen: Vec::new(),
        };
        let mut all = self.all();
        let own: Vec<_> = all.values().filter(|one| one.owner == job.owner).collect();
        let too_many = |text: String, after: Micros| {
            let mut refusal = refuse(ProblemKind::TooManyExports, text);
            let micros = after.0.saturating_sub(now.0).max(0).cast_unsigned();
            refusal.0.retry_after_s = Some(micros.div_ceil(1_000_000).max(1));
            Err(refusal)
        };
        if own.len() >= settings.exports_per_key_max {
            let first = own.iter().map(|job| job.expires).min().unwrap_or(now);
            let many = own.len();
            return too_many(
                format!("you have {many} exports, as many as you may: delete one"),
                first,
            );
        }
        let party = job.owner.party();
        let of_party = all.values().filter(|one| one.owner.party() == party);
        let free = settings.exports_max.saturating_sub(all.len());
        if !gets_one(of_party.count(), free) {
            let text = "there are as many exports as there may be now, of all who see what you \
                        see or of everybody: delete one of yours, or ask again later";
            let text = text.to_owned();
            // When others' end is not told.
            return too_many(text, Micros(now.0.saturating_add(FULL_RETRY_MICROS)));
        }
        self.write(&job)?;
        all.insert(job.id.clone(), job.clone());
        Ok(job)
    }

    /// Those of an owner, the newest first.
    pub(super) fn list(&self, owner: &Owner) -> Vec<Job> {
        let all = self.all();
        let own = all.values().filter(|job| job.owner == *owner);
        let mut own: Vec<_> = own.cloned().collect();
        own.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        own
    }

    /// One of an owner's.
    pub(super) fn get(&self, owner: &Owner, id: &str) -> Option<Job> {
        let all = self.all();
        all.get(id).filter(|job| job.owner == *owner).cloned()
    }

    /// Removes one of an owner's, its file and its key.
    pub(super) fn remove(&self, owner: &Owner, id: &str) -> Result<Option<Job>> {
        let mut all = self.all();
        let Some(job) = all.get(id).filter(|job| job.owner == *owner).cloned() else {
            return Ok(None);
        };
        self.erase(id)?;
        all.remove(id);
        Ok(Some(job))
    }

    /// The next to be written, as one that is: another owner's than the last, where there is one.
    pub(super) fn begin(&self, mark: impl FnOnce() -> Result<u64>) -> Result<Option<Job>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all();
        let waiting = all
            .values_mut()
            .filter(|job| job.status == ExportStatus::Waiting);
        let next = waiting.min_by_key(|job| (Some(&job.owner) == last.as_ref(), job.created));
        let Some(job) = next else {
            return Ok(None);
        };
        if job.as_of.is_none() {
            job.as_of = Some(mark()?);
        }
        *last = Some(job.owner.clone());
        job.tries += 1;
        (job.records, job.bytes) = (0, 0);
        job.status = ExportStatus::Running;
        if job.tries > TRIES_MAX {
            job.status = ExportStatus::Failed;
            let text = format!("the server ended {TRIES_MAX} times while it was being written");
            job.failure = Some(text);
        }
        let job = job.clone();
        drop(all);
        self.write(&job)?;
        Ok(Some(job).filter(|job| job.status == ExportStatus::Running))
    }

    /// It waits again: the server stops, and that is no failure of its own.
    pub(super) fn put_back(&self, id: &str) -> Result<()> {
        self.settle(id, |job| {
            job.status = ExportStatus::Waiting;
            job.tries -= 1;
        })?;
        self.drop_file(id)
    }

    /// Changes one, in memory; whether it is still there.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Job)) -> bool {
        self.all().get_mut(id).map(change).is_some()
    }

    /// Changes one, durably; whether it is still there.
    pub(super) fn settle(&self, id: &str, change: impl FnOnce(&mut Job)) -> Result<bool> {
        let mut all = self.all();
        let Some(job) = all.get_mut(id) else {
            return Ok(false);
        };
        change(job);
        self.write(job)?;
        Ok(true)
    }

    /// Removes what has expired, and what is no longer anybody's.
    pub(super) fn sweep(&self, now: Micros, is_in_force: impl Fn(&Owner) -> bool) -> Result<usize> {
        let mut all = self.all();
        let over = |job: &&Job| job.expires <= now || !is_in_force(&job.owner);
        let over: Vec<_> = all
            .values()
            .filter(over)
            .map(|job| job.id.clone())
            .collect();
        for id in &over {
            self.erase(id)?;
            all.remove(id);
        }
        Ok(over.len())
    }

    /// Begins the file of a job that is being written.
    pub(super) fn sink(&self, job: &Job, settings: &Settings) -> Result<Sink> {
        self.remove_file(&path(&job.id, DATA))?;
        let party = job.owner.party();
        let (mut own, mut others) = (0, 0);
        for one in self.all().values() {
            let of = if one.owner.party() == party {
                &mut own
            } else {
                &mut others
            };
            *of += one.bytes;
        }
        let left = share::room(own, others, settings.exports_bytes_max);
        // What others take is not told.
        let room = if left < settings.export_bytes_max {
            Room::Left(left)
        } else {
            Room::Own(settings.export_bytes_max)
        };
        self.disk().create_dir_all(DIRECTORY).map_err(failed)?;
        Sink::create(self.disk(), &path(&job.id, DATA), &job.key()?, room)
    }

    /// Makes the name of a file that was written durable.
    pub(super) fn sync(&self) -> Result<()> {
        self.disk().sync_dir(DIRECTORY).map_err(failed)
    }

    /// Removes the file of a job that will have none.
    pub(super) fn drop_file(&self, id: &str) -> Result<()> {
        self.remove_file(&path(id, DATA))
    }

    /// The file of a job that is done.
    pub(super) fn source(&self, job: &Job) -> Result<Source> {
        Source::open(self.disk(), &path(&job.id, DATA), &job.key()?, job.bytes)
    }

    /// Removes what is said of it first: with its key the rest is of no use.
    fn erase(&self, id: &str) -> Result<()> {
        self.remove_file(&path(id, JOB))?;
        self.remove_file(&path(id, DATA))?;
        self.disk().sync_dir(DIRECTORY).map_err(failed)
    }

    fn remove_file(&self, path: &str) -> Result<()> {
        match self.disk().remove(path) {
            Err(error) if error.kind() != DiskErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn disk(&self) -> &dyn Disk {
        self.place.disk.as_ref()
    }

    fn cipher(&self) -> Aes256Siv {
        Aes256Siv::new(&self.place.key.into())
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path(id: &str, what: &str) -> String {
    format!("{DIRECTORY}/{id}{what}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_disk::FaultyDisk;
    use indelible_log::{Clock, Random};

    use super::*;
    use crate::access::Principal;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Micros {
            Micros(1_770_000_000_000_000)
        }
    }

    impl Random for Still {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn jobs(disk: &Arc<FaultyDisk>, key: u8) -> Jobs {
        let disk: Arc<dyn Disk> = disk.clone();
        Jobs::load(ExportPlace {
            disk,
            key: [key; 64],
        })
        .unwrap()
    }

    fn made(jobs: &Jobs) -> Job {
        let env = Env {
            clock: Arc::new(Still),
            random: Arc::new(Still),
        };
        let wanted = serde_json::from_str(r#"{"format":"csv","q":"outcome:denied"}"#).unwrap();
        let asked = Asked::read(wanted).unwrap();
        let owner = Owner::of(&Principal::Open);
        let made = jobs.make(owner, asked, (&env, &Settings::default()));
        made.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    #[test]
    fn one_that_was_being_written_begins_again_as_of_the_same_moment_and_not_for_ever() {
        let disk = Arc::new(FaultyDisk::new(1));
        let made = made(&jobs(&disk, 1));
        for _ in 0..TRIES_MAX {
            let jobs = jobs(&disk, 1);
            let job = jobs.begin(|| Ok(42)).unwrap().unwrap();
            assert_eq!((job.as_of, job.status), (Some(42), ExportStatus::Running));
            // If we die here, half of a file is there.
            drop(jobs.sink(&job, &Settings::default()).unwrap());
            assert!(jobs.begin(|| Ok(43)).unwrap().is_none());
        }
        let last = jobs(&disk, 1);
        assert_eq!(disk.list("exports").unwrap(), [format!("{}.job", made.id)]);
        assert!(last.begin(|| Ok(44)).unwrap().is_none());
        let told = last.get(&made.owner, &made.id).unwrap().told();
        assert_eq!((told.status, told.bytes), (ExportStatus::Failed, 0));
        assert!(told.failure.unwrap().contains("the server ended"));
    }

    #[test]
    fn a_server_that_stops_is_no_try() {
        let disk = Arc::new(FaultyDisk::new(1));
        let made = made(&jobs(&disk, 1));
        for _ in 0..3 * TRIES_MAX {
            let jobs = jobs(&disk, 1);
            let job = jobs.begin(|| Ok(42)).unwrap().unwrap();
            jobs.put_back(&job.id).unwrap();
        }
        assert!(jobs(&disk, 1).get(&made.owner, &made.id).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_removed_and_so_is_what_is_nobodys() {
        let disk = Arc::new(FaultyDisk::new(1));
        let made = made(&jobs(&disk, 1));
        disk.replace("exports/strange.data", b"x").unwrap();
        assert!(jobs(&disk, 1).get(&made.owner, &made.id).is_some());
        assert_eq!(disk.list("exports").unwrap().len(), 1);
        assert!(
            jobs(&disk, 2).get(&made.owner, &made.id).is_none(),
            "another key"
        );
        assert_eq!(disk.list("exports").unwrap(), Vec::<String>::new());
    }
}
