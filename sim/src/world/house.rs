//! The servers of a run: their machines, disks and clocks, which stay, and their processes, which
//! come and go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use althing::desk::Desk;
use althing::gossip::GossipSetup;
use althing::limits::Limits;
use althing::reports::Described;
use althing::server::{Attendance, Setup, serve};
use althing::shell::Order;
use althing::storage::settings::StorageSettings;
use althing::witness::Witness;
use althing_core::config::{Config, HardLimits, Reconfiguring, Restoring, Users, read_only_after};
use althing_core::gossip::key::Key;
use althing_core::ids::ServerId;
use althing_core::listed::{Address, ClientAddress, HostPort};
use althing_core::time::Instant;
use althing_core::voters::Voters;
use madsim::runtime::{Handle, NodeHandle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::history::What;
use crate::plan::{Plan, RotPlace};
use crate::quorums::founders;
use crate::reference::{access, sasl};
use crate::server_settings::ServerSettings;
use crate::testbed::bed::CLIENT_PORT;
use crate::world::clock::Clock;
use crate::world::connection::MachineId;
use crate::world::disk::SimDisk;
use crate::world::net::Death;
use crate::world::platter::Platter;
use crate::world::poison::SECRET;
use crate::world::rot;
use crate::world::shell::{End, SimShell};
use crate::world::world::World;

/// How often leaders look for znodes whose time is over: runs are too short for a minute.
pub const REAP_INTERVAL: Duration = Duration::from_secs(2);

/// What the servers say of the ports for other servers, and for elections.
pub const PEER_PORT: u16 = 2888;
pub const ELECTION_PORT: u16 = 3888;

/// How long after a server has stopped itself it is started again, as by a supervisor.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// Why a server has ended that did as it was told.
pub const TOLD: &str = "it was told to";
/// How the reason begins of one that has failed an assertion.
pub const PANICKED: &str = "it panicked: ";

struct Server {
    id: ServerId,
    machine: MachineId,
    disk: SimDisk,
    clock: Clock,
    life: u32,
    /// Its process, if it runs.
    process: Option<Process>,
    /// How many faults hold it down, and how many keep it from running.
    downs: u32,
    pauses: u32,
    /// When it is to be started again should it stop itself because of a fault; `None` for ever.
    failures: VecDeque<Option<Duration>>,
    /// Why its last life ended by itself.
    refusal: Option<String>,
}

/// One life's process.
struct Process {
    node: NodeHandle,
    orders: UnboundedSender<Order>,
    /// Where it is asked, as soon as it can be.
    desks: UnboundedReceiver<Desk>,
    desk: Option<Desk>,
    shell: SimShell,
    /// Tells it to stop, once.
    stop: Option<oneshot::Sender<()>>,
}

impl Process {
    fn is_told_to_stop(&self) -> bool {
        self.stop.is_none()
    }
}

/// The server that enforces no quotas when it leads.
const LENIENT: ServerId = ServerId(2);

struct Shared {
    world: World,
    settings: ServerSettings,
    count: u8,
    voters: Voters,
    learners: BTreeSet<ServerId>,
    reconfiguring: Reconfiguring,
    restoring: Restoring,
    has_quotas: bool,
    /// Who there is for SASL.
    users: Users,
    servers: Mutex<Vec<Server>>,
    ended: UnboundedSender<(ServerId, u32, End)>,
}

/// All servers. A handle: all clones are the same house.
#[derive(Clone)]
pub struct House(Arc<Shared>);

/// Where the ends of servers' lives arrive.
pub type Ends = UnboundedReceiver<(ServerId, u32, End)>;

impl House {
    /// The servers of `plan`, not yet started.
    pub fn new(world: &World, plan: &Plan) -> (House, Ends) {
        let servers = (1..=plan.servers).map(|number| {
            let mut random = world.streams.fork(&format!("clock.{number}"));
            let origin = Instant(random.below(1 << 40));
            let random = world.streams.fork(&format!("disk.{number}"));
            Server {
                id: ServerId(number),
                machine: world.net.machine(&format!("server-{number}")),
                disk: SimDisk::new(world.agenda.clone(), &plan.disk, random),
                clock: Clock::new(world.agenda.clone(), origin),
                life: 0,
                process: None,
                downs: 0,
                pauses: 0,
                failures: VecDeque::new(),
                refusal: None,
            }
        });
        let (ended, ends) = unbounded_channel();
        let house = House(Arc::new(Shared {
            world: world.clone(),
            settings: plan.server.clone(),
            count: plan.servers,
            learners: plan.learners.iter().copied().map(ServerId).collect(),
            reconfiguring: match plan.workload.wishes() {
                true => Reconfiguring::On,
                false => Reconfiguring::Off,
            },
            restoring: match plan.restores() {
                true => Restoring::On,
                false => Restoring::Off,
            },
            has_quotas: plan.workload.has_quotas(),
            users: match plan.workload.proves() {
                true => sasl::users(),
                false => Users::default(),
            },
            voters: founders(plan),
            servers: Mutex::new(servers.collect()),
            ended,
        }));
        (house, ends)
    }

    /// Starts every server that is not held down.
    pub fn start_all(&self) {
        for server in self.servers().iter_mut() {
            self.start(server);
        }
    }

    /// Takes note of how servers' lives end, for ever.
    pub async fn watch(self, mut ends: Ends) {
        while let Some((id, life, end)) = ends.recv().await {
            self.take_note(id, life, end);
        }
    }

    /// How many servers there are.
    pub fn count(&self) -> u8 {
        self.0.count
    }

    /// The machine of a server.
    pub fn machine(&self, id: u8) -> MachineId {
        known(&mut self.servers(), id).machine
    }

    /// The disk of a server.
    pub fn disk(&self, id: u8) -> SimDisk {
        known(&mut self.servers(), id).disk.clone()
    }

    /// The clocks of a server.
    pub fn clock(&self, id: u8) -> Clock {
        known(&mut self.servers(), id).clock.clone()
    }

    /// The servers whose processes run, by number.
    pub fn running(&self) -> Vec<u8> {
        let servers = self.servers();
        let running = servers.iter().filter(|server| server.process.is_some());
        running.map(|server| server.id.0).collect()
    }

    /// Tells the leader that the operator wants other members; who that is, if anybody leads.
    pub fn reconfigure(&self, voters: Voters, learners: BTreeSet<ServerId>) -> Option<ServerId> {
        let leader = self.0.world.reign.leader()?;
        let mut servers = self.servers();
        let process = known(&mut servers, leader.0).process.as_ref()?;
        let order = Order::Reconfigure { voters, learners };
        // Nobody takes it if the process is about to end.
        let _ended = process.orders.send(order);
        Some(leader)
    }

    /// Where an operator asks a server that serves, and by which clock.
    pub fn desk(&self, id: u8) -> Option<(Desk, SimShell)> {
        let mut servers = self.servers();
        let process = known(&mut servers, id).process.as_mut()?;
        if process.desk.is_none() {
            process.desk = process.desks.try_recv().ok();
        }
        Some((process.desk.clone()?, process.shell.clone()))
    }

    /// Ends a server's process, and holds it down until it is brought back.
    pub fn take_down(&self, id: u8, death: Death) {
        let mut servers = self.servers();
        let server = known(&mut servers, id);
        server.downs += 1;
        let machine = server.machine;
        let process = server.process.take();
        if death == Death::PowerLost {
            server.disk.lose_power();
        }
        drop(servers);
        self.0.world.net.end_process(machine, death);
        if let Some(process) = process {
            Handle::current().kill(process.node.id());
            let server = ServerId(id);
            self.0.world.reign.ended(server);
            self.0.world.recorder.record(What::Killed { server });
        }
    }

    /// Tells a server to stop, as an operator would, and holds it down until it is brought back.
    pub fn tell_to_stop(&self, id: u8) {
        let mut servers = self.servers();
        let server = known(&mut servers, id);
        server.downs += 1;
        let process = server.process.as_mut();
        if let Some(stop) = process.and_then(|process| process.stop.take()) {
            // Nobody hears it if the process is about to end by itself.
            let _ended = stop.send(());
        }
    }

    /// Takes one [`House::take_down`] back: after the last the server is started again.
    pub fn bring_back(&self, id: u8) {
        let mut servers = self.servers();
        let server = known(&mut servers, id);
        server.downs -= 1;
        self.start(server);
    }

    /// Keeps a server's process from running.
    pub fn pause(&self, id: u8) {
        let mut servers = self.servers();
        let server = known(&mut servers, id);
        server.pauses += 1;
        if let Some(process) = &server.process {
            Handle::current().pause(process.node.id());
        }
    }

    /// Takes one [`House::pause`] back.
    pub fn resume(&self, id: u8) {
        let mut servers = self.servers();
        let server = known(&mut servers, id);
        server.pauses -= 1;
        if let (0, Some(process)) = (server.pauses, &server.process) {
            Handle::current().resume(process.node.id());
        }
    }

    /// The next sync of this server's disk fails; it will stop itself, and is to be started again
    /// `down` later.
    pub fn fail_sync(&self, id: u8, down: Option<Duration>) {
        let mut servers = self.servers();
        let server = known(&mut servers, id);
        server.failures.push_back(down);
        server.disk.fail_next_sync();
    }

    /// Damages the disk of a server that is held down.
    pub fn rot(&self, id: u8, place: RotPlace) -> Option<String> {
        self.disk(id)
            .operate(|platter, random| rot::strike(platter, place, random))
    }

    /// Gives a server that is held down a blank disk.
    pub fn lose_disk(&self, id: u8) {
        self.disk(id)
            .operate(|platter, _| *platter = Platter::default());
        let server = ServerId(id);
        self.0.world.recorder.record(What::DiskLost { server });
    }

    /// No sync fails any more, and every server that is not held down is started.
    pub fn heal(&self) {
        for server in self.servers().iter_mut() {
            server.failures.clear();
            server.disk.fail_no_sync();
            self.start(server);
        }
    }

    /// What a server that is not running said when it stopped itself.
    pub fn refusals(&self) -> Vec<String> {
        let servers = self.servers();
        let down = servers.iter().filter(|server| server.process.is_none());
        down.filter_map(|server| {
            Some(format!(
                "server {}: {}",
                server.id,
                server.refusal.as_ref()?
            ))
        })
        .collect()
    }

    /// Every process ends: the run is over.
    pub fn clear(&self) {
        let processes: Vec<_> = (self.servers().iter_mut())
            .filter_map(|server| server.process.take())
            .collect();
        for process in processes {
            Handle::current().kill(process.node.id());
        }
    }

    fn start(&self, server: &mut Server) {
        if server.downs > 0 || server.process.is_some() {
            return;
        }
        let world = &self.0.world;
        server.life += 1;
        server.refusal = None;
        let (id, life) = (server.id, server.life);
        world.recorder.record(What::Started { server: id, life });
        world.net.power_on(server.machine);
        let name = format!("server-{id}.{life}");
        let node = Handle::current().create_node().name(name).build();
        if server.pauses > 0 {
            Handle::current().pause(node.id());
        }
        let (orders, ordered) = unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let (to_operators, desks) = unbounded_channel();
        let shell = SimShell {
            world: world.clone(),
            server: id,
            life,
            machine: server.machine,
            node: node.clone(),
            clock: server.clock.clone(),
            ended: self.0.ended.clone(),
            witness: Arc::new(Mutex::new(Witness::default())),
            drawn: Arc::default(),
            pace: Arc::default(),
            orders: Arc::new(tokio::sync::Mutex::new(ordered)),
        };
        server.process = Some(Process {
            node,
            orders,
            desks,
            desk: None,
            shell: shell.clone(),
            stop: Some(stop),
        });
        let mut setup = self.setup(id);
        setup.attendance.desk = Some(to_operators);
        let (disk, ended, run) = (server.disk.clone(), self.0.ended.clone(), shell.clone());
        run.run(async move {
            let told = async {
                if stopped.await.is_err() {
                    // It is killed rather than told.
                    std::future::pending().await
                }
            };
            let why = match serve(setup, shell, disk, told).await {
                Ok(()) => TOLD.to_owned(),
                Err(fatal) => fatal.to_string(),
            };
            // Nobody listens once the run is over.
            let _over = ended.send((id, life, End::Stopped(why)));
        });
    }

    fn take_note(&self, id: ServerId, life: u32, end: End) {
        let mut servers = self.servers();
        let server = known(&mut servers, id.0);
        if server.life != life {
            return;
        }
        let Some(process) = server.process.take() else {
            return;
        };
        let machine = server.machine;
        let restart = match process.is_told_to_stop() {
            // It was brought back while it was still on its way to its end, or is held down.
            true => Some(Duration::ZERO),
            false => server.failures.pop_front().unwrap_or(Some(RESTART_AFTER)),
        };
        let world = &self.0.world;
        let why = match end {
            End::Stopped(why) => why,
            End::Panicked(why) => {
                let detail = format!("server {id}, life {life}: {why}");
                world.recorder.violate("A1 assertion", detail);
                format!("{PANICKED}{why}")
            }
        };
        server.refusal = Some(why.clone());
        drop(servers);
        world.reign.ended(id);
        world.recorder.record(What::Stopped { server: id, why });
        world.net.end_process(machine, Death::Killed);
        Handle::current().kill(process.node.id());
        if let Some(after) = restart {
            let house = self.clone();
            let hour = world.agenda.now() + after;
            world.agenda.at(hour, move || {
                let mut servers = house.servers();
                let server = known(&mut servers, id.0);
                if server.life == life {
                    house.start(server);
                }
            });
        }
    }

    /// Where the servers say that they are; links are made by their numbers.
    fn addresses(&self) -> BTreeMap<ServerId, Address> {
        let address = |number: u8| Address {
            peer: HostPort {
                host: format!("server-{number}"),
                port: PEER_PORT,
            },
            election_port: Some(ELECTION_PORT),
            client: Some(ClientAddress {
                address: None,
                port: CLIENT_PORT,
            }),
        };
        let all = 1..=self.0.count;
        all.map(|number| (ServerId(number), address(number)))
            .collect()
    }

    /// The servers' files differ, as files do: what the leader's says holds for all.
    fn hard_limits(&self, id: ServerId) -> HardLimits {
        match self.0.has_quotas && id != LENIENT {
            true => HardLimits::Enforced,
            false => HardLimits::Advised,
        }
    }

    fn setup(&self, id: ServerId) -> Setup {
        let all = (1..=self.0.count).map(ServerId);
        let described = |server: ServerId| (server, format!("server-{server}"));
        let settings = &self.0.settings;
        let mut config = Config::standalone(id);
        config.reap_interval = REAP_INTERVAL;
        config.voters = self.0.voters.clone();
        config.reconfiguring = self.0.reconfiguring;
        config.restoring = self.0.restoring;
        config.settings.hard_limits = self.hard_limits(id);
        let super_user = access::digest_identity(access::SUPER_CREDENTIAL);
        config.supers.digest = super_user.map(|who| who.id.as_ref().to_owned());
        config.sasl.users = self.0.users.clone();
        config.addresses = self.addresses();
        if let Some(tick) = settings.tick_time {
            config.tick = tick.0;
            config.isolation_timeout = tick.0 * 2;
            config.session_timeout_min = tick.0 * 2;
            config.session_timeout_max = tick.0 * 20;
        }
        config.local_sessions = settings.local_sessions.of_core();
        if settings.read_only_mode {
            config.read_only_after = Some(read_only_after(config.tick));
        }
        if let Some(count) = settings.snap_count {
            config.snapshot_every = count;
        }
        config.rates = settings.rates();
        let mut storage = StorageSettings::default();
        if let Some(bytes) = settings.segment_bytes {
            storage.segment_bytes = bytes;
        }
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Setup {
            attendance: Attendance::default(),
            described: Described {
                listen: SocketAddr::new(address, CLIENT_PORT),
                data_dir: format!("disk of server {id}"),
                config: config.clone(),
                servers: all.clone().map(described).collect(),
            },
            peers: all.filter(|peer| *peer != id).collect(),
            observers: self.0.learners.clone(),
            gossip: Some(GossipSetup {
                key: Key::from_secret(SECRET),
                endpoint: format!("server-{id}:{CLIENT_PORT}"),
            }),
            config,
            limits: Limits::default(),
            storage,
        }
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Server>> {
        self.0.servers.lock().expect("no panic within")
    }
}

fn known(servers: &mut [Server], id: u8) -> &mut Server {
    usize::from(id)
        .checked_sub(1)
        .and_then(|place| servers.get_mut(place))
        .expect("faults are checked against the plan's servers")
}
