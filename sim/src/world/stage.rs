//! The stage on which a story is played: servers to talk to, players on machines of their own, the
//! parts they play, and the goals that the story owes its audience.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use althing_client::watch;
use althing_core::ids::Zxid;
use madsim::runtime::{Handle, NodeHandle};

use crate::history::{Hold, What};
use crate::plan::{Plan, Workload};
use crate::random::Stream;
use crate::world::caught::Caught;
use crate::world::connection::MachineId;
use crate::world::net::Death;
use crate::world::runtime::SimRuntime;
use crate::world::world::World;

/// The port on which every server listens, as ZooKeeper's.
pub const CLIENT_PORT: u16 = 2181;

type Play = Arc<dyn Fn(Player) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// One player's machine and process.
struct Cast {
    play: Play,
    machine: MachineId,
    node: NodeHandle,
    life: u32,
    state: Presence,
    /// How many faults hold the process down, and how many keep it from running.
    downs: u32,
    pauses: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Plays,
    /// Its play has come to its end.
    Left,
    Down,
}

struct Shared {
    world: World,
    servers: Vec<String>,
    workload: Workload,
    cast: Mutex<BTreeMap<Arc<str>, Cast>>,
    roles: Mutex<BTreeMap<String, String>>,
    goals: Mutex<BTreeMap<u64, String>>,
    second_act: watch::Sender<bool>,
    /// Told whenever a goal is reached or a play ends.
    progress: watch::Sender<u64>,
}

/// The stage of one run. A handle: all clones are the same stage.
#[derive(Clone)]
pub struct Stage(Arc<Shared>);

impl Stage {
    /// An empty stage for the plan's story.
    pub fn new(world: World, plan: &Plan) -> Stage {
        let servers = (1..=plan.servers).map(|server| format!("server-{server}:{CLIENT_PORT}"));
        Stage(Arc::new(Shared {
            world,
            servers: servers.collect(),
            workload: plan.workload.clone(),
            cast: Mutex::default(),
            roles: Mutex::default(),
            goals: Mutex::default(),
            second_act: watch::Sender::new(false),
            progress: watch::Sender::new(0),
        }))
    }

    /// The servers' addresses (`host:port`), to connect to.
    pub fn servers(&self) -> Vec<String> {
        self.0.servers.clone()
    }

    /// The story and its figures.
    pub fn workload(&self) -> &Workload {
        &self.0.workload
    }

    /// True time since the run began.
    pub fn now(&self) -> Duration {
        self.0.world.agenda.now()
    }

    /// Ends after `delay`; for the story itself, which plays on no machine.
    pub async fn sleep(&self, delay: Duration) {
        self.0.world.agenda.sleep(delay).await;
    }

    /// A stream of randomness of the story's own.
    pub fn random(&self, name: &str) -> Stream {
        self.0.world.streams.fork(&format!("story.{name}"))
    }

    /// Brings a player onto the stage, on a machine of its own. When its process is killed it is
    /// started again by calling `play` anew: what it knew is gone.
    ///
    /// # Panics
    /// If there is a player with this name already.
    pub fn player<F>(&self, name: &str, play: impl Fn(Player) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name: Arc<str> = Arc::from(name);
        let world = &self.0.world;
        let mut casts = self.cast();
        assert!(!casts.contains_key(&name), "two players are called {name}");
        let mut cast = Cast {
            play: Arc::new(move |player| Box::pin(play(player))),
            machine: world.net.machine(&name),
            node: new_node(&name, 0),
            life: 0,
            state: Presence::Down,
            downs: 0,
            pauses: 0,
        };
        self.begin(&name, &mut cast);
        casts.insert(name, cast);
    }

    /// Says that `client` plays `part` from here on, so that faults that strike the part strike it.
    pub fn role(&self, part: &str, client: &str) {
        let mut roles = self.0.roles.lock().expect("no panic within");
        roles.insert(part.to_owned(), client.to_owned());
    }

    /// Who plays `part`, if anybody ever did.
    pub fn who_plays(&self, part: &str) -> Option<String> {
        let roles = self.0.roles.lock().expect("no panic within");
        roles.get(part).cloned()
    }

    /// Ends when the first act is over: all is healed, no fault falls any more, and the goals are
    /// due.
    pub async fn first_act_over(&self) {
        let mut act = self.0.second_act.subscribe();
        // The sender lives as long as the stage.
        let _ended = act.wait_for(|second| *second).await;
    }

    /// Is the first act over?
    pub fn is_first_act_over(&self) -> bool {
        *self.0.second_act.borrow()
    }

    /// A goal that must be reached before the second act is over; `what` names it in the verdict.
    #[must_use = "a goal has to be reached"]
    pub fn goal(&self, what: impl Into<String>) -> Goal {
        let mut goals = self.0.goals.lock().expect("no panic within");
        let number = goals.last_key_value().map_or(0, |(last, _)| last + 1);
        goals.insert(number, what.into());
        Goal {
            stage: self.clone(),
            number,
        }
    }

    /// Ends when the plays of all players that are on the stage now have come to their end.
    pub async fn everybody_left(&self) {
        let mut progress = self.0.progress.subscribe();
        while self
            .cast()
            .values()
            .any(|cast| cast.state != Presence::Left)
        {
            // The sender lives as long as the stage.
            let _ended = progress.changed().await;
        }
    }

    /// A point of the story that scenarios can cue on and count, reached by nobody in particular.
    pub fn mark(&self, name: &'static str, detail: impl Into<String>) {
        self.0.world.recorder.record(What::Mark {
            client: Arc::from("story"),
            name,
            detail: detail.into(),
        });
    }

    /// The goals that are not reached yet.
    pub fn open_goals(&self) -> Vec<String> {
        let goals = self.0.goals.lock().expect("no panic within");
        goals.values().cloned().collect()
    }

    /// Ends when every goal is reached.
    pub async fn goals_reached(&self) {
        let mut progress = self.0.progress.subscribe();
        while !self.open_goals().is_empty() {
            // The sender lives as long as the stage.
            let _ended = progress.changed().await;
        }
    }

    /// The first act is over.
    pub fn begin_second_act(&self) {
        self.0.second_act.send_replace(true);
    }

    /// Is this player's process down, perhaps for good?
    pub fn is_down(&self, name: &str) -> bool {
        matches!(self.cast().get(name), Some(cast) if cast.state == Presence::Down)
    }

    /// The player that `name` means: itself, or whoever plays that part.
    pub fn resolve(&self, name: &str) -> Option<Arc<str>> {
        let client = self.who_plays(name).unwrap_or_else(|| name.to_owned());
        self.cast()
            .get_key_value(&*client)
            .map(|(name, _)| name.clone())
    }

    /// Kills a player's process. Does nothing to one whose play is over.
    pub fn take_down(&self, name: &str) {
        let mut casts = self.cast();
        let cast = casts.get_mut(name).expect("a resolved player");
        cast.downs += 1;
        if cast.state == Presence::Plays {
            cast.state = Presence::Down;
            let (node, machine) = (cast.node.id(), cast.machine);
            drop(casts);
            // The network first: a task that is dropped closes its streams more politely.
            self.0.world.net.end_process(machine, Death::Killed);
            Handle::current().kill(node);
        }
    }

    /// Takes one [`Stage::take_down`] back: after the last, the player's process begins anew.
    pub fn bring_back(&self, name: &str) {
        let mut casts = self.cast();
        let cast = casts.get_mut(name).expect("a resolved player");
        cast.downs -= 1;
        if cast.downs == 0 && cast.state == Presence::Down {
            cast.node = new_node(name, cast.life);
            self.begin(&Arc::from(name), cast);
        }
    }

    /// Keeps a player's process from running.
    pub fn pause(&self, name: &str) {
        let mut casts = self.cast();
        let cast = casts.get_mut(name).expect("a resolved player");
        cast.pauses += 1;
        Handle::current().pause(cast.node.id());
    }

    /// Takes one [`Stage::pause`] back.
    pub fn resume(&self, name: &str) {
        let mut casts = self.cast();
        let cast = casts.get_mut(name).expect("a resolved player");
        cast.pauses -= 1;
        if cast.pauses == 0 {
            Handle::current().resume(cast.node.id());
        }
    }

    /// Everybody leaves at once: the run is over.
    pub fn clear(&self) {
        let casts = std::mem::take(&mut *self.cast());
        for cast in casts.values() {
            Handle::current().kill(cast.node.id());
        }
    }

    fn begin(&self, name: &Arc<str>, cast: &mut Cast) {
        cast.life += 1;
        cast.state = Presence::Plays;
        let world = &self.0.world;
        let random = |what| world.streams.fork(&format!("{what}.{name}.{}", cast.life));
        let runtime = SimRuntime::new(
            world.clone(),
            name.clone(),
            cast.node.clone(),
            random("runtime"),
        );
        let player = Player {
            name: name.clone(),
            life: cast.life,
            runtime,
            random: random("client"),
            stage: self.clone(),
        };
        if cast.pauses > 0 {
            Handle::current().pause(cast.node.id());
        }
        let (stage, name, play) = (self.clone(), name.clone(), cast.play.clone());
        cast.node.spawn(async move {
            let ended = Caught::new(async move { play(player).await }).await;
            if let Err(panic) = ended {
                let recorder = &stage.0.world.recorder;
                recorder.violate("A1 assertion", format!("{name}: {panic}"));
            }
            if let Some(cast) = stage.cast().get_mut(&name) {
                cast.state = Presence::Left;
            }
            stage.0.progress.send_modify(|count| *count += 1);
        });
    }

    fn cast(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Cast>> {
        self.0.cast.lock().expect("no panic within")
    }
}

fn new_node(name: &str, life: u32) -> NodeHandle {
    let name = format!("{name}.{life}");
    Handle::current().create_node().name(name).build()
}

/// Something that must come about before the second act is over.
#[must_use = "a goal has to be reached"]
pub struct Goal {
    stage: Stage,
    number: u64,
}

impl Goal {
    /// It has come about.
    pub fn reached(self) {
        let shared = &self.stage.0;
        shared
            .goals
            .lock()
            .expect("no panic within")
            .remove(&self.number);
        shared.progress.send_modify(|count| *count += 1);
    }
}

/// Who plays: one life of one process.
pub struct Player {
    /// Its name in the story.
    pub name: Arc<str>,
    /// The how manieth life of its process; counts from 1.
    pub life: u32,
    /// What its client library runs on.
    pub runtime: SimRuntime,
    /// Its own randomness.
    pub random: Stream,
    stage: Stage,
}

impl Player {
    /// The stage it is on.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// True time since the run began.
    pub fn now(&self) -> Duration {
        self.stage.now()
    }

    /// It reached a point that the story names; scenarios can cue on it and count it.
    pub fn mark(&self, name: &'static str, detail: impl Into<String>) {
        self.stage.0.world.recorder.record(What::Mark {
            client: self.name.clone(),
            name,
            detail: detail.into(),
        });
    }

    /// It saw a rule broken that only the story can judge.
    pub fn violate(&self, invariant: &'static str, detail: impl Into<String>) {
        let detail = format!("{}: {}", self.name, detail.into());
        self.stage.0.world.recorder.violate(invariant, detail);
    }

    /// It begins or stops to believe that it holds `lock`.
    pub fn held(&self, lock: &str, token: Zxid, hold: Hold) {
        self.stage.0.world.recorder.record(What::Held {
            client: self.name.clone(),
            lock: Arc::from(lock),
            token,
            hold,
        });
    }

    /// It wrote to the store that fencing tokens guard.
    pub fn guarded(&self, token: Zxid, newest: Zxid, verdict: Verdict) {
        self.stage.0.world.recorder.record(What::Guarded {
            client: self.name.clone(),
            token,
            newest,
            accepted: verdict == Verdict::Accepted,
        });
    }
}

/// What the guarded store said to a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It took it.
    Accepted,
    /// The token was old.
    Refused,
}
