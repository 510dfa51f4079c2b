//! Names of things: servers, epochs, positions in the log, sessions, connections, saves.

use core::fmt;

/// A server of the ensemble: 1 to 255, ZooKeeper's `myid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerId(pub u8);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One data directory: 16 random bytes, drawn when the directory is first used and kept in it.
///
/// The ensemble remembers which directory speaks for which server. A server that comes back with
/// another one, having lost its disk, does not vote before the ensemble has agreed on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DirectoryId(pub u128);

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The reign of one leader; Raft's term, ZooKeeper's epoch. Zero is before the first election.
///
/// Jute's long is signed and the epoch is the upper half of a [`Zxid`], so it stays below 2^31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The largest epoch whose zxids are positive as a signed 64-bit number.
    pub const MAX: Epoch = Epoch(i32::MAX as u32);

    /// The epoch after this one.
    ///
    /// # Panics
    /// At [`Epoch::MAX`]: two thousand million elections are not reached in any life of an
    /// ensemble.
    pub fn next(self) -> Epoch {
        assert!(self < Epoch::MAX, "epochs are exhausted");
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A position in the log: epoch in the upper half, a dense counter in the lower half.
///
/// A new leader opens its epoch at counter 0. On the wire it is a jute long, as in ZooKeeper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before the first transaction.
    pub const ZERO: Zxid = Zxid(0);

    /// The position `counter` of `epoch`.
    pub const fn new(epoch: Epoch, counter: u32) -> Zxid {
        Zxid(((epoch.0 as u64) << 32) | counter as u64)
    }

    /// The reign in which the transaction was proposed.
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }

    /// The position within the epoch.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The position after this one in the same epoch; `None` when the counter is exhausted.
    pub fn next(self) -> Option<Zxid> {
        self.counter()
            .checked_add(1)
            .map(|counter| Zxid::new(self.epoch(), counter))
    }

    /// As it stands on the wire.
    pub const fn to_wire(self) -> i64 {
        self.0 as i64
    }

    /// From the wire. A negative number, which no server ever sends, becomes a position beyond all
    /// others, so that a client that claims to have seen it is refused.
    pub const fn from_wire(wire: i64) -> Zxid {
        Zxid(wire as u64)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch().0, self.counter())
    }
}

/// A client's session. Never zero, never used twice: it is the [`Zxid`] of the transaction that
/// opened the session, so no two servers and no two lives of a server can draw the same one. Only a
/// session of one server alone is opened by no transaction (see [`SessionId::local`]); it keeps its
/// id if the ensemble takes it over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub i64);

/// The bit that no position has.
const LOCAL: u64 = 1 << 63;

/// What is left of it for the number, beside eight for the server.
const LOCAL_NUMBER_BITS: u32 = 54;

impl SessionId {
    /// The session that the transaction at `zxid` opens.
    pub const fn opened_at(zxid: Zxid) -> SessionId {
        SessionId(zxid.to_wire())
    }

    /// The session with this number that a server opens for itself alone. It is negative, so no
    /// position is like it: no session that the ensemble opens ever has its id. Of the number the
    /// lower 54 bits count, which no life of a server exhausts.
    pub const fn local(server: ServerId, number: u64) -> SessionId {
        let number = number & ((1 << LOCAL_NUMBER_BITS) - 1);
        let server = (server.0 as u64) << LOCAL_NUMBER_BITS;
        SessionId((LOCAL | server | number).cast_signed())
    }

    /// Was it opened by one server alone? It may be a session of the ensemble by now.
    pub const fn is_local(self) -> bool {
        self.0 < 0
    }

    /// The server that opened it for itself alone; of a session that the ensemble has opened this
    /// tells nothing.
    pub const fn opener(self) -> ServerId {
        ServerId(((self.0.cast_unsigned() & !LOCAL) >> LOCAL_NUMBER_BITS) as u8)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A session's secret: 16 bytes of a cryptographic generator. Its debug output shows no byte of it.
#[derive(Clone, Copy)]
pub struct Password(pub [u8; 16]);

impl Password {
    /// What a refused or not yet opened session carries on the wire.
    pub const NONE: Password = Password([0; 16]);

    /// Compares in time that does not depend on where the passwords differ.
    pub fn matches(&self, offered: &[u8]) -> bool {
        offered.len() == self.0.len()
            && self
                .0
                .iter()
                .zip(offered)
                .fold(0, |differing, (a, b)| differing | (a ^ b))
                == 0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Password) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A client's connection to this server; numbered by the shell, never used twice in a server's
/// life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// A client's number for a request; the reply carries it back. Clients may repeat it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Xid(pub i32);

impl Xid {
    /// A watch event, which answers no request.
    pub const NOTIFICATION: Xid = Xid(-1);
    /// A heartbeat.
    pub const PING: Xid = Xid(-2);
    /// An `addAuth`.
    pub const AUTH: Xid = Xid(-4);
    /// Watches that are set again after a reconnect.
    pub const SET_WATCHES: Xid = Xid(-8);
}

/// Names the wish of one connection for a session, so that the server that asked for it recognises
/// the transaction which grants it, whoever proposed that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// The life of the server that asked: 64 random bits, drawn at its start.
    pub incarnation: u64,
    /// The connection of that server.
    pub connection: ConnectionId,
}

/// One request to save, and its answer. Saves complete in the order of `number`; `incarnation`
/// is drawn at a server's start, so a late answer of an earlier life is recognised and ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket {
    /// The life of the server that asked.
    pub incarnation: u64,
    /// Counts from 1 within the incarnation, without gaps.
    pub number: u64,
}
