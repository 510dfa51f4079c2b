//! Every znode of a tree, whole: for whoever looks at a state from outside of it, whatever the
//! access control lists say.

use crate::tree::acl::Acl;
use crate::tree::data::Data;
use crate::tree::stat::Stat;
use crate::tree::tree::Tree;

/// One znode, whole.
#[derive(Clone, Debug)]
pub struct Whole<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its data; `None` is ZooKeeper's null.
    pub data: Option<Data>,
    /// Its access control list.
    pub acl: &'a Acl,
    /// Its Stat; the owner is what is kept, also where clients are shown none.
    pub stat: Stat,
}

impl Tree {
    /// Shows every znode to `each`, parents first and siblings in the order of their creation.
    pub fn each_whole(&self, mut each: impl FnMut(Whole<'_>)) {
        self.each_path(|slot, path| {
            each(Whole {
                path,
                data: self.znodes[slot].content.shared_data(),
                acl: self.acl_at(slot),
                stat: Stat {
                    ephemeral_owner: self.owner_at(slot).map_or(0, |owner| owner.0),
                    ..self.stat_at(slot)
                },
            });
        });
    }
}
