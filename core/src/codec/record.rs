//! The records of the log. The storage frames them with a length and a checksum.

use alloc::vec::Vec;

use crate::codec::malformed::Malformed;
use crate::quorum::log::Record;

/// The version of this format; stands at the head of every log segment.
pub const RECORD_VERSION: u32 = 1;

/// Appends a record.
pub fn encode_record(record: &Record, out: &mut Vec<u8>) {
    let _ = (record, out);
    todo!()
}

/// Reads a record that fills `bytes`.
///
/// # Errors
/// If `bytes` are not one record.
pub fn decode_record(bytes: &[u8]) -> Result<Record, Malformed> {
    let _ = bytes;
    todo!()
}
