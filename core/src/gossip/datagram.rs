//! One datagram: what it says, its bytes, and the mark that tells who may have written it.
//!
//! ```text
//! version 1 | sender | receiver | sender's incarnation | receiver's, as the sender believes
//! | number of the datagram | part of SWIM | news | mark, 32 bytes
//! ```

use alloc::vec::Vec;

use crate::codec::compact;
use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::gossip::incarnation::Incarnation;
use crate::gossip::key::{Key, MARK_BYTES};
use crate::gossip::news::{self, News};
use crate::gossip::pace::{DATAGRAM_BYTES_MAX, SWIM_BYTES_MAX};
use crate::ids::ServerId;

/// The version of the format. Who does not know it drops the datagram.
pub const VERSION: u8 = 1;

/// More bytes than the shortest news have; the count of the news in a datagram has one byte.
const NEWS_BYTES_MIN: usize = 32;

const _: () = assert!(DATAGRAM_BYTES_MAX / NEWS_BYTES_MIN < 128);

/// What one server sends to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// Who sends it.
    pub sender: ServerId,
    /// To whom.
    pub receiver: ServerId,
    /// The sender's life.
    pub incarnation: Incarnation,
    /// The newest life of the receiver that the sender knows of. Who reads here a life that is not
    /// its own, and newer, must outlive it to be believed.
    pub believed: Incarnation,
    /// Counts the datagrams of the sender's process to this receiver.
    pub number: u64,
    /// The part of SWIM; may be empty.
    pub swim: Vec<u8>,
    /// News of the sender and of others.
    pub news: Vec<News>,
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Refusal {
    /// It is too long, too short, or of another version.
    Foreign,
    /// The mark is not that of our key.
    Unauthentic,
    /// It is not for this server, or from one that does not belong to the ensemble.
    Misaddressed,
    /// It was heard before, or is too old to tell.
    Repeated,
    /// The mark is right, and the bytes are none of ours.
    Malformed,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 5] = [
        Refusal::Foreign,
        Refusal::Unauthentic,
        Refusal::Misaddressed,
        Refusal::Repeated,
        Refusal::Malformed,
    ];

    /// The name by which counters know it.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Foreign => "foreign",
            Refusal::Unauthentic => "unauthentic",
            Refusal::Misaddressed => "misaddressed",
            Refusal::Repeated => "repeated",
            Refusal::Malformed => "malformed",
        }
    }
}

impl Datagram {
    /// The bytes, marked with `key`. Of the news as many are taken as have room, and said how many.
    ///
    /// # Panics
    /// If the part of SWIM is longer than [`SWIM_BYTES_MAX`].
    pub fn seal(&self, key: &Key) -> (Vec<u8>, usize) {
        assert!(
            self.swim.len() <= SWIM_BYTES_MAX,
            "SWIM took more than its part"
        );
        let mut bytes = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        bytes.push(VERSION);
        news::put_server(&mut bytes, Some(self.sender));
        news::put_server(&mut bytes, Some(self.receiver));
        news::put_incarnation(&mut bytes, self.incarnation);
        news::put_incarnation(&mut bytes, self.believed);
        compact::put_number(&mut bytes, self.number);
        compact::put_bytes(&mut bytes, &self.swim);
        let counted_at = bytes.len();
        bytes.push(0);
        let mut taken = 0;
        for news in &self.news {
            let before = bytes.len();
            news.put(&mut bytes);
            if bytes.len() + MARK_BYTES > DATAGRAM_BYTES_MAX {
                bytes.truncate(before);
                break;
            }
            taken += 1;
        }
        bytes[counted_at] = u8::try_from(taken).expect("few news have room");
        let mark = key.mark(&bytes);
        bytes.extend_from_slice(&mark);
        (bytes, taken)
    }

    /// What the bytes say, if they are marked with `key` and are for `own`.
    ///
    /// # Errors
    /// Why they are to be dropped.
    pub fn open(bytes: &[u8], key: &Key, own: ServerId) -> Result<Datagram, Refusal> {
        if bytes.len() > DATAGRAM_BYTES_MAX || bytes.first() != Some(&VERSION) {
            return Err(Refusal::Foreign);
        }
        let (said, mark) = bytes
            .split_last_chunk::<MARK_BYTES>()
            .ok_or(Refusal::Foreign)?;
        if !key.knows(said, mark) {
            return Err(Refusal::Unauthentic);
        }
        let datagram = read(said).map_err(|_| Refusal::Malformed)?;
        match datagram.receiver == own && datagram.sender != own {
            true => Ok(datagram),
            false => Err(Refusal::Misaddressed),
        }
    }
}

fn read(said: &[u8]) -> Result<Datagram, Malformed> {
    let mut input = Cursor::new(said);
    compact::byte(&mut input, "version")?;
    let sender = named(&mut input, "sender")?;
    let receiver = named(&mut input, "receiver")?;
    let incarnation = news::incarnation(&mut input)?;
    let believed = news::incarnation(&mut input)?;
    let number = compact::number(&mut input, "number of the datagram")?;
    let at = input.malformed("part of SWIM");
    let swim = compact::bytes(&mut input, "part of SWIM")?.to_vec();
    if swim.len() > SWIM_BYTES_MAX {
        return Err(at);
    }
    let count = compact::count(&mut input, NEWS_BYTES_MIN, "news")?;
    let mut told = Vec::with_capacity(count);
    for _ in 0..count {
        told.push(News::read(&mut input)?);
    }
    input.end("end of the datagram")?;
    Ok(Datagram {
        sender,
        receiver,
        incarnation,
        believed,
        number,
        swim,
        news: told,
    })
}

fn named(input: &mut Cursor<'_>, what: &'static str) -> Result<ServerId, Malformed> {
    let at = input.malformed(what);
    news::server(input, what)?.ok_or(at)
}
