//! What a client's handles ask of the session's task.

use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use tokio::sync::oneshot;

use crate::error::ClientError;
use crate::watcher::WatchResult;

/// One request that waits to be sent.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) request: Request,
    /// For a read that leaves a watch.
    pub(crate) watch: Option<oneshot::Sender<WatchResult>>,
    pub(crate) answer: oneshot::Sender<Result<Response, ClientError>>,
}
