//! The simulated [`Shell`]: what one life of a server runs on. Everything that the server does goes
//! into the record.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use althing::shell::{Order, Shell, Task};
use althing::witness::{self, Deed, Witness};
use althing_core::ids::ServerId;
use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::node::{Node, Recovered};
use althing_core::prng::Seed;
use althing_core::time::{Instant, Now};
use madsim::runtime::NodeHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::history::What;
use crate::world::caught::Caught;
use crate::world::clock::Clock;
use crate::world::connection::{MachineId, Side};
use crate::world::link::SimLink;
use crate::world::net::Port;
use crate::world::pace::Pace;
use crate::world::poison::Sent;
use crate::world::stream::SimStream;
use crate::world::wiretap::LinkTap;
use crate::world::world::World;

/// How one life of a server ended by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It stopped, or refused to start, with this message.
    Stopped(String),
    /// It panicked.
    Panicked(String),
}

/// One life of one server.
#[derive(Clone)]
pub struct SimShell {
    /// The world it lives in.
    pub world: World,
    /// Which server.
    pub server: ServerId,
    /// The how manieth life.
    pub life: u32,
    /// Where it runs.
    pub machine: MachineId,
    /// Its tasks.
    pub node: NodeHandle,
    /// Its clocks.
    pub clock: Clock,
    /// Who is to know that it ended.
    pub ended: UnboundedSender<(ServerId, u32, End)>,
    /// Tells the record what the node's steps are about.
    pub witness: Arc<Mutex<Witness>>,
    /// How often this life has asked for entropy.
    pub drawn: Arc<AtomicU32>,
    /// That the node comes to rest.
    pub pace: Arc<Mutex<Pace>>,
    /// What the operator orders.
    pub orders: Arc<tokio::sync::Mutex<UnboundedReceiver<Order>>>,
}

impl SimShell {
    /// Runs a task of the server. A panic of any is the end of its process.
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (server, life, ended) = (self.server, self.life, self.ended.clone());
        self.node.spawn(async move {
            if let Err(panic) = Caught::new(task).await {
                // Nobody listens once the run is over.
                let _over = ended.send((server, life, End::Panicked(panic)));
            }
        });
    }

    fn record(&self, what: What) {
        self.world.recorder.record(what);
    }

    fn record_deed(&self, deed: Deed) {
        self.record(What::done(self.server, deed));
    }

    fn peer(&self, server: ServerId) -> Option<MachineId> {
        self.world.net.find(&format!("server-{server}"))
    }

    /// This server's end of the stream `number`, with randomness of its own.
    fn link(&self, number: u64, side: Side) -> SimLink {
        let stream = SimStream::new(self.world.net.clone(), number, side);
        let name = format!("link.{}.{number}", self.server);
        let random = self.world.streams.fork(&name);
        let tap = self.world.wiretap.clone();
        let tap = tap.map(|wiretap| LinkTap::new(wiretap, self.server, number, side));
        SimLink::new(stream)
            .shuffled(self.world.shuffle, random)
            .tapped(tap)
    }
}

impl Shell for SimShell {
    type Stream = SimStream;
    type Link = SimLink;

    fn now(&self) -> Now {
        self.clock.now()
    }

    async fn sleep_until(&self, until: Instant) {
        self.clock.sleep_until(until).await;
    }

    fn spawn(&self, _: Task, task: impl Future<Output = ()> + Send + 'static) {
        self.run(task);
    }

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let net = &self.world.net;
        net.listen(self.machine, Port::Clients);
        let accepted = poll_fn(|context| net.poll_accept(self.machine, Port::Clients, context));
        let (number, address) = accepted.await;
        Ok((SimStream::new(net.clone(), number, Side::Server), address))
    }

    async fn dial(&self, server: ServerId) -> io::Result<SimLink> {
        let to = self.peer(server).ok_or(io::ErrorKind::NotFound)?;
        let net = &self.world.net;
        let number = net.connect(self.machine, to, Port::Peers).await?;
        Ok(self.link(number, Side::Client))
    }

    async fn accept_link(&self) -> io::Result<SimLink> {
        let net = &self.world.net;
        net.listen(self.machine, Port::Peers);
        let accepted = poll_fn(|context| net.poll_accept(self.machine, Port::Peers, context));
        let (number, _) = accepted.await;
        Ok(self.link(number, Side::Server))
    }

    fn send_datagram(&self, to: ServerId, bytes: &[u8]) {
        let (from, bytes) = (self.server, bytes.to_vec());
        for sent in self.world.poison.taint(Sent { from, to, bytes }) {
            if let (Some(from), Some(to)) = (self.peer(sent.from), self.peer(sent.to)) {
                self.world.net.send_datagram(from, to, &sent.bytes);
            }
        }
    }

    async fn datagram(&self) -> io::Result<Vec<u8>> {
        let net = &self.world.net;
        Ok(poll_fn(|context| net.poll_datagram(self.machine, context)).await)
    }

    async fn order(&self) -> Order {
        match self.orders.lock().await.recv().await {
            Some(order) => order,
            // The process is about to be killed.
            None => std::future::pending().await,
        }
    }

    fn entropy(&self) -> Seed {
        let (server, life) = (self.server, self.life);
        let name = match self.drawn.fetch_add(1, Ordering::Relaxed) {
            0 => format!("server.{server}.life.{life}"),
            drawn => format!("server.{server}.life.{life}.{drawn}"),
        };
        let mut entropy = [0; 32];
        self.world.streams.fork(&name).fill(&mut entropy);
        Seed(entropy)
    }

    fn observe_recovered(&self, recovered: &Recovered) {
        if let Some(wiretap) = &self.world.wiretap {
            wiretap.begins(self.server);
        }
        self.record_deed(witness::recovered(recovered));
    }

    fn observe_input(&self, _: Now, input: &Input) {
        if let Input::Suspected(server) = input {
            self.record(What::Mark {
                client: format!("server-{}", self.server).into(),
                name: "suspected",
                detail: format!("server-{server}"),
            });
        }
        if let Some(wiretap) = &self.world.wiretap {
            wiretap.input(self.server, input);
        }
        let mut witness = self.witness.lock().expect("no panic within");
        witness.input(input, |deed| self.record_deed(deed));
    }

    fn observe_node(&self, now: Now, node: &Node) {
        self.pace.lock().expect("no panic within").step(now.clock);
        node.check();
    }

    fn observe_effect(&self, _: Now, effect: &Effect) {
        if let Effect::Note(event) = effect {
            self.world.reign.said(self.server, event);
        }
        if let Some(wiretap) = &self.world.wiretap {
            wiretap.effect(self.server, effect);
        }
        let mut witness = self.witness.lock().expect("no panic within");
        witness.effect(effect, |deed| self.record_deed(deed));
    }
}
