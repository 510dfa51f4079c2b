//! Which servers are well, and which of them hear each other, as far as the simulator itself knows:
//! it strikes every blow. What is well has been well for long enough that nothing of an older blow
//! is felt any more.

use std::collections::BTreeMap;
use std::time::Duration;

use althing::limits::{DIAL_MAX, LINK_HANDSHAKE_MAX, LINK_SILENCE_MAX, REDIAL_PAUSE_MAX};
use althing_core::ids::ServerId;

use crate::history::What;
use crate::plan::{FaultKind, Plan, Who};
use crate::quorums::Quorums;
use crate::world::partition::{across, between, bridged};

/// How long a blow is felt after it is over: until two servers have noticed that their link is of
/// no use any more, and have dialled and introduced themselves anew.
pub const FELT: Duration = LINK_SILENCE_MAX
    .saturating_add(REDIAL_PAUSE_MAX)
    .saturating_add(DIAL_MAX)
    .saturating_add(LINK_HANDSHAKE_MAX);

/// What a blow strikes of the ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Reach {
    /// Nothing that an election depends on, or what its server tells itself.
    Nobody,
    /// One server.
    Server(ServerId),
    /// The links between some servers, both ways.
    Links(Vec<(ServerId, ServerId)>),
    /// Nobody knows.
    Everybody,
}

/// What is known of the servers at one moment.
#[derive(Debug)]
pub struct Health<'a> {
    plan: &'a Plan,
    quorums: Quorums,
    /// What is in force, by the place in the plan.
    in_force: BTreeMap<usize, Reach>,
    /// Since when a server runs; one that does not is not here.
    runs: BTreeMap<ServerId, Duration>,
    /// When something struck a server, or ceased to, for the last time.
    struck: BTreeMap<ServerId, Duration>,
    parted: BTreeMap<(ServerId, ServerId), Duration>,
    everybody: Duration,
}

impl<'a> Health<'a> {
    /// Before the run's beginning.
    pub fn new(plan: &'a Plan) -> Health<'a> {
        Health {
            plan,
            quorums: Quorums::of_plan(plan),
            in_force: BTreeMap::new(),
            runs: BTreeMap::new(),
            struck: BTreeMap::new(),
            parted: BTreeMap::new(),
            everybody: Duration::ZERO,
        }
    }

    /// Something happened.
    pub fn see(&mut self, at: Duration, what: &What) {
        match what {
            What::Recovered { server, .. } => drop(self.runs.insert(*server, at)),
            What::Killed { server } | What::Stopped { server, .. } => {
                self.runs.remove(server);
            }
            What::Struck { index, detail, .. } => {
                let reach = self.reach(*index, detail);
                self.touch(at, &reach);
                if self.lasts(*index) {
                    self.in_force.insert(*index, reach);
                }
            }
            What::Healed { index, .. } => {
                if let Some(reach) = self.in_force.remove(index) {
                    self.touch(at, &reach);
                }
            }
            What::SecondAct => {
                for reach in std::mem::take(&mut self.in_force).into_values() {
                    self.touch(at, &reach);
                }
            }
            _ => {}
        }
    }

    /// The faults that are in force, by their place in the plan, and strike servers or their links.
    pub fn in_force(&self) -> impl Iterator<Item = usize> {
        let felt = self
            .in_force
            .iter()
            .filter(|(_, reach)| **reach != Reach::Nobody);
        felt.map(|(index, _)| *index)
    }

    /// Is there a quorum of the voters, this one among them, that are all well, and whom this one
    /// hears and is heard by?
    pub fn has_quorum(&self, leader: ServerId, at: Duration) -> bool {
        let near = |other: ServerId| {
            other == leader || (self.is_well(other, at) && self.are_linked(leader, other, at))
        };
        self.is_well(leader, at) && self.quorums.has(near)
    }

    fn is_well(&self, server: ServerId, at: Duration) -> bool {
        let Some(runs) = self.runs.get(&server) else {
            return false;
        };
        let strikes = |reach: &Reach| match reach {
            Reach::Server(struck) => *struck == server,
            Reach::Everybody => true,
            Reach::Nobody | Reach::Links(_) => false,
        };
        let struck = self.struck.get(&server).copied().unwrap_or_default();
        let since = struck.max(*runs).max(self.everybody);
        !self.in_force.values().any(strikes) && since + FELT <= at
    }

    fn are_linked(&self, one: ServerId, other: ServerId, at: Duration) -> bool {
        let pair = (one.min(other), one.max(other));
        let parts = |reach: &Reach| matches!(reach, Reach::Links(pairs) if pairs.contains(&pair));
        let since = self.parted.get(&pair).copied().unwrap_or_default();
        !self.in_force.values().any(parts) && since + FELT <= at
    }

    fn touch(&mut self, at: Duration, reach: &Reach) {
        match reach {
            Reach::Nobody => {}
            Reach::Server(server) => drop(self.struck.insert(*server, at)),
            Reach::Links(pairs) => self.parted.extend(pairs.iter().map(|pair| (*pair, at))),
            Reach::Everybody => self.everybody = at,
        }
    }

    /// Is this a fault that has an end?
    fn lasts(&self, index: usize) -> bool {
        let fault = self.plan.faults.get(index);
        fault.is_none_or(|fault| match fault.what {
            FaultKind::Reset { .. } => false,
            FaultKind::Own { lasts, .. } => lasts.is_some(),
            _ => true,
        })
    }

    /// Whom a fault of the plan strikes; the detail names the server that was meant.
    fn reach(&self, index: usize, detail: &str) -> Reach {
        let Some(fault) = self.plan.faults.get(index) else {
            return Reach::Everybody;
        };
        let one = || match named(detail) {
            Some(server) => Reach::Server(server),
            None => Reach::Everybody,
        };
        match &fault.what {
            FaultKind::Pause { who, .. }
            | FaultKind::Cut { who, .. }
            | FaultKind::SlowLink { who, .. }
            | FaultKind::Reset { who } => match who {
                Who::Server(_) => one(),
                Who::Client(_) => Reach::Nobody,
            },
            // These are told by the beginnings and ends of the servers' lives.
            FaultKind::Crash { .. }
            | FaultKind::Stop { .. }
            | FaultKind::RollingRestart { .. }
            | FaultKind::PowerLoss { .. }
            | FaultKind::PowerCut { .. }
            | FaultKind::SyncError { .. }
            | FaultKind::BitRot { .. }
            | FaultKind::LostDisk { .. } => Reach::Nobody,
            FaultKind::Isolate { .. } | FaultKind::SlowDisk { .. } | FaultKind::FullDisk { .. } => {
                one()
            }
            FaultKind::Split { servers, .. } => links(&between(servers, &self.others(servers))),
            FaultKind::Bridge { .. } => match named(detail) {
                Some(bridge) => links(&bridged(&self.others(&[bridge.0]))),
                None => Reach::Everybody,
            },
            FaultKind::Ring { .. } => links(&across(&self.others(&[]))),
            // Who hears its leader does not believe gossip; and clocks that drift are off by a
            // tenth at most.
            FaultKind::PoisonedGossip { .. }
            | FaultKind::SilencedGossip { .. }
            | FaultKind::Restore { .. }
            | FaultKind::WallJump { .. }
            | FaultKind::ClockDrift { .. } => Reach::Nobody,
            FaultKind::Reconfigure { .. } | FaultKind::Own { .. } => Reach::Everybody,
        }
    }

    /// All servers but these, by number, as whoever strikes the blow lists them.
    fn others(&self, these: &[u8]) -> Vec<u8> {
        let all = 1..=self.plan.servers;
        all.filter(|number| !these.contains(number)).collect()
    }
}

/// These links, the lower number first.
fn links(pairs: &[(u8, u8)]) -> Reach {
    let ordered = |(one, other): &(u8, u8)| (ServerId(*one.min(other)), ServerId(*one.max(other)));
    Reach::Links(pairs.iter().map(ordered).collect())
}

/// The server that the detail of a blow begins with, as in `server-3: 20ms`.
pub fn named(detail: &str) -> Option<ServerId> {
    let number = detail.strip_prefix("server-")?;
    let end = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok().map(ServerId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::plan_with;
    use crate::cue::Cue;
    use crate::plan::{Direction, Fault, Which};
    use crate::span::Span;

    /// Which links a fault parts among five servers, as `12 13`.
    fn parted(what: FaultKind, detail: &str) -> String {
        let fault = Fault::new(Cue::At { at: Span::secs(1) }, what);
        let plan = plan_with(5, vec![fault]);
        let Reach::Links(pairs) = Health::new(&plan).reach(0, detail) else {
            panic!("it parts servers");
        };
        let pairs = pairs.iter().map(|(one, other)| format!("{one}{other}"));
        pairs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn cuts_part_what_they_say() {
        let (direction, lasts, flaps) = (Direction::From, Span::secs(1), None);
        let servers = vec![1, 4];
        let split = FaultKind::Split {
            servers,
            direction,
            lasts,
            flaps,
        };
        assert_eq!(parted(split, "[1, 4]: From"), "12 13 15 24 34 45");
        let ring = FaultKind::Ring {
            direction,
            lasts,
            flaps,
        };
        assert_eq!(parted(ring, "all: From"), "13 14 24 25 35");
        let bridge = FaultKind::Bridge {
            server: Which::Follower,
            direction,
            lasts,
            flaps,
        };
        let detail = "server-2 is the bridge: From";
        assert_eq!(parted(bridge, detail), "14 15 34 35");
    }

    #[test]
    fn a_detail_names_its_server() {
        assert_eq!(named("server-3: 20ms"), Some(ServerId(3)));
        assert_eq!(named("server-11"), Some(ServerId(11)));
        assert_eq!(named("[1, 2]: Both"), None);
        assert_eq!(named("server-x"), None);
    }
}
