//! The two threads of an open data directory: one seals full journal files, one merges segments.
//!
//! They are apart, so that a merge of seconds does not hold up the sealing that appends wait for.
//! What they did not finish is done by whoever opens the directory next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::store::{Job, Store};

/// Full journal files that wait to be sealed, beside the one being sealed.
const WAITING: usize = 1;

/// How much later than others the merging thread gets its turn, 0 to 19.
const MERGE_NICE: i32 = 10;

/// The threads, as long as they run.
#[derive(Default)]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
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
        // Segments may be due from before.
        let _ = wake.try_send(());
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

    /// Lets the threads end and waits for them; `finish` lets them do first what is due.
    pub(crate) fn stop(&mut self, store: &Store, finish: bool) {
        if !finish {
            store.stopping.store(true, Ordering::Relaxed);
        }
        if let Some(writer) = store.writer.lock().as_mut() {
            writer.jobs = None;
        }
        for thread in self.threads.drain(..) {
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
