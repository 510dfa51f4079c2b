//! The members of the ensemble, as ZooKeeper's clients see and change them.

use std::sync::Arc;

use althing_core::ids::Zxid;
use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use althing_core::store::roster::{ANY_CONFIG, Wish};
use althing_core::tree::tree::CONFIG;

use crate::client::{Client, wrong_answer};
use crate::error::ClientError;
use crate::runtime::Runtime;
use crate::watcher::Watcher;
use crate::znode::Znode;

/// Other members, to be asked for with [`Client::reconfigure`].
///
/// A server is written as in ZooKeeper's `reconfig`: `server.4=zk4:2888:3888:participant;2181`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reconfiguration {
    wish: Wish,
}

impl Reconfiguration {
    /// Some servers join, or have another address or role from here on; some leave. All others
    /// stay. Both are lists with commas: of servers, and of numbers.
    pub fn changing(joining: &str, leaving: &str) -> Reconfiguration {
        let said = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        Reconfiguration {
            wish: Wish {
                joining: said(joining),
                leaving: said(leaving),
                members: None,
                version: ANY_CONFIG,
            },
        }
    }

    /// These servers, and no others: a list with commas, or a server on each line.
    pub fn to(members: &str) -> Reconfiguration {
        Reconfiguration {
            wish: Wish {
                joining: None,
                leaving: None,
                members: Some(Arc::from(members)),
                version: ANY_CONFIG,
            },
        }
    }

    /// Only if the configuration has this version, as its text tells it.
    pub fn only_from(mut self, version: Zxid) -> Reconfiguration {
        self.wish.version = version.to_wire();
        self
    }
}

impl<R: Runtime> Client<R> {
    /// The configuration of the ensemble: ZooKeeper's text, a line for each server and its version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn config(&self) -> Result<Znode, ClientError> {
        self.get_data(CONFIG).await
    }

    /// [`Client::config`], and a watch that fires when it changes.
    ///
    /// # Errors
    /// As [`Client::config`]; then there is no watch.
    pub async fn watch_config(&self) -> Result<(Znode, Watcher), ClientError> {
        self.watch_data(CONFIG).await
    }

    /// Changes the members; the new configuration.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `ReconfigDisabled`, `NoAuth` unless the
    /// super user asks, `BadVersion`, `BadArguments`, and `NewConfigNoQuorum` unless a quorum of
    /// the wanted voters is up and up to date.
    pub async fn reconfigure(&self, wanted: Reconfiguration) -> Result<Znode, ClientError> {
        match self.ask(Request::Reconfigure(wanted.wish), None).await? {
            Response::Data { data, stat } => Ok(Znode {
                data: data.unwrap_or_default(),
                stat,
            }),
            _ => Err(wrong_answer()),
        }
    }
}
