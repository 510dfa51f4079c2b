//! Servers that do not start: a disk that nobody has damaged, and that did not fail, is found whole
//! after every crash. A server that refuses it has lost what it had acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use althing_core::ids::ServerId;

use crate::check::findings::Findings;
use crate::check::health::named;
use crate::history::{History, What};
use crate::plan::{FaultKind, Plan};
use crate::world::house::{PANICKED, TOLD};

/// What is known of a server.
#[derive(Default)]
struct Server {
    /// It reads its disk, and has not found everything yet.
    is_starting: bool,
    /// Bits of its disk were flipped, or a sync of it was made to fail: it may refuse.
    is_damaged: bool,
    /// The faults that leave it no space.
    full: BTreeSet<usize>,
    /// There was no space at some time of this start.
    was_full: bool,
}

/// Every start must succeed.
pub fn check(plan: &Plan, history: &History, findings: &mut Findings) {
    let mut servers: BTreeMap<ServerId, Server> = BTreeMap::new();
    for moment in &history.moments {
        match &moment.what {
            What::Started { server, .. } => {
                let known = servers.entry(*server).or_default();
                known.is_starting = true;
                known.was_full = !known.full.is_empty();
            }
            What::Recovered { server, .. } | What::Killed { server } => {
                servers.entry(*server).or_default().is_starting = false;
            }
            What::Struck { index, detail, .. } => {
                let fault = plan.faults.get(*index).map(|fault| &fault.what);
                let known = named(detail).map(|server| servers.entry(server).or_default());
                match (fault, known) {
                    (Some(FaultKind::FullDisk { .. }), Some(known)) => {
                        known.full.insert(*index);
                        known.was_full = true;
                    }
                    (Some(FaultKind::BitRot { .. } | FaultKind::SyncError { .. }), Some(known)) => {
                        known.is_damaged = true;
                    }
                    _ => {}
                }
            }
            What::Healed { index, .. } => {
                for known in servers.values_mut() {
                    known.full.remove(index);
                }
            }
            What::Stopped { server, why } => {
                let known = servers.entry(*server).or_default();
                let starting = std::mem::take(&mut known.is_starting);
                let excused = known.is_damaged || known.was_full;
                // To stop as one is told, and to fail an assertion, is something else.
                if starting && !excused && why != TOLD && !why.starts_with(PANICKED) {
                    findings.add("I3 durability", moment.at, None, || {
                        format!("server {server} does not start, though its disk is sound: {why}")
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{happened, plan_with, recovered};
    use crate::cue::Cue;
    use crate::plan::{Fault, RotPlace, Which};
    use crate::span::Span;

    /// Plays `s` the start of server 1, `r` its recovery, `k` its death, `x` that it does not
    /// start, `t` that it is told to stop, `p` that it panics, `0` and `1` the beginnings of a full
    /// disk and of bit rot, `h` the end of the former.
    fn found(script: &str) -> usize {
        let server = Which::Number(1);
        let faults = [
            FaultKind::FullDisk {
                server,
                lasts: Span::secs(1),
            },
            FaultKind::BitRot {
                server,
                place: RotPlace::Snapshot,
                down: Span::secs(1),
            },
        ];
        let at = Cue::At { at: Span::secs(1) };
        let faults = faults.map(|what| Fault::new(at.clone(), what));
        let plan = plan_with(3, faults.to_vec());
        let server = ServerId(1);
        let stopped = |why: &str| What::Stopped {
            server,
            why: why.to_owned(),
        };
        let struck = |index| What::Struck {
            index,
            kind: "fault",
            detail: "server-1: something".to_owned(),
        };
        let history = happened(script.chars().map(|word| match word {
            's' => What::Started { server, life: 1 },
            'r' => recovered(server),
            'k' => What::Killed { server },
            'x' => stopped("snapshot.7: damaged"),
            't' => stopped(TOLD),
            'p' => stopped(&format!("{PANICKED}an assertion")),
            'h' => What::Healed {
                index: 0,
                kind: "full-disk",
            },
            '0' => struck(0),
            _ => struck(1),
        }));
        let mut findings = Findings::default();
        check(&plan, &history, &mut findings);
        findings.sorted().len()
    }

    #[test]
    fn a_sound_disk_is_found_whole() {
        assert_eq!(found("srksx"), 1);
        assert_eq!(found("srkssxsx"), 2, "each start is judged");
        assert_eq!(found("srk0hsx"), 1, "there was space again");
        assert_eq!(found("srx"), 0, "it stops later, for another reason");
    }

    #[test]
    fn who_may_refuse_is_excused() {
        assert_eq!(found("srk1sxsx"), 0, "its disk is damaged");
        assert_eq!(found("srk0sx"), 0, "it has no space");
        assert_eq!(found("srk0shx"), 0, "it had none");
        assert_eq!(found("st"), 0, "it was told to");
        assert_eq!(found("sp"), 0, "an assertion has failed");
    }
}
