//! One znode as it is kept: 88 bytes, its name and data, and a part that only parents have.

use alloc::sync::Arc;
use core::iter;

use crate::ids::Zxid;
use crate::time::WallTime;
use crate::tree::data::Data;
use crate::tree::slab::Slot;

/// A name and data in one allocation, since a znode is rarely without either.
#[derive(Clone, Debug)]
pub(super) struct Content {
    bytes: Arc<[u8]>,
    name_bytes: u16,
    is_null: bool,
}

impl Content {
    pub(super) fn new(name: &str, data: Option<&[u8]>) -> Content {
        let name_bytes = u16::try_from(name.len()).expect("a name is shorter than a path");
        let data_or_empty = data.unwrap_or_default();
        // Filled twice, since no_std without unsafe has no other way to need one allocation only.
        let mut bytes: Arc<[u8]> = iter::repeat_n(0, name.len() + data_or_empty.len()).collect();
        let (front, back) = Arc::get_mut(&mut bytes)
            .expect("nobody shares what was just made")
            .split_at_mut(name.len());
        front.copy_from_slice(name.as_bytes());
        back.copy_from_slice(data_or_empty);
        Content {
            bytes,
            name_bytes,
            is_null: data.is_none(),
        }
    }

    pub(super) fn name(&self) -> &str {
        core::str::from_utf8(self.name_as_bytes()).expect("a name was text when it was kept")
    }

    /// The name for comparing, without the check that it is text.
    pub(super) fn name_as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.name_bytes)]
    }

    /// The data; no bytes if it is null.
    pub(super) fn data_or_empty(&self) -> &[u8] {
        &self.bytes[usize::from(self.name_bytes)..]
    }

    pub(super) fn data(&self) -> Option<&[u8]> {
        (!self.is_null).then(|| self.data_or_empty())
    }

    /// The data, sharing this allocation.
    pub(super) fn shared_data(&self) -> Option<Data> {
        let from = usize::from(self.name_bytes);
        let len = self.bytes.len() - from;
        (!self.is_null).then(|| Data::slice(Arc::clone(&self.bytes), from, len))
    }
}

/// A znode. Its siblings form a chain in the order of their creation.
#[derive(Clone, Debug)]
pub(super) struct Znode {
    pub(super) content: Content,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) ctime: WallTime,
    pub(super) mtime: WallTime,
    pub(super) version: i32,
    pub(super) aversion: i32,
    pub(super) acl: Slot,
    /// Under which session's lease it stands, if it is ephemeral.
    pub(super) lease: Option<Slot>,
    /// What only a znode has that had a child once.
    pub(super) family: Option<Slot>,
    /// `None` for the root only.
    pub(super) parent: Option<Slot>,
    pub(super) older: Option<Slot>,
    pub(super) newer: Option<Slot>,
}

/// What a znode has from its first child on, for as long as it lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) past: Past,
    pub(super) count: u32,
    pub(super) oldest: Option<Slot>,
    pub(super) newest: Option<Slot>,
}

/// What a parent remembers of children that may be gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Past {
    /// How many children were ever created; the next sequence number.
    pub(super) creations: u64,
    /// The transaction that last created or deleted one.
    pub(super) pzxid: Zxid,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The design allows 250 bytes beside name and data; the allocator and the index take the rest.
    #[test]
    fn a_znode_is_small() {
        assert_eq!(size_of::<Znode>(), 88);
        assert_eq!(size_of::<Option<Znode>>(), 88);
    }

    #[test]
    fn null_is_not_empty() {
        let null = Content::new("name", None);
        let empty = Content::new("name", Some(b""));
        let full = Content::new("name", Some(b"data"));
        assert_eq!(null.shared_data(), None);
        assert_eq!(empty.shared_data(), Some(Data::from("")));
        assert_eq!(full.shared_data(), Some(Data::from("data")));
        for content in [null, empty, full] {
            assert_eq!(content.name(), "name");
            assert_eq!(content.data(), content.shared_data().as_deref());
        }
    }
}
