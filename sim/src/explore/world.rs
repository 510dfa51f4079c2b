//! An ensemble as a plain value: servers, disks, messages in flight, clients; and what one action
//! makes of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use althing_core::ids::{ConnectionId, ServerId};
use althing_core::node::input::Input;
use althing_core::node::reply::Reply;

use crate::explore::action::Action;
use crate::explore::bounds::{Counts, Rules};
use crate::explore::client::{Client, Want};
use crate::explore::digest::Digest;
use crate::explore::lab::Lab;
use crate::explore::ledger::{Agreed, Ledger};
use crate::explore::local::{self, Cue};
use crate::explore::played::{Outcome, Wish};
use crate::explore::server::{Power, Server};
use crate::explore::violation::Violation;
use crate::explore::wire::{Packet, Wire};
use crate::quorums::decide;

/// An ensemble, whole. Cloning it is cheap: what does not change is shared.
#[derive(Clone, Debug)]
pub struct World {
    rules: Arc<Rules>,
    servers: Vec<Arc<Server>>,
    wire: Wire,
    clients: Arc<Vec<Client>>,
    ledger: Arc<Ledger>,
    /// Pairs of servers between which nothing passes.
    cuts: Arc<Vec<(ServerId, ServerId)>>,
    spent: Counts,
}

impl World {
    /// Blank servers that have just started and are joined.
    pub fn new(rules: Rules, lab: &mut Lab) -> Result<World, Violation> {
        let servers = rules.all().map(|id| Arc::new(Server::new(id, &rules)));
        let mut world = World {
            servers: servers.collect(),
            rules: Arc::new(rules),
            wire: Wire::default(),
            clients: Arc::default(),
            ledger: Arc::default(),
            cuts: Arc::default(),
            spent: Counts::default(),
        };
        for a in world.rules.all() {
            for b in world.rules.all().filter(|b| *b > a) {
                world.join(a, b, lab)?;
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
    pub fn act(&mut self, action: &Action, lab: &mut Lab) -> Result<(), Violation> {
        if let Some(kind) = action.kind() {
            self.spent.count(kind);
        }
        match *action {
            Action::Deliver(index) => {
                let packet = self.wire.take(index);
                self.deliver(packet, lab)
            }
            Action::Double(index) => {
                let packet = Arc::clone(&self.wire.packets()[index]);
                self.deliver(packet, lab)
            }
            Action::Drop(index) => {
                self.wire.take(index);
                Ok(())
            }
            Action::Save(who) => self.cue(who, &Cue::Save, lab),
            Action::Refuse(who) => self.cue(who, &Cue::Refuse, lab),
            Action::Keep(who) => self.cue(who, &Cue::Keep, lab),
            Action::Waste(who) => self.cue(who, &Cue::Waste, lab),
            Action::Read(who) => self.cue(who, &Cue::Read, lab),
            Action::Miss(who) => self.cue(who, &Cue::Miss, lab),
            Action::Crash(who, kept) => self.crash(who, kept, lab),
            Action::Start(who) => self.start(who, lab),
            Action::Restart(who, kept) => {
                self.crash(who, kept, lab)?;
                self.start(who, lab)
            }
            Action::Replace(who) => {
                self.crash(who, 0, lab)?;
                self.cue(who, &Cue::LoseDisk, lab)?;
                Arc::make_mut(&mut self.ledger).lose_disk();
                self.start(who, lab)
            }
            Action::Wait(who) => self.cue(who, &Cue::Wait, lab),
            Action::Fire(who, timer) => self.cue(who, &Cue::Fire(timer), lab),
            Action::Suspect(who, other) => {
                // A server that has just heard its leader does not believe gossip.
                self.cue(who, &Cue::Wait, lab)?;
                self.step(who, Input::Suspected(other), lab)
            }
            Action::Flap(who, other) => {
                self.step(who, Input::PeerLost(other), lab)?;
                self.joined(who, other, lab)
            }
            Action::Open(server) => self.open(server, None, lab),
            Action::Move(client, server) => self.open(server, Some(client), lab),
            Action::Ask(client, want) => self.ask(client, want, lab),
            Action::Leave(client) => self.leave(client, lab),
            Action::Reconfigure(who, wish) => {
                let wish = self.rules.wishes[wish].clone();
                let (voters, learners) = (wish.voters, wish.learners);
                self.step(who, Input::Reconfigured { voters, learners }, lab)
            }
            Action::Stop(who) => self.step(who, Input::StopAsked, lab),
            Action::Cut(a, b) => self.cut(a, b, lab),
            Action::Join(a, b) => self.join(a, b, lab),
        }
    }

    fn deliver(&mut self, packet: Arc<Packet>, lab: &mut Lab) -> Result<(), Violation> {
        let to = packet.to;
        match self.server(to).power {
            Power::Off => Ok(()),
            Power::On => self.cue(to, &Cue::Packet(packet), lab),
        }
    }

    fn crash(&mut self, who: ServerId, kept: usize, lab: &mut Lab) -> Result<(), Violation> {
        if self.server(who).power == Power::Off {
            return Ok(());
        }
        self.cue(who, &Cue::Crash(kept), lab)?;
        if self.clients.iter().any(|client| client.server == who) {
            let clients = Arc::make_mut(&mut self.clients);
            let own = clients.iter_mut().filter(|client| client.server == who);
            own.for_each(Client::lose);
        }
        Ok(())
    }

    fn start(&mut self, who: ServerId, lab: &mut Lab) -> Result<(), Violation> {
        self.cue(who, &Cue::Start, lab)?;
        let rules = Arc::clone(&self.rules);
        for other in rules.all().filter(|other| *other != who) {
            if self.are_joined(who, other) {
                self.joined(who, other, lab)?;
                self.joined(other, who, lab)?;
            }
        }
        Ok(())
    }

    fn joined(&mut self, who: ServerId, server: ServerId, lab: &mut Lab) -> Result<(), Violation> {
        if self.server(server).power == Power::Off || self.server(who).power == Power::Off {
            return Ok(());
        }
        let directory = self.server(server).disk.directory;
        self.step(who, Input::PeerJoined { server, directory }, lab)
    }

    fn cut(&mut self, a: ServerId, b: ServerId, lab: &mut Lab) -> Result<(), Violation> {
        let pair = (a.min(b), a.max(b));
        if self.cuts.contains(&pair) {
            return Ok(());
        }
        Arc::make_mut(&mut self.cuts).push(pair);
        self.wire
            .lose(|packet| (packet.from.min(packet.to), packet.from.max(packet.to)) == pair);
        for (who, other) in [(a, b), (b, a)] {
            if self.server(who).power == Power::On {
                self.step(who, Input::PeerLost(other), lab)?;
            }
        }
        Ok(())
    }

    fn join(&mut self, a: ServerId, b: ServerId, lab: &mut Lab) -> Result<(), Violation> {
        let pair = (a.min(b), a.max(b));
        if self.cuts.contains(&pair) {
            Arc::make_mut(&mut self.cuts).retain(|other| *other != pair);
        }
        self.joined(a, b, lab)?;
        self.joined(b, a, lab)
    }

    fn open(
        &mut self,
        server: ServerId,
        former: Option<usize>,
        lab: &mut Lab,
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
            certified: None,
            request,
        };
        self.step(server, opened, lab)
    }

    fn ask(&mut self, client: usize, want: Want, lab: &mut Lab) -> Result<(), Violation> {
        let client = &mut Arc::make_mut(&mut self.clients)[client];
        let (xid, request) = client.ask(want, &self.ledger);
        let (server, connection) = (client.server, client.connection);
        let asked = Input::Asked {
            connection,
            xid,
            request,
        };
        self.step(server, asked, lab)
    }

    fn leave(&mut self, client: usize, lab: &mut Lab) -> Result<(), Violation> {
        let client = &mut Arc::make_mut(&mut self.clients)[client];
        client.lose();
        let (server, connection) = (client.server, client.connection);
        self.step(server, Input::Closed { connection }, lab)
    }

    fn step(&mut self, who: ServerId, input: Input, lab: &mut Lab) -> Result<(), Violation> {
        self.cue(who, &Cue::Input(input), lab)
    }

    /// Something happens to one server; the rest of the world learns what came of it.
    fn cue(&mut self, who: ServerId, cue: &Cue, lab: &mut Lab) -> Result<(), Violation> {
        let index = usize::from(who.0) - 1;
        let rules = Arc::clone(&self.rules);
        let played = local::play(&self.servers[index], cue, &rules, lab)?;
        self.servers[index] = Arc::clone(&played.server);
        for outcome in &played.outcomes {
            match outcome {
                Outcome::Mark(name) => lab.notes.mark(name),
                Outcome::Send(packet) => self.send(packet, lab),
                Outcome::Reply(connection, reply) => self.reply(*connection, reply)?,
                Outcome::Close(connection) => {
                    if let Some(client) = self.client_mut(*connection) {
                        client.lose();
                    }
                }
                Outcome::Elected(epoch, leader) => {
                    Arc::make_mut(&mut self.ledger).elected(*epoch, *leader)?;
                }
                Outcome::Executed(agreed, wish) => self.executed(who, *agreed, *wish)?,
                Outcome::Installed(mark, tree) => self.ledger.installed(who, *mark, *tree)?,
            }
        }
        let store = self.servers[index].node.store();
        let newest = self.ledger.agreed().last().map(|agreed| agreed.mark.zxid);
        if Some(store.applied()) == newest && self.ledger.membership() != store.membership() {
            Arc::make_mut(&mut self.ledger).set_membership(store.membership());
        }
        Ok(())
    }

    fn client_mut(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        let clients = Arc::make_mut(&mut self.clients);
        clients.get_mut(usize::try_from(connection.0).ok()?.checked_sub(1)?)
    }

    fn reply(&mut self, connection: ConnectionId, reply: &Reply) -> Result<(), Violation> {
        let ledger = Arc::clone(&self.ledger);
        let Some(client) = self.client_mut(connection) else {
            let text = format!("{connection} does not exist and is answered");
            return Err(Violation::new("W3 order", text));
        };
        if let Some(zxid) = client.told(reply, &ledger)? {
            drop(ledger);
            Arc::make_mut(&mut self.ledger).acknowledge(zxid);
        }
        Ok(())
    }

    fn send(&mut self, packet: &Arc<Packet>, lab: &mut Lab) {
        if !self.are_joined(packet.from, packet.to) {
            lab.notes.mark("cut-off");
        } else if self.wire.len() >= self.rules.flight_max {
            lab.notes.mark("overflowed");
        } else {
            self.wire.push(Arc::clone(packet));
        }
    }

    fn executed(&mut self, who: ServerId, agreed: Agreed, wish: Wish) -> Result<(), Violation> {
        let ledger = Arc::make_mut(&mut self.ledger);
        // A write that was refused has a position, too, and changes nothing.
        let before = ledger.agreed().last().map(|agreed| agreed.tree);
        if !ledger.executed(who, agreed)? {
            return Ok(());
        }
        match wish {
            Wish::Change if before != Some(agreed.tree) => ledger.changed(agreed.mark.zxid),
            Wish::Marked(mark) => ledger.mark(mark, agreed.mark.zxid)?,
            Wish::Change | Wish::Other => {}
        }
        // The word of a disk that was lost meanwhile still counts: elections heed that it is gone.
        if ledger.disks_lost() > 0 {
            return Ok(());
        }
        let holds = |id: ServerId| {
            let known = self.servers.get(usize::from(id.0) - 1);
            known.is_some_and(|server| server.disk.holds(agreed.mark))
        };
        let membership = self.server(who).node.store().membership();
        if !decide(membership, holds) {
            let zxid = agreed.mark.zxid;
            let text = format!("{who} executed {zxid}, which no quorum has saved");
            return Err(Violation::new("I3 durability", text));
        }
        Ok(())
    }
}
