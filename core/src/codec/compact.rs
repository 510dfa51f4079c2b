//! The alphabet of our own formats: numbers of seven bits a byte, the lowest first.
//!
//! Every value has exactly one spelling, so what decodes encodes to the same bytes again.

use alloc::vec::Vec;

use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;

const MORE: u8 = 0x80;

pub(crate) fn byte(input: &mut Cursor<'_>, what: &'static str) -> Result<u8, Malformed> {
    input.array(what).map(|[byte]| byte)
}

/// A number of at most 64 bits.
pub(crate) fn number(input: &mut Cursor<'_>, what: &'static str) -> Result<u64, Malformed> {
    let at = input.malformed(what);
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = byte(input, what)?;
        let bits = u64::from(byte & !MORE);
        if bits.leading_zeros() < shift {
            return Err(at);
        }
        number |= bits << shift;
        if byte & MORE == 0 {
            // A last byte of zero says nothing: the number has a shorter spelling.
            return match byte == 0 && shift > 0 {
                true => Err(at),
                false => Ok(number),
            };
        }
    }
    Err(at)
}

/// A number of at most 32 bits.
pub(crate) fn number32(input: &mut Cursor<'_>, what: &'static str) -> Result<u32, Malformed> {
    let at = input.malformed(what);
    u32::try_from(number(input, what)?).map_err(|_| at)
}

/// A number that may be negative; small ones of either sign are short.
pub(crate) fn signed(input: &mut Cursor<'_>, what: &'static str) -> Result<i64, Malformed> {
    let folded = number(input, what)?;
    Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
}

/// A number of 32 bits that may be negative.
pub(crate) fn signed32(input: &mut Cursor<'_>, what: &'static str) -> Result<i32, Malformed> {
    let at = input.malformed(what);
    i32::try_from(signed(input, what)?).map_err(|_| at)
}

/// The count of things that take at least `item_bytes_min` bytes each.
pub(crate) fn count(
    input: &mut Cursor<'_>,
    item_bytes_min: usize,
    what: &'static str,
) -> Result<usize, Malformed> {
    let at = input.malformed(what);
    let count = number32(input, what)? as usize;
    match count <= input.remaining() / item_bytes_min {
        true => Ok(count),
        false => Err(at),
    }
}

pub(crate) fn bytes<'a>(input: &mut Cursor<'a>, what: &'static str) -> Result<&'a [u8], Malformed> {
    let length = count(input, 1, what)?;
    input.take(length, what)
}

pub(crate) fn text<'a>(input: &mut Cursor<'a>, what: &'static str) -> Result<&'a str, Malformed> {
    let at = input.malformed(what);
    core::str::from_utf8(bytes(input, what)?).map_err(|_| at)
}

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        out.push(number as u8 | MORE);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

/// A length or a count.
///
/// # Panics
/// If it does not fit 32 bits: everything that is kept is bounded far below that.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(
        out,
        u32::try_from(count).expect("counts have 32 bits").into(),
    );
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}
