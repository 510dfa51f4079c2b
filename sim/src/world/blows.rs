//! What each kind of fault does when it falls, and what ends it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing_core::ids::ServerId;

use crate::plan::{Direction, FaultKind, RotPlace, Which, Who};
use crate::random::Stream;
use crate::span::Span;
use crate::testbed::bed::Bed;
use crate::world::caught;
use crate::world::connection::MachineId;
use crate::world::house::House;
use crate::world::net::Death;
use crate::world::operator;
use crate::world::partition::{Partition, across, between, bridged, ways};
use crate::world::record::Recorder;
use crate::world::world::World;

/// How a fault that is in force is ended.
pub type Remedy = Box<dyn FnOnce(&Means) + Send>;

/// What came of an attempt to strike.
pub enum Blow {
    /// It fell. `remedy` ends it; after `lasts`, or with the first act if that is `None`.
    Fell {
        /// For people.
        detail: String,
        /// For how long.
        lasts: Option<Duration>,
        /// What ends it, if it has an end.
        remedy: Option<Remedy>,
    },
    /// There was nothing that it could strike.
    Missed,
}

/// What blows are struck with. A handle: all clones are the same.
#[derive(Clone)]
pub struct Means {
    /// The world.
    pub world: World,
    /// The clients.
    pub bed: Bed,
    /// The servers.
    pub house: House,
    /// The servers whose disks were destroyed.
    damaged: Arc<Mutex<BTreeSet<u8>>>,
}

impl Means {
    /// Everything that blows are struck with.
    pub fn new(world: &World, bed: &Bed, house: &House) -> Means {
        Means {
            world: world.clone(),
            bed: bed.clone(),
            house: house.clone(),
            damaged: Arc::default(),
        }
    }

    /// What a fault consists of, each part with its hour after the fault's: nothing for one that is
    /// struck as a whole.
    pub fn parts(&self, kind: &FaultKind, random: &mut Stream) -> Vec<(Duration, FaultKind)> {
        let servers = 1..=self.house.count();
        match kind {
            FaultKind::RollingRestart { down, gap } => {
                let stop = |number: u8| {
                    let stop = FaultKind::Stop {
                        server: Which::Number(number),
                        down: Some(*down),
                    };
                    (gap.0 * u32::from(number - 1), stop)
                };
                servers.map(stop).collect()
            }
            FaultKind::PowerCut { down } => {
                let mut loss = |number: u8| {
                    let back = |down: &Span| Span(random.between(down.0, down.0 * 2));
                    let loss = FaultKind::PowerLoss {
                        server: Which::Number(number),
                        down: down.as_ref().map(back),
                    };
                    (Duration::ZERO, loss)
                };
                servers.map(&mut loss).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The randomness of the fault that is called by `id`.
    pub fn random(&self, id: u32) -> Stream {
        self.world.streams.fork(&format!("faults.blow.{id}"))
    }

    /// Strikes; what is random about it comes from `random`.
    pub fn strike(&self, kind: &FaultKind, random: &mut Stream) -> Blow {
        match kind {
            FaultKind::Crash { who, down } => self.crash(random, who, down.map(|span| span.0)),
            FaultKind::Stop { server, down } => self.stop(random, *server, down.map(|span| span.0)),
            FaultKind::PowerLoss { server, down } => {
                self.down(random, *server, Death::PowerLost, down.map(|span| span.0))
            }
            FaultKind::Pause { who, lasts } => self.pause(random, who, lasts.0),
            FaultKind::Cut {
                who,
                direction,
                lasts,
            } => self.cut(random, who, *direction, lasts.0),
            FaultKind::Isolate { .. }
            | FaultKind::Split { .. }
            | FaultKind::Bridge { .. }
            | FaultKind::Ring { .. } => self.part(random, kind),
            FaultKind::SlowLink { who, by, lasts } => self.slow_link(random, who, by.0, lasts.0),
            FaultKind::Reset { who } => self.reset(random, who),
            FaultKind::Own { name, lasts } => self.own(name, lasts.map(|span| span.0)),
            FaultKind::Reconfigure { voters, learners } => self.reconfigure(voters, learners),
            FaultKind::Restore { server, lasts } => self.restore(random, *server, lasts.0),
            FaultKind::PoisonedGossip { lasts } => {
                self.world.poison.poison();
                fell("all".to_owned(), Some(lasts.0), |means| {
                    means.world.poison.purify();
                })
            }
            FaultKind::SilencedGossip { lasts } => {
                self.world.poison.silence();
                fell("all".to_owned(), Some(lasts.0), |means| {
                    means.world.poison.break_silence();
                })
            }
            FaultKind::RollingRestart { .. } | FaultKind::PowerCut { .. } => {
                unreachable!("it is struck part by part")
            }
            other => self.strike_machine(random, other),
        }
    }

    /// The servers whose disks were destroyed.
    pub fn damaged(&self) -> BTreeSet<u8> {
        self.damaged.lock().expect("no panic within").clone()
    }

    fn strike_machine(&self, random: &mut Stream, kind: &FaultKind) -> Blow {
        let house = &self.house;
        let which = match kind {
            FaultKind::SlowDisk { server, .. }
            | FaultKind::FullDisk { server, .. }
            | FaultKind::SyncError { server, .. }
            | FaultKind::BitRot { server, .. }
            | FaultKind::LostDisk { server, .. }
            | FaultKind::WallJump { server, .. }
            | FaultKind::ClockDrift { server, .. } => *server,
            _ => unreachable!("the other kinds strike processes and links"),
        };
        let Some(number) = self.which(random, which) else {
            return Blow::Missed;
        };
        let (disk, clock) = (house.disk(number), house.clock(number));
        match kind {
            FaultKind::SlowDisk { by, lasts, .. } => {
                let by = by.0;
                disk.slow(by);
                let detail = format!("server-{number}: {by:?}");
                fell(detail, Some(lasts.0), move |_| disk.hasten(by))
            }
            FaultKind::FullDisk { lasts, .. } => {
                disk.fill();
                let detail = format!("server-{number}");
                fell(detail, Some(lasts.0), move |_| disk.make_room())
            }
            FaultKind::SyncError { down, .. } => {
                house.fail_sync(number, down.map(|span| span.0));
                passed(format!("server-{number}"))
            }
            FaultKind::BitRot { place, down, .. } => self.rot(number, *place, down.0),
            FaultKind::LostDisk { down, .. } => {
                house.take_down(number, Death::Killed);
                house.lose_disk(number);
                self.note_damage(number);
                fell(format!("server-{number}"), Some(down.0), move |means| {
                    means.house.bring_back(number);
                })
            }
            FaultKind::WallJump { by_ms, .. } => {
                clock.jump(*by_ms);
                passed(format!("server-{number}: {by_ms} ms"))
            }
            FaultKind::ClockDrift { ppm, .. } => {
                clock.drift(*ppm);
                let detail = format!("server-{number}: {ppm} ppm");
                fell(detail, None, move |_| clock.drift(0))
            }
            _ => unreachable!("the other kinds strike processes and links"),
        }
    }

    fn crash(&self, random: &mut Stream, who: &Who, down: Option<Duration>) -> Blow {
        match who {
            Who::Server(which) => self.down(random, *which, Death::Killed, down),
            Who::Client(name) => match self.bed.resolve(name) {
                Some(client) => {
                    self.bed.take_down(&client);
                    let detail = client.to_string();
                    fell(detail, down, move |means| means.bed.bring_back(&client))
                }
                None => Blow::Missed,
            },
        }
    }

    fn down(
        &self,
        random: &mut Stream,
        which: Which,
        death: Death,
        down: Option<Duration>,
    ) -> Blow {
        let Some(number) = self.which(random, which) else {
            return Blow::Missed;
        };
        self.house.take_down(number, death);
        fell(format!("server-{number}"), down, move |means| {
            means.house.bring_back(number);
        })
    }

    fn stop(&self, random: &mut Stream, which: Which, down: Option<Duration>) -> Blow {
        let Some(number) = self.which(random, which) else {
            return Blow::Missed;
        };
        self.house.tell_to_stop(number);
        fell(format!("server-{number}"), down, move |means| {
            means.house.bring_back(number);
        })
    }

    fn rot(&self, number: u8, place: RotPlace, down: Duration) -> Blow {
        self.house.take_down(number, Death::Killed);
        match self.house.rot(number, place) {
            Some(struck) => {
                self.note_damage(number);
                let detail = format!("server-{number}: {struck}");
                fell(detail, Some(down), move |means| {
                    means.house.bring_back(number);
                })
            }
            None => {
                self.house.bring_back(number);
                Blow::Missed
            }
        }
    }

    fn pause(&self, random: &mut Stream, who: &Who, lasts: Duration) -> Blow {
        match who {
            Who::Server(which) => {
                let Some(number) = self.which(random, *which) else {
                    return Blow::Missed;
                };
                self.house.pause(number);
                fell(format!("server-{number}"), Some(lasts), move |means| {
                    means.house.resume(number);
                })
            }
            Who::Client(name) => {
                let Some(client) = self.bed.resolve(name) else {
                    return Blow::Missed;
                };
                self.bed.pause(&client);
                fell(client.to_string(), Some(lasts), move |means| {
                    means.bed.resume(&client);
                })
            }
        }
    }

    fn cut(&self, random: &mut Stream, who: &Who, direction: Direction, lasts: Duration) -> Blow {
        let Some((name, machine)) = self.machine(random, who) else {
            return Blow::Missed;
        };
        self.world.net.cut(machine, direction);
        fell(
            format!("{name}: {direction:?}"),
            Some(lasts),
            move |means| {
                means.world.net.mend(machine, direction);
            },
        )
    }

    fn slow_link(&self, random: &mut Stream, who: &Who, by: Duration, lasts: Duration) -> Blow {
        let Some((name, machine)) = self.machine(random, who) else {
            return Blow::Missed;
        };
        self.world.net.slow(machine, by);
        fell(format!("{name}: {by:?}"), Some(lasts), move |means| {
            means.world.net.hasten(machine, by);
        })
    }

    fn reset(&self, random: &mut Stream, who: &Who) -> Blow {
        match self.machine(random, who) {
            Some((name, machine)) => match self.world.net.reset(machine) {
                0 => Blow::Missed,
                streams => passed(format!("{name}: {streams} streams")),
            },
            None => Blow::Missed,
        }
    }

    /// Cuts between servers.
    fn part(&self, random: &mut Stream, kind: &FaultKind) -> Blow {
        let (detail, pairs, direction, lasts, flaps) = match kind {
            FaultKind::Isolate {
                server,
                direction,
                lasts,
                flaps,
            } => {
                let Some(number) = self.which(random, *server) else {
                    return Blow::Missed;
                };
                let pairs = between(&[self.server(number)], &self.others(&[number]));
                (format!("server-{number}"), pairs, direction, lasts, flaps)
            }
            FaultKind::Split {
                servers,
                direction,
                lasts,
                flaps,
            } => {
                let these: Vec<_> = servers.iter().map(|number| self.server(*number)).collect();
                let pairs = between(&these, &self.others(servers));
                (format!("{servers:?}"), pairs, direction, lasts, flaps)
            }
            FaultKind::Bridge {
                server,
                direction,
                lasts,
                flaps,
            } => {
                let Some(number) = self.which(random, *server) else {
                    return Blow::Missed;
                };
                let pairs = bridged(&self.others(&[number]));
                let detail = format!("server-{number} is the bridge");
                (detail, pairs, direction, lasts, flaps)
            }
            FaultKind::Ring {
                direction,
                lasts,
                flaps,
            } => {
                let pairs = across(&self.others(&[]));
                ("all".to_owned(), pairs, direction, lasts, flaps)
            }
            other => unreachable!("{} cuts nothing between servers", other.name()),
        };
        let partition = Partition::begin(&self.world.net, ways(&pairs, *direction));
        let mut detail = format!("{detail}: {direction:?}");
        if let Some(period) = flaps {
            detail.push_str(&format!(", every {period}"));
            partition.flap(&self.world.agenda, period.0);
        }
        fell(detail, Some(lasts.0), move |_| partition.end())
    }

    /// A fault of the test's own. It strikes in this moment, after it was recorded.
    fn own(&self, name: &str, lasts: Option<Duration>) -> Blow {
        let Some(fault) = self.bed.own_fault(name) else {
            return Blow::Missed;
        };
        let act = |what: &'static str, act: Arc<dyn Fn() + Send + Sync>, recorder: Recorder| {
            move || {
                if let Err(panic) = caught::catch(|| act()) {
                    let name = fault.name;
                    recorder.violate("A1 assertion", format!("{name} {what}: {panic}"));
                }
            }
        };
        let recorder = &self.world.recorder;
        let strike = act("strikes", fault.strike, recorder.clone());
        self.world.agenda.at(self.world.agenda.now(), strike);
        match fault.heal {
            Some(heal) => {
                let heal = act("heals", heal, recorder.clone());
                fell(String::new(), lasts, move |_| heal())
            }
            None => passed(String::new()),
        }
    }

    fn reconfigure(&self, voters: &[u8], learners: &[u8]) -> Blow {
        let all = voters.iter().copied().map(ServerId).collect();
        let learn = learners.iter().copied().map(ServerId).collect();
        match self.house.reconfigure(all, learn) {
            Some(leader) => passed(format!(
                "server-{leader} is told: {voters:?} vote, {learners:?} learn"
            )),
            None => Blow::Missed,
        }
    }

    fn restore(&self, random: &mut Stream, which: Which, lasts: Duration) -> Blow {
        let number = self.which(random, which);
        let taken = number.and_then(|number| Some((number, operator::take(&self.house, number)?)));
        let Some((number, snapshot)) = taken else {
            return Blow::Missed;
        };
        fell(format!("server-{number}"), Some(lasts), move |means| {
            let (recorder, asked) = (&means.world.recorder, means.world.agenda.now());
            operator::restore(&means.house, recorder, asked, number, &snapshot);
        })
    }

    /// The number of the server that is meant, if there is one now.
    fn which(&self, random: &mut Stream, which: Which) -> Option<u8> {
        let leader = self.world.reign.leader().map(|server| server.0);
        match which {
            Which::Number(number) => Some(number),
            Which::Leader => leader,
            Which::Follower => {
                let mut running = self.house.running();
                running.retain(|number| Some(*number) != leader);
                let drawn = match running.len() {
                    0 => return None,
                    count => random.index(count),
                };
                Some(running[drawn])
            }
        }
    }

    fn machine(&self, random: &mut Stream, who: &Who) -> Option<(String, MachineId)> {
        match who {
            Who::Server(which) => {
                let number = self.which(random, *which)?;
                Some((format!("server-{number}"), self.server(number)))
            }
            Who::Client(name) => {
                let client = self.bed.resolve(name)?;
                let machine = self.world.net.machine(&client);
                Some((client.to_string(), machine))
            }
        }
    }

    fn server(&self, number: u8) -> MachineId {
        self.house.machine(number)
    }

    /// The machines of all servers but these, by number.
    fn others(&self, these: &[u8]) -> Vec<MachineId> {
        let others = (1..=self.house.count()).filter(|number| !these.contains(number));
        others.map(|number| self.server(number)).collect()
    }

    fn note_damage(&self, number: u8) {
        self.damaged.lock().expect("no panic within").insert(number);
    }
}

fn fell(
    detail: String,
    lasts: Option<Duration>,
    remedy: impl FnOnce(&Means) + Send + 'static,
) -> Blow {
    Blow::Fell {
        detail,
        lasts,
        remedy: Some(Box::new(remedy)),
    }
}

/// A blow that is over when it has fallen.
fn passed(detail: String) -> Blow {
    Blow::Fell {
        detail,
        lasts: None,
        remedy: None,
    }
}
