//! Whose a znode is that does not stay for ever: what ZooKeeper keeps as its `ephemeralOwner`.

use crate::ids::SessionId;

/// The longest time to live: what the 40 bits hold that ZooKeeper keeps for it, some 34 years.
pub const TTL_MS_MAX: u64 = (1 << 40) - 1;

/// The owner of every container.
const CONTAINER: i64 = i64::MIN;

/// What the upper 24 bits of the owner are if the lower 40 are a time to live. The 16 in the middle
/// number ZooKeeper's extensions, of which this is the first.
const TTL: u64 = 0xff_0000;

/// How long a znode lives that has no children and whose data is not set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ttl(u64);

impl Ttl {
    /// So many milliseconds, if that is from 1 to [`TTL_MS_MAX`].
    pub fn from_ms(ms: u64) -> Option<Ttl> {
        (1..=TTL_MS_MAX).contains(&ms).then_some(Ttl(ms))
    }

    /// In milliseconds.
    pub fn ms(self) -> u64 {
        self.0
    }
}

/// Whose a znode is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// It goes with this session.
    Session(SessionId),
    /// It goes when it has had children and they are gone.
    Container,
    /// It goes when it is childless and its data was not set for so long.
    Ttl(Ttl),
}

impl Owner {
    /// As it is kept; a Stat shows sessions only. No session has the number of another owner:
    /// theirs are positions of the log, or those of [`SessionId::local`], whose second bit is not
    /// set and which name a server.
    pub fn number(self) -> i64 {
        match self {
            Owner::Session(session) => session.0,
            Owner::Container => CONTAINER,
            Owner::Ttl(ttl) => (TTL << 40 | ttl.0) as i64,
        }
    }

    /// What a number other than 0 stands for.
    pub fn from_number(number: i64) -> Owner {
        let bits = number as u64;
        match Ttl::from_ms(bits & TTL_MS_MAX) {
            _ if number == CONTAINER => Owner::Container,
            Some(ttl) if bits >> 40 == TTL => Owner::Ttl(ttl),
            _ => Owner::Session(SessionId(number)),
        }
    }

    /// Is it a session?
    pub fn is_session(self) -> bool {
        matches!(self, Owner::Session(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ServerId;

    #[test]
    fn numbers_are_those_of_zookeeper() {
        let longest = Ttl::from_ms(TTL_MS_MAX).unwrap();
        for (owner, number) in [
            (Owner::Container, i64::MIN),
            (Owner::Ttl(Ttl(1)), 0xff00_0000_0000_0001_u64 as i64),
            (Owner::Ttl(longest), 0xff00_00ff_ffff_ffff_u64 as i64),
            (Owner::Session(SessionId(0x1_0000_0007)), 0x1_0000_0007),
        ] {
            assert_eq!(owner.number(), number);
            assert_eq!(Owner::from_number(number), owner);
        }
        for local in [(1, 0), (u8::MAX, u64::MAX)] {
            let (server, number) = (ServerId(local.0), local.1);
            let owner = Owner::Session(SessionId::local(server, number));
            assert_eq!(Owner::from_number(owner.number()), owner);
        }
        assert_eq!(Ttl::from_ms(0), None);
        assert_eq!(Ttl::from_ms(TTL_MS_MAX + 1), None);
        assert!(Owner::from_number(0xff00_0100_0000_0001_u64 as i64).is_session());
    }
}
