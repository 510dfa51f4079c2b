//! Requests about watches themselves.

use crate::code::Code;
use crate::ids::ConnectionId;
use crate::node::effect::Outbox;
use crate::node::node::Node;
use crate::node::reply::Response;
use crate::node::request::Watching;
use crate::tree::path::Path;
use crate::watch::{WatchMode, Whichever};

impl Node {
    /// Leaves a watch that stays. The znode need not be there, nor need the client be permitted to
    /// read it: each event is judged when it happens.
    pub(super) fn add_watch(
        &mut self,
        id: ConnectionId,
        path: &Path,
        mode: WatchMode,
        out: &mut Outbox,
    ) -> Result<Response, Code> {
        self.leave_watch(id, path, mode.kind(), Watching::Once, out);
        Ok(Response::Added)
    }

    /// Has the connection such a watch?
    pub(super) fn check_watches(
        &self,
        id: ConnectionId,
        path: &Path,
        kinds: Whichever,
    ) -> Result<Response, Code> {
        found(self.watches.has(id, path, kinds))
    }

    /// Forgets such watches of the connection.
    pub(super) fn remove_watches(
        &mut self,
        id: ConnectionId,
        path: &Path,
        kinds: Whichever,
    ) -> Result<Response, Code> {
        found(self.watches.remove(id, path, kinds))
    }
}

fn found(were_there: bool) -> Result<Response, Code> {
    match were_there {
        true => Ok(Response::Empty),
        false => Err(Code::NoWatcher),
    }
}
