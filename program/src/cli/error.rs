//! Why a command was not done, and what the shell's exit code makes of it.

use althing_client::error::{ClientError, MultiError};
use althing_core::code::Code;
use serde_json::{Value, json};
use thiserror::Error;

/// Why a command was not done.
#[derive(Debug, Error)]
pub enum CliError {
    /// The client or a server.
    #[error("{}", told(.error, .path))]
    Client {
        /// What it says.
        error: ClientError,
        /// About which znode; empty where it is about none.
        path: String,
    },
    /// TLS had something against a server, or a server against this client.
    #[error("{error}; at last: {why}")]
    NoTls {
        /// What the client says.
        error: ClientError,
        /// What was wrong.
        why: String,
    },
    /// It is not understood.
    #[error("{0}")]
    Usage(String),
    /// There is no session.
    #[error("not connected: `connect` opens a session")]
    NotConnected,
    /// The subtree is too large for one command.
    #[error("{path} has more than {max} znodes below it")]
    TooMany {
        /// The top.
        path: String,
        /// The limit.
        max: usize,
    },
    /// Standard output.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// As zkCli says it, where scripts may look for it.
fn told(error: &ClientError, path: &str) -> String {
    let ClientError::Server(code) = error else {
        return error.to_string();
    };
    let says = match code {
        Code::NoNode => "Node does not exist",
        Code::NodeExists => "Node already exists",
        Code::NotEmpty => "Node not empty",
        Code::BadVersion => "version No is not valid",
        Code::NoAuth => "Insufficient permission",
        Code::InvalidACL => "Acl is not valid",
        Code::NoChildrenForEphemerals => "Ephemerals cannot have children",
        Code::AuthFailed => "Authentication failed",
        Code::NoWatcher => "No such watch",
        _ => return format!("{code}: {path}"),
    };
    format!("{says}: {path}")
}

impl CliError {
    /// What the client says about the znode at `path`.
    pub fn about(path: &str) -> impl FnOnce(ClientError) -> CliError {
        let path = path.to_owned();
        move |error| CliError::Client { error, path }
    }

    /// The same of a transaction.
    pub fn about_all(path: &str) -> impl FnOnce(MultiError) -> CliError {
        let path = path.to_owned();
        move |error| {
            let error = match error {
                MultiError::Refused { code, .. } => ClientError::Server(code),
                MultiError::Client(error) => error,
            };
            CliError::Client { error, path }
        }
    }

    /// The server's code, if it was a server that refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            CliError::Client {
                error: ClientError::Server(code),
                ..
            } => Some(*code),
            _ => None,
        }
    }

    /// The exit code of a shell that ends with this.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Client {
                error: ClientError::BadPath { .. } | ClientError::BadConfig(_),
                ..
            }
            | CliError::Usage(_) => 2,
            CliError::Client { error, .. } if self.code().is_none() && !too_much(error) => 3,
            CliError::NotConnected | CliError::NoTls { .. } => 3,
            CliError::Client { .. } | CliError::TooMany { .. } | CliError::Output(_) => 1,
        }
    }

    /// As an object.
    pub fn json(&self) -> Value {
        let code = self.code();
        json!({
            "error": self.to_string(),
            "code": code.map(Code::number),
            "name": code.map(Code::name),
            "in_doubt": matches!(self, CliError::Client { error, .. } if error.is_in_doubt()),
        })
    }
}

/// Was it refused before it was sent?
fn too_much(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::TooLarge { .. }
            | ClientError::TooManyWatches
            | ClientError::TooManyIdentities
            | ClientError::SubtreeTooLarge { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_refusals_from_doubt() {
        let of = |error| CliError::about("/a")(error).exit_code();
        assert_eq!(of(ClientError::Server(Code::NoNode)), 1);
        assert_eq!(of(ClientError::TooLarge { frame_bytes: 1 }), 1);
        assert_eq!(of(ClientError::ConnectionLoss), 3);
        assert_eq!(of(ClientError::NoServer), 3);
        assert_eq!(CliError::Usage(String::new()).exit_code(), 2);
        let told = CliError::about("/a")(ClientError::Server(Code::NoNode));
        assert_eq!(told.to_string(), "Node does not exist: /a");
        assert_eq!(told.json()["code"], -101);
    }
}
