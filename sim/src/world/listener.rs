//! Where a process of a test listens for others.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use crate::world::connection::{MachineId, Side};
use crate::world::net::{Net, Port};
use crate::world::stream::SimStream;

/// A port at which a process listens until this is dropped or the process ends.
pub struct SimListener {
    net: Net,
    machine: MachineId,
    port: Port,
    number: u64,
}

impl SimListener {
    pub(super) fn new(net: Net, machine: MachineId, port: Port, number: u64) -> SimListener {
        SimListener {
            net,
            machine,
            port,
            number,
        }
    }

    /// The next connection, and who opened it.
    ///
    /// # Errors
    /// None yet; the signature is that of the listeners of ordinary programs.
    pub async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let (net, machine, port) = (&self.net, self.machine, self.port);
        let (number, address) = poll_fn(|context| net.poll_accept(machine, port, context)).await;
        Ok((SimStream::new(net.clone(), number, Side::Server), address))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.net
            .stop_listening(self.machine, self.port, self.number);
    }
}
