//! What must happen sometimes: a test that never meets the situation that it is about proves
//! nothing about it.

use std::sync::Arc;

use crate::testbed::bed::{Bed, Process};

/// A point that a campaign must reach. A handle: all clones are the same mark.
///
/// Over the seeds of a campaign it must be reached at least once; otherwise the campaign is
/// `VACUOUS` and fails, however green each of its runs is. It is also a mark: it stands in the
/// timeline, plans can cue on it, verdicts count it.
#[derive(Clone)]
pub struct Sometimes {
    bed: Bed,
    name: &'static str,
}

impl Bed {
    /// Declares what must happen sometimes. To be called at the beginning of the test: what is not
    /// declared in a run without faults is not missed.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use althing_sim::testbed::bed::Bed;
    /// use althing_sim::testbed::trial::Trial;
    ///
    /// async fn processes_begin_anew(bed: Bed) {
    ///     let again = bed.sometimes("begun-anew");
    ///     bed.process("worker", move |process| {
    ///         let again = again.clone();
    ///         async move {
    ///             if process.life > 1 {
    ///                 again.reached(&process, "");
    ///             }
    ///             std::future::pending().await
    ///         }
    ///     });
    /// }
    ///
    /// // Without faults no process ever begins anew, and the campaign says so.
    /// let calm = Trial::new("anew").without_faults().lasts(Duration::from_secs(2)).seeds(0..5);
    /// let report = calm.play(processes_begin_anew).expect("a trial");
    /// assert!(report.text().contains("never reached: begun-anew, in 5 seeds"));
    /// ```
    pub fn sometimes(&self, name: &'static str) -> Sometimes {
        self.roster().required.insert(name.to_owned());
        Sometimes {
            bed: self.clone(),
            name,
        }
    }
}

impl Sometimes {
    /// A process has reached it.
    pub fn reached(&self, process: &Process, detail: impl Into<String>) {
        let who = Arc::clone(&process.name);
        self.bed.record_mark(who, self.name, detail.into());
    }

    /// The test itself has seen it reached.
    pub fn seen(&self, detail: impl Into<String>) {
        self.bed.mark(self.name, detail);
    }
}
