//! Why a command ends without a verdict.

use std::fmt;
use std::io;

use crate::explore::options::Unexplored;
use crate::library::Unreadable;
use crate::results::Unjoined;
use crate::score::trouble::Trouble;
use crate::traces::options::Unjudged;

/// Why a command ends without a verdict.
pub enum Failure {
    /// What was asked for does not make sense.
    Input(String),
    /// Nobody reads the output any more, or it cannot be written.
    Output(io::Error),
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<Unexplored> for Failure {
    fn from(error: Unexplored) -> Failure {
        match error {
            Unexplored::Input(message) => Failure::Input(message),
            Unexplored::Output(error) => Failure::Output(error),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Output(error) => Failure::Output(error),
            trouble => Failure::Input(trouble.to_string()),
        }
    }
}

impl From<Unjudged> for Failure {
    fn from(error: Unjudged) -> Failure {
        match error {
            Unjudged::Unread(error) => Failure::Input(error.to_string()),
            Unjudged::Output(error) => Failure::Output(error),
        }
    }
}

impl From<Unjoined> for Failure {
    fn from(error: Unjoined) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Input(message) => f.write_str(message),
            Failure::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}
