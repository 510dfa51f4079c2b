//! What a test declares: its processes, their parts, the marks that it must reach, its own faults.
//! A rehearsal without faults collects it; plans and scenario files are held against it.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Workload;
use crate::swarm::Ranges;

/// What a test declares.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Roster {
    /// The processes, in the order in which they were started.
    pub processes: Vec<String>,
    /// The parts that somebody played.
    pub parts: BTreeSet<String>,
    /// The marks on which faults may be cued.
    pub marks: BTreeSet<String>,
    /// The marks that a campaign must reach.
    pub required: BTreeSet<String>,
    /// The test's own faults, and what a seed draws of them.
    pub faults: BTreeMap<String, Ranges>,
}

impl Roster {
    pub(crate) fn process(&mut self, name: &str) {
        if !self.processes.iter().any(|known| known == name) {
            self.processes.push(name.to_owned());
        }
    }

    pub(crate) fn part(&mut self, name: &str) {
        if !self.parts.contains(name) {
            self.parts.insert(name.to_owned());
        }
    }

    /// The story of a plan for this test.
    pub fn workload(&self) -> Workload {
        Workload::Service {
            processes: self.processes.clone(),
            parts: self.parts.iter().cloned().collect(),
            marks: self.marks.union(&self.required).cloned().collect(),
            faults: self.faults.keys().cloned().collect(),
        }
    }
}
