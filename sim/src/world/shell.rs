//! The simulated [`Shell`]: what one life of a server runs on. Everything that the server does goes
//! into the record.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use althing::shell::{Shell, Task};
use althing_core::ids::ServerId;
use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::node::{Node, Recovered};
use althing_core::prng::Seed;
use althing_core::time::{Instant, Now};
use madsim::runtime::NodeHandle;
use tokio::sync::mpsc::UnboundedSender;

use crate::history::What;
use crate::witness::{self, Witness};
use crate::world::caught::Caught;
use crate::world::clock::Clock;
use crate::world::connection::{MachineId, Side};
use crate::world::stream::SimStream;
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
}

impl Shell for SimShell {
    type Stream = SimStream;

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
        net.listen(self.machine);
        let (number, address) = poll_fn(|context| net.poll_accept(self.machine, context)).await;
        Ok((SimStream::new(net.clone(), number, Side::Server), address))
    }

    fn entropy(&self) -> Seed {
        let name = format!("server.{}.life.{}", self.server, self.life);
        let mut entropy = [0; 32];
        self.world.streams.fork(&name).fill(&mut entropy);
        Seed(entropy)
    }

    fn observe_recovered(&self, recovered: &Recovered) {
        self.record(witness::recovered(self.server, recovered));
    }

    fn observe_input(&self, _: Now, input: &Input) {
        let mut witness = self.witness.lock().expect("no panic within");
        witness.input(input, |what| self.record(what));
    }

    fn observe_node(&self, _: Now, node: &Node) {
        node.check();
    }

    fn observe_effect(&self, _: Now, effect: &Effect) {
        let mut witness = self.witness.lock().expect("no panic within");
        witness.effect(effect, |what| self.record(what));
    }
}
