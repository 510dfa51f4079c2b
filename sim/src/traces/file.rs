//! One file with the trace of a server or a client, as lines that make sense one by one.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use althing::trace::line::{Header as ServerHeader, Line as ServerLine, VERSION};
use althing::trace::notation::Bytes;
use serde::Deserialize;
use thiserror::Error;

/// Why a file is no trace.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// It cannot be read.
    #[error("{}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {message}", file.display())]
    Line {
        /// Of which file.
        file: PathBuf,
        /// Which, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
}

/// The first line of each life of a client.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientHeader {
    /// The version of the format.
    #[serde(rename = "althing-trace")]
    pub version: u32,
    /// When the life began: nanoseconds of the machine's monotonic clock.
    pub at: u64,
    /// Which boot of which machine that clock belongs to.
    pub boot: String,
    /// The client's name.
    pub client: String,
}

/// A line of a client after the first.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ClientLine {
    /// When: nanoseconds of the machine's monotonic clock.
    pub at: u64,
    /// On which connection, numbered within this life.
    pub link: u64,
    /// What.
    #[serde(flatten)]
    pub did: ClientDid,
}

/// What a client did or saw.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClientDid {
    /// It has a connection.
    Opened {
        /// The server's end.
        server: SocketAddr,
        /// The client's address, as the server sees it.
        from: IpAddr,
    },
    /// Bytes are about to leave.
    Sent {
        /// Which; they need not be whole frames.
        bytes: Bytes,
    },
    /// Bytes have arrived.
    Received {
        /// Which; they need not be whole frames.
        bytes: Bytes,
    },
    /// The connection has ended.
    Ended,
}

/// One line with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed<L> {
    /// The number of the line, from 1.
    pub number: usize,
    /// What it says.
    pub line: L,
}

/// One life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life<H, L> {
    /// How it begins.
    pub header: H,
    /// What follows.
    pub lines: Vec<Placed<L>>,
}

/// What a file holds: lives of one server, or of one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lives {
    /// Of a server.
    Server(Vec<Life<ServerHeader, ServerLine>>),
    /// Of a client.
    Client(Vec<Life<ClientHeader, ClientLine>>),
}

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Where it lies.
    pub file: PathBuf,
    /// What it holds.
    pub lives: Lives,
}

/// Reads one file.
///
/// # Errors
/// If it cannot be read, is no trace, is of another version, or is damaged elsewhere than at the
/// end of a life, whose last line may be torn.
pub fn read(file: &Path) -> Result<Trace, Unreadable> {
    let text = fs::read_to_string(file).map_err(|error| Unreadable::File {
        file: file.to_owned(),
        error,
    })?;
    parse(file, &text)
}

/// What `text`, which lies in `file`, holds.
///
/// # Errors
/// As [`read`].
pub fn parse(file: &Path, text: &str) -> Result<Trace, Unreadable> {
    let wrong = |line: usize, message: String| Unreadable::Line {
        file: file.to_owned(),
        line,
        message,
    };
    let mut lives: Vec<Vec<(usize, &str)>> = Vec::new();
    let lines = (1..).zip(text.lines());
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match (line.starts_with(HEADER), lives.last_mut()) {
            (true, _) => lives.push(vec![(number, line)]),
            (false, Some(life)) => life.push((number, line)),
            (false, None) => return Err(wrong(number, NO_HEADER.to_owned())),
        }
    }
    let Some((number, first)) = lives.first().and_then(|life| life.first()) else {
        return Err(wrong(1, NO_HEADER.to_owned()));
    };
    let lives = match serde_json::from_str::<ServerHeader>(first) {
        Ok(_) => Lives::Server(typed(&lives, &wrong)?),
        Err(_) => {
            // What is neither has no version that we know, or is no trace at all.
            serde_json::from_str::<ClientHeader>(first)
                .map_err(|error| wrong(*number, error.to_string()))?;
            Lives::Client(typed(&lives, &wrong)?)
        }
    };
    Ok(Trace {
        file: file.to_owned(),
        lives,
    })
}

/// How every first line of a life begins.
const HEADER: &str = "{\"althing-trace\":";

const NO_HEADER: &str = "this is no trace: the first line of one names the version of its format";

/// What lines and headers of servers and clients have in common.
trait Dated {
    fn at(&self) -> u64;
}

impl Dated for ServerLine {
    fn at(&self) -> u64 {
        self.at
    }
}

impl Dated for ClientLine {
    fn at(&self) -> u64 {
        self.at
    }
}

/// A header.
trait Opening {
    fn at(&self) -> u64;
    fn version(&self) -> u32;
}

impl Opening for ServerHeader {
    fn at(&self) -> u64 {
        self.at
    }

    fn version(&self) -> u32 {
        self.version
    }
}

impl Opening for ClientHeader {
    fn at(&self) -> u64 {
        self.at
    }

    fn version(&self) -> u32 {
        self.version
    }
}

fn typed<H, L>(
    lives: &[Vec<(usize, &str)>],
    wrong: &dyn Fn(usize, String) -> Unreadable,
) -> Result<Vec<Life<H, L>>, Unreadable>
where
    H: Opening + for<'de> Deserialize<'de>,
    L: Dated + for<'de> Deserialize<'de>,
{
    let mut typed = Vec::new();
    let mut now = 0;
    for life in lives {
        let [(number, first), rest @ ..] = &life[..] else {
            continue;
        };
        let header: H =
            serde_json::from_str(first).map_err(|error| wrong(*number, error.to_string()))?;
        if header.version() != VERSION {
            let version = header.version();
            let message =
                format!("the format's version is {version}; this program reads {VERSION}");
            return Err(wrong(*number, message));
        }
        let mut check_hour = |number: usize, at: u64| {
            if at < now {
                let message = "time goes back: is this the trace of two processes?";
                return Err(wrong(number, message.to_owned()));
            }
            now = at;
            Ok(())
        };
        check_hour(*number, header.at())?;
        let mut lines = Vec::new();
        for (place, (number, text)) in rest.iter().enumerate() {
            let line: L = match serde_json::from_str(text) {
                Ok(line) => line,
                // Its process was killed while the line was written.
                Err(error) if error.is_eof() && place + 1 == rest.len() => break,
                Err(error) => return Err(wrong(*number, error.to_string())),
            };
            check_hour(*number, line.at())?;
            lines.push(Placed {
                number: *number,
                line,
            });
        }
        typed.push(Life { header, lines });
    }
    Ok(typed)
}
