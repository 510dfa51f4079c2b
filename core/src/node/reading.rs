//! Reads of more than one znode, and of the asker.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::ConnectionId;
use crate::node::node::Node;
use crate::node::reply::{PartRead, Response};
use crate::node::request::ReadPart;
use crate::node::size::of_part;
use crate::tree::acl::Identity;
use crate::tree::path::Path;
use crate::tree::tree::Tree;

/// Reads every part from one state. A part that fails says so in its place. A small request can ask
/// for the same large znode again and again, so what is too large is not even gathered.
///
/// # Errors
/// `MarshallingError` if the answer would have more than `bytes_max`.
pub(super) fn several(
    tree: &Tree,
    parts: &[ReadPart],
    identities: &[Identity],
    bytes_max: usize,
) -> Result<Vec<Result<PartRead, Code>>, Code> {
    let mut bytes = 0;
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        let read = match part {
            ReadPart::Data(path) => tree
                .data(path.as_str(), identities)
                .map(|(data, stat)| PartRead::Data { data, stat }),
            ReadPart::Children(path) => tree
                .children(path.as_str(), identities)
                .map(|(names, _)| PartRead::Children(names)),
        };
        bytes += of_part(&read);
        if bytes > bytes_max {
            return Err(Code::MarshallingError);
        }
        all.push(read);
    }
    Ok(all)
}

/// Identities as `whoAmI` shows them: of a `digest` the user's name alone.
pub(super) fn shown(identities: &[Identity]) -> Vec<Identity> {
    let shown = |who: &Identity| match (&*who.scheme, who.id.split_once(':')) {
        ("digest", Some((user, _))) => Identity {
            scheme: Arc::clone(&who.scheme),
            id: Arc::from(user),
        },
        _ => who.clone(),
    };
    identities.iter().map(shown).collect()
}

impl Node {
    /// The ephemeral znodes of the session that a connection speaks for. As in ZooKeeper `prefix`
    /// is the beginning of a text: `/a` finds `/ab` too.
    pub(super) fn ephemerals_of(&self, id: ConnectionId, prefix: &str) -> Response {
        let session = self.connections.get(&id).and_then(|known| known.session());
        let owned = session.map(|session| self.store.tree().ephemerals_of(session));
        let mut paths = owned.unwrap_or_default();
        if !matches!(prefix.trim(), "" | "/") {
            paths.retain(|path: &Path| path.as_str().starts_with(prefix));
        }
        Response::Ephemerals(paths)
    }
}
