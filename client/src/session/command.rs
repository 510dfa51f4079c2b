//! What a client's handles ask of the session's task.

use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use tokio::sync::oneshot;

use crate::error::ClientError;
use crate::persistent::Staying;
use crate::watcher::WatchResult;

/// Who is told what a watch tells.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// Of a watch that fires once.
    Once(oneshot::Sender<WatchResult>),
    /// Of one that stays.
    Staying(Staying),
}

/// One request that waits to be sent.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) request: Request,
    /// For a request that leaves a watch.
    pub(crate) watch: Option<Waiter>,
    pub(crate) answer: oneshot::Sender<Result<Response, ClientError>>,
}
