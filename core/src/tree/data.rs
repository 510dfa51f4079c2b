//! A znode's data: a shared, immutable run of bytes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

/// Bytes that many owners share: cloning counts, it does not copy. The run may be a part of a
/// larger allocation, so that one allocation can hold what is kept together.
#[derive(Clone)]
pub struct Data {
    shared: Arc<[u8]>,
    from: u32,
    len: u32,
}

impl Data {
    /// A copy of `bytes` in an allocation of its own.
    ///
    /// # Panics
    /// If there are more than 2^32 - 1 bytes; every decoder is bounded far below that.
    pub fn copy_of(bytes: &[u8]) -> Data {
        Data::slice(Arc::from(bytes), 0, bytes.len())
    }

    /// `len` bytes of `shared`, beginning at `from`.
    ///
    /// # Panics
    /// If they do not lie within `shared`, or are not addressable with 32 bits.
    pub fn slice(shared: Arc<[u8]>, from: usize, len: usize) -> Data {
        assert!(from.checked_add(len).is_some_and(|end| end <= shared.len()));
        let from = u32::try_from(from).expect("a run of bytes begins below 4 GiB");
        let len = u32::try_from(len).expect("a run of bytes is shorter than 4 GiB");
        Data { shared, from, len }
    }
}

impl Default for Data {
    fn default() -> Data {
        Data::copy_of(&[])
    }
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let from = self.from as usize;
        &self.shared[from..from + self.len as usize]
    }
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Data {
        Data::copy_of(bytes)
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Data {
        Data::copy_of(text.as_bytes())
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Data {
        Data::copy_of(&bytes)
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Data) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(self) {
            Ok(text) if text.len() <= 64 => write!(f, "{text:?}"),
            _ => write!(f, "({} bytes)", self.len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn a_run_within_a_larger_one_is_only_itself() {
        let shared: Arc<[u8]> = Arc::from(*b"0123456789");
        let run = Data::slice(Arc::clone(&shared), 3, 4);
        assert_eq!(*run, *b"3456");
        assert_eq!(run, Data::copy_of(b"3456"));
        assert_ne!(run, Data::slice(shared, 2, 4));
        assert_eq!(*Data::copy_of(b"abc"), *b"abc");
    }

    #[test]
    fn short_text_is_shown_and_everything_else_counted() {
        let text = |length| Data::from(String::from_iter(['x'].repeat(length)).as_str());
        assert_eq!(format!("{:?}", Data::from("a b")), "\"a b\"");
        assert_eq!(format!("{:?}", text(64)).len(), 66);
        assert_eq!(format!("{:?}", text(65)), "(65 bytes)");
        assert_eq!(format!("{:?}", Data::copy_of(&[0xff, 0])), "(2 bytes)");
    }
}
