//! The client: one session, and the operations within it.

use std::sync::Arc;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::codec::malformed::Malformed;
use althing_core::ids::{SessionId, Zxid};
use althing_core::node::reply::Response;
use althing_core::node::request::{Listing, Read, Request, Watching};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{Done, Op};
use althing_core::tree::stat::Stat;
use tokio::sync::{mpsc, oneshot};

use crate::config::{ClientConfig, REQUESTS_QUEUED_MAX, WATCHES_MAX};
use crate::error::{ClientError, MultiError};
use crate::runtime::Runtime;
use crate::session::command::{Command, Waiter};
use crate::session::shared::Shared;
use crate::session::task::Session;
use crate::state::{SessionState, StateStream};
use crate::transaction::Transaction;
use crate::watcher::{WatchResult, Watcher};
use crate::znode::{Children, CreateMode, Created, Version, Znode, parse_path};

/// One session with the ensemble. A handle: cloning it is cheap, and all clones share the session.
///
/// - Requests are sent in the order in which they are asked for and answered in that order.
/// - No request waits for ever. While no server is connected, requests wait for the next one; when
///   none is found while the session can last, they fail with [`ClientError::SessionExpired`].
/// - A request that the server refuses with `ThrottledOp`, since clients ask too often, is asked
///   again after a pause, behind what was asked meanwhile: nothing of it was executed. After some
///   refusals it fails with that code.
/// - A request that was sent when the connection broke fails with [`ClientError::ConnectionLoss`]:
///   nobody knows whether it was executed. The session goes on, as a rule on another server.
/// - The end of the session is final. For another session there is another client (see
///   [`crate::sessions::Sessions`]).
///
/// When the last clone is dropped, the session is closed.
#[derive(Clone, Debug)]
pub struct Client<R: Runtime> {
    runtime: R,
    handle: Arc<Handle>,
}

/// What all clones share. The session's task ends when it is dropped.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.ask_to_close();
    }
}

impl<R: Runtime> Client<R> {
    /// Opens a session: tries the servers in turn until one gives it.
    ///
    /// # Errors
    /// [`ClientError::BadConfig`], or [`ClientError::NoServer`] when the configured patience ends.
    pub async fn connect(runtime: R, config: ClientConfig) -> Result<Client<R>, ClientError> {
        config.check()?;
        let patience = config.connect_patience;
        let shared = Arc::new(Shared::new());
        let (commands, receiver) = mpsc::channel(REQUESTS_QUEUED_MAX);
        let session = Session::new(runtime.clone(), config, Arc::clone(&shared), receiver);
        // From here on, giving up means to drop it.
        let handle = Arc::new(Handle { shared, commands });
        let mut states = handle.shared.states();
        runtime.spawn(session.run());
        tokio::select! {
            biased;
            outcome = states.states.wait_for(|state| *state != SessionState::Connecting) => {
                if outcome.is_err() {
                    return Err(ClientError::Closed);
                }
            }
            () = runtime.sleep(patience) => return Err(ClientError::NoServer),
        }
        match handle.shared.session() {
            Some(_) => Ok(Client { runtime, handle }),
            None => Err(handle.shared.end_reason()),
        }
    }

    /// The world that this client lives in.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// The session. The `ephemeral_owner` of its ephemeral znodes is this number. It stays the
    /// same, unless the client began with a server that only lets it read
    /// ([`SessionState::ReadOnly`]): the first one that has a leader gives the client its own.
    pub fn session(&self) -> SessionId {
        let session = self.handle.shared.session();
        session.expect("a client is handed out when it has one")
    }

    /// The session time-out that the server granted.
    pub fn session_timeout(&self) -> Duration {
        self.handle.shared.timeout()
    }

    /// How the session fares.
    pub fn state(&self) -> SessionState {
        self.handle.shared.state()
    }

    /// How the session fares, as it changes. The first item is the present state.
    pub fn states(&self) -> StateStream {
        self.handle.shared.states()
    }

    /// The newest transaction whose effects this client has seen.
    pub fn last_zxid(&self) -> Zxid {
        self.handle.shared.last_zxid()
    }

    /// Until when the session can be trusted to live, on the clock of the runtime.
    ///
    /// The leader counts a session's time-out from when it heard of it last, and answers to writes,
    /// syncs and heartbeats prove that it has: so the session lasts at least one time-out from when
    /// the newest of these was sent that was *answered*. (ZooKeeper's followers answer heartbeats
    /// on their own; with them a session may end sooner.) Other reads prove nothing. A quarter of
    /// the time-out is subtracted: for clocks that run at different speeds, and for what the owner
    /// of a lock has to wind up. With every proof the bound moves; without one it passes, also
    /// while this program is paused. It ignores that a paused *program* acts without looking: only
    /// fencing tokens help against that.
    pub fn safe_until(&self) -> Duration {
        self.handle.shared.safe_until()
    }

    /// Can the session be trusted to live at this moment? See [`Client::safe_until`].
    pub fn is_safe(&self) -> bool {
        !self.state().is_final() && self.runtime.now() < self.safe_until()
    }

    /// Creates a znode that is open to everybody.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NodeExists` and `NoNode` (no parent).
    pub async fn create(
        &self,
        path: &str,
        data: impl Into<Data>,
        mode: CreateMode,
    ) -> Result<Created, ClientError> {
        self.create_with_acl(path, data, mode, Acl::open()).await
    }

    /// Creates a znode.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn create_with_acl(
        &self,
        path: &str,
        data: impl Into<Data>,
        mode: CreateMode,
        acl: Acl,
    ) -> Result<Created, ClientError> {
        match self.write(mode.op(path, data.into(), acl)?).await? {
            Done::Created { path, stat, .. } => Ok(Created { path, stat }),
            _ => Err(wrong_answer()),
        }
    }

    /// Creates what is missing of a persistent znode and those above it, without data, open to
    /// everybody. It is no error if they are there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ensure(&self, path: &str) -> Result<(), ClientError> {
        let path = parse_path(path)?;
        if path.is_root() {
            return Ok(());
        }
        match self.exists(path.as_str()).await {
            Ok(None) => {}
            // Who may not read it is told that, so it is there.
            Ok(Some(_)) | Err(ClientError::Server(Code::NoAuth)) => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut ends: Vec<usize> = path.as_str().match_indices('/').map(|(at, _)| at).collect();
        ends.push(path.as_str().len());
        for end in &ends[1..] {
            let text = &path.as_str()[..*end];
            match self
                .create(text, Data::default(), CreateMode::Persistent)
                .await
            {
                Ok(_) => {}
                Err(ClientError::Server(Code::NodeExists)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes a znode that has no children.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NoNode`, `BadVersion` and `NotEmpty`.
    pub async fn delete(&self, path: &str, version: Version) -> Result<(), ClientError> {
        let op = Op::Delete {
            path: parse_path(path)?,
            version: version.number(),
        };
        match self.write(op).await? {
            Done::Deleted => Ok(()),
            _ => Err(wrong_answer()),
        }
    }

    /// Replaces a znode's data.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NoNode` and `BadVersion`.
    pub async fn set_data(
        &self,
        path: &str,
        data: impl Into<Data>,
        version: Version,
    ) -> Result<Stat, ClientError> {
        let op = Op::SetData {
            path: parse_path(path)?,
            data: Some(data.into()),
            version: version.number(),
        };
        match self.write(op).await? {
            Done::DataSet(stat) => Ok(stat),
            _ => Err(wrong_answer()),
        }
    }

    /// Replaces a znode's access control list, at a version of the *list* (`aversion`).
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NoNode`, `BadVersion` and `InvalidACL`.
    pub async fn set_acl(
        &self,
        path: &str,
        acl: Acl,
        version: Version,
    ) -> Result<Stat, ClientError> {
        let op = Op::SetAcl {
            path: parse_path(path)?,
            acl,
            version: version.number(),
        };
        match self.write(op).await? {
            Done::AclSet(stat) => Ok(stat),
            _ => Err(wrong_answer()),
        }
    }

    /// Makes several changes, all or none. What came of each stands in their order.
    ///
    /// # Errors
    /// [`MultiError::Refused`] tells which operation kept the others from being done.
    pub async fn multi(&self, transaction: Transaction) -> Result<Vec<Done>, MultiError> {
        let request = Request::Multi(transaction.into_ops()?);
        match self.ask(request, None).await? {
            Response::AllDone(done) => Ok(done),
            Response::NoneDone { index, code, .. } => Err(MultiError::Refused { index, code }),
            _ => Err(wrong_answer().into()),
        }
    }

    /// A znode's Stat; `None` if it is not there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn exists(&self, path: &str) -> Result<Option<Stat>, ClientError> {
        self.ask_exists(path, Watching::No, None).await
    }

    /// [`Client::exists`], and a watch that fires when the znode is created, deleted or its data
    /// is set.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch_exists(&self, path: &str) -> Result<(Option<Stat>, Watcher), ClientError> {
        let (sender, watcher) = self.new_watch()?;
        let stat = self
            .ask_exists(path, Watching::Once, Some(Waiter::Once(sender)))
            .await?;
        Ok((stat, watcher))
    }

    /// A znode's data and Stat.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NoNode` and `NoAuth`.
    pub async fn get_data(&self, path: &str) -> Result<Znode, ClientError> {
        self.ask_data(path, Watching::No, None).await
    }

    /// [`Client::get_data`], and a watch that fires when the data is set or the znode is deleted.
    ///
    /// # Errors
    /// As [`Client::get_data`]; then there is no watch.
    pub async fn watch_data(&self, path: &str) -> Result<(Znode, Watcher), ClientError> {
        let (sender, watcher) = self.new_watch()?;
        let znode = self
            .ask_data(path, Watching::Once, Some(Waiter::Once(sender)))
            .await?;
        Ok((znode, watcher))
    }

    /// The names of a znode's children, sorted, and its Stat.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NoNode` and `NoAuth`.
    pub async fn children(&self, path: &str) -> Result<Children, ClientError> {
        self.ask_children(path, Watching::No, None).await
    }

    /// [`Client::children`], and a watch that fires when a child is created or deleted, or the
    /// znode itself is deleted.
    ///
    /// # Errors
    /// As [`Client::children`]; then there is no watch.
    pub async fn watch_children(&self, path: &str) -> Result<(Children, Watcher), ClientError> {
        let (sender, watcher) = self.new_watch()?;
        let children = self
            .ask_children(path, Watching::Once, Some(Waiter::Once(sender)))
            .await?;
        Ok((children, watcher))
    }

    /// A znode's access control list and Stat.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_acl(&self, path: &str) -> Result<(Acl, Stat), ClientError> {
        let read = Read::GetAcl {
            path: parse_path(path)?,
        };
        match self.ask(Request::Read(read), None).await? {
            Response::Acl { acl, stat } => Ok((acl, stat)),
            _ => Err(wrong_answer()),
        }
    }

    /// Waits until the server has everything that was done before; what is read after it is at
    /// least as new.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sync(&self, path: &str) -> Result<(), ClientError> {
        let path = parse_path(path)?;
        match self.ask(Request::Sync { path }, None).await? {
            Response::Synced { .. } => Ok(()),
            _ => Err(wrong_answer()),
        }
    }

    /// Takes on an identity, for example of the scheme `digest` with `user:password`. It is taken
    /// on again after every reconnect.
    ///
    /// # Errors
    /// [`ClientError`]; `AuthFailed` if the server does not accept it.
    pub async fn add_auth(
        &self,
        scheme: &str,
        credential: impl Into<Data>,
    ) -> Result<(), ClientError> {
        let request = Request::Auth {
            scheme: scheme.to_owned(),
            credential: credential.into(),
        };
        self.ask(request, None).await.map(|_| ())
    }

    /// Ends the session: its ephemeral znodes go, its watches fail. Requests that wait to be sent
    /// fail with [`ClientError::Closed`]; those that were sent are answered before.
    ///
    /// # Errors
    /// The client is closed in any case. It is an error if the server could not be told: then it
    /// keeps the session, and its ephemeral znodes, until the time-out.
    pub async fn close(&self) -> Result<(), ClientError> {
        self.handle.shared.ask_to_close();
        let mut states = self.handle.shared.states();
        // An error means that the session's task is gone, which is as final as it gets.
        let _ = states.states.wait_for(|state| state.is_final()).await;
        self.handle.shared.farewell()
    }

    async fn ask_exists(
        &self,
        path: &str,
        watching: Watching,
        watch: Option<Waiter>,
    ) -> Result<Option<Stat>, ClientError> {
        let read = Read::Exists {
            path: parse_path(path)?,
            watching,
        };
        match self.ask(Request::Read(read), watch).await {
            Ok(Response::Exists(stat)) => Ok(Some(stat)),
            Ok(_) => Err(wrong_answer()),
            Err(ClientError::Server(Code::NoNode)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask_data(
        &self,
        path: &str,
        watching: Watching,
        watch: Option<Waiter>,
    ) -> Result<Znode, ClientError> {
        let read = Read::GetData {
            path: parse_path(path)?,
            watching,
        };
        match self.ask(Request::Read(read), watch).await? {
            Response::Data { data, stat } => Ok(Znode {
                data: data.unwrap_or_default(),
                stat,
            }),
            _ => Err(wrong_answer()),
        }
    }

    async fn ask_children(
        &self,
        path: &str,
        watching: Watching,
        watch: Option<Waiter>,
    ) -> Result<Children, ClientError> {
        let read = Read::GetChildren {
            path: parse_path(path)?,
            watching,
            listing: Listing::NamesAndStat,
        };
        match self.ask(Request::Read(read), watch).await? {
            Response::Children {
                mut names,
                stat: Some(stat),
            } => {
                names.sort_unstable();
                Ok(Children { names, stat })
            }
            _ => Err(wrong_answer()),
        }
    }

    pub(crate) async fn write(&self, op: Op) -> Result<Done, ClientError> {
        match self.ask(Request::Write(op), None).await? {
            Response::Done(done) => Ok(done),
            _ => Err(wrong_answer()),
        }
    }

    pub(crate) async fn ask(
        &self,
        request: Request,
        watch: Option<Waiter>,
    ) -> Result<Response, ClientError> {
        let (answer, answered) = oneshot::channel();
        let command = Command {
            request,
            watch,
            answer,
        };
        if self.handle.commands.send(command).await.is_err() {
            return Err(self.handle.shared.end_reason());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(self.handle.shared.end_reason()))
    }

    fn new_watch(&self) -> Result<(oneshot::Sender<WatchResult>, Watcher), ClientError> {
        self.has_room_for_a_watch()?;
        Ok(Watcher::new())
    }

    pub(crate) fn has_room_for_a_watch(&self) -> Result<(), ClientError> {
        match self.handle.shared.watches() >= WATCHES_MAX {
            true => Err(ClientError::TooManyWatches),
            false => Ok(()),
        }
    }
}

pub(crate) fn wrong_answer() -> ClientError {
    ClientError::Protocol(Malformed {
        what: "answer to another kind of request",
        offset: 0,
    })
}
