//! The witness of a run of real processes: every client writes a trace, as users' clients can, for
//! the simulator's checkers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use althing_client::runtime::{Runtime, Tokio};
use althing_client::trace::{Traced, TracedStream};
use althing_sim::history::Violation;

#[derive(Debug, Default)]
struct Notes {
    traces: Vec<PathBuf>,
    violations: Vec<Violation>,
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    folder: PathBuf,
    notes: Mutex<Notes>,
}

/// A handle; all clones gather the traces of the same run.
#[derive(Clone, Debug)]
pub struct Witness(Arc<Shared>);

impl Witness {
    /// Of a run whose traces shall lie in this folder.
    pub fn new(folder: &Path) -> Witness {
        Witness(Arc::new(Shared {
            began: Instant::now(),
            folder: folder.to_owned(),
            notes: Mutex::default(),
        }))
    }

    /// The runtime of a client of this name.
    pub fn runtime(&self, client: &str) -> Watched {
        let file = self.0.folder.join(format!("{client}.trace"));
        let traced = Traced::new(client, &file).expect("the folder takes files");
        let traces = &mut self.notes().traces;
        if !traces.contains(&file) {
            traces.push(file);
        }
        Watched {
            witness: self.clone(),
            client: client.into(),
            traced,
        }
    }

    /// Writes down that a rule was broken.
    pub fn violate(&self, invariant: &'static str, detail: String) {
        let at = self.0.began.elapsed();
        self.notes().violations.push(Violation {
            invariant,
            at,
            detail,
            session: None,
        });
    }

    /// The clients' traces, and the rules that the clients themselves saw broken.
    pub fn finish(&self) -> (Vec<PathBuf>, Vec<Violation>) {
        let mut notes = self.notes();
        (
            std::mem::take(&mut notes.traces),
            std::mem::take(&mut notes.violations),
        )
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().expect("no panic while it is held")
    }
}

/// Tokio with a trace, and with an eye on the tasks.
#[derive(Clone, Debug)]
pub struct Watched {
    witness: Witness,
    client: Arc<str>,
    traced: Traced,
}

impl Runtime for Watched {
    type Stream = TracedStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (witness, client) = (self.witness.clone(), self.client.clone());
        let task = tokio::spawn(task);
        // Detached, but not unseen: a panic in the client library is a finding.
        drop(tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                witness.violate("A1 assertion", format!("{client}: {error}"));
            }
        }));
    }

    async fn sleep(&self, delay: Duration) {
        Tokio.sleep(delay).await;
    }

    async fn connect(&self, address: &str) -> io::Result<TracedStream> {
        self.traced.connect(address).await
    }

    fn random(&self) -> u64 {
        Tokio.random()
    }

    fn now(&self) -> Duration {
        Tokio.now()
    }
}
