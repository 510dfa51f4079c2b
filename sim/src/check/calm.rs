//! When nothing disturbs the servers: only then can a checker say that something comes too late.

use std::collections::BTreeSet;
use std::time::Duration;

use althing_core::ids::ServerId;
use althing_core::node::event::Event;

use crate::history::{History, What};
use crate::plan::{FaultKind, Plan, Who};
use crate::world::ether::RETRY_MAX;

/// The stretches of time in which a leader serves and no fault slows it.
#[derive(Clone, Debug, Default)]
pub struct Calm {
    /// In order, without overlaps.
    stretches: Vec<(Duration, Duration)>,
    /// The end of the run.
    pub end: Duration,
}

/// How long streams feel a cut after it has healed: what was lost is sent again as late as this.
const CUT_IS_FELT: Duration = RETRY_MAX;

/// Does this fault keep servers' streams from getting through?
fn cuts(fault: &FaultKind) -> bool {
    match fault {
        FaultKind::Cut { who, .. } => matches!(who, Who::Server(_)),
        FaultKind::Isolate { .. }
        | FaultKind::Split { .. }
        | FaultKind::Bridge { .. }
        | FaultKind::Ring { .. } => true,
        _ => false,
    }
}

/// Does this fault slow or stop servers while it lasts?
fn disturbs(fault: &FaultKind) -> bool {
    match fault {
        FaultKind::Crash { who, .. }
        | FaultKind::Pause { who, .. }
        | FaultKind::SlowLink { who, .. } => matches!(who, Who::Server(_)),
        FaultKind::Cut { .. } => cuts(fault),
        FaultKind::Reset { .. }
        | FaultKind::Restore { .. }
        | FaultKind::WallJump { .. }
        | FaultKind::ClockDrift { .. } => false,
        _ => true,
    }
}

impl Calm {
    /// As a run tells.
    pub fn of(plan: &Plan, history: &History) -> Calm {
        let mut calm = Calm::default();
        let mut elected: Option<ServerId> = None;
        let mut serving: Option<ServerId> = None;
        let mut faults: BTreeSet<usize> = BTreeSet::new();
        let mut since: Option<Duration> = None;
        let mut felt_until = Duration::ZERO;
        for moment in &history.moments {
            let disturbing = |index: &usize| {
                plan.faults
                    .get(*index)
                    .is_none_or(|fault| disturbs(&fault.what))
            };
            match &moment.what {
                What::Said { server, event } => match event {
                    // A new leader's calm is another: it gives every session its full time.
                    Event::Elected { .. } => {
                        (elected, serving) = (Some(*server), None);
                    }
                    Event::EpochOpened { .. } if elected == Some(*server) => {
                        serving = elected;
                    }
                    Event::Deposed { .. } if serving == Some(*server) => serving = None,
                    Event::Paused { .. } | Event::SavesRefused { .. } => {
                        calm.cut(&mut since, moment.at);
                    }
                    _ => continue,
                },
                What::Killed { server }
                | What::Stopped { server, .. }
                | What::Started { server, .. }
                    if serving == Some(*server) =>
                {
                    serving = None;
                }
                What::Struck { index, .. } if disturbing(index) => {
                    faults.insert(*index);
                }
                What::Healed { index, .. } => {
                    faults.remove(index);
                    let fault = plan.faults.get(*index);
                    if fault.is_none_or(|fault| cuts(&fault.what)) {
                        felt_until = moment.at + CUT_IS_FELT;
                    }
                }
                What::SecondAct => {
                    if !faults.is_empty() {
                        felt_until = moment.at + CUT_IS_FELT;
                    }
                    faults.clear();
                }
                _ => continue,
            }
            match serving.is_some() && faults.is_empty() {
                true => since = since.or(Some(moment.at.max(felt_until))),
                false => calm.cut(&mut since, moment.at),
            }
        }
        calm.end = history
            .moments
            .last()
            .map_or(Duration::ZERO, |moment| moment.at);
        let end = calm.end;
        calm.cut(&mut since, end);
        calm
    }

    fn cut(&mut self, since: &mut Option<Duration>, at: Duration) {
        if let Some(from) = since.take()
            && from < at
        {
            self.stretches.push((from, at));
        }
    }

    /// The longest stretch of calm between two hours.
    pub fn longest_within(&self, from: Duration, to: Duration) -> Duration {
        let within =
            |(begin, end): &(Duration, Duration)| (*end).min(to).saturating_sub((*begin).max(from));
        self.stretches.iter().map(within).max().unwrap_or_default()
    }
}
