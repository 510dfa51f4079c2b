//! Jute, the alphabet of ZooKeeper's protocol: big-endian numbers, and lengths of which -1 is null.
//!
//! A length or count is judged against what is left of the frame before anything is allocated, so
//! a frame can cost only memory in proportion to its own size.

use alloc::vec::Vec;

use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;

/// How many bytes an int takes: also the least that a buffer, a text or a vector takes.
pub(crate) const INT_BYTES: usize = 4;

const NULL: i32 = -1;

pub(crate) fn int(input: &mut Cursor<'_>, what: &'static str) -> Result<i32, Malformed> {
    input.array(what).map(i32::from_be_bytes)
}

pub(crate) fn long(input: &mut Cursor<'_>, what: &'static str) -> Result<i64, Malformed> {
    input.array(what).map(i64::from_be_bytes)
}

/// A truth value; any byte but 0 is true, as for Java.
pub(crate) fn truth(input: &mut Cursor<'_>, what: &'static str) -> Result<bool, Malformed> {
    input.array(what).map(|[byte]| byte != 0)
}

/// A run of bytes; `None` is null.
pub(crate) fn buffer<'a>(
    input: &mut Cursor<'a>,
    what: &'static str,
) -> Result<Option<&'a [u8]>, Malformed> {
    match count(input, 1, what)? {
        None => Ok(None),
        Some(length) => input.take(length, what).map(Some),
    }
}

/// A text; `None` is null.
pub(crate) fn text<'a>(
    input: &mut Cursor<'a>,
    what: &'static str,
) -> Result<Option<&'a str>, Malformed> {
    let at = input.malformed(what);
    match buffer(input, what)? {
        None => Ok(None),
        Some(bytes) => core::str::from_utf8(bytes).map(Some).map_err(|_| at),
    }
}

/// The count of a vector whose items take at least `item_bytes_min` bytes each; `None` is null.
pub(crate) fn count(
    input: &mut Cursor<'_>,
    item_bytes_min: usize,
    what: &'static str,
) -> Result<Option<usize>, Malformed> {
    let at = input.malformed(what);
    match int(input, what)? {
        NULL => Ok(None),
        count => match usize::try_from(count) {
            Ok(count) if count <= input.remaining() / item_bytes_min => Ok(Some(count)),
            _ => Err(at),
        },
    }
}

pub(crate) fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_long(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_truth(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

pub(crate) fn put_null(out: &mut Vec<u8>) {
    put_int(out, NULL);
}

/// A length or a count.
///
/// # Panics
/// If it does not fit an int: whoever makes messages bounds them far below that.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_int(
        out,
        i32::try_from(count).expect("jute counts to 2^31 - 1 only"),
    );
}

pub(crate) fn put_buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_buffer(out, text.as_bytes());
}

/// Appends what `body` appends, preceded by its length.
pub(crate) fn put_frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_int(out, 0);
    body(out);
    let length = i32::try_from(out.len() - start - INT_BYTES).expect("a frame is below 2 GiB");
    out[start..start + INT_BYTES].copy_from_slice(&length.to_be_bytes());
}
