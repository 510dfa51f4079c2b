//! From a scenario and a seed to a concrete plan, before the run begins. Every kind of fault draws
//! from a stream of its own, so taking one kind away does not change what the others draw.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cast;
use crate::cue::Cue;
use crate::figures::{figure, magnitude, whole_number, with_figures};
use crate::plan::{Direction, Expects, Fault, FaultKind, Plan, Which, Who};
use crate::quorums::{Quorums, spares_somebody};
use crate::random::{Stream, Streams};
use crate::scenario::Scenario;
use crate::soundness::check_plan;
use crate::span::Span;
use crate::swarm::{Between, CLIENTS, Kind, Ranges, SERVERS, Swarm};

/// Most faults of one kind that a seed draws: all kinds together stay below the limit of a plan,
/// [`crate::soundness::FAULTS_MAX`].
const DRAWN_MAX: usize = 40;
/// How often members are drawn anew if a quorum of them could be destroyed; then all are members.
const MEMBERS_TRIES: u32 = 8;

/// The plan that `seed` draws from `scenario`.
///
/// # Panics
/// If the scenario was not checked by [`Scenario::parse`].
pub fn draw(scenario: &Scenario, seed: u64) -> Plan {
    let Some(swarm) = &scenario.swarm else {
        return scenario.plan.clone();
    };
    let mut plan = with_figures(&scenario.plan, &swarm.figures, &mut |path, range| {
        let mut stream = Streams::new(seed).fork(&format!("figures.{path}"));
        figure(range, &mut stream)
    })
    .expect("figures were checked");
    draw_faults(&mut plan, swarm, seed);
    check_plan(&plan).expect("what is drawn within checked ranges is sound");
    plan
}

fn draw_faults(plan: &mut Plan, swarm: &Swarm, seed: u64) {
    let mut drawn: Vec<(Duration, Fault)> = Vec::new();
    let breakable = breakable(plan, seed);
    for lot in chosen(swarm, seed) {
        if plan.servers < lot.kind.servers_min() {
            continue;
        }
        let mut draw = Draw {
            plan,
            breakable: &breakable,
            own: lot.own,
            ranges: lot.ranges.or(lot.kind.ranges()),
            stream: lot.stream(seed, ""),
        };
        drawn.extend(draw.faults(lot.kind));
    }
    let rots = |(_, fault): &(Duration, Fault)| matches!(fault.what, FaultKind::BitRot { .. });
    if !spares_somebody(plan) && drawn.iter().any(rots) {
        // Nobody else has a copy of what the one server has lost.
        plan.expects = Expects::UnavailableNeverWrong;
    }
    // Stable: at the same time, in the order of the kinds.
    drawn.sort_by_key(|(at, _)| *at);
    plan.faults
        .extend(drawn.into_iter().map(|(_, fault)| fault));
}

/// The servers whose disks this seed may destroy: fewer than any quorum, together with those that
/// the plan itself destroys. Where no server can be spared it is every server, and the service may
/// refuse for ever.
fn breakable(plan: &Plan, seed: u64) -> BTreeSet<u8> {
    let mut voters = plan.voters();
    if !spares_somebody(plan) {
        return voters.into_iter().collect();
    }
    let (mut known, mut parts) = (BTreeSet::new(), 0);
    for fault in &plan.faults {
        match fault.what {
            FaultKind::BitRot { server, .. } | FaultKind::LostDisk { server, .. } => match server {
                Which::Number(number) => drop(known.insert(number)),
                Which::Leader | Which::Follower => parts += 1,
            },
            _ => {}
        }
    }
    let mut stream = Streams::new(seed).fork("faults.breakable");
    voters.retain(|voter| !known.contains(voter));
    shuffle(&mut voters, &mut stream);
    // A sound plan that has groups names every server that loses its disk.
    let quorums = Quorums::of_plan(plan);
    let may_be_lost = |lost: &BTreeSet<u8>| match plan.groups.is_empty() {
        true => lost.len() + parts <= plan.minority(),
        false => quorums.spare(lost),
    };
    for voter in voters {
        let mut lost = known.clone();
        lost.insert(voter);
        if may_be_lost(&lost) {
            known = lost;
        }
    }
    known
}

fn shuffle(servers: &mut [u8], stream: &mut Stream) {
    for last in (1..servers.len()).rev() {
        servers.swap(last, stream.index(last + 1));
    }
}

/// What a seed enables or not: a kind, or a fault of the test's own.
#[derive(Clone, Copy)]
struct Lot<'a> {
    kind: Kind,
    own: &'a str,
    ranges: &'a Ranges,
}

impl<'a> Lot<'a> {
    /// Everything that a seed can enable.
    fn all(swarm: &'a Swarm) -> impl Iterator<Item = Lot<'a>> {
        let kinds = swarm.faults.iter().map(|(kind, ranges)| Lot {
            kind: *kind,
            own: "",
            ranges,
        });
        kinds.chain(swarm.own.iter().map(|(own, ranges)| Lot {
            kind: Kind::Own,
            own,
            ranges,
        }))
    }

    /// A stream of its own.
    fn stream(&self, seed: u64, purpose: &str) -> Stream {
        let (kind, own) = (self.kind.name(), self.own);
        let name = match own.is_empty() {
            true => format!("faults.{kind}{purpose}"),
            false => format!("faults.{kind}.{own}{purpose}"),
        };
        Streams::new(seed).fork(&name)
    }

    fn chance(&self) -> f64 {
        self.ranges.chance.unwrap_or(CHANCE)
    }
}

/// What this seed enables. The lot of each comes from a stream of its own.
fn chosen(swarm: &Swarm, seed: u64) -> Vec<Lot<'_>> {
    let mode = Streams::new(seed).fork("faults.mode").unit();
    if mode < swarm.calm {
        return Vec::new();
    }
    let drawn = |lot: &Lot<'_>| lot.stream(seed, ".lot").unit();
    let open = Lot::all(swarm).filter(|lot| lot.chance() > 0.0);
    if mode < swarm.calm + swarm.single {
        let lowest = open.min_by(|a, b| drawn(a).total_cmp(&drawn(b)));
        return lowest.into_iter().collect();
    }
    open.filter(|lot| drawn(lot) < lot.chance()).collect()
}

/// How likely a seed enables a kind, unless the scenario says otherwise.
const CHANCE: f64 = 0.5;

/// Between one and `most` of the servers 1 to `all`.
fn subset(all: u8, most: u8, stream: &mut Stream) -> Vec<u8> {
    let mut servers: Vec<u8> = (1..=all).collect();
    shuffle(&mut servers, stream);
    servers.truncate(1 + stream.index(usize::from(most)));
    servers.sort_unstable();
    servers
}

/// What one kind's faults are drawn from.
struct Draw<'a> {
    plan: &'a Plan,
    breakable: &'a BTreeSet<u8>,
    /// Which of the test's own faults.
    own: &'a str,
    ranges: Ranges,
    stream: Stream,
}

const DEFAULTS: &str = "the kind has defaults for what it draws";

impl Draw<'_> {
    fn faults(&mut self, kind: Kind) -> Vec<(Duration, Fault)> {
        let every = self.span(self.ranges.every);
        let mut faults = Vec::new();
        let mut clock = Duration::ZERO;
        while faults.len() < DRAWN_MAX {
            clock += self
                .stream
                .exponential(every.0)
                .max(Duration::from_millis(1));
            let at = Span::millis(u64::try_from(clock.as_millis()).expect("acts are short"));
            if at >= self.plan.lasts {
                break;
            }
            let Some(what) = self.one(kind) else { break };
            let when = Cue::At { at };
            faults.push((at.0, Fault::new(when, what)));
        }
        faults
    }

    fn span(&mut self, range: Option<Between<Span>>) -> Span {
        let range = range.expect(DEFAULTS);
        magnitude(range.least(), range.most(), &mut self.stream)
    }

    fn number(&mut self, range: Option<Between<i64>>) -> i64 {
        let range = range.expect(DEFAULTS);
        whole_number(range.least(), range.most(), &mut self.stream)
    }

    fn who(&mut self) -> Who {
        let whom = self.ranges.whom.as_ref().expect(DEFAULTS);
        match one_of(whom, &mut self.stream).as_str() {
            SERVERS => {
                let number = 1 + self.stream.below(u64::from(self.plan.servers)) as u8;
                Who::Server(Which::Number(number))
            }
            CLIENTS => {
                let clients = cast::clients(&self.plan.workload);
                Who::Client(one_of(&clients, &mut self.stream).clone())
            }
            name => Who::from(name.to_owned()),
        }
    }

    fn which(&mut self) -> Which {
        match self.who() {
            Who::Server(which) => which,
            Who::Client(_) => unreachable!("the kind's ranges were checked to strike servers"),
        }
    }

    /// A server whose disk may be destroyed, if any may.
    fn broken(&mut self) -> Option<Which> {
        let servers: Vec<u8> = self.breakable.iter().copied().collect();
        let drawn = self.stream.index(servers.len().max(1));
        servers.get(drawn).copied().map(Which::Number)
    }

    fn direction(&mut self) -> Direction {
        let directions = self.ranges.direction.as_ref().expect(DEFAULTS);
        *one_of(directions, &mut self.stream)
    }

    /// Every second cut comes and goes.
    fn flaps(&mut self) -> Option<Span> {
        let period = self.span(self.ranges.flaps);
        self.stream.chance(0.5).then_some(period)
    }

    /// Members of whom no quorum can be destroyed.
    fn members(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (all, breakable) = (self.plan.servers, self.breakable);
        let spared = |voters: &Vec<u8>| {
            let lost = voters.iter().filter(|voter| breakable.contains(voter));
            lost.count() * 2 < voters.len()
        };
        let voters = (0..MEMBERS_TRIES)
            .map(|_| subset(all, all, &mut self.stream))
            .find(spared)
            .unwrap_or_else(|| (1..=all).collect());
        let others = (1..=all).filter(|server| !voters.contains(server));
        let learners = others.filter(|_| self.stream.chance(0.5)).collect();
        (voters, learners)
    }

    /// One fault; `None` if there is nothing that it may strike. The order of the draws is part of
    /// what a seed means.
    fn one(&mut self, kind: Kind) -> Option<FaultKind> {
        Some(match kind {
            Kind::Crash => FaultKind::Crash {
                who: self.who(),
                down: Some(self.span(self.ranges.down)),
            },
            Kind::Stop => FaultKind::Stop {
                server: self.which(),
                down: Some(self.span(self.ranges.down)),
            },
            Kind::RollingRestart => FaultKind::RollingRestart {
                down: self.span(self.ranges.down),
                gap: self.span(self.ranges.gap),
            },
            Kind::PowerLoss => FaultKind::PowerLoss {
                server: self.which(),
                down: Some(self.span(self.ranges.down)),
            },
            Kind::PowerCut => FaultKind::PowerCut {
                down: Some(self.span(self.ranges.down)),
            },
            Kind::Pause => FaultKind::Pause {
                who: self.who(),
                lasts: self.span(self.ranges.lasts),
            },
            Kind::Reset => FaultKind::Reset { who: self.who() },
            Kind::Cut | Kind::Isolate | Kind::Split | Kind::Bridge | Kind::Ring => self.cut(kind),
            Kind::SlowLink => FaultKind::SlowLink {
                who: self.who(),
                by: self.span(self.ranges.by),
                lasts: self.span(self.ranges.lasts),
            },
            Kind::PoisonedGossip => FaultKind::PoisonedGossip {
                lasts: self.span(self.ranges.lasts),
            },
            Kind::SilencedGossip => FaultKind::SilencedGossip {
                lasts: self.span(self.ranges.lasts),
            },
            Kind::Reconfigure => {
                let (voters, learners) = self.members();
                FaultKind::Reconfigure { voters, learners }
            }
            Kind::Restore => FaultKind::Restore {
                server: self.which(),
                lasts: self.span(self.ranges.lasts),
            },
            Kind::WallJump => FaultKind::WallJump {
                server: self.which(),
                by_ms: self.number(self.ranges.by_ms),
            },
            Kind::ClockDrift => FaultKind::ClockDrift {
                server: self.which(),
                ppm: i32::try_from(self.number(self.ranges.ppm)).expect("drifts are checked"),
            },
            Kind::Own => FaultKind::Own {
                name: self.own.to_owned(),
                lasts: Some(self.span(self.ranges.lasts)),
            },
            Kind::SlowDisk | Kind::FullDisk | Kind::SyncError | Kind::BitRot | Kind::LostDisk => {
                return self.of_disks(kind);
            }
        })
    }

    fn cut(&mut self, kind: Kind) -> FaultKind {
        let cut = |draw: &mut Self| (draw.direction(), draw.span(draw.ranges.lasts));
        match kind {
            Kind::Cut => {
                let who = self.who();
                let (direction, lasts) = cut(self);
                FaultKind::Cut {
                    who,
                    direction,
                    lasts,
                }
            }
            Kind::Isolate | Kind::Bridge => {
                let server = self.which();
                let (direction, lasts) = cut(self);
                let flaps = self.flaps();
                match kind {
                    Kind::Isolate => FaultKind::Isolate {
                        server,
                        direction,
                        lasts,
                        flaps,
                    },
                    _ => FaultKind::Bridge {
                        server,
                        direction,
                        lasts,
                        flaps,
                    },
                }
            }
            Kind::Split => {
                let all = self.plan.servers;
                let servers = subset(all, all - 1, &mut self.stream);
                let (direction, lasts) = cut(self);
                FaultKind::Split {
                    servers,
                    direction,
                    lasts,
                    flaps: self.flaps(),
                }
            }
            _ => {
                let (direction, lasts) = cut(self);
                FaultKind::Ring {
                    direction,
                    lasts,
                    flaps: self.flaps(),
                }
            }
        }
    }

    fn of_disks(&mut self, kind: Kind) -> Option<FaultKind> {
        Some(match kind {
            Kind::SlowDisk => FaultKind::SlowDisk {
                server: self.which(),
                by: self.span(self.ranges.by),
                lasts: self.span(self.ranges.lasts),
            },
            Kind::FullDisk => FaultKind::FullDisk {
                server: self.which(),
                lasts: self.span(self.ranges.lasts),
            },
            Kind::SyncError => FaultKind::SyncError {
                server: self.which(),
                down: Some(self.span(self.ranges.down)),
            },
            Kind::BitRot => FaultKind::BitRot {
                server: self.broken()?,
                place: *one_of(
                    self.ranges.place.as_ref().expect(DEFAULTS),
                    &mut self.stream,
                ),
                down: self.span(self.ranges.down),
            },
            _ => FaultKind::LostDisk {
                server: self.broken()?,
                down: self.span(self.ranges.down),
            },
        })
    }
}

fn one_of<'a, T>(list: &'a [T], stream: &mut Stream) -> &'a T {
    &list[stream.index(list.len())]
}
