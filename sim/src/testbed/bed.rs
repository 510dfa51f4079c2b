//! The bed on which a service is tried: servers to talk to, processes on machines of their own, the
//! parts that they play, and the goals that the test owes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::watch;
use althing_core::ids::Zxid;
use madsim::runtime::{Handle, NodeHandle};

use crate::history::{Hold, What};
use crate::plan::{Plan, Who, Workload};
use crate::random::Stream;
use crate::swarm::{CLIENTS, SERVERS};
use crate::testbed::roster::Roster;
use crate::world::caught::Caught;
use crate::world::connection::MachineId;
use crate::world::net::Death;
use crate::world::operation::{InAct, Operation, Programme};
use crate::world::runtime::SimRuntime;
use crate::world::world::World;

/// The port on which every server listens, as ZooKeeper's.
pub const CLIENT_PORT: u16 = 2181;

/// Who reaches the marks of the test itself.
const STORY: &str = "story";

type Play = Arc<dyn Fn(Process) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;
type Act = Arc<dyn Fn() + Send + Sync>;
type Verdicts = Box<dyn FnOnce() -> Vec<(&'static str, String)> + Send>;

/// One process and its machine.
struct Station {
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
    Runs,
    /// It has come to its end.
    Left,
    Down,
}

/// A fault of the test's own.
#[derive(Clone)]
pub(crate) struct OwnFault {
    /// What plans and verdicts call it.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) strike: Act,
    /// What ends it.
    pub(crate) heal: Option<Act>,
}

struct Shared {
    world: World,
    servers: Vec<String>,
    workload: Workload,
    restores: bool,
    programme: Programme,
    /// Where runs what belongs to no process.
    backstage: NodeHandle,
    stations: Mutex<BTreeMap<Arc<str>, Station>>,
    roles: Mutex<BTreeMap<String, String>>,
    goals: Mutex<BTreeMap<u64, String>>,
    second_act: watch::Sender<bool>,
    /// Told whenever a goal is reached or a process ends.
    progress: watch::Sender<u64>,
    faults: Mutex<BTreeMap<&'static str, OwnFault>>,
    /// What is judged when the run is over.
    last_judgements: Mutex<Vec<Verdicts>>,
    roster: Arc<Mutex<Roster>>,
}

/// A simulated ensemble, and everything with which a test tries a service on it. A handle: all
/// clones are the same bed.
///
/// The test itself is the teller of the story: it plays on no machine, so no fault strikes it, and
/// it sees everything at once and at no cost. What is to be tried runs in processes
/// ([`Bed::process`]).
///
/// ```
/// use althing_client::error::ClientError;
/// use althing_client::znode::CreateMode;
/// use althing_sim::testbed::bed::Bed;
/// use althing_sim::testbed::trial::Trial;
///
/// async fn what_is_written_is_read(bed: Bed) -> Result<(), ClientError> {
///     let client = bed.observer("reader").client().await?;
///     client.create("/greeting", "hello", CreateMode::Persistent).await?;
///     bed.faults_over().await;
///     client.sync("/greeting").await?;
///     assert_eq!(&*client.get_data("/greeting").await?.data, b"hello");
///     Ok(())
/// }
///
/// Trial::new("greeting").without_faults().seeds(0..2).play(what_is_written_is_read)
///     .expect("the trial can be played")
///     .must_be_green();
/// ```
#[derive(Clone)]
pub struct Bed(Arc<Shared>);

impl Bed {
    /// An empty bed for the plan's story.
    pub(crate) fn new(world: World, plan: &Plan) -> Bed {
        let servers = (1..=plan.servers).map(|server| format!("server-{server}:{CLIENT_PORT}"));
        Bed(Arc::new(Shared {
            world,
            servers: servers.collect(),
            workload: plan.workload.clone(),
            restores: plan.restores(),
            programme: Programme::new(plan),
            backstage: Handle::current().create_node().name("backstage").build(),
            stations: Mutex::default(),
            roles: Mutex::default(),
            goals: Mutex::default(),
            second_act: watch::Sender::new(false),
            progress: watch::Sender::new(0),
            faults: Mutex::default(),
            last_judgements: Mutex::default(),
            roster: Arc::default(),
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

    /// May an operator take back what clients have written, by a snapshot that he restores?
    pub(crate) fn restores(&self) -> bool {
        self.0.restores
    }

    /// True time since the run began.
    pub fn now(&self) -> Duration {
        self.0.world.agenda.now()
    }

    /// Ends after `delay`; for the test itself, which runs on no machine.
    pub async fn sleep(&self, delay: Duration) {
        self.0.world.agenda.sleep(delay).await;
    }

    /// A stream of randomness of the test's own. What it draws depends on the seed and `name`
    /// only.
    pub fn random(&self, name: &str) -> Stream {
        self.0.world.streams.fork(&format!("story.{name}"))
    }

    /// Runs `task` beside the test, on no machine, until the run is over.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let recorder = self.0.world.recorder.clone();
        self.0.backstage.spawn(async move {
            if let Err(panic) = Caught::new(task).await {
                recorder.violate("A1 assertion", format!("{STORY}: {panic}"));
            }
        });
    }

    /// Starts a process on a machine of its own. Faults may kill it, pause it and cut it off. When
    /// it was killed it is started again by calling `play` anew: what it knew is gone. Nothing
    /// happens if the plan says that it is absent.
    ///
    /// # Panics
    /// If there is a process with this name already, or if plans use the name for something else
    /// (`server-1`, `leader`, `clients`).
    pub fn process<F>(&self, name: &str, play: impl Fn(Process) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let taken = matches!(Who::from(name.to_owned()), Who::Server(_));
        let taken = taken || name == CLIENTS || name == SERVERS;
        assert!(!taken, "{name} means something else in plans");
        self.roster().process(name);
        if self.0.programme.is_absent(name) {
            return;
        }
        let name: Arc<str> = Arc::from(name);
        let world = &self.0.world;
        let mut stations = self.stations();
        let known = stations.contains_key(&name);
        assert!(!known, "two processes are called {name}");
        let mut station = Station {
            play: Arc::new(move |process| Box::pin(play(process))),
            machine: world.net.machine(&name),
            node: new_node(&name, 0),
            life: 0,
            state: Presence::Down,
            downs: 0,
            pauses: 0,
        };
        self.begin(&name, &mut station);
        stations.insert(name, station);
    }

    /// A process for the test's own hands: a machine from which it connects and looks. No seed
    /// draws faults for it.
    ///
    /// # Panics
    /// If there is a process with this name already.
    pub fn observer(&self, name: &str) -> Process {
        let name: Arc<str> = Arc::from(name);
        let known = self.stations().contains_key(&name);
        assert!(!known, "two processes are called {name}");
        let station = Station {
            play: Arc::new(|_| Box::pin(std::future::ready(()))),
            machine: self.0.world.net.machine(&name),
            node: new_node(&name, 0),
            life: 1,
            state: Presence::Left,
            downs: 0,
            pauses: 0,
        };
        let process = self.process_of(&name, &station);
        self.stations().insert(name, station);
        process
    }

    /// Says that `process` plays `part` from here on, so that faults that strike the part strike
    /// it.
    pub fn role(&self, part: &str, process: &str) {
        self.roster().part(part);
        let mut roles = self.0.roles.lock().expect("no panic within");
        roles.insert(part.to_owned(), process.to_owned());
    }

    /// Who plays `part`, if anybody ever did.
    pub fn who_plays(&self, part: &str) -> Option<String> {
        let roles = self.0.roles.lock().expect("no panic within");
        roles.get(part).cloned()
    }

    /// Ends when the first act is over: all is healed, no fault falls any more, and the goals are
    /// due.
    pub async fn faults_over(&self) {
        let mut act = self.0.second_act.subscribe();
        // The sender lives as long as the bed.
        let _ended = act.wait_for(|second| *second).await;
    }

    /// Is the first act over?
    pub fn are_faults_over(&self) -> bool {
        *self.0.second_act.borrow()
    }

    /// A goal that must be reached before the second act is over; `what` names it in the verdict.
    #[must_use = "a goal has to be reached"]
    pub fn goal(&self, what: impl Into<String>) -> Goal {
        let mut goals = self.0.goals.lock().expect("no panic within");
        let number = goals.last_key_value().map_or(0, |(last, _)| last + 1);
        goals.insert(number, what.into());
        Goal {
            bed: self.clone(),
            number,
        }
    }

    /// Ends when all processes that there are now have come to their end.
    pub async fn everybody_left(&self) {
        let mut progress = self.0.progress.subscribe();
        let left = |station: &Station| station.state == Presence::Left;
        while !self.stations().values().all(left) {
            // The sender lives as long as the bed.
            let _ended = progress.changed().await;
        }
    }

    /// A point of the story that plans can cue on and count, reached by nobody in particular.
    pub fn mark(&self, name: &'static str, detail: impl Into<String>) {
        self.record_mark(Arc::from(STORY), name, detail.into());
    }

    /// The test saw its rule `invariant` broken: the run is red.
    pub fn violate(&self, invariant: &'static str, detail: impl Into<String>) {
        self.0.world.recorder.violate(invariant, detail.into());
    }

    /// Is this process down, perhaps for good, or was it never there?
    pub fn is_down(&self, name: &str) -> bool {
        self.0.programme.is_absent(name)
            || matches!(self.stations().get(name), Some(station) if station.state == Presence::Down)
    }

    /// Kills a process, for a fault of one's own ([`Bed::fault`]); it is up again when
    /// [`Bed::bring_back`] was called as often as this. What a plan can strike by itself is better
    /// left to the plan: it places it in time, and shrinking can take it away.
    ///
    /// # Panics
    /// If there is no such process.
    pub fn take_down(&self, name: &str) {
        let mut stations = self.stations();
        let Some(station) = self.station(&mut stations, name) else {
            return;
        };
        station.downs += 1;
        if station.state == Presence::Runs {
            station.state = Presence::Down;
            let (node, machine) = (station.node.id(), station.machine);
            drop(stations);
            // The network first: a task that is dropped closes its streams more politely.
            self.0.world.net.end_process(machine, Death::Killed);
            Handle::current().kill(node);
        }
    }

    /// Takes one [`Bed::take_down`] back: after the last, the process begins anew.
    ///
    /// # Panics
    /// If there is no such process, or it was not taken down.
    pub fn bring_back(&self, name: &str) {
        let mut stations = self.stations();
        let Some(station) = self.station(&mut stations, name) else {
            return;
        };
        station.downs -= 1;
        if station.downs == 0 && station.state == Presence::Down {
            station.node = new_node(name, station.life);
            self.begin(&Arc::from(name), station);
        }
    }

    /// Keeps a process from running until [`Bed::resume`].
    ///
    /// # Panics
    /// If there is no such process.
    pub fn pause(&self, name: &str) {
        let mut stations = self.stations();
        let Some(station) = self.station(&mut stations, name) else {
            return;
        };
        station.pauses += 1;
        Handle::current().pause(station.node.id());
    }

    /// Takes one [`Bed::pause`] back.
    ///
    /// # Panics
    /// If there is no such process, or it was not paused.
    pub fn resume(&self, name: &str) {
        let mut stations = self.stations();
        let Some(station) = self.station(&mut stations, name) else {
            return;
        };
        station.pauses -= 1;
        if station.pauses == 0 {
            Handle::current().resume(station.node.id());
        }
    }

    /// The process with this name, unless the plan says that it is absent.
    fn station<'a>(
        &self,
        stations: &'a mut BTreeMap<Arc<str>, Station>,
        name: &str,
    ) -> Option<&'a mut Station> {
        let station = stations.get_mut(name);
        let known = station.is_some() || self.0.programme.is_absent(name);
        assert!(known, "there is no process {name}");
        station
    }

    fn begin(&self, name: &Arc<str>, station: &mut Station) {
        station.life += 1;
        station.state = Presence::Runs;
        let process = self.process_of(name, station);
        if station.pauses > 0 {
            Handle::current().pause(station.node.id());
        }
        let (bed, name, play) = (self.clone(), name.clone(), station.play.clone());
        station.node.spawn(async move {
            let ended = Caught::new(async move { play(process).await }).await;
            if let Err(panic) = ended {
                bed.violate("A1 assertion", format!("{name}: {panic}"));
            }
            if let Some(station) = bed.stations().get_mut(&name) {
                station.state = Presence::Left;
            }
            bed.0.progress.send_modify(|count| *count += 1);
        });
    }

    /// The present life of the process at `station`.
    fn process_of(&self, name: &Arc<str>, station: &Station) -> Process {
        let world = &self.0.world;
        let random = |what| {
            let life = station.life;
            world.streams.fork(&format!("{what}.{name}.{life}"))
        };
        let (world, node) = (world.clone(), station.node.clone());
        Process {
            name: name.clone(),
            life: station.life,
            runtime: SimRuntime::new(world, name.clone(), node, random("runtime")),
            random: random("client"),
            bed: self.clone(),
        }
    }

    fn stations(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Station>> {
        self.0.stations.lock().expect("no panic within")
    }
}

/// What the world and the rest of the testbed need of it.
impl Bed {
    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn record_mark(&self, client: Arc<str>, name: &'static str, detail: String) {
        self.0.world.recorder.record(What::Mark {
            client,
            name,
            detail,
        });
    }

    /// How many operations each process has come to in the first act.
    pub(crate) fn operations(&self) -> BTreeMap<String, u32> {
        self.0.programme.counts()
    }

    /// What the test declares, to be changed.
    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.0.roster.lock().expect("no panic within")
    }

    /// What the test declares; it outlives the run.
    pub(crate) fn shared_roster(&self) -> Arc<Mutex<Roster>> {
        Arc::clone(&self.0.roster)
    }

    pub(crate) fn add_fault(&self, fault: OwnFault) {
        let mut faults = self.0.faults.lock().expect("no panic within");
        let before = faults.insert(fault.name, fault);
        if let Some(before) = before {
            panic!("two faults are called {}", before.name);
        }
    }

    /// The test's own fault of this name, if there is one by now.
    pub(crate) fn own_fault(&self, name: &str) -> Option<OwnFault> {
        let faults = self.0.faults.lock().expect("no panic within");
        faults.get(name).cloned()
    }

    pub(crate) fn judge_at_the_end(&self, judge: Verdicts) {
        let mut judgements = self.0.last_judgements.lock().expect("no panic within");
        judgements.push(judge);
    }

    /// The run is over: what is judged at the end is judged.
    pub(crate) fn judge(&self) {
        let judgements = std::mem::take(&mut *self.0.last_judgements.lock().expect(JUDGED));
        for judge in judgements {
            for (invariant, detail) in judge() {
                self.violate(invariant, detail);
            }
        }
    }

    /// The process that `name` means: itself, or whoever plays that part.
    pub(crate) fn resolve(&self, name: &str) -> Option<Arc<str>> {
        let process = self.who_plays(name).unwrap_or_else(|| name.to_owned());
        let stations = self.stations();
        let found = stations.get_key_value(&*process);
        found.map(|(name, _)| name.clone())
    }

    /// The goals that are not reached yet.
    pub(crate) fn open_goals(&self) -> Vec<String> {
        let goals = self.0.goals.lock().expect("no panic within");
        goals.values().cloned().collect()
    }

    /// Ends when every goal is reached.
    pub(crate) async fn goals_reached(&self) {
        let mut progress = self.0.progress.subscribe();
        while !self.open_goals().is_empty() {
            // The sender lives as long as the bed.
            let _ended = progress.changed().await;
        }
    }

    /// The first act is over.
    pub(crate) fn begin_second_act(&self) {
        self.0.second_act.send_replace(true);
    }

    /// Everybody leaves at once: the run is over, and nothing keeps the bed alive any more.
    pub(crate) fn clear(&self) {
        let stations = std::mem::take(&mut *self.stations());
        for station in stations.values() {
            Handle::current().kill(station.node.id());
        }
        Handle::current().kill(self.0.backstage.id());
        let faults = std::mem::take(&mut *self.0.faults.lock().expect("no panic within"));
        drop(faults);
    }
}

const JUDGED: &str = "no panic while judgements are handed over";

fn new_node(name: &str, life: u32) -> NodeHandle {
    let name = format!("{name}.{life}");
    Handle::current().create_node().name(name).build()
}

/// Something that must come about before the second act is over.
#[must_use = "a goal has to be reached"]
pub struct Goal {
    bed: Bed,
    number: u64,
}

impl Goal {
    /// It has come about.
    pub fn reached(self) {
        let shared = &self.bed.0;
        shared
            .goals
            .lock()
            .expect("no panic within")
            .remove(&self.number);
        shared.progress.send_modify(|count| *count += 1);
    }
}

/// One life of one process of the service that is tried.
pub struct Process {
    /// Its name in the test.
    pub name: Arc<str>,
    /// The how manieth life of it; counts from 1.
    pub life: u32,
    /// What it runs on: spawn, sleep, connect, listen, random, now. Hand it to code that is generic
    /// over [`Runtime`], such as the client library.
    pub runtime: SimRuntime,
    /// Its own randomness, which depends on the seed, its name and its life.
    pub random: Stream,
    bed: Bed,
}

impl Process {
    /// The bed that it is on.
    pub fn bed(&self) -> &Bed {
        &self.bed
    }

    /// True time since the run began.
    pub fn now(&self) -> Duration {
        self.bed.now()
    }

    /// Ends after `delay`.
    pub async fn sleep(&self, delay: Duration) {
        self.runtime.sleep(delay).await;
    }

    /// Runs `task` in this process, beside the caller, until the process ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// One session with the ensemble, with the client library's own settings.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn client(&self) -> Result<Client<SimRuntime>, ClientError> {
        let config = ClientConfig::new(self.bed.servers());
        Client::connect(self.runtime.clone(), config).await
    }

    /// One session after another, each with the time-out `timeout`.
    pub fn sessions(&self, timeout: Duration) -> Sessions<SimRuntime> {
        let config = ClientConfig::new(self.bed.servers()).session_timeout(timeout);
        Sessions::new(self.runtime.clone(), config)
    }

    /// It plays `part` from here on; see [`Bed::role`].
    pub fn plays(&self, part: &str) {
        self.bed.role(part, &self.name);
    }

    /// The next thing that it may do, unless the plan leaves it out: what a test asks for here,
    /// shrinking can take away without changing the rest, and what is not asked for is always done.
    pub fn operation(&self) -> Operation {
        let act = match self.bed.are_faults_over() {
            true => InAct::Second,
            false => InAct::First,
        };
        let streams = self.bed.0.world.streams;
        self.bed.0.programme.next(&self.name, act, streams)
    }

    /// It reached a point that the test names; plans can cue on it and count it.
    pub fn mark(&self, name: &'static str, detail: impl Into<String>) {
        self.bed.record_mark(self.name.clone(), name, detail.into());
    }

    /// It saw a rule broken that only the test can judge: the run is red.
    pub fn violate(&self, invariant: &'static str, detail: impl Into<String>) {
        let detail = format!("{}: {}", self.name, detail.into());
        self.bed.violate(invariant, detail);
    }

    /// It begins or stops to believe that it holds `lock`; the run is held against M1 and M3.
    pub fn held(&self, lock: &str, token: Zxid, hold: Hold) {
        self.bed.0.world.recorder.record(What::Held {
            client: self.name.clone(),
            lock: Arc::from(lock),
            token,
            hold,
        });
    }

    /// It wrote to the store that fencing tokens guard; the run is held against M2.
    pub fn guarded(&self, token: Zxid, newest: Zxid, verdict: Verdict) {
        self.bed.0.world.recorder.record(What::Guarded {
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
