//! The errors that a client may see, with ZooKeeper's numbers.

use core::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Why a request failed. The numbers are those of ZooKeeper's `KeeperException.Code`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i32)]
        pub enum Code {
            $($(#[$doc])* $name = $number,)*
        }

        impl Code {
            /// Every code, in the order of this file.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The code with this number, if it is one.
            pub const fn from_number(number: i32) -> Option<Code> {
                match number {
                    $($number => Some(Code::$name),)*
                    _ => None,
                }
            }

            /// The name, as ZooKeeper spells it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$name => stringify!($name),)*
                }
            }
        }
    };
}

codes! {
    /// The server could not do it, for example because its disk is full.
    SystemError = -1,
    /// Inside a failed `multi`: this operation was not reached.
    RuntimeInconsistency = -2,
    /// The server found its data inconsistent.
    DataInconsistency = -3,
    /// The connection was lost; whether the request was executed is unknown.
    ConnectionLoss = -4,
    /// The request could not be encoded or decoded.
    MarshallingError = -5,
    /// This server does not know the operation.
    Unimplemented = -6,
    /// The operation took too long.
    OperationTimeout = -7,
    /// An argument, for example a path, is not valid.
    BadArguments = -8,
    /// The session is not known.
    UnknownSession = -12,
    /// No quorum of the new configuration is connected and up to date.
    NewConfigNoQuorum = -13,
    /// Another reconfiguration is in progress.
    ReconfigInProgress = -14,
    /// The znode does not exist.
    NoNode = -101,
    /// The client is not permitted to do this.
    NoAuth = -102,
    /// The version that was given is not the znode's.
    BadVersion = -103,
    /// An ephemeral znode cannot have children.
    NoChildrenForEphemerals = -108,
    /// The znode exists already.
    NodeExists = -110,
    /// The znode has children.
    NotEmpty = -111,
    /// The session has expired.
    SessionExpired = -112,
    /// The access control list is not valid.
    InvalidACL = -114,
    /// Authentication failed.
    AuthFailed = -115,
    /// The session has moved to another connection or server.
    SessionMoved = -118,
    /// A write was sent to a server in read-only mode.
    NotReadOnly = -119,
    /// A local session cannot create ephemeral znodes.
    EphemeralOnLocalSession = -120,
    /// There is no such watch.
    NoWatcher = -121,
    /// The request took too long.
    RequestTimeout = -122,
    /// Reconfiguration is switched off.
    ReconfigDisabled = -123,
    /// The session must authenticate with SASL first.
    SessionClosedRequireSaslAuth = -124,
    /// A quota is exceeded.
    QuotaExceeded = -125,
    /// The server sheds load.
    ThrottledOp = -127,
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Code {}
