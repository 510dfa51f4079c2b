//! The network: byte streams between machines as TCP would carry them, and what befalls them.
//!
//! Bytes that are written travel as a packet with a delay of their own, in order. A packet that is
//! lost, or meets a cut, is sent again with back-off; after [`GIVE_UP`] without progress its
//! sender's end fails. A window bounds what is on the way and not yet read, so a writer waits for
//! its reader. A killed process resets its streams, if the packet that says so gets through; a
//! machine without power says nothing, and what it had forgotten is answered by a reset when it is
//! back. What nobody is told stays half-open.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::plan::{Direction, Weather};
use crate::random::{Stream, Streams};
use crate::world::agenda::Agenda;
use crate::world::connection::{
    Connection, Content, End, MachineId, Packet, Pipe, Side, TakenIn, Wakes,
};
use crate::world::datagrams::Datagrams;
use crate::world::ether::{Ether, GIVE_UP, RETRY_FIRST, RETRY_MAX};

/// Bytes of one direction of a stream that are written and not yet read: a modest TCP window, so
/// that slow readers are felt.
pub const WINDOW_BYTES: usize = 64 * 1024;
/// The first wait before a connection is asked for again: Linux's.
const SYN_RETRY_FIRST: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted; more are not answered, as with a full backlog.
const BACKLOG_MAX: usize = 128;

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// It is killed: its machine resets its streams.
    Killed,
    /// Its machine loses power and says nothing.
    PowerLost,
}

/// Where a process listens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Port {
    /// For clients.
    Clients,
    /// For the other servers.
    Peers,
    /// A process of a test, at a number of its choice.
    Number(u16),
}

/// A stream's number holds its machine above these bits, and how manieth it is of it below.
const MACHINE_SHIFT: u32 = 40;

/// Who listens at one port of a machine.
#[derive(Default)]
struct Listener {
    /// The connections that wait to be accepted, if a process listens.
    backlog: Option<VecDeque<u64>>,
    acceptor: Option<Waker>,
    /// How often a process has begun to listen here.
    listened: u64,
}

struct State {
    ether: Ether,
    /// Of each machine, by its port.
    listeners: Vec<BTreeMap<Port, Listener>>,
    connections: BTreeMap<u64, Connection>,
    /// How many streams each machine has begun.
    connected: BTreeMap<MachineId, u64>,
    datagrams: Datagrams,
}

/// A handle; all clones are the same network.
#[derive(Clone)]
pub struct Net {
    agenda: Agenda,
    streams: Streams,
    state: Arc<Mutex<State>>,
}

impl Net {
    /// A network without machines.
    pub fn new(agenda: Agenda, streams: Streams, weather: &Weather) -> Net {
        Net {
            agenda,
            streams,
            state: Arc::new(Mutex::new(State {
                ether: Ether::new(weather),
                listeners: Vec::new(),
                connections: BTreeMap::new(),
                connected: BTreeMap::new(),
                datagrams: Datagrams::default(),
            })),
        }
    }

    /// The machine with this name; it comes about, with power and without a listener, when it is
    /// first asked for.
    pub fn machine(&self, name: &str) -> MachineId {
        let mut state = self.state();
        state.ether.find(name).unwrap_or_else(|| {
            state.listeners.push(Default::default());
            state.ether.add(name)
        })
    }

    /// The machine with this name, if there is one.
    pub fn find(&self, name: &str) -> Option<MachineId> {
        self.state().ether.find(name)
    }

    /// A machine's address.
    pub fn address(&self, machine: MachineId) -> IpAddr {
        let [high, low] = (machine.0 as u16).to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
    }

    /// A process on this machine listens.
    pub fn listen(&self, machine: MachineId, port: Port) {
        let mut state = self.state();
        let listener = state.listener(machine, port);
        if listener.backlog.is_none() {
            listener.backlog = Some(VecDeque::new());
            listener.listened += 1;
        }
    }

    /// A process on this machine listens where nobody did; the number of this listening.
    ///
    /// # Errors
    /// `AddrInUse` if somebody listens there.
    pub fn listen_alone(&self, machine: MachineId, port: Port) -> io::Result<u64> {
        if self.state().listener(machine, port).backlog.is_some() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.listen(machine, port);
        Ok(self.state().listener(machine, port).listened)
    }

    /// This listening ends, if it has not ended yet; what waits to be accepted is closed.
    pub fn stop_listening(&self, machine: MachineId, port: Port, number: u64) {
        let mut state = self.state();
        let listener = state.listener(machine, port);
        if listener.listened != number {
            return;
        }
        let waiting = listener.backlog.take();
        drop(state);
        for connection in waiting.into_iter().flatten() {
            self.close(connection, Side::Server);
        }
    }

    /// The machine has power.
    pub fn power_on(&self, machine: MachineId) {
        *self.state().ether.power(machine) = true;
    }

    /// The process on this machine ends, and with it its ends of all streams.
    pub fn end_process(&self, machine: MachineId, death: Death) {
        let mut wakes = Wakes::default();
        let mut state = self.state();
        for listener in state.listeners[machine.0].values_mut() {
            listener.backlog = None;
            wakes.add(&mut listener.acceptor);
        }
        state.datagrams.close(machine, &mut wakes);
        *state.ether.power(machine) = death == Death::Killed;
        for (number, side) in state.held_by(machine) {
            let connection = state.connection(number);
            let end = connection.end(side);
            end.held = false;
            end.inbox.clear();
            let pipe = connection.pipe(side);
            if pipe.tries > 0 {
                // The kernel no longer sends again what had not arrived.
                pipe.clear();
            }
            if death == Death::Killed {
                self.send(&mut state, number, side, Content::Reset);
            }
            state.forget_if_over(number);
        }
        drop(state);
        wakes.call();
    }

    /// Resets all streams of this machine, at both ends.
    pub fn reset(&self, machine: MachineId) -> usize {
        let mut wakes = Wakes::default();
        let mut state = self.state();
        let held = state.held_by(machine);
        for (number, side) in &held {
            let connection = state.connection(*number);
            connection.fail(*side, io::ErrorKind::ConnectionReset, &mut wakes);
            connection.fail(side.other(), io::ErrorKind::ConnectionReset, &mut wakes);
        }
        drop(state);
        wakes.call();
        held.len()
    }

    /// Cuts a machine off from all others.
    pub fn cut(&self, machine: MachineId, direction: Direction) {
        self.state().ether.cut(machine, direction);
    }

    /// Takes one cut back.
    pub fn mend(&self, machine: MachineId, direction: Direction) {
        self.state().ether.mend(machine, direction);
    }

    /// Cuts the way from one machine to another.
    pub fn cut_way(&self, from: MachineId, to: MachineId) {
        self.state().ether.cut_way(from, to);
    }

    /// Takes one [`Net::cut_way`] back.
    pub fn mend_way(&self, from: MachineId, to: MachineId) {
        self.state().ether.mend_way(from, to);
    }

    /// Makes every packet from and to a machine take longer.
    pub fn slow(&self, machine: MachineId, by: Duration) {
        *self.state().ether.slower(machine) += by;
    }

    /// Takes that back.
    pub fn hasten(&self, machine: MachineId, by: Duration) {
        *self.state().ether.slower(machine) -= by;
    }

    /// Forgets all streams, so that nothing keeps their owners alive.
    pub fn clear(&self) {
        let mut state = self.state();
        let connections = std::mem::take(&mut state.connections);
        let datagrams = std::mem::take(&mut state.datagrams);
        drop(state);
        drop((connections, datagrams));
    }

    /// Connects; the number of the new stream, of which the caller holds the client's end.
    ///
    /// # Errors
    /// `ConnectionRefused` if nobody listens there; `TimedOut` if no answer comes.
    pub async fn connect(&self, from: MachineId, to: MachineId, port: Port) -> io::Result<u64> {
        let begun = self.agenda.now();
        let (mut random, number) = {
            let mut state = self.state();
            let begun = state.connected.entry(from).or_default();
            *begun += 1;
            // Counted machine by machine, so that nobody's streams depend on those of others.
            let ordinal = *begun;
            let name = format!("network.{}.{ordinal}", state.ether.name(from));
            let number = ((from.0 as u64) << MACHINE_SHIFT) + ordinal;
            (self.streams.fork(&name), number)
        };
        let mut wait = SYN_RETRY_FIRST;
        loop {
            let (there, back) = {
                let state = self.state();
                let there = state.ether.delay(from, to, &mut random);
                (there, state.ether.delay(to, from, &mut random))
            };
            self.agenda.sleep(there).await;
            match self.answer(from, to, port) {
                Answer::Accepted => {
                    self.establish(number, from, to, port, &random);
                    // The caller's end must be given up if it loses patience while the answer is
                    // still on its way.
                    let guard = CloseOnDrop { net: self, number };
                    self.agenda.sleep(back).await;
                    std::mem::forget(guard);
                    return Ok(number);
                }
                Answer::Refused => {
                    self.agenda.sleep(back).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Answer::None if self.agenda.now() - begun >= GIVE_UP => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Answer::None => {
                    self.agenda.sleep(wait).await;
                    wait *= 2;
                }
            }
        }
    }

    /// The next connection to the process on `machine`, whose server's end the caller holds from
    /// then on. Pending for ever once the process has ended.
    pub fn poll_accept(
        &self,
        machine: MachineId,
        port: Port,
        context: &mut Context<'_>,
    ) -> Poll<(u64, SocketAddr)> {
        let mut state = self.state();
        let listener = state.listener(machine, port);
        match listener.backlog.as_mut().and_then(VecDeque::pop_front) {
            Some(number) => {
                let client = state.connection(number).ends[0].machine;
                let port = 32_768 + (number % 28_000) as u16;
                Poll::Ready((number, SocketAddr::new(self.address(client), port)))
            }
            None => {
                listener.acceptor = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Reads what has arrived, at most `bytes`; nothing at the end of the stream.
    pub fn poll_read(
        &self,
        number: u64,
        side: Side,
        context: &mut Context<'_>,
        take: impl FnOnce(&mut VecDeque<u8>, &mut Stream),
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let connection = state.connection(number);
        let Connection { ends, random, .. } = connection;
        let end = &mut ends[side as usize];
        if !end.inbox.is_empty() {
            take(&mut end.inbox, random);
            let mut wakes = Wakes::default();
            wakes.add(&mut connection.end(side.other()).writer);
            drop(state);
            wakes.call();
            return Poll::Ready(Ok(()));
        }
        if let Some(failed) = end.failed {
            return Poll::Ready(Err(failed.into()));
        }
        if end.finished_reading {
            return Poll::Ready(Ok(()));
        }
        end.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Sends a beginning of `bytes`, as much as the window has room for.
    pub fn poll_write(
        &self,
        number: u64,
        side: Side,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let connection = state.connection(number);
        let unread = connection.end(side.other()).inbox.len();
        let room = WINDOW_BYTES.saturating_sub(connection.pipe(side).bytes + unread);
        let end = connection.end(side);
        if let Some(failed) = end.failed {
            return Poll::Ready(Err(failed.into()));
        }
        if end.finished_writing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if room == 0 {
            end.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let sent = room.min(bytes.len());
        let content = Content::Bytes(bytes[..sent].to_vec());
        self.send(&mut state, number, side, content);
        Poll::Ready(Ok(sent))
    }

    /// Ends what this side writes.
    pub fn shut_down(&self, number: u64, side: Side) {
        let mut state = self.state();
        let end = state.connection(number).end(side);
        if end.failed.is_none() && !end.finished_writing {
            end.finished_writing = true;
            self.send(&mut state, number, side, Content::Fin);
        }
    }

    /// The process lets go of its end: the other side reads the end of the stream, or a reset if
    /// something was left unread.
    pub fn close(&self, number: u64, side: Side) {
        let mut state = self.state();
        let Some(connection) = state.connections.get_mut(&number) else {
            return;
        };
        let end = connection.end(side);
        if !end.held {
            return;
        }
        end.held = false;
        let unread = !end.inbox.is_empty();
        end.inbox.clear();
        if end.failed.is_none() {
            match (unread, end.finished_writing) {
                (true, _) => self.send(&mut state, number, side, Content::Reset),
                (false, false) => self.send(&mut state, number, side, Content::Fin),
                (false, true) => {}
            }
        }
        state.forget_if_over(number);
    }

    /// Sends a datagram. It may get lost, and nobody is told.
    pub fn send_datagram(&self, from: MachineId, to: MachineId, bytes: &[u8]) {
        let mut state = self.state();
        if !state.ether.passes(from, to) {
            return;
        }
        let State {
            ether, datagrams, ..
        } = &mut *state;
        let name = || format!("datagrams.{}.{}", ether.name(from), ether.name(to));
        let random = datagrams.way(from, to, self.streams, name);
        for delay in ether.copies(from, to, random) {
            let (net, bytes) = (self.clone(), bytes.to_vec());
            let arrives = self.agenda.now() + delay;
            self.agenda.at(arrives, move || {
                let mut wakes = Wakes::default();
                let mut state = net.state();
                if state.ether.passes(from, to) && state.ether.is_powered(to) {
                    state.datagrams.take_in(to, bytes, &mut wakes);
                }
                drop(state);
                wakes.call();
            });
        }
    }

    /// The next datagram that comes to the process on `machine`.
    pub fn poll_datagram(&self, machine: MachineId, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        self.state().datagrams.poll(machine, context)
    }

    fn answer(&self, from: MachineId, to: MachineId, port: Port) -> Answer {
        let mut state = self.state();
        let ether = &state.ether;
        if !ether.passes(from, to) || !ether.passes(to, from) || !ether.is_powered(to) {
            return Answer::None;
        }
        match &state.listener(to, port).backlog {
            None => Answer::Refused,
            Some(backlog) if backlog.len() >= BACKLOG_MAX => Answer::None,
            Some(_) => Answer::Accepted,
        }
    }

    fn establish(&self, number: u64, from: MachineId, to: MachineId, port: Port, random: &Stream) {
        let mut wakes = Wakes::default();
        let mut state = self.state();
        let connection = Connection {
            ends: [End::new(from), End::new(to)],
            pipes: [Pipe::default(), Pipe::default()],
            random: random.clone(),
        };
        state.connections.insert(number, connection);
        let listener = state.listener(to, port);
        let backlog = listener.backlog.as_mut().expect("somebody listens");
        backlog.push_back(number);
        wakes.add(&mut listener.acceptor);
        drop(state);
        wakes.call();
    }

    fn send(&self, state: &mut State, number: u64, side: Side, content: Content) {
        let now = self.agenda.now();
        let (from, to) = state.connection(number).machines(side);
        let lost = !state.ether.passes(from, to);
        if lost && matches!(content, Content::Reset) {
            // Nobody sends a reset again.
            return;
        }
        let (ether, connection) = state.on_the_way(number);
        let delay = ether.delay(from, to, &mut connection.random);
        let pipe = connection.pipe(side);
        if let Content::Bytes(bytes) = &content {
            pipe.bytes += bytes.len();
        }
        let arrives = (now + delay).max(pipe.arrived_last);
        pipe.arrived_last = arrives;
        pipe.on_the_way.push_back(Packet {
            content,
            arrives,
            lost,
        });
        if !pipe.scheduled {
            pipe.scheduled = true;
            self.schedule(number, side, arrives);
        }
    }

    fn schedule(&self, number: u64, side: Side, at: Duration) {
        let net = self.clone();
        self.agenda.at(at, move || net.arrive(number, side));
    }

    /// What `side` has sent arrives, up to what is still on the way.
    fn arrive(&self, number: u64, side: Side) {
        let now = self.agenda.now();
        let mut wakes = Wakes::default();
        let mut state = self.state();
        let Some(connection) = state.connections.get_mut(&number) else {
            return;
        };
        connection.pipe(side).scheduled = false;
        let (from, to) = connection.machines(side);
        let passes = state.ether.passes(from, to) && state.ether.is_powered(to);
        let connection = state.connection(number);
        if passes && connection.pipe(side).tries > 0 {
            connection.pipe(side).nothing_is_lost();
        }
        while let Some(packet) = connection.pipes[side as usize].on_the_way.front_mut() {
            if packet.arrives > now {
                let at = packet.arrives;
                connection.pipe(side).scheduled = true;
                self.schedule(number, side, at);
                break;
            }
            let lost = std::mem::take(&mut packet.lost);
            if lost || !passes {
                self.retry(connection, number, side, &mut wakes);
                break;
            }
            if connection.take_in(side, &mut wakes) == TakenIn::ByNobody {
                self.answer_with_reset(&mut state, number, side);
                break;
            }
        }
        state.forget_if_over(number);
        drop(state);
        wakes.call();
    }

    /// The first packet of what `side` has sent did not arrive.
    fn retry(&self, connection: &mut Connection, number: u64, side: Side, wakes: &mut Wakes) {
        let now = self.agenda.now();
        let sender_lives = connection.end(side).held;
        let pipe = connection.pipe(side);
        let since = *pipe.stuck_since.get_or_insert(now);
        let resets = matches!(
            pipe.on_the_way.front(),
            Some(Packet {
                content: Content::Reset,
                ..
            })
        );
        if resets || now - since >= GIVE_UP {
            pipe.clear();
            if sender_lives {
                connection.fail(side, io::ErrorKind::TimedOut, wakes);
            }
            return;
        }
        let wait = RETRY_FIRST
            .saturating_mul(1 << pipe.tries.min(8))
            .min(RETRY_MAX);
        pipe.tries += 1;
        pipe.scheduled = true;
        self.schedule(number, side, now + wait);
    }

    /// Bytes came for an end that no process holds any more: its machine says so.
    fn answer_with_reset(&self, state: &mut State, number: u64, side: Side) {
        state.connection(number).pipe(side).clear();
        let (sender, receiver) = state.connection(number).machines(side);
        if !state.ether.passes(receiver, sender) {
            return;
        }
        let (ether, connection) = state.on_the_way(number);
        let delay = ether.delay(receiver, sender, &mut connection.random);
        let net = self.clone();
        self.agenda.at(self.agenda.now() + delay, move || {
            let mut wakes = Wakes::default();
            let mut state = net.state();
            if let Some(connection) = state.connections.get_mut(&number) {
                connection.fail(side, io::ErrorKind::ConnectionReset, &mut wakes);
            }
            drop(state);
            wakes.call();
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic within the network")
    }
}

enum Answer {
    Accepted,
    Refused,
    None,
}

struct CloseOnDrop<'a> {
    net: &'a Net,
    number: u64,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.net.close(self.number, Side::Client);
    }
}

impl State {
    fn listener(&mut self, machine: MachineId, port: Port) -> &mut Listener {
        self.listeners[machine.0].entry(port).or_default()
    }

    fn connection(&mut self, number: u64) -> &mut Connection {
        self.connections
            .get_mut(&number)
            .expect("a stream is there as long as one of its ends is held")
    }

    /// What a packet of a stream meets, and the stream.
    fn on_the_way(&mut self, number: u64) -> (&Ether, &mut Connection) {
        let connection = self.connections.get_mut(&number);
        (&self.ether, connection.expect("a stream that is there"))
    }

    fn held_by(&self, machine: MachineId) -> Vec<(u64, Side)> {
        let mut held = Vec::new();
        for (number, connection) in &self.connections {
            for side in [Side::Client, Side::Server] {
                let end = &connection.ends[side as usize];
                if end.held && end.machine == machine {
                    held.push((*number, side));
                }
            }
        }
        held
    }

    fn forget_if_over(&mut self, number: u64) {
        if let Some(connection) = self.connections.get(&number) {
            let held = connection.ends.iter().any(|end| end.held);
            let moving = connection.pipes.iter().any(|pipe| pipe.scheduled);
            if !held && !moving {
                self.connections.remove(&number);
            }
        }
    }
}
