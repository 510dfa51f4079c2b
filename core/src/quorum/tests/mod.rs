//! One server of an ensemble of three, told word by word what happens: what it says and saves.

mod digest;
mod electing;
mod following;
mod grouping;
mod leading;
mod transferring;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{DirectoryId, Epoch, ServerId, Ticket, Zxid};
use crate::membership::Membership;
use crate::prng::{Prng, Seed};
use crate::quorum::act::{Act, Alarm, Part, Timing};
use crate::quorum::log::{Ballot, Record, Standing};
use crate::quorum::message::{Ballotting, Extent, Message, Vote};
use crate::quorum::replica::{Beginning, Replica};
use crate::store::txn::{Action, Entry, Txn};
use crate::time::{Duration, Instant, Now, WallTime};
use crate::tree::data::Data;
use crate::tree::op::{ANY_VERSION, Op};
use crate::tree::path::Path;

const ME: ServerId = ServerId(1);
const TWO: ServerId = ServerId(2);
const THREE: ServerId = ServerId(3);
const BEAT: Duration = Duration::from_millis(50);
const ELECTION: Duration = Duration::from_millis(500);

fn at(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

fn directory(server: ServerId) -> DirectoryId {
    DirectoryId(u128::from(server.0))
}

fn txn() -> Arc<Txn> {
    Arc::new(Txn::of_servers(WallTime(0), Action::Multi(Vec::new())))
}

/// A transaction with so many bytes of data.
fn txn_of_bytes(count: usize) -> Arc<Txn> {
    let op = Op::SetData {
        path: Path::root(),
        data: Some(Data::from(alloc::vec![0; count])),
        version: ANY_VERSION,
    };
    Arc::new(Txn::of_servers(WallTime(0), Action::Write(op)))
}

fn change_to(membership: Membership) -> Arc<Txn> {
    let action = Action::Reconfigure { membership };
    Arc::new(Txn::of_servers(WallTime(0), action))
}

fn entry(zxid: Zxid) -> Entry {
    Entry { zxid, txn: txn() }
}

/// Server 1 of an ensemble that these servers founded in epoch 1: it has executed what there is.
fn founded_by(servers: &[ServerId]) -> Beginning {
    let members = servers.iter().map(|server| (*server, directory(*server)));
    Beginning {
        server: ME,
        directory: directory(ME),
        first: servers.iter().copied().collect(),
        ballot: Ballot {
            epoch: Epoch(1),
            voted_for: None,
            standing: Standing::Admitted,
        },
        executed: at(1, 1),
        membership: Membership::founding(members.collect()),
        entries: Vec::new(),
        incarnation: 7,
        counter_max: u32::MAX,
    }
}

/// Server 1, which is to found an ensemble with servers 2 and 3.
fn blank() -> Beginning {
    Beginning {
        ballot: Ballot::default(),
        executed: Zxid::ZERO,
        membership: Membership::default(),
        ..founded_by(&[ME, TWO, THREE])
    }
}

/// A server, what it waits for, and what it said since it was asked last.
struct Stage {
    replica: Replica,
    now: Now,
    saving: VecDeque<(Ticket, Record)>,
    sent: Vec<(ServerId, Message)>,
    /// What it wants done besides.
    other: Vec<Act>,
}

impl Stage {
    /// The ensemble was founded in epoch 1 by servers 1, 2 and 3; this server has executed what
    /// there is, and has links to both others.
    fn founded() -> Stage {
        Stage::of(founded_by(&[ME, TWO, THREE]))
    }

    fn of(beginning: Beginning) -> Stage {
        let timing = Timing {
            election_timeout: ELECTION,
            beat: BEAT,
        };
        let mut stage = Stage {
            replica: Replica::new(beginning, timing, Prng::new(Seed([7; 32]))),
            now: Now::default(),
            saving: VecDeque::new(),
            sent: Vec::new(),
            other: Vec::new(),
        };
        stage.wait(ELECTION * 10);
        for server in [TWO, THREE] {
            stage.replica.peer_joined(server, directory(server));
        }
        stage.gather();
        stage.sent.clear();
        stage
    }

    fn wait(&mut self, time: Duration) {
        self.now.clock = self.now.clock.after(time);
    }

    fn gather(&mut self) {
        for act in self.replica.take_acts() {
            match act {
                Act::Save { ticket, record } => self.saving.push_back((ticket, record)),
                Act::Send { to, message } => self.sent.push((to, message)),
                Act::Tell(_) => {}
                other => self.other.push(other),
            }
        }
        self.replica.check();
        self.replica.check_log();
    }

    fn hear(&mut self, from: ServerId, message: Message) {
        self.hear_with(from, directory(from), message);
    }

    /// What server `from` says while it has another directory than at the beginning.
    fn hear_with(&mut self, from: ServerId, directory: DirectoryId, message: Message) {
        self.replica.heard(self.now, from, directory, message);
        self.gather();
    }

    /// Ten bytes of a snapshot that server 2, leader of the first epoch, sends.
    fn chunk(&mut self, offset: u64, extent: Extent) {
        let chunk = Message::Chunk {
            epoch: Epoch(1),
            zxid: at(1, 9),
            offset,
            bytes: alloc::vec![0; 10],
            extent,
        };
        self.hear(TWO, chunk);
    }

    fn ring(&mut self, alarm: Alarm) {
        self.replica.rang(self.now, alarm);
        self.gather();
    }

    fn drain(&mut self) {
        self.replica.drained(self.now);
        self.gather();
    }

    /// The oldest save is durable.
    fn save_one(&mut self) {
        let (ticket, _) = self.saving.pop_front().expect("something to save");
        self.replica.saved(self.now, ticket);
        self.gather();
    }

    fn save_all(&mut self) {
        while !self.saving.is_empty() {
            self.save_one();
        }
    }

    /// The oldest save is refused: the disk is full.
    fn refuse_one(&mut self) {
        let (ticket, _) = self.saving.pop_front().expect("something to save");
        self.replica.refused(self.now, ticket);
        self.gather();
    }

    /// What it said since it was asked last.
    fn said(&mut self) -> Vec<(ServerId, Message)> {
        core::mem::take(&mut self.sent)
    }

    /// The names of what it said since it was asked last, and to whom.
    fn words(&mut self) -> Vec<(ServerId, &'static str)> {
        let name = |(to, message): (ServerId, Message)| (to, message.name());
        self.said().into_iter().map(name).collect()
    }

    fn is_armed(&self, alarm: Alarm) -> bool {
        self.time_of(alarm).is_some()
    }

    fn time_of(&self, alarm: Alarm) -> Option<Instant> {
        let mut armed = self.replica.armed().into_iter().flatten();
        armed.find_map(|(time, armed)| (armed == alarm).then_some(time))
    }

    /// Its leader sends entries that follow `previous`.
    fn append(&mut self, leader: ServerId, epoch: u32, previous: Zxid, entries: &[Zxid]) {
        let append = Message::Append {
            epoch: Epoch(epoch),
            previous,
            entries: entries.iter().copied().map(entry).collect(),
            committed: at(1, 1),
        };
        self.hear(leader, append);
        self.drain();
    }

    fn voted(&mut self, from: ServerId, epoch: u32, ballotting: Ballotting, vote: Vote) {
        let voted = Message::Voted {
            epoch: Epoch(epoch),
            ballotting,
            vote,
        };
        self.hear(from, voted);
    }

    /// It asks for trial votes.
    fn canvass(&mut self) {
        // The first time it only waits.
        self.ring(Alarm::Election);
        self.ring(Alarm::Election);
        assert_eq!(self.replica.part(), Part::Canvasser);
    }

    /// It stands for election in epoch 2; its own vote is not yet durable.
    fn campaign(&mut self) {
        self.canvass();
        self.voted(TWO, 2, Ballotting::Trial, Vote::Given);
        assert_eq!(self.replica.part(), Part::Candidate);
    }

    /// It leads epoch 2 and has opened it; both others have everything and know it.
    fn lead(&mut self) {
        self.campaign();
        self.save_all();
        self.voted(TWO, 2, Ballotting::Real, Vote::Given);
        assert_eq!(self.replica.part(), Part::Leader);
        let opening = self.replica.open_epoch(Txn::clone(&txn()));
        self.gather();
        self.save_all();
        self.drain();
        for server in [TWO, THREE] {
            self.appended(server, at(1, 1));
        }
        self.drain();
        for server in [TWO, THREE] {
            self.appended(server, opening);
        }
        self.drain();
        assert_eq!(self.replica.committed(), opening);
        self.sent.clear();
    }

    /// The leader's question how far a server is was answered.
    fn appended(&mut self, from: ServerId, durable: Zxid) {
        let appended = Message::Appended {
            epoch: self.replica.epoch(),
            durable,
            standing: Standing::Admitted,
        };
        self.hear(from, appended);
    }

    /// The leader appends something and saves it.
    fn propose(&mut self) -> Zxid {
        let zxid = self.replica.propose(txn()).expect("a position");
        self.gather();
        self.save_all();
        self.drain();
        zxid
    }

    /// The leader's news that its log is agreed up to here.
    fn beat(&mut self, leader: ServerId, epoch: u32, committed: Zxid) {
        let beat = Message::Beat {
            epoch: Epoch(epoch),
            round: 1,
            committed,
        };
        self.hear(leader, beat);
    }

    /// The leader changes the members; both others have it, and it is executed.
    fn change(&mut self, membership: Membership) {
        let zxid = self
            .replica
            .propose(change_to(membership))
            .expect("a position");
        self.gather();
        assert_eq!(self.replica.settled(), None, "it is not executed yet");
        self.save_all();
        for server in [TWO, THREE] {
            self.appended(server, zxid);
        }
        while self.replica.take_committed().is_some() {}
        self.gather();
    }
}
