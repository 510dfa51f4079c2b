//! The transactions of one file of ZooKeeper's log, and how it ends.
//!
//! After a head (`ZKLG`, the version, the number of the database) comes record after record: the
//! Adler-32 of a transaction, its length, itself, and a mark. Files are made longer in advance, so
//! a record of zeros is the end. What an interrupted write leaves, a record without its mark, is
//! taken for the end by ZooKeeper itself, in whichever file it stands: after a crash it goes on in
//! another one. A whole record with a wrong checksum it refuses, and so do we. What ZooKeeper does
//! not look at is what stands behind the end; here that is told ([`Ending::behind`]), since it may
//! have been acknowledged and lost.

use std::io::Read;

use simd_adler32::adler32;

use crate::zookeeper::source::{Fault, Source};
use crate::zookeeper::txn::{self, TXN_BYTES_MAX, Txn};

/// How a log begins.
pub const MAGIC: [u8; 4] = *b"ZKLG";

/// The version of the format.
pub const VERSION: i32 = 2;

/// The mark behind each record.
const MARK: u8 = b'B';

/// Files are searched for what stands behind their ends in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Checksum and length.
const HEAD_BYTES: usize = 12;

/// How a file ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Where the last whole record ends.
    pub at: u64,
    /// Does an unfinished record stand there?
    pub tail: Tail,
    /// Where something stands that is not zero, behind the end and behind what belongs to an
    /// unfinished record.
    pub behind: Option<u64>,
}

/// What stands at the end of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// A record that was never finished.
    Torn,
}

/// What stands at the place of a record.
enum Next {
    Txn(Box<Txn>),
    End(Tail),
}

/// Gives each transaction of `input` to `each`, with the place of its record.
///
/// # Errors
/// If it is no log, a record is damaged, or `each` says so.
pub fn read(
    input: impl Read,
    mut each: impl FnMut(u64, Txn) -> Result<(), Fault>,
) -> Result<Ending, Fault> {
    let mut source = Source::new(input, 0);
    head(&mut source)?;
    loop {
        let at = source.offset();
        match record(&mut source)? {
            Next::Txn(txn) => each(at, *txn)?,
            Next::End(tail) => {
                let behind = not_zero(&mut source)?;
                return Ok(Ending { at, tail, behind });
            }
        }
    }
}

fn head(source: &mut Source<impl Read>) -> Result<(), Fault> {
    let magic: [u8; 4] = source.array("the head of a log")?;
    if magic != MAGIC {
        return Err(Fault::wrong(0, "this is not the head of a transaction log"));
    }
    let version = source.int("the head of a log")?;
    if version != VERSION {
        let what = format!("version {version} of the log's format; known is {VERSION}");
        return Err(Fault::wrong(4, what));
    }
    source.long("the head of a log").map(|_| ())
}

fn record(source: &mut Source<impl Read>) -> Result<Next, Fault> {
    let at = source.offset();
    let head = source.some(HEAD_BYTES, "a record")?;
    let Some((checksum, length)) = head.split_first_chunk::<8>() else {
        return Ok(Next::End(tail_of(&head)));
    };
    let Ok(length) = <[u8; 4]>::try_from(length) else {
        return Ok(Next::End(tail_of(&head)));
    };
    let checksum = i64::from_be_bytes(*checksum);
    let length = match usize::try_from(i32::from_be_bytes(length)) {
        Ok(0) => return Ok(Next::End(tail_of(&head))),
        Ok(length) if length <= TXN_BYTES_MAX => length,
        _ => {
            let length = i32::from_be_bytes(length);
            let what = format!("a record of {length} bytes; none is longer than {TXN_BYTES_MAX}");
            return Err(Fault::wrong(at, what));
        }
    };
    let mut bytes = source.some(length + 1, "a record")?;
    if bytes.len() <= length || bytes.pop() != Some(MARK) {
        return Ok(Next::End(Tail::Torn));
    }
    if i64::from(adler32(&&*bytes)) != checksum {
        return Err(Fault::wrong(at, "a record's checksum is wrong"));
    }
    let txn = txn::decode(&bytes, at + HEAD_BYTES as u64)?;
    Ok(Next::Txn(Box::new(txn)))
}

/// What begins so and is no record.
fn tail_of(bytes: &[u8]) -> Tail {
    match bytes.iter().all(|byte| *byte == 0) {
        true => Tail::Clean,
        false => Tail::Torn,
    }
}

/// Where the first byte stands that is not zero.
fn not_zero(source: &mut Source<impl Read>) -> Result<Option<u64>, Fault> {
    loop {
        let at = source.offset();
        let bytes = source.some(PIECE_BYTES, "the end")?;
        if let Some(before) = bytes.iter().position(|byte| *byte != 0) {
            return Ok(Some(at + before as u64));
        }
        if bytes.len() < PIECE_BYTES {
            return Ok(None);
        }
    }
}

/// A log with these transactions, as ZooKeeper writes it, for tests.
#[cfg(test)]
pub fn written(txns: &[Vec<u8>]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_be_bytes());
    out.extend(0_i64.to_be_bytes());
    for txn in txns {
        out.extend(i64::from(adler32(&&**txn)).to_be_bytes());
        out.extend((txn.len() as i32).to_be_bytes());
        out.extend(txn);
        out.push(MARK);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    use crate::zookeeper::txn::Change;

    /// A session that opens with a time-out of 4 s, at this position.
    fn opens(zxid: i64) -> Vec<u8> {
        let mut txn = 7_i64.to_be_bytes().to_vec();
        txn.extend(0_i32.to_be_bytes());
        txn.extend(zxid.to_be_bytes());
        txn.extend(1_000_i64.to_be_bytes());
        txn.extend((-10_i32).to_be_bytes());
        txn.extend(4_000_i32.to_be_bytes());
        txn.extend(2_i32.to_be_bytes());
        txn.extend(99_i64.to_be_bytes());
        txn
    }

    fn positions(bytes: &[u8]) -> Result<(Vec<i64>, Ending), Fault> {
        let mut positions = Vec::new();
        let ending = read(bytes, |_, txn| {
            assert_eq!(txn.change, Change::OpenSession { timeout_ms: 4_000 });
            assert_eq!(txn.digest, Some(99));
            positions.push(txn.zxid);
            Ok(())
        })?;
        Ok((positions, ending))
    }

    #[test]
    fn a_log_is_read_to_its_end_whatever_padding_it_has() {
        let bytes = written(&[opens(1), opens(2)]);
        for padding in [0, 1, 11, 12, 13, 100_000] {
            let padded = [&*bytes, &vec![0; padding]].concat();
            let (read, ending) = positions(&padded).unwrap();
            assert_eq!(read, [1, 2]);
            let (at, tail, behind) = (bytes.len() as u64, Tail::Clean, None);
            assert_eq!(ending, Ending { at, tail, behind }, "{padding}");
        }
    }

    #[test]
    fn an_unfinished_record_is_the_end_and_what_stands_behind_it_is_told() {
        let whole = written(&[opens(1)]);
        let bytes = written(&[opens(1), opens(2)]);
        for cut in whole.len() + 1..bytes.len() {
            for padding in [0, 200] {
                let torn = [&bytes[..cut], &vec![0; padding]].concat();
                let (read, ending) = positions(&torn).unwrap();
                assert_eq!((read, ending.behind), (vec![1], None), "{cut}");
                assert_eq!(ending.at, whole.len() as u64);
                assert_eq!(ending.tail, tail_of(&bytes[whole.len()..cut]), "{cut}");
            }
        }
        let hole = [&*whole, &[0; 40], b"x", &[0; 40]].concat();
        let (_, ending) = positions(&hole).unwrap();
        assert_eq!(ending.behind, Some(whole.len() as u64 + 40));
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let bytes = written(&[opens(1), opens(2)]);
        let second = written(&[opens(1)]).len();
        let damaged = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            positions(&bytes).unwrap_err().to_string()
        };
        assert!(damaged(0).contains("at byte 0: this is not the head"));
        assert!(damaged(7).contains("at byte 4: version 3"));
        let told = damaged(second + HEAD_BYTES + 3);
        let expected = format!("at byte {second}: a record's checksum is wrong");
        assert_eq!(told, expected);
        let mut negative = bytes.clone();
        negative[second + 8] = 0xff;
        let told = positions(&negative).unwrap_err().to_string();
        let expected = format!("at byte {second}: a record of -");
        assert!(told.starts_with(&expected), "{told}");
    }

    proptest! {
        #[test]
        fn damaged_logs_never_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = written(&[opens(1), opens(2), opens(3)]);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let length = bytes.len() as u64;
            match read(&*bytes, |_, _| Ok(())) {
                Ok(ending) => prop_assert!(ending.at <= length),
                Err(Fault::Wrong { offset, .. } | Fault::Ended { offset, .. }) => {
                    prop_assert!(offset <= length);
                }
                Err(Fault::Io(error)) => panic!("{error}"),
            }
        }

        /// The checksum holds, so every field is reached.
        #[test]
        fn arbitrary_transactions_never_panic(
            kind in prop::sample::select(vec![
                1, 2, 5, 7, 13, 14, 15, 16, 19, 20, 21, -1, -10, -11,
            ]),
            body in prop::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 0..80),
        ) {
            let mut txn = opens(5)[..28].to_vec();
            txn.extend(i32::to_be_bytes(kind));
            txn.extend(body);
            // Whether it is a transaction is chance; whatever it is, this returns.
            let _ = read(&*written(&[txn]), |_, _| Ok(()));
        }
    }
}
