//! Faults of the test's own: what goes wrong with the service beside what goes wrong with the
//! ensemble, its machines and their network.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::span::Span;
use crate::swarm::{Between, Ranges};
use crate::testbed::bed::{Bed, OwnFault};

/// A fault that is being declared; [`NewFault::strikes`] is the last word.
#[must_use = "a fault that never strikes is none"]
pub struct NewFault {
    bed: Bed,
    name: &'static str,
    ranges: Ranges,
    heal: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Bed {
    /// Declares a fault of the test's own. It lives in plans like every other: a seed draws when
    /// it falls and for how long, a scenario file can place it (`what = { own = { name = "...",
    /// lasts = "5s" } }`), verdicts count it, the timeline shows it, and shrinking takes it away
    /// when it does not matter. To be called at the beginning of the test.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use althing_sim::testbed::bed::Bed;
    /// use althing_sim::testbed::trial::Trial;
    ///
    /// async fn workers_are_deployed(bed: Bed) {
    ///     for name in ["worker-1", "worker-2"] {
    ///         bed.process(name, |_process| std::future::pending());
    ///     }
    ///     bed.fault("deploy")
    ///         .every(Duration::from_secs(2)..=Duration::from_secs(5))
    ///         .heals(|bed| bed.bring_back("worker-1"))
    ///         .strikes(|bed| bed.take_down("worker-1"));
    /// }
    ///
    /// let report = Trial::new("deploys").seeds(0..5).play(workers_are_deployed).expect("a trial");
    /// assert!(report.text().contains("deploy"), "{}", report.text());
    /// report.must_be_green();
    /// ```
    pub fn fault(&self, name: &'static str) -> NewFault {
        NewFault {
            bed: self.clone(),
            name,
            ranges: Ranges::default(),
            heal: None,
        }
    }
}

impl NewFault {
    /// The mean time between two of them, of which each seed draws its own; 10 s to 60 s if it is
    /// left out.
    pub fn every(mut self, mean: RangeInclusive<Duration>) -> NewFault {
        self.ranges.every = Some(between(&mean));
        self
    }

    /// How long one lasts; half a second to 10 s if it is left out. One that nothing heals has
    /// no use for it.
    pub fn lasts(mut self, lasts: RangeInclusive<Duration>) -> NewFault {
        self.ranges.lasts = Some(between(&lasts));
        self
    }

    /// How likely a seed has such faults at all; a half if it is left out.
    pub fn chance(mut self, chance: f64) -> NewFault {
        self.ranges.chance = Some(chance);
        self
    }

    /// What ends it: called once for each time that it struck, when its time is over, and at the
    /// latest when the faults are over.
    pub fn heals(mut self, heal: impl Fn(&Bed) + Send + Sync + 'static) -> NewFault {
        let bed = self.bed.clone();
        self.heal = Some(Arc::new(move || heal(&bed)));
        self
    }

    /// What it does when it falls. What takes time belongs into a task ([`Bed::spawn`]).
    ///
    /// # Panics
    /// If the test has a fault with this name already.
    pub fn strikes(self, strike: impl Fn(&Bed) + Send + Sync + 'static) {
        let mut roster = self.bed.roster();
        roster.faults.insert(self.name.to_owned(), self.ranges);
        drop(roster);
        let bed = self.bed.clone();
        self.bed.add_fault(OwnFault {
            name: self.name,
            strike: Arc::new(move || strike(&bed)),
            heal: self.heal,
        });
    }
}

fn between(range: &RangeInclusive<Duration>) -> Between<Span> {
    Between::Two([Span(*range.start()), Span(*range.end())])
}
