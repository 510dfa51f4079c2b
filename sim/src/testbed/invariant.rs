//! Invariants of the test's own: over everything that happens, as it happens, and at the end.

use crate::history::Moment;
use crate::testbed::bed::Bed;
use crate::world::caught;

/// What an invariant says: nothing, or how it is broken.
pub type Judgement = Result<(), String>;

impl Bed {
    /// An invariant over everything that happens: `judge` sees each moment of the run as it is
    /// recorded, beginning with the next: what clients send and receive, what servers say, faults,
    /// marks. At the first that breaks it, or panics, the run is red by the name `invariant`.
    ///
    /// It looks and does nothing else: what it would change in the run would be gone in a run
    /// without it. For an invariant over what the service itself does, see
    /// [`Ledger::always`](crate::testbed::ledger::Ledger::always).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use althing_core::node::event::Event;
    /// use althing_sim::history::What;
    /// use althing_sim::testbed::bed::Bed;
    /// use althing_sim::testbed::trial::Trial;
    ///
    /// async fn two_elections_at_most(bed: Bed) {
    ///     let mut elections = 0;
    ///     bed.always("two elections at most", move |moment| {
    ///         if let What::Said { server, event: Event::Elected { leader, .. } } = &moment.what {
    ///             elections += u32::from(server == leader);
    ///         }
    ///         match elections {
    ///             0..=2 => Ok(()),
    ///             _ => Err(format!("the {elections}th at {:?}", moment.at)),
    ///         }
    ///     });
    /// }
    ///
    /// let calm = Trial::new("elections").without_faults().lasts(Duration::from_secs(9));
    /// calm.seeds(0..1).play(two_elections_at_most).expect("a trial").must_be_green();
    /// ```
    pub fn always(
        &self,
        invariant: &'static str,
        mut judge: impl FnMut(&Moment) -> Judgement + Send + 'static,
    ) {
        self.world().recorder.watch(Box::new(move |moment| {
            judgement(|| judge(moment)).map_err(|how| (invariant, how))
        }));
    }

    /// An invariant that is judged once, when the run is over: after the goals were reached, or
    /// after the time in which they had to be.
    ///
    /// What must come about is a [`Bed::goal`]; this is for what must not have come about.
    pub fn finally(
        &self,
        invariant: &'static str,
        judge: impl FnOnce() -> Judgement + Send + 'static,
    ) {
        self.judge_at_the_end(Box::new(move || {
            let broken = judgement(judge).err();
            broken.map(|how| (invariant, how)).into_iter().collect()
        }));
    }
}

/// What `judge` says; a panic of it breaks the invariant, so that it may assert.
pub(super) fn judgement(judge: impl FnOnce() -> Judgement) -> Judgement {
    caught::catch(judge).unwrap_or_else(Err)
}
