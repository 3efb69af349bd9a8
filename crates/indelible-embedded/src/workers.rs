//! The two threads of an open data directory: one seals full journal files, one merges segments.
//!
//! They are apart, so that a merge of seconds does not hold up the sealing that appends wait for.
//! What they did not finish is done after the next sealing, or when somebody waits for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use crate::store::{Job, Store};

/// Full journal files that wait to be sealed, beside the one being sealed.
const WAITING: usize = 1;

/// How often somebody who waits for the threads is asked whether to give up.
const GLANCE: Duration = Duration::from_millis(20);

/// How much later than others the merging thread gets its turn, 0 to 19.
const MERGE_NICE: i32 = 10;

/// The threads, as long as they run.
#[derive(Default)]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// Asks for a merge of what is due.
    wake: Option<SyncSender<()>>,
}

impl Workers {
    /// Starts the threads of a directory opened for writing; without them the append that fills a
    /// file does the work.
    pub(crate) fn start(store: &Arc<Store>) -> Self {
        let mut workers = Self::default();
        if !store.options.background || store.options.read_only {
            return workers;
        }
        let (wake, merges) = sync_channel(1);
        let (jobs, full) = sync_channel(WAITING);
        // Segments may be due from before. They wait for the next sealing, so that a writer of one
        // event does not begin a merge that it will not end.
        workers.wake = Some(wake.clone());
        let shared = Arc::clone(store);
        workers.spawn("indelible-merge", move || merge(&shared, &merges));
        let shared = Arc::clone(store);
        if workers.spawn("indelible-seal", move || seal(&shared, &full, &wake))
            && let Some(writer) = store.writer.lock().as_mut()
        {
            writer.jobs = Some(jobs);
        }
        workers
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> bool {
        let thread = Builder::new().name(name.to_owned()).spawn(run);
        let started = thread.is_ok();
        self.threads.extend(thread);
        started
    }

    /// Ends the threads, a merge where it stands.
    pub(crate) fn stop(&mut self, store: &Store) {
        store.stopping.store(true, Ordering::Relaxed);
        self.finish(store, &mut || false);
    }

    /// Lets the threads do what is due, and end; until `give_up` says to end where they stand.
    pub(crate) fn finish(&mut self, store: &Store, give_up: &mut dyn FnMut() -> bool) {
        if let Some(writer) = store.writer.lock().as_mut() {
            writer.jobs = None;
        }
        if let Some(wake) = self.wake.take() {
            let _ = wake.try_send(());
        }
        for thread in self.threads.drain(..) {
            while !thread.is_finished() {
                if give_up() {
                    store.stopping.store(true, Ordering::Relaxed);
                }
                sleep(GLANCE);
            }
            let _ = thread.join();
        }
    }
}

fn seal(store: &Store, full: &Receiver<Job>, wake: &SyncSender<()>) {
    while let Ok(job) = full.recv() {
        store.seal_noting(&job);
        let _ = wake.try_send(());
    }
}

fn merge(store: &Store, merges: &Receiver<()>) {
    step_back();
    while merges.recv().is_ok() {
        store.merge_noting();
    }
}

/// Lets other threads go first: a merge of seconds is never urgent, an append is.
fn step_back() {
    // Elsewhere than on Linux a priority is that of the whole process.
    if cfg!(target_os = "linux") {
        let _ = rustix::process::setpriority_process(None, MERGE_NICE);
    }
}
