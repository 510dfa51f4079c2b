//! One server of the explored world: its node, its disk, and what its shell owes it.

use std::collections::VecDeque;
use std::sync::Arc;

use althing_core::ids::{DirectoryId, Epoch, ServerId, Zxid};
use althing_core::node::node::{Node, Recovered};
use althing_core::node::status::Role;
use althing_core::prng::Seed;
use althing_core::store::store::Store;
use althing_core::time::Duration;

use crate::explore::bounds::Rules;
use crate::explore::digest::Digest;
use crate::explore::disk::Disk;

/// Longer than an election takes, and than any server takes nothing after its disk was full;
/// shorter than what is noticed as a pause of the process.
const WAIT: Duration = Duration::from_secs(1);

/// Does the process run?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// One server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Who.
    pub id: ServerId,
    /// The machine under test.
    pub node: Node,
    /// What outlives the node.
    pub disk: Disk,
    /// Does it run?
    pub power: Power,
    /// The state of which a snapshot is being made.
    pub making: Option<Arc<Store>>,
    /// Pieces of snapshots that are being read: for whom, of which one, from where on.
    pub reading: VecDeque<(ServerId, Zxid, u64)>,
    /// How often it was started.
    life: u8,
    /// How many seconds have passed for it.
    waits: u8,
    /// How many directories it has lost.
    disks: u8,
    /// As what it acts, and in which epoch.
    pub role: (Role, Epoch),
    executed: (Zxid, u128),
    fingerprint: u128,
}

impl Server {
    /// A server with a blank disk, at its first start.
    pub fn new(id: ServerId, rules: &Rules) -> Server {
        let disk = Disk::blank(directory(id, 0));
        let node = node(id, disk.recover(), 0, rules);
        let status = node.status();
        let mut server = Server {
            id,
            node,
            disk,
            power: Power::On,
            making: None,
            reading: VecDeque::new(),
            life: 0,
            waits: 0,
            disks: 0,
            role: (status.role, status.epoch),
            executed: (Zxid::ZERO, 0),
            fingerprint: 0,
        };
        server.changed();
        server
    }

    /// The process ends; of what the disk was asked for the first `kept` are durable.
    pub fn crash(&mut self, kept: usize) {
        self.disk.crash(kept);
        self.making = None;
        self.reading.clear();
        self.power = Power::Off;
        self.role.0 = Role::Looking;
        self.changed();
    }

    /// The disk is lost; another, blank one takes its place.
    pub fn replace_disk(&mut self) {
        self.disks += 1;
        self.disk = Disk::blank(directory(self.id, self.disks));
        self.changed();
    }

    /// The process starts with what the disk holds.
    pub fn start(&mut self, rules: &Rules) {
        self.life += 1;
        self.node = node(self.id, self.disk.recover(), self.life, rules);
        self.power = Power::On;
        self.changed();
    }

    /// Something in it has changed.
    pub fn changed(&mut self) {
        if self.power == Power::On {
            let status = self.node.status();
            self.role = (status.role, status.epoch);
            let store = self.node.store();
            self.executed = (store.applied(), store.digest());
        }
        let mut digest = Digest::new();
        digest.number(self.power as u64 | u64::from(self.life) << 8 | u64::from(self.waits) << 16);
        if self.power == Power::On {
            digest.digest(self.node.fingerprint());
        }
        self.disk.fingerprint(&mut digest);
        if let Some(store) = &self.making {
            digest.number(store.applied().0);
        }
        for (to, zxid, offset) in &self.reading {
            digest
                .number(u64::from(to.0))
                .number(zxid.0)
                .number(*offset);
        }
        self.fingerprint = digest.finish();
    }

    /// Of everything that matters.
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// How far it has executed, and the digest of its state there.
    pub fn executed(&self) -> (Zxid, u128) {
        self.executed
    }

    /// How far its clock stands after the start of time.
    pub fn waited(&self) -> Duration {
        WAIT * u32::from(self.waits)
    }

    /// A second passes.
    pub fn wait(&mut self) {
        self.waits += 1;
    }

    /// Does it lead, and in which epoch?
    pub fn leads(&self) -> Option<Epoch> {
        let (role, epoch) = self.role;
        let leads = matches!(role, Role::Leader | Role::Standalone);
        leads.then_some(epoch)
    }
}

/// The `count`th data directory of a server.
fn directory(server: ServerId, count: u8) -> DirectoryId {
    DirectoryId(u128::from(server.0) << 8 | u128::from(count))
}

fn node(id: ServerId, recovered: Recovered, life: u8, rules: &Rules) -> Node {
    let mut seed = [id.0; 32];
    seed[31] = life;
    Node::new(rules.config(id), recovered, Seed(seed))
}
