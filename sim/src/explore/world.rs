//! An ensemble as a plain value: servers, disks, messages in flight, clients; and what one action
//! makes of it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use althing_core::ids::{ConnectionId, ServerId, Zxid};
use althing_core::node::effect::{Effect, Outbox};
use althing_core::node::event::Event;
use althing_core::node::input::{Input, Timer};
use althing_core::node::reply::Reply;
use althing_core::quorum::message::{Extent, Message};
use althing_core::store::txn::Action as TxnAction;
use althing_core::time::{Instant, Now, WallTime};
use althing_core::tree::op::Op;

use crate::explore::action::Action;
use crate::explore::bounds::{Counts, Rules, Saves};
use crate::explore::client::{Client, Want};
use crate::explore::digest::Digest;
use crate::explore::disk::{Asked, Piece, Snapshot, Stored};
use crate::explore::ledger::{Agreed, Ledger};
use crate::explore::notes::Notes;
use crate::explore::server::{Power, Server};
use crate::explore::telling;
use crate::explore::violation::Violation;
use crate::explore::wire::{Packet, Wire};

/// Time stands still: any armed timer may fire at any moment, so no clock has to tell.
const NOW: Now = Now {
    clock: Instant(1_000_000_000_000),
    wall: WallTime(0),
};

/// A server that finds more than this to do about one input never comes to rest. Everything that
/// configurations allow needs far fewer.
const STEPS_MAX: usize = 1000;

/// A piece of a snapshot shows the digest of the log that the snapshot stands for.
const PIECE_BYTES: u64 = 16;

/// An ensemble, whole. Cloning it is cheap: what does not change is shared.
#[derive(Clone, Debug)]
pub struct World {
    rules: Arc<Rules>,
    servers: Vec<Arc<Server>>,
    wire: Wire,
    clients: Arc<Vec<Client>>,
    ledger: Arc<Ledger>,
    /// Every snapshot that was ever read, by what it stands for.
    snapshots: Arc<BTreeMap<u128, Snapshot>>,
    /// Pairs of servers between which nothing passes.
    cuts: Arc<Vec<(ServerId, ServerId)>>,
    spent: Counts,
}

impl World {
    /// Blank servers that have just started and are joined.
    pub fn new(rules: Rules, notes: &mut Notes) -> Result<World, Violation> {
        let servers = rules.all().map(|id| Arc::new(Server::new(id, &rules)));
        let mut world = World {
            servers: servers.collect(),
            rules: Arc::new(rules),
            wire: Wire::default(),
            clients: Arc::default(),
            ledger: Arc::default(),
            snapshots: Arc::default(),
            cuts: Arc::default(),
            spent: Counts::default(),
        };
        for a in world.rules.all() {
            for b in world.rules.all().filter(|b| *b > a) {
                world.join(a, b, notes)?;
            }
        }
        Ok(world)
    }

    /// What it is explored by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The same world under other rules; what happened so far does not count.
    pub fn under(mut self, rules: Rules) -> World {
        self.rules = Arc::new(rules);
        self.spent = Counts::default();
        self
    }

    /// All servers, in the order of their names.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// One server.
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[usize::from(id.0) - 1]
    }

    fn server_mut(&mut self, id: ServerId) -> &mut Server {
        Arc::make_mut(&mut self.servers[usize::from(id.0) - 1])
    }

    /// The messages in flight.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// All clients' connections, in the order in which they came.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// What was seen to happen.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What has happened, of what may happen only so often.
    pub fn spent(&self) -> Counts {
        self.spent
    }

    /// What the explorer knows this state by.
    pub fn fingerprint(&self) -> u128 {
        let mut digest = Digest::new();
        for server in &self.servers {
            digest.digest(server.fingerprint());
        }
        digest.digest(self.wire.fingerprint(self.rules.order));
        for client in self.clients.iter() {
            client.fingerprint(&mut digest);
        }
        self.ledger.fingerprint(&mut digest);
        for (a, b) in self.cuts.iter() {
            digest.number(u64::from(a.0) << 8 | u64::from(b.0));
        }
        digest.bytes(self.spent.bytes());
        digest.finish()
    }

    /// Can these two hear each other?
    pub fn are_joined(&self, a: ServerId, b: ServerId) -> bool {
        !self.cuts.contains(&(a.min(b), a.max(b)))
    }

    /// Does the action. A world in which an invariant is broken is not to be used any more.
    pub fn act(&mut self, action: &Action, notes: &mut Notes) -> Result<(), Violation> {
        if let Some(kind) = action.kind() {
            self.spent.count(kind);
        }
        match *action {
            Action::Deliver(index) => {
                let packet = self.wire.take(index);
                self.deliver(&packet, notes)
            }
            Action::Double(index) => {
                let packet = Arc::clone(&self.wire.packets()[index]);
                self.deliver(&packet, notes)
            }
            Action::Drop(index) => {
                self.wire.take(index);
                Ok(())
            }
            Action::Save(who) => self.save(who, notes),
            Action::Refuse(who) => self.refuse(who, notes),
            Action::Keep(who) => {
                let zxid = self.keep(who);
                self.step(who, Input::SnapshotMade { zxid }, notes)
            }
            Action::Waste(who) => {
                let making = self.server_mut(who).making.take();
                let zxid = making.expect("a snapshot is being made").applied();
                self.step(who, Input::SnapshotRefused { zxid }, notes)
            }
            Action::Read(who) => self.read(who, notes),
            Action::Miss(who) => {
                let reading = self.server_mut(who).reading.pop_front();
                let (to, zxid, _) = reading.expect("a snapshot is being read");
                self.step(who, Input::ChunkMissed { to, zxid }, notes)
            }
            Action::Crash(who, kept) => {
                self.crash(who, kept);
                Ok(())
            }
            Action::Start(who) => self.start(who, notes),
            Action::Restart(who, kept) => {
                self.crash(who, kept);
                self.start(who, notes)
            }
            Action::Replace(who) => {
                self.crash(who, 0);
                self.server_mut(who).replace_disk();
                self.start(who, notes)
            }
            Action::Fire(who, timer) => self.fire(who, timer, notes),
            Action::Suspect(who, other) => self.step(who, Input::Suspected(other), notes),
            Action::Flap(who, other) => {
                self.step(who, Input::PeerLost(other), notes)?;
                self.joined(who, other, notes)
            }
            Action::Open(server) => self.open(server, None, notes),
            Action::Move(client, server) => self.open(server, Some(client), notes),
            Action::Ask(client, want) => self.ask(client, want, notes),
            Action::Leave(client) => self.leave(client, notes),
            Action::Reconfigure(who, wish) => {
                let wish = self.rules.wishes[wish].clone();
                let (voters, learners) = (wish.voters, wish.learners);
                self.step(who, Input::Reconfigured { voters, learners }, notes)
            }
            Action::Stop(who) => self.step(who, Input::StopAsked, notes),
            Action::Cut(a, b) => self.cut(a, b, notes),
            Action::Join(a, b) => self.join(a, b, notes),
        }
    }

    fn deliver(&mut self, packet: &Packet, notes: &mut Notes) -> Result<(), Violation> {
        if self.server(packet.to).power == Power::Off {
            return Ok(());
        }
        let heard = Input::Heard {
            from: packet.from,
            directory: packet.directory,
            message: packet.message.clone(),
        };
        self.step(packet.to, heard, notes)
    }

    fn save(&mut self, who: ServerId, notes: &mut Notes) -> Result<(), Violation> {
        let input = self.saved(who)?;
        self.step(who, input, notes)
    }

    /// What the disk answers when the oldest thing that it was asked for is done.
    fn saved(&mut self, who: ServerId) -> Result<Input, Violation> {
        let stored = self.server_mut(who).disk.save();
        let Piece {
            zxid,
            bytes,
            offset,
            extent,
        } = match stored.expect("the disk was asked for something") {
            Stored::Record(ticket) => return Ok(Input::Saved(ticket)),
            Stored::Piece(piece) => piece,
        };
        let end = offset + bytes.len() as u64;
        let is_stored = self.server(who).disk.stored == Some((zxid, end));
        if extent == Extent::More {
            return Ok(match is_stored {
                true => Input::ChunkTaken { zxid, offset: end },
                false => Input::ChunkRefused { zxid },
            });
        }
        let chain = bytes.try_into().map(u128::from_le_bytes);
        let snapshot = chain.ok().and_then(|chain| self.snapshots.get(&chain));
        let is_whole = is_stored && end == u64::from(self.rules.pieces) * PIECE_BYTES;
        match snapshot
            .filter(|known| is_whole && known.mark.zxid == zxid)
            .cloned()
        {
            Some(snapshot) => {
                let store = Box::new((*snapshot.store).clone());
                self.server_mut(who).disk.install(snapshot);
                Ok(Input::Installed { store })
            }
            None => Ok(Input::ChunkRefused { zxid }),
        }
    }

    fn refuse(&mut self, who: ServerId, notes: &mut Notes) -> Result<(), Violation> {
        let refused = self.server_mut(who).disk.refuse();
        for asked in refused {
            let input = match asked {
                Asked::Save { ticket, .. } => Input::Refused(ticket),
                Asked::Take(piece) => Input::ChunkRefused { zxid: piece.zxid },
            };
            self.step(who, input, notes)?;
        }
        Ok(())
    }

    fn keep(&mut self, who: ServerId) -> Zxid {
        let server = self.server_mut(who);
        let store = server.making.take().expect("a snapshot is being made");
        let zxid = store.applied();
        let mark = server.disk.log.at(zxid);
        let mark = mark.expect("a server has saved what it has executed");
        server.disk.keep(Snapshot { store, mark });
        zxid
    }

    fn read(&mut self, who: ServerId, notes: &mut Notes) -> Result<(), Violation> {
        let input = self.chunk(who);
        self.step(who, input, notes)
    }

    /// What the storage answers when a piece of a snapshot is read.
    fn chunk(&mut self, who: ServerId) -> Input {
        let pieces = u64::from(self.rules.pieces);
        let server = self.server_mut(who);
        let reading = server.reading.pop_front();
        let (to, zxid, offset) = reading.expect("a snapshot is being read");
        let newest = server.disk.snapshot.clone();
        let newest = newest.filter(|snapshot| snapshot.mark.zxid == zxid);
        match newest.filter(|_| offset < pieces * PIECE_BYTES) {
            None => Input::ChunkMissed { to, zxid },
            Some(snapshot) => {
                let chain = snapshot.mark.chain;
                if !self.snapshots.contains_key(&chain) {
                    Arc::make_mut(&mut self.snapshots).insert(chain, snapshot);
                }
                let is_last = offset + PIECE_BYTES == pieces * PIECE_BYTES;
                let extent = if is_last { Extent::Last } else { Extent::More };
                Input::ChunkRead {
                    to,
                    zxid,
                    offset,
                    bytes: chain.to_le_bytes().to_vec(),
                    extent,
                }
            }
        }
    }

    fn crash(&mut self, who: ServerId, kept: usize) {
        if self.server(who).power == Power::Off {
            return;
        }
        self.server_mut(who).crash(kept);
        if self.clients.iter().any(|client| client.server == who) {
            let clients = Arc::make_mut(&mut self.clients);
            let own = clients.iter_mut().filter(|client| client.server == who);
            own.for_each(Client::lose);
        }
    }

    fn start(&mut self, who: ServerId, notes: &mut Notes) -> Result<(), Violation> {
        let rules = Arc::clone(&self.rules);
        self.server_mut(who).start(&rules);
        for other in rules.all().filter(|other| *other != who) {
            if self.are_joined(who, other) {
                self.joined(who, other, notes)?;
                self.joined(other, who, notes)?;
            }
        }
        Ok(())
    }

    fn joined(
        &mut self,
        who: ServerId,
        server: ServerId,
        notes: &mut Notes,
    ) -> Result<(), Violation> {
        if self.server(server).power == Power::Off || self.server(who).power == Power::Off {
            return Ok(());
        }
        let directory = self.server(server).disk.directory;
        self.step(who, Input::PeerJoined { server, directory }, notes)
    }

    fn cut(&mut self, a: ServerId, b: ServerId, notes: &mut Notes) -> Result<(), Violation> {
        let pair = (a.min(b), a.max(b));
        if self.cuts.contains(&pair) {
            return Ok(());
        }
        Arc::make_mut(&mut self.cuts).push(pair);
        self.wire
            .lose(|packet| (packet.from.min(packet.to), packet.from.max(packet.to)) == pair);
        for (who, other) in [(a, b), (b, a)] {
            if self.server(who).power == Power::On {
                self.step(who, Input::PeerLost(other), notes)?;
            }
        }
        Ok(())
    }

    fn join(&mut self, a: ServerId, b: ServerId, notes: &mut Notes) -> Result<(), Violation> {
        let pair = (a.min(b), a.max(b));
        if self.cuts.contains(&pair) {
            Arc::make_mut(&mut self.cuts).retain(|other| *other != pair);
        }
        self.joined(a, b, notes)?;
        self.joined(b, a, notes)
    }

    fn open(
        &mut self,
        server: ServerId,
        former: Option<usize>,
        notes: &mut Notes,
    ) -> Result<(), Violation> {
        let clients = Arc::make_mut(&mut self.clients);
        let connection = ConnectionId(clients.len() as u64 + 1);
        let former = former.map(|index| &clients[index]);
        let client = Client::new(server, connection, former);
        let request = client.greeting();
        clients.push(client);
        let opened = Input::Opened {
            connection,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request,
        };
        self.step(server, opened, notes)
    }

    fn ask(&mut self, client: usize, want: Want, notes: &mut Notes) -> Result<(), Violation> {
        let client = &mut Arc::make_mut(&mut self.clients)[client];
        let (xid, request) = client.ask(want, &self.ledger);
        let (server, connection) = (client.server, client.connection);
        let asked = Input::Asked {
            connection,
            xid,
            request,
        };
        self.step(server, asked, notes)
    }

    fn leave(&mut self, client: usize, notes: &mut Notes) -> Result<(), Violation> {
        let client = &mut Arc::make_mut(&mut self.clients)[client];
        client.lose();
        let (server, connection) = (client.server, client.connection);
        self.step(server, Input::Closed { connection }, notes)
    }

    fn fire(&mut self, who: ServerId, timer: Timer, notes: &mut Notes) -> Result<(), Violation> {
        let effects = self.stepped(who, Input::Timeout(timer), notes)?;
        // After its start a server first waits its time out. That alone is not worth a state.
        if timer == Timer::Election && effects == 0 {
            self.step(who, Input::Timeout(timer), notes)?;
        }
        Ok(())
    }

    /// Steps one server: the input, what follows from it at once, and `Drained`.
    fn step(&mut self, who: ServerId, input: Input, notes: &mut Notes) -> Result<(), Violation> {
        self.stepped(who, input, notes).map(|_| ())
    }

    /// The same; gives how many effects there were.
    fn stepped(
        &mut self,
        who: ServerId,
        input: Input,
        notes: &mut Notes,
    ) -> Result<usize, Violation> {
        let mut effects = 0;
        let mut inputs = VecDeque::from([input]);
        let mut out = Outbox::new();
        for _ in 0..STEPS_MAX {
            let (input, is_drained) = match inputs.pop_front() {
                Some(input) => (input, false),
                None => (Input::Drained, true),
            };
            let server = self.server_mut(who);
            server.node.step(NOW, input, &mut out);
            server.node.check();
            effects += out.effects.len();
            for effect in out.effects.drain(..) {
                inputs.extend(self.perform(who, effect, notes)?);
            }
            if is_drained && self.rules.saves == Saves::AtOnce {
                self.finish_at_once(who, &mut inputs)?;
            }
            if is_drained && inputs.is_empty() {
                self.rest(who);
                return Ok(effects);
            }
        }
        let text = format!("server {who} does not come to rest");
        Err(Violation::new("L1 bounded work", text))
    }

    /// Everything that a server asked of its surroundings is done.
    fn finish_at_once(
        &mut self,
        who: ServerId,
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), Violation> {
        while !self.server(who).disk.asked().is_empty() {
            inputs.push_back(self.saved(who)?);
        }
        if self.server(who).making.is_some() {
            let zxid = self.keep(who);
            inputs.push_back(Input::SnapshotMade { zxid });
        }
        while !self.server(who).reading.is_empty() {
            inputs.push_back(self.chunk(who));
        }
        Ok(())
    }

    /// A server has come to rest.
    fn rest(&mut self, who: ServerId) {
        self.server_mut(who).changed();
        let server = &self.servers[usize::from(who.0) - 1];
        let newest = self.ledger.agreed().last().map(|agreed| agreed.mark.zxid);
        let store = server.node.store();
        if Some(store.applied()) == newest && self.ledger.membership() != store.membership() {
            Arc::make_mut(&mut self.ledger).set_membership(store.membership());
        }
    }

    /// Does what a server wants done; gives what happens to the server because of it at once.
    fn perform(
        &mut self,
        who: ServerId,
        effect: Effect,
        notes: &mut Notes,
    ) -> Result<Option<Input>, Violation> {
        notes.tell(|| telling::effect(who, &effect));
        match effect {
            Effect::Reply { connection, reply } => self.reply(connection, &reply)?,
            Effect::Close { connection } => {
                if let Some(client) = self.client_mut(connection) {
                    client.lose();
                }
                return Ok(Some(Input::Closed { connection }));
            }
            Effect::Save { ticket, record } => self.ask_disk(who, Asked::Save { ticket, record }),
            Effect::MakeSnapshot { store } => self.server_mut(who).making = Some(Arc::from(store)),
            Effect::Send { to, message } => self.send(who, to, message, notes),
            Effect::ReadChunk { to, zxid, offset } => {
                self.server_mut(who).reading.push_back((to, zxid, offset));
            }
            Effect::TakeChunk {
                zxid,
                offset,
                bytes,
                extent,
            } => {
                let piece = Piece {
                    zxid,
                    bytes,
                    offset,
                    extent,
                };
                self.ask_disk(who, Asked::Take(piece));
            }
            Effect::Note(event) => {
                notes.mark(event.name());
                self.note(who, &event)?;
            }
        }
        Ok(None)
    }

    fn ask_disk(&mut self, who: ServerId, asked: Asked) {
        self.server_mut(who).disk.ask(asked);
    }

    fn client_mut(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        let clients = Arc::make_mut(&mut self.clients);
        clients.get_mut(usize::try_from(connection.0).ok()?.checked_sub(1)?)
    }

    fn reply(&mut self, connection: ConnectionId, reply: &Reply) -> Result<(), Violation> {
        let ledger = Arc::clone(&self.ledger);
        let Some(client) = self.client_mut(connection) else {
            let text = format!("{connection} does not exist and is answered");
            return Err(Violation::new("W3 order of replies", text));
        };
        if let Some(zxid) = client.told(reply, &ledger)? {
            drop(ledger);
            Arc::make_mut(&mut self.ledger).acknowledge(zxid);
        }
        Ok(())
    }

    fn send(&mut self, from: ServerId, to: ServerId, message: Message, notes: &mut Notes) {
        let is_there = to.0 >= 1 && to.0 <= self.rules.servers && to != from;
        assert!(is_there, "server {from} speaks to {to}");
        if !self.are_joined(from, to) {
            notes.mark("cut-off");
        } else if self.wire.len() >= self.rules.flight_max {
            notes.mark("overflowed");
        } else {
            let directory = self.server(from).disk.directory;
            let packet = Packet::new(from, directory, to, message);
            self.wire.push(Arc::new(packet));
        }
    }

    fn note(&mut self, who: ServerId, event: &Event) -> Result<(), Violation> {
        match *event {
            Event::Elected { epoch, leader } => {
                Arc::make_mut(&mut self.ledger).elected(epoch, leader)
            }
            Event::Executed { zxid, digest } => self.executed(who, zxid, digest),
            Event::Installed { zxid, digest } => {
                let server = self.server(who);
                let Some(mark) = server.disk.log.at(zxid) else {
                    let text = format!("{who} goes on from {zxid}, which its disk does not have");
                    return Err(Violation::new("I3 durability", text));
                };
                self.ledger.installed(who, mark, digest)
            }
            _ => Ok(()),
        }
    }

    fn executed(&mut self, who: ServerId, zxid: Zxid, tree: u128) -> Result<(), Violation> {
        let server = self.server(who);
        let Some(mark) = server.disk.log.at(zxid) else {
            let text = format!("{who} executed {zxid}, which its disk does not have");
            return Err(Violation::new("I3 durability", text));
        };
        let known_in = server.node.status().epoch;
        let agreed = Agreed {
            mark,
            tree,
            known_in,
        };
        let is_change = server.disk.log.entry(zxid).is_some_and(|entry| {
            let op = match &entry.txn.action {
                TxnAction::Write(op) => op,
                _ => return false,
            };
            matches!(op, Op::SetData { .. })
        });
        let membership = server.node.store().membership().clone();
        let ledger = Arc::make_mut(&mut self.ledger);
        // A write that was refused has a position, too, and changes nothing.
        let before = ledger.agreed().last().map(|agreed| agreed.tree);
        if ledger.executed(who, agreed)? {
            if is_change && before != Some(tree) {
                ledger.changed(zxid);
            }
            let holds = |id: ServerId| {
                let known = self.servers.get(usize::from(id.0) - 1);
                known.is_some_and(|server| server.disk.holds(mark))
            };
            if !membership.is_quorum(holds) {
                let text = format!("{who} executed {zxid}, which no quorum has saved");
                return Err(Violation::new("I3 quorum durability", text));
            }
        }
        Ok(())
    }
}
