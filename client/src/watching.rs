//! Operations on watches themselves: leaving one that stays, asking for them, removing them.

use althing_core::code::Code;
use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use althing_core::watch::{WatchMode, Whichever};

use crate::client::{Client, wrong_answer};
use crate::error::ClientError;
use crate::persistent::PersistentWatcher;
use crate::runtime::Runtime;
use crate::session::command::Waiter;
use crate::znode::parse_path;

impl<R: Runtime> Client<R> {
    /// Leaves a watch that stays, on a znode that need not be there: `Persistent` tells of its
    /// creation, deletion, new data and of changes of its set of children; `Recursive` tells of
    /// the creation, deletion and new data of it and of everything below it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn add_watch(
        &self,
        path: &str,
        mode: WatchMode,
    ) -> Result<PersistentWatcher, ClientError> {
        let request = Request::AddWatch {
            path: parse_path(path)?,
            mode,
        };
        self.has_room_for_a_watch()?;
        let (staying, watcher) = PersistentWatcher::new();
        match self.ask(request, Some(Waiter::Staying(staying))).await? {
            Response::Added => Ok(watcher),
            _ => Err(wrong_answer()),
        }
    }

    /// Has the server such a watch of this session on exactly this path?
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn has_watches(&self, path: &str, kinds: Whichever) -> Result<bool, ClientError> {
        let path = parse_path(path)?;
        found(self.ask(Request::CheckWatches { path, kinds }, None).await)
    }

    /// Removes such watches of this session from exactly this path, here and at the server; they
    /// fail with [`ClientError::WatchRemoved`]. Tells whether the server had any.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_watches(&self, path: &str, kinds: Whichever) -> Result<bool, ClientError> {
        let path = parse_path(path)?;
        found(self.ask(Request::RemoveWatches { path, kinds }, None).await)
    }
}

fn found(answer: Result<Response, ClientError>) -> Result<bool, ClientError> {
    match answer {
        Ok(Response::Empty) => Ok(true),
        Ok(_) => Err(wrong_answer()),
        Err(ClientError::Server(Code::NoWatcher)) => Ok(false),
        Err(error) => Err(error),
    }
}
