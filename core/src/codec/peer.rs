//! What servers say to each other, as bytes. A link frames each message with its length.
//!
//! The format is our own, like that of the log: a byte says which message it is, and its fields
//! follow in the order of the table below. Every message has exactly one spelling.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::codec::compact;
use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::codec::record::{self, ENTRY_BYTES_MIN, TXN_BYTES_MIN};
use crate::ids::{Epoch, SessionId, Zxid};
use crate::quorum::log::Standing;
use crate::quorum::message::{Ballotting, Cause, Extent, Message, Vote};
use crate::store::txn::{Entry, Txn};

/// The version of this format; servers tell it when a link comes up.
pub const PEER_VERSION: u32 = 2;

/// The longest message that a link carries: the largest record of the log, and what else was
/// gathered before it. A longer frame is none of ours.
pub const MESSAGE_BYTES_MAX: usize = 96 * 1024 * 1024;

/// Writes and reads messages: number, name and fields of each. A number is never used again for
/// something else.
macro_rules! messages {
    ($($number:literal => $name:ident { $($field:ident),* })*) => {
        /// Appends a message.
        ///
        /// # Panics
        /// If it names an epoch beyond [`Epoch::MAX`]: there is none.
        pub fn encode_message(message: &Message, out: &mut Vec<u8>) {
            match message {
                $(Message::$name { $($field),* } => {
                    out.push($number);
                    $($field.put(out);)*
                })*
            }
        }

        /// Reads a message that fills `bytes`.
        ///
        /// # Errors
        /// If `bytes` are not one message.
        pub fn decode_message(bytes: &[u8]) -> Result<Message, Malformed> {
            let input = &mut Cursor::new(bytes);
            let at = input.malformed("message");
            let message = match compact::byte(input, "message")? {
                $($number => Message::$name { $($field: Field::read(input)?),* },)*
                _ => return Err(at),
            };
            input.end("end of the message")?;
            Ok(message)
        }
    };
}

messages! {
    1 => Greeting { epoch, last, standing }
    2 => VoteAsked { epoch, ballotting, cause, last, standing }
    3 => Voted { epoch, ballotting, vote }
    4 => Append { epoch, previous, committed, entries }
    5 => Appended { epoch, durable, standing }
    6 => Mismatched { epoch, previous, floor }
    7 => Beat { epoch, round, committed }
    8 => Beaten { epoch, round, applied, touched }
    9 => Chunk { epoch, zxid, offset, extent, bytes }
    10 => ChunkTaken { epoch, zxid, offset }
    11 => Forward { txns }
    12 => BarrierAsked { number, touched }
    13 => BarrierSet { number, zxid }
    14 => Succeed { epoch }
}

/// A field of a message.
trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn read(input: &mut Cursor<'_>) -> Result<Self, Malformed>;
}

/// Something of which a message holds many.
trait Item: Field {
    /// The fewest bytes that one takes.
    const BYTES_MIN: usize;
    const WHAT: &'static str;
}

/// A choice of two; the first is written as 1, the second as 2.
trait Choice: Copy + PartialEq {
    const BOTH: [Self; 2];
    const WHAT: &'static str;
}

impl Choice for Ballotting {
    const BOTH: [Ballotting; 2] = [Ballotting::Trial, Ballotting::Real];
    const WHAT: &'static str = "trial or real vote";
}

impl Choice for Cause {
    const BOTH: [Cause; 2] = [Cause::Silence, Cause::Succession];
    const WHAT: &'static str = "cause of a candidacy";
}

impl Choice for Vote {
    const BOTH: [Vote; 2] = [Vote::Given, Vote::Denied];
    const WHAT: &'static str = "vote";
}

impl Choice for Extent {
    const BOTH: [Extent; 2] = [Extent::More, Extent::Last];
    const WHAT: &'static str = "extent of a piece";
}

impl<C: Choice> Field for C {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match *self == C::BOTH[0] {
            true => 1,
            false => 2,
        });
    }

    fn read(input: &mut Cursor<'_>) -> Result<C, Malformed> {
        let at = input.malformed(C::WHAT);
        match compact::byte(input, C::WHAT)? {
            1 => Ok(C::BOTH[0]),
            2 => Ok(C::BOTH[1]),
            _ => Err(at),
        }
    }
}

impl Field for Epoch {
    fn put(&self, out: &mut Vec<u8>) {
        record::put_epoch(out, *self);
    }

    fn read(input: &mut Cursor<'_>) -> Result<Epoch, Malformed> {
        record::epoch(input)
    }
}

impl Field for Zxid {
    fn put(&self, out: &mut Vec<u8>) {
        record::put_zxid(out, *self);
    }

    fn read(input: &mut Cursor<'_>) -> Result<Zxid, Malformed> {
        record::zxid(input)
    }
}

impl Field for Standing {
    fn put(&self, out: &mut Vec<u8>) {
        record::put_standing(out, *self);
    }

    fn read(input: &mut Cursor<'_>) -> Result<Standing, Malformed> {
        record::standing(input)
    }
}

/// An offset, or what is only counted.
impl Field for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        compact::put_number(out, *self);
    }

    fn read(input: &mut Cursor<'_>) -> Result<u64, Malformed> {
        compact::number(input, "number")
    }
}

impl Field for SessionId {
    fn put(&self, out: &mut Vec<u8>) {
        compact::put_signed(out, self.0);
    }

    fn read(input: &mut Cursor<'_>) -> Result<SessionId, Malformed> {
        record::session(input)
    }
}

impl Item for SessionId {
    const BYTES_MIN: usize = 1;
    const WHAT: &'static str = "sessions";
}

impl Field for Entry {
    fn put(&self, out: &mut Vec<u8>) {
        record::put_entry(out, self);
    }

    fn read(input: &mut Cursor<'_>) -> Result<Entry, Malformed> {
        record::entry(input)
    }
}

impl Item for Entry {
    const BYTES_MIN: usize = ENTRY_BYTES_MIN;
    const WHAT: &'static str = "entries";
}

impl Field for Arc<Txn> {
    fn put(&self, out: &mut Vec<u8>) {
        record::put_txn(out, self);
    }

    fn read(input: &mut Cursor<'_>) -> Result<Arc<Txn>, Malformed> {
        record::txn(input).map(Arc::new)
    }
}

impl Item for Arc<Txn> {
    const BYTES_MIN: usize = TXN_BYTES_MIN;
    const WHAT: &'static str = "transactions";
}

impl<I: Item> Field for Vec<I> {
    fn put(&self, out: &mut Vec<u8>) {
        compact::put_count(out, self.len());
        self.iter().for_each(|item| item.put(out));
    }

    fn read(input: &mut Cursor<'_>) -> Result<Vec<I>, Malformed> {
        let count = compact::count(input, I::BYTES_MIN, I::WHAT)?;
        (0..count).map(|_| I::read(input)).collect()
    }
}

/// A piece of a snapshot.
impl Field for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        compact::put_bytes(out, self);
    }

    fn read(input: &mut Cursor<'_>) -> Result<Vec<u8>, Malformed> {
        compact::bytes(input, "piece of a snapshot").map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec;

    use proptest::collection::vec as many;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::store::txn::Action;
    use crate::strategies;
    use crate::time::WallTime;

    fn encoded(message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        encode_message(message, &mut out);
        out
    }

    /// A change of these bytes is a change of the format: then the version must change too.
    #[test]
    fn the_format() {
        let least = Arc::new(Txn {
            wall: WallTime(0),
            origin: None,
            identities: Arc::from([]),
            action: Action::Multi(Vec::new()),
        });
        let append = Message::Append {
            epoch: Epoch(300),
            previous: Zxid(4),
            entries: vec![Entry {
                zxid: Zxid(5),
                txn: least.clone(),
            }],
            committed: Zxid(3),
        };
        let expected = [4, 0xac, 2, 4, 3, 1, 5, 0, 0, 0, 6, 0];
        assert_eq!(encoded(&append), expected);
        let forward = Message::Forward { txns: vec![least] };
        assert_eq!(encoded(&forward), [11, 1, 0, 0, 0, 6, 0]);
        let asked = Message::VoteAsked {
            epoch: Epoch(7),
            ballotting: Ballotting::Trial,
            cause: Cause::Succession,
            last: Zxid(9),
            standing: Standing::Admitted,
        };
        assert_eq!(encoded(&asked), [2, 7, 1, 2, 9, 1]);
        let chunk = Message::Chunk {
            epoch: Epoch(7),
            zxid: Zxid(2),
            offset: 300,
            bytes: b"abc".to_vec(),
            extent: Extent::Last,
        };
        assert_eq!(encoded(&chunk), b"\x09\x07\x02\xac\x02\x02\x03abc");
        let beaten = Message::Beaten {
            epoch: Epoch(7),
            round: 1,
            applied: Zxid(2),
            touched: vec![SessionId(3), SessionId(-1)],
        };
        assert_eq!(encoded(&beaten), [8, 7, 1, 2, 2, 6, 1]);
        assert_eq!(PEER_VERSION, 2);
    }

    #[test]
    fn no_second_spelling() {
        assert!(decode_message(&[14, 5]).is_ok());
        assert!(decode_message(&[14, 0x85, 0]).is_err(), "a longer 5");
        assert!(decode_message(&[14, 5, 0]).is_err(), "a byte too many");
        let beyond = [14, 0x80, 0x80, 0x80, 0x80, 8];
        assert!(decode_message(&beyond).is_err(), "an epoch of 2^31");
        assert!(decode_message(&[3, 5, 1, 3]).is_err(), "a third vote");
        let many = [8, 7, 1, 2, 0xff, 0xff, 0xff, 0xff, 0xf];
        assert!(decode_message(&many).is_err(), "more than there can be");
    }

    /// The strategy that the properties draw from leaves none out.
    #[test]
    fn every_message_is_tried() {
        let mut runner = TestRunner::deterministic();
        let drawn = (0..1000).map(|_| {
            let drawn = strategies::message().new_tree(&mut runner);
            drawn.expect("nothing is filtered").current().name()
        });
        assert_eq!(drawn.collect::<BTreeSet<_>>().len(), 14);
    }

    fn same_bytes_again(bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(message) = decode_message(bytes) {
            prop_assert_eq!(encoded(&message), bytes);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn messages_come_back(message in strategies::message()) {
            prop_assert_eq!(decode_message(&encoded(&message)), Ok(message));
        }

        #[test]
        fn noise_never_panics(number in 0..16u8, bytes in many(any::<u8>(), 0..100)) {
            same_bytes_again(&bytes)?;
            same_bytes_again(&[&[number], &*bytes].concat())?;
        }

        /// What still decodes after damage is spelled exactly so.
        #[test]
        fn damage_never_panics(
            bytes in strategies::damaged(strategies::message().prop_map(|message| encoded(&message))),
        ) {
            same_bytes_again(&bytes)?;
        }
    }
}
