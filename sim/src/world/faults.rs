//! The director of mishaps: lets the plan's faults fall at their cues, ends them when their time is
//! over, and heals everything for the second act.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::history::What;
use crate::plan::{Cue, Fault, FaultKind, Plan, Who};
use crate::world::connection::MachineId;
use crate::world::house::House;
use crate::world::net::Death;
use crate::world::stage::Stage;
use crate::world::world::World;

/// How a fault that is in force is ended.
type Remedy = Box<dyn FnOnce(&Director) + Send>;

/// What came of an attempt to strike.
enum Blow {
    /// It fell. `remedy` ends it; after `lasts`, or with the first act if that is `None`.
    Fell {
        detail: String,
        lasts: Option<Duration>,
        remedy: Option<Remedy>,
    },
    /// There was nothing that it could strike.
    Missed,
}

struct Shared {
    world: World,
    stage: Stage,
    house: House,
    faults: Vec<Fault>,
    /// `None` once the first act is over: then nothing falls any more.
    in_force: Mutex<Option<BTreeMap<usize, Remedy>>>,
}

/// A handle: all clones are the same director.
#[derive(Clone)]
pub struct Director(Arc<Shared>);

impl Director {
    /// A director of the plan's faults.
    pub fn new(world: &World, stage: &Stage, house: &House, plan: &Plan) -> Director {
        Director(Arc::new(Shared {
            world: world.clone(),
            stage: stage.clone(),
            house: house.clone(),
            faults: plan.faults.clone(),
            in_force: Mutex::new(Some(BTreeMap::new())),
        }))
    }

    /// From now on faults fall.
    pub fn begin(&self) {
        for index in 0..self.0.faults.len() {
            match &self.0.faults[index].when {
                Cue::At { at } => self.strike_at(at.0, index),
                Cue::On { on, nth, after } => {
                    let director = self.clone();
                    let recorder = &self.0.world.recorder;
                    recorder.cue(on, *nth, after.0, move || director.strike(index));
                }
                // Cued by the fault before it; the first has none, so it falls at its time.
                Cue::Then { then } if index == 0 => self.strike_at(then.0, index),
                Cue::Then { .. } => {}
            }
        }
    }

    /// Ends every fault; none falls any more.
    pub fn heal_all(&self) {
        let in_force = self.in_force().take().unwrap_or_default();
        for (index, remedy) in in_force {
            self.end(index, remedy);
        }
        self.0.house.heal();
    }

    fn strike_at(&self, hour: Duration, index: usize) {
        let director = self.clone();
        let agenda = &self.0.world.agenda;
        agenda.at(hour, move || director.strike(index));
    }

    fn strike(&self, index: usize) {
        if self.in_force().is_none() {
            return;
        }
        let kind = &self.0.faults[index].what;
        if let Blow::Fell {
            detail,
            lasts,
            remedy,
        } = self.blow(kind)
        {
            let name = kind.name();
            self.0.world.recorder.record(What::Struck {
                index,
                kind: name,
                detail,
            });
            if let Some(remedy) = remedy {
                if let Some(in_force) = &mut *self.in_force() {
                    in_force.insert(index, remedy);
                }
                if let Some(lasts) = lasts {
                    self.end_after(lasts, index);
                }
            }
        }
        let next = index + 1;
        if let Some(Cue::Then { then }) = self.0.faults.get(next).map(|fault| &fault.when) {
            self.strike_at(self.0.world.agenda.now() + then.0, next);
        }
    }

    fn end_after(&self, lasts: Duration, index: usize) {
        let director = self.clone();
        let agenda = &self.0.world.agenda;
        agenda.at(agenda.now() + lasts, move || {
            let remedy = director
                .in_force()
                .as_mut()
                .and_then(|in_force| in_force.remove(&index));
            if let Some(remedy) = remedy {
                director.end(index, remedy);
            }
        });
    }

    fn end(&self, index: usize, remedy: Remedy) {
        remedy(self);
        let kind = self.0.faults[index].what.name();
        self.0.world.recorder.record(What::Healed { index, kind });
    }

    fn blow(&self, kind: &FaultKind) -> Blow {
        match kind {
            FaultKind::Crash { who, down } => self.crash(who, down.map(|span| span.0)),
            FaultKind::PowerLoss { server, down } => {
                self.down(*server, Death::PowerLost, down.map(|span| span.0))
            }
            FaultKind::Pause { who, lasts } => self.pause(who, lasts.0),
            FaultKind::Cut {
                who,
                direction,
                lasts,
            } => {
                let direction = *direction;
                self.on_link(
                    who,
                    lasts.0,
                    &format!("{direction:?}"),
                    move |world, machine| {
                        world.net.cut(machine, direction);
                        Box::new(move |director| director.0.world.net.mend(machine, direction))
                    },
                )
            }
            FaultKind::SlowLink { who, by, lasts } => {
                let by = by.0;
                self.on_link(who, lasts.0, &format!("{by:?}"), move |world, machine| {
                    world.net.slow(machine, by);
                    Box::new(move |director| director.0.world.net.hasten(machine, by))
                })
            }
            FaultKind::Reset { who } => self.reset(who),
            other => self.blow_to_machine(other),
        }
    }

    fn blow_to_machine(&self, kind: &FaultKind) -> Blow {
        let house = &self.0.house;
        match kind {
            FaultKind::SlowDisk { server, by, lasts } => {
                let Some(disk) = house.disk(*server) else {
                    return Blow::Missed;
                };
                let by = by.0;
                disk.slow(by);
                let detail = format!("server-{server}: {by:?}");
                fell(detail, Some(lasts.0), move |_| disk.hasten(by))
            }
            FaultKind::FullDisk { server, lasts } => {
                let Some(disk) = house.disk(*server) else {
                    return Blow::Missed;
                };
                disk.fill();
                let detail = format!("server-{server}");
                fell(detail, Some(lasts.0), move |_| disk.make_room())
            }
            FaultKind::SyncError { server, down } => {
                if house.machine(*server).is_none() {
                    return Blow::Missed;
                }
                house.fail_sync(*server, down.map(|span| span.0));
                passed(format!("server-{server}"))
            }
            FaultKind::BitRot {
                server,
                place,
                down,
            } => self.rot(*server, *place, down.0),
            FaultKind::WallJump { server, by_ms } => {
                let Some(clock) = house.clock(*server) else {
                    return Blow::Missed;
                };
                clock.jump(*by_ms);
                passed(format!("server-{server}: {by_ms} ms"))
            }
            FaultKind::ClockDrift { server, ppm } => {
                let Some(clock) = house.clock(*server) else {
                    return Blow::Missed;
                };
                clock.drift(*ppm);
                let detail = format!("server-{server}: {ppm} ppm");
                fell(detail, None, move |_| clock.drift(0))
            }
            _ => unreachable!("the other kinds strike processes and links"),
        }
    }

    fn crash(&self, who: &Who, down: Option<Duration>) -> Blow {
        match who {
            Who::Server(server) => self.down(*server, Death::Killed, down),
            Who::Client(name) => match self.0.stage.resolve(name) {
                Some(client) => {
                    self.0.stage.take_down(&client);
                    let detail = client.to_string();
                    fell(detail, down, move |director| {
                        director.0.stage.bring_back(&client);
                    })
                }
                None => Blow::Missed,
            },
        }
    }

    fn down(&self, server: u8, death: Death, down: Option<Duration>) -> Blow {
        if self.0.house.machine(server).is_none() {
            return Blow::Missed;
        }
        self.0.house.take_down(server, death);
        fell(format!("server-{server}"), down, move |director| {
            director.0.house.bring_back(server);
        })
    }

    fn rot(&self, server: u8, place: crate::plan::RotPlace, down: Duration) -> Blow {
        if self.0.house.machine(server).is_none() {
            return Blow::Missed;
        }
        self.0.house.take_down(server, Death::Killed);
        match self.0.house.rot(server, place) {
            Some(struck) => {
                let detail = format!("server-{server}: {struck}");
                fell(detail, Some(down), move |director| {
                    director.0.house.bring_back(server);
                })
            }
            None => {
                self.0.house.bring_back(server);
                Blow::Missed
            }
        }
    }

    fn pause(&self, who: &Who, lasts: Duration) -> Blow {
        match who {
            Who::Server(server) => {
                let server = *server;
                if self.0.house.machine(server).is_none() {
                    return Blow::Missed;
                }
                self.0.house.pause(server);
                fell(format!("server-{server}"), Some(lasts), move |director| {
                    director.0.house.resume(server);
                })
            }
            Who::Client(name) => {
                let Some(client) = self.0.stage.resolve(name) else {
                    return Blow::Missed;
                };
                self.0.stage.pause(&client);
                fell(client.to_string(), Some(lasts), move |director| {
                    director.0.stage.resume(&client);
                })
            }
        }
    }

    fn reset(&self, who: &Who) -> Blow {
        match self.machine(who) {
            Some((name, machine)) => match self.0.world.net.reset(machine) {
                0 => Blow::Missed,
                streams => passed(format!("{name}: {streams} streams")),
            },
            None => Blow::Missed,
        }
    }

    fn on_link(
        &self,
        who: &Who,
        lasts: Duration,
        how: &str,
        strike: impl FnOnce(&World, MachineId) -> Remedy,
    ) -> Blow {
        match self.machine(who) {
            Some((name, machine)) => Blow::Fell {
                detail: format!("{name}: {how}"),
                lasts: Some(lasts),
                remedy: Some(strike(&self.0.world, machine)),
            },
            None => Blow::Missed,
        }
    }

    fn machine(&self, who: &Who) -> Option<(String, MachineId)> {
        match who {
            Who::Server(server) => {
                let machine = self.0.house.machine(*server)?;
                Some((format!("server-{server}"), machine))
            }
            Who::Client(name) => {
                let client = self.0.stage.resolve(name)?;
                let machine = self.0.world.net.machine(&client);
                Some((client.to_string(), machine))
            }
        }
    }

    fn in_force(&self) -> MutexGuard<'_, Option<BTreeMap<usize, Remedy>>> {
        self.0.in_force.lock().expect("no panic within")
    }
}

fn fell(
    detail: String,
    lasts: Option<Duration>,
    remedy: impl FnOnce(&Director) + Send + 'static,
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
