//! The network as a value: the messages in flight.

use std::sync::Arc;

use althing_core::codec::peer::encode_message;
use althing_core::ids::{DirectoryId, ServerId};
use althing_core::quorum::message::Message;

use crate::explore::digest::Digest;

/// In which order messages can arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// In any.
    Any,
    /// Those of one server to another in the order in which they were sent.
    Link,
}

/// One message in flight.
#[derive(Debug)]
pub struct Packet {
    /// Who sent it.
    pub from: ServerId,
    /// With which data directory.
    pub directory: DirectoryId,
    /// For whom it is.
    pub to: ServerId,
    /// What it says.
    pub message: Message,
    digest: u128,
}

impl Packet {
    /// A message as it leaves.
    pub fn new(from: ServerId, directory: DirectoryId, to: ServerId, message: Message) -> Packet {
        let mut bytes = Vec::new();
        encode_message(&message, &mut bytes);
        let mut digest = Digest::new();
        digest
            .number(u64::from(from.0) << 8 | u64::from(to.0))
            .digest(directory.0)
            .bytes(&bytes);
        Packet {
            from,
            directory,
            to,
            digest: digest.finish(),
            message,
        }
    }

    /// What it is known by.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// Do both go the same way?
    pub fn shares_link(&self, other: &Packet) -> bool {
        self.from == other.from && self.to == other.to
    }
}

/// All messages in flight, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    packets: Vec<Arc<Packet>>,
}

impl Wire {
    /// In the order in which they were sent.
    pub fn packets(&self) -> &[Arc<Packet>] {
        &self.packets
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Is nothing in flight?
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Sends one.
    pub fn push(&mut self, packet: Arc<Packet>) {
        self.packets.push(packet);
    }

    /// Takes one off, to be delivered or lost.
    pub fn take(&mut self, index: usize) -> Arc<Packet> {
        self.packets.remove(index)
    }

    /// Loses those for which `is_lost`.
    pub fn lose(&mut self, is_lost: impl Fn(&Packet) -> bool) {
        self.packets.retain(|packet| !is_lost(packet));
    }

    /// Those that can arrive next, by their indices: of equal ones the first only.
    pub fn next(&self, order: Order) -> impl Iterator<Item = usize> {
        (0..self.packets.len()).filter(move |index| {
            let packet = &self.packets[*index];
            self.packets[..*index].iter().all(|before| match order {
                Order::Any => before.digest != packet.digest,
                Order::Link => !before.shares_link(packet),
            })
        })
    }

    /// Of the messages as a multiset; of those of each link as a sequence, if the order counts.
    pub fn fingerprint(&self, order: Order) -> u128 {
        let mut sum: u128 = 0;
        for (index, packet) in self.packets.iter().enumerate() {
            let before = match order {
                Order::Any => 0,
                Order::Link => {
                    let earlier = self.packets[..index].iter();
                    earlier.filter(|other| other.shares_link(packet)).count()
                }
            };
            // Digests are as good as random numbers: their sum tells multisets apart, and an odd
            // factor tells places.
            sum = sum.wrapping_add(packet.digest.wrapping_mul(2 * before as u128 + 1));
        }
        sum
    }
}
