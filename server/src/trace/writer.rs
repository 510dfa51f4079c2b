//! Writes the trace of one life of a server.
//!
//! Lines gather in memory and are handed to the operating system before anything leaves the server
//! that could depend on them. So `kill -9` loses nothing that anybody could have noticed; at worst
//! the last line is torn. A trace that cannot be written ends the server, since what is missing
//! would look like a broken promise.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::node::Recovered;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::sync::Notify;

use crate::trace::line::{Did, Header, Line, VERSION};
use crate::witness::{self, Deed, Witness};

/// Where Linux says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Whose life is traced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whose {
    /// Which server.
    pub server: u8,
    /// Where it serves clients.
    pub clients: String,
    /// Its tick.
    pub tick_ms: u64,
}

/// The trace of one life.
#[derive(Debug)]
pub struct Trace {
    state: Mutex<State>,
    failed: Notify,
}

#[derive(Debug)]
struct State {
    witness: Witness,
    file: File,
    gathered: Vec<u8>,
    /// Why nothing is written any more.
    error: Option<io::Error>,
}

impl Trace {
    /// Begins a life's trace at the end of the file, which may also be a pipe.
    ///
    /// # Errors
    /// If the file cannot be written, or the system does not tell which boot this is.
    pub fn begin(path: &Path, whose: Whose) -> io::Result<Trace> {
        // Read, too, so that a pipe without a reader does not keep the server from starting.
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let mut state = State {
            witness: Witness::default(),
            file,
            // The line that an earlier life may have torn ends here.
            gathered: vec![b'\n'],
            error: None,
        };
        state.gather(&Header {
            version: VERSION,
            at: monotonic_ns(),
            boot: fs::read_to_string(BOOT_ID)?.trim().to_owned(),
            server: whose.server,
            clients: whose.clients,
            tick_ms: whose.tick_ms,
        });
        state.hand_over();
        match state.error.take() {
            Some(error) => Err(error),
            None => Ok(Trace {
                state: Mutex::new(state),
                failed: Notify::new(),
            }),
        }
    }

    /// The storage was read.
    pub fn recovered(&self, recovered: &Recovered) {
        let deed = witness::recovered(recovered);
        self.state().note(&deed);
    }

    /// Something happened to the node; it has not acted on it yet.
    pub fn input(&self, input: &Input) {
        self.watch(|witness, note| witness.input(input, note));
    }

    /// The node wants something done.
    pub fn effect(&self, effect: &Effect) {
        self.watch(|witness, note| witness.effect(effect, note));
    }

    /// Something is about to leave the server: what was traced before is written before.
    pub fn leaving(&self) {
        let mut state = self.state();
        let was_well = state.error.is_none();
        state.hand_over();
        if let (true, Some(error)) = (was_well, &state.error) {
            tracing::error!(%error, "the trace cannot be written: the server stops");
            self.failed.notify_one();
        }
    }

    /// Ends when the trace cannot be written any more.
    pub async fn failed(&self) {
        self.failed.notified().await;
    }

    /// The server has ended in order.
    ///
    /// # Errors
    /// If not all of the trace could be written.
    pub fn end(&self) -> io::Result<()> {
        let mut state = self.state();
        state.gather(&Line {
            at: monotonic_ns(),
            did: Did::Stopped,
        });
        state.hand_over();
        match state.error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn watch(&self, look: impl FnOnce(&mut Witness, &mut dyn FnMut(Deed))) {
        let mut state = self.state();
        let mut witness = std::mem::take(&mut state.witness);
        look(&mut witness, &mut |deed| state.note(&deed));
        state.witness = witness;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic ends the process")
    }
}

impl State {
    fn note(&mut self, deed: &Deed) {
        if let Some(did) = Did::of(deed) {
            let at = monotonic_ns();
            self.gather(&Line { at, did });
        }
    }

    fn gather(&mut self, line: &impl Serialize) {
        serde_json::to_writer(&mut self.gathered, line).expect("memory takes every line");
        self.gathered.push(b'\n');
    }

    fn hand_over(&mut self) {
        if self.error.is_none() && !self.gathered.is_empty() {
            self.error = self.file.write_all(&self.gathered).err();
        }
        self.gathered.clear();
    }
}

/// The machine's monotonic clock, which all its processes share.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
