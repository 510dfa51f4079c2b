//! The store that fencing tokens guard: what masters and holders of locks write to. It is no part
//! of the service; it stands for the database, the disk or the payment provider behind it.

use std::sync::{Arc, Mutex};

use althing_core::ids::Zxid;

use crate::testbed::bed::{Process, Verdict};

/// A store that takes no write with an older token than it has seen. A handle: all clones are the
/// same store.
#[derive(Clone, Debug, Default)]
pub struct GuardedStore(Arc<Mutex<Zxid>>);

impl GuardedStore {
    /// A write of `process` arrives.
    pub fn write(&self, process: &Process, token: Zxid) -> Verdict {
        let mut newest = self.0.lock().expect("no panic within");
        let before = *newest;
        if token < before {
            process.guarded(token, before, Verdict::Refused);
            process.mark("stale-write-refused", format!("{token} after {before}"));
            return Verdict::Refused;
        }
        *newest = token;
        process.guarded(token, before, Verdict::Accepted);
        Verdict::Accepted
    }
}
