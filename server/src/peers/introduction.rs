//! The first words on a link: who is there, and is it somebody to talk to?

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use althing_core::codec::handshake::{
    HANDSHAKE_BYTES, Handshake, Stranger, decode_handshake, encode_handshake,
};
use althing_core::ids::{DirectoryId, ServerId};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::limits::LINK_HANDSHAKE_MAX;
use crate::shell::Shell;

/// Why there is no link.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The stream failed.
    #[error("{0}")]
    Failed(#[from] io::Error),
    /// The other end closed the stream instead of introducing itself.
    #[error("the other end closed the link instead of introducing itself; its log may tell why")]
    Closed,
    /// It said nothing.
    #[error("the other end did not introduce itself in {}s", .0.as_secs())]
    Silent(std::time::Duration),
    /// It is no server, or one of another version.
    #[error("{0}")]
    Stranger(#[from] Stranger),
    /// Another server answers at this address.
    #[error("server {found} answers at the address of server {expected}")]
    Another {
        /// Who was dialled.
        expected: ServerId,
        /// Who answered.
        found: ServerId,
    },
    /// It says that it is this server.
    #[error("it says that it is server {0}, which is this one: two servers have the same id")]
    SameServer(ServerId),
    /// It has this server's data directory.
    #[error(
        "server {0} has a copy of this server's data directory; every server needs one of its own"
    )]
    SameDirectory(ServerId),
    /// The configuration does not know it.
    #[error("server {0} is not in this server's configuration")]
    Unknown(ServerId),
    /// The lower id of a pair is dialled and does not dial.
    #[error("server {0} dials, although its id is the lower one; is its configuration the same?")]
    WrongWay(ServerId),
}

/// Whom does a server let in?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strangers {
    /// Those that it knows: by its configuration, or as members.
    Refused,
    /// Everybody: who is to become a member is heard before.
    Welcome,
}

/// Who this server is, and whom it knows.
#[derive(Debug)]
pub struct Acquaintance {
    /// This server, as it introduces itself.
    pub own: Handshake,
    /// The other servers.
    others: Mutex<BTreeSet<ServerId>>,
    strangers: Strangers,
}

impl Acquaintance {
    /// The server `server` with the data directory `directory`, which knows `others`, and lets
    /// `strangers` in or not.
    pub fn new(
        server: ServerId,
        directory: DirectoryId,
        others: BTreeSet<ServerId>,
        strangers: Strangers,
    ) -> Acquaintance {
        let own = Handshake { server, directory };
        let others = Mutex::new(others);
        Acquaintance {
            own,
            others,
            strangers,
        }
    }

    /// The servers that this one dials.
    pub fn dialled(&self) -> BTreeSet<ServerId> {
        self.others().range(..self.own.server).copied().collect()
    }

    /// Gets to know a server; tells if it is to be dialled from here on.
    pub fn meet(&self, server: ServerId) -> bool {
        server != self.own.server && self.others().insert(server) && server < self.own.server
    }

    fn others(&self) -> MutexGuard<'_, BTreeSet<ServerId>> {
        // Nothing here can panic between two halves of a change.
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges whoever answered at the address of `expected`.
    fn judge_answering(&self, expected: ServerId, other: &Handshake) -> Result<(), Refusal> {
        self.judge(other)?;
        match other.server == expected {
            true => Ok(()),
            false => Err(Refusal::Another {
                expected,
                found: other.server,
            }),
        }
    }

    /// Judges whoever dialled.
    fn judge_dialling(&self, other: &Handshake) -> Result<(), Refusal> {
        self.judge(other)?;
        match other.server > self.own.server {
            true => Ok(()),
            false => Err(Refusal::WrongWay(other.server)),
        }
    }

    fn judge(&self, other: &Handshake) -> Result<(), Refusal> {
        if other.server == self.own.server {
            return Err(Refusal::SameServer(other.server));
        }
        if self.strangers == Strangers::Refused && !self.others().contains(&other.server) {
            return Err(Refusal::Unknown(other.server));
        }
        match other.directory == self.own.directory {
            true => Err(Refusal::SameDirectory(other.server)),
            false => Ok(()),
        }
    }

    /// Introduces this server on a link that it dialled, and judges who answers.
    ///
    /// # Errors
    /// If there is to be no link.
    pub async fn introduce<S: Shell>(
        &self,
        shell: &S,
        expected: ServerId,
        stream: &mut S::Link,
    ) -> Result<Handshake, Refusal> {
        in_time(shell, async {
            say(&self.own, stream).await?;
            let other = hear(stream).await?;
            self.judge_answering(expected, &other)?;
            Ok(other)
        })
        .await
    }

    /// Judges who dialled, and introduces this server to it. Who is refused learns nothing.
    ///
    /// # Errors
    /// If there is to be no link.
    pub async fn welcome<S: Shell>(
        &self,
        shell: &S,
        stream: &mut S::Link,
    ) -> Result<Handshake, Refusal> {
        in_time(shell, async {
            let other = hear(stream).await?;
            self.judge_dialling(&other)?;
            say(&self.own, stream).await?;
            Ok(other)
        })
        .await
    }
}

async fn in_time<S: Shell>(
    shell: &S,
    introduction: impl Future<Output = Result<Handshake, Refusal>>,
) -> Result<Handshake, Refusal> {
    let deadline = shell.now().clock.after(LINK_HANDSHAKE_MAX);
    tokio::select! {
        biased;
        other = introduction => other,
        () = shell.sleep_until(deadline) => Err(Refusal::Silent(LINK_HANDSHAKE_MAX)),
    }
}

async fn say(own: &Handshake, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HANDSHAKE_BYTES);
    encode_handshake(own, &mut bytes);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Result<Handshake, Refusal> {
    let mut bytes = [0; HANDSHAKE_BYTES];
    match stream.read_exact(&mut bytes).await {
        Ok(_) => Ok(decode_handshake(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Refusal::Closed),
        Err(error) => Err(error.into()),
    }
}
