//! The simulated [`Runtime`]: what the client library needs of its surroundings, on a machine of
//! the simulated world. Streams that it opens carry a tap.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing_client::runtime::Runtime;
use althing_core::ids::ServerId;
use madsim::runtime::NodeHandle;

use crate::history::What;
use crate::random::Stream;
use crate::world::caught::Caught;
use crate::world::connection::{MachineId, Side};
use crate::world::listener::SimListener;
use crate::world::net::Port;
use crate::world::stream::SimStream;
use crate::world::tap::Tap;
use crate::world::world::World;

/// The shortest sleep, as tokio has it: a loop that sleeps for no time lets time pass.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// The runtime of one life of one player.
#[derive(Clone)]
pub struct SimRuntime {
    world: World,
    client: Arc<str>,
    machine: MachineId,
    node: NodeHandle,
    random: Arc<Mutex<Stream>>,
}

impl SimRuntime {
    /// The runtime of `client`'s process on `node`.
    pub fn new(world: World, client: Arc<str>, node: NodeHandle, random: Stream) -> SimRuntime {
        SimRuntime {
            machine: world.net.machine(&client),
            world,
            client,
            node,
            random: Arc::new(Mutex::new(random)),
        }
    }
}

impl Runtime for SimRuntime {
    type Stream = SimStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let recorder = self.world.recorder.clone();
        let client = self.client.clone();
        self.node.spawn(async move {
            if let Err(panic) = Caught::new(task).await {
                recorder.violate("A1 assertion", format!("{client}: {panic}"));
            }
        });
    }

    async fn sleep(&self, delay: Duration) {
        self.world.agenda.sleep(delay.max(SLEEP_MIN)).await;
    }

    async fn connect(&self, address: &str) -> io::Result<SimStream> {
        let net = &self.world.net;
        let (host, port) = split(address)?;
        let machine = net.find(host).ok_or_else(|| unknown(address))?;
        let Some(server) = server_of(host) else {
            let number = net
                .connect(self.machine, machine, Port::Number(port))
                .await?;
            return Ok(SimStream::new(net.clone(), number, Side::Client));
        };
        let number = net.connect(self.machine, machine, Port::Clients).await?;
        let recorder = &self.world.recorder;
        let link = recorder.next_link();
        recorder.record(What::LinkOpened {
            client: self.client.clone(),
            link,
            server,
            address: net.address(self.machine),
        });
        let tap = Tap::new(recorder.clone(), self.client.clone(), link);
        Ok(SimStream::new(net.clone(), number, Side::Client).tapped(tap))
    }

    fn random(&self) -> u64 {
        self.random.lock().expect("drawing does not panic").bits()
    }

    fn now(&self) -> Duration {
        self.world.agenda.now()
    }
}

impl SimRuntime {
    /// Listens at a port of this process's machine. Others reach it as `NAME:port`, with the
    /// process's name; what they send meets the same faults as everything else.
    ///
    /// # Errors
    /// `AddrInUse` if somebody listens there.
    pub fn listen(&self, port: u16) -> io::Result<SimListener> {
        let (net, port) = (&self.world.net, Port::Number(port));
        let number = net.listen_alone(self.machine, port)?;
        Ok(SimListener::new(net.clone(), self.machine, port, number))
    }
}

fn unknown(address: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no host {address}"))
}

fn split(address: &str) -> io::Result<(&str, u16)> {
    let (host, port) = address.rsplit_once(':').ok_or_else(|| unknown(address))?;
    let port = port.parse().map_err(|_| unknown(address))?;
    Ok((host, port))
}

fn server_of(host: &str) -> Option<ServerId> {
    let number = host.strip_prefix("server-")?;
    number.parse().ok().map(ServerId)
}
