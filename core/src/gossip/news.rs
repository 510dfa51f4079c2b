//! What a server says about itself, and the bytes of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::codec::compact;
use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::gossip::incarnation::Incarnation;
use crate::ids::{DirectoryId, Epoch, ServerId, Zxid};

/// The longest name that the domain name system knows, with brackets and a port.
pub const ENDPOINT_BYTES_MAX: usize = 262;

/// More than any release of ours is called.
pub const RELEASE_BYTES_MAX: usize = 64;

/// What part a server plays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// It looks for a leader.
    Looking,
    /// It follows one.
    Follower,
    /// It leads.
    Leader,
    /// It has the log and does not vote.
    Learner,
}

impl Role {
    const ALL: [Role; 4] = [Role::Looking, Role::Follower, Role::Leader, Role::Learner];

    fn number(self) -> u8 {
        match self {
            Role::Looking => 0,
            Role::Follower => 1,
            Role::Leader => 2,
            Role::Learner => 3,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Looking => "looking",
            Role::Follower => "follower",
            Role::Leader => "leader",
            Role::Learner => "learner",
        })
    }
}

/// A short text that is fit for a table: at most `MAX` bytes, all of them visible ASCII.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Label<const MAX: usize>(String);

impl<const MAX: usize> Label<MAX> {
    /// What of `text` is fit for it.
    pub fn fitting(text: &str) -> Label<MAX> {
        let fit = |c: &char| c.is_ascii_graphic();
        Label(text.chars().filter(fit).take(MAX).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(input: &mut Cursor<'_>, what: &'static str) -> Result<Label<MAX>, Malformed> {
        let at = input.malformed(what);
        let text = compact::text(input, what)?;
        let label = Label::fitting(text);
        match label.0 == text {
            true => Ok(label),
            false => Err(at),
        }
    }
}

/// What a server says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its part.
    pub role: Role,
    /// The newest epoch that it knows of.
    pub epoch: Epoch,
    /// Whom it takes for the leader.
    pub leader: Option<ServerId>,
    /// The last transaction that it executed.
    pub applied: Zxid,
    /// Where it takes clients.
    pub endpoint: Label<ENDPOINT_BYTES_MAX>,
    /// The release of its software.
    pub release: Label<RELEASE_BYTES_MAX>,
    /// Its data directory.
    pub directory: DirectoryId,
}

impl Report {
    /// Does it differ in more than how far the server is?
    pub fn differs(&self, other: &Report) -> bool {
        let placed = |report: &Report| Report {
            applied: Zxid::ZERO,
            ..report.clone()
        };
        placed(self) != placed(other)
    }
}

/// A report with its place among all reports of its server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// Whose.
    pub server: ServerId,
    /// Of which life.
    pub incarnation: Incarnation,
    /// Counts the reports of that life.
    pub version: u64,
    /// What it said.
    pub report: Report,
}

impl News {
    /// By this the newest is told: the greatest.
    pub fn order(&self) -> (Incarnation, u64) {
        (self.incarnation, self.version)
    }

    /// Appends the bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let report = &self.report;
        put_server(out, Some(self.server));
        put_incarnation(out, self.incarnation);
        compact::put_number(out, self.version);
        out.push(report.role.number());
        compact::put_number(out, report.epoch.0.into());
        put_server(out, report.leader);
        compact::put_number(out, report.applied.0);
        compact::put_text(out, report.endpoint.as_str());
        compact::put_text(out, report.release.as_str());
        out.extend_from_slice(&report.directory.0.to_le_bytes());
    }

    /// Reads the bytes.
    pub(super) fn read(input: &mut Cursor<'_>) -> Result<News, Malformed> {
        let at = input.malformed("server of news");
        let server = server(input, "server of news")?.ok_or(at)?;
        let incarnation = incarnation(input)?;
        let version = compact::number(input, "version")?;
        let at = input.malformed("role");
        let number = compact::byte(input, "role")?;
        let role = Role::ALL.into_iter().find(|role| role.number() == number);
        let report = Report {
            role: role.ok_or(at)?,
            epoch: epoch(input)?,
            leader: self::server(input, "leader")?,
            applied: Zxid(compact::number(input, "applied zxid")?),
            endpoint: Label::read(input, "endpoint")?,
            release: Label::read(input, "release")?,
            directory: DirectoryId(u128::from_le_bytes(input.array("directory")?)),
        };
        Ok(News {
            server,
            incarnation,
            version,
            report,
        })
    }
}

fn epoch(input: &mut Cursor<'_>) -> Result<Epoch, Malformed> {
    let at = input.malformed("epoch");
    let epoch = Epoch(compact::number32(input, "epoch")?);
    match epoch <= Epoch::MAX {
        true => Ok(epoch),
        false => Err(at),
    }
}

/// Appends a server's number, or 0 for none.
pub(super) fn put_server(out: &mut Vec<u8>, server: Option<ServerId>) {
    assert!(server != Some(ServerId(0)), "no server has the number 0");
    out.push(server.map_or(0, |server| server.0));
}

pub(super) fn server(
    input: &mut Cursor<'_>,
    what: &'static str,
) -> Result<Option<ServerId>, Malformed> {
    let number = compact::byte(input, what)?;
    Ok((number != 0).then_some(ServerId(number)))
}

pub(super) fn put_incarnation(out: &mut Vec<u8>, incarnation: Incarnation) {
    compact::put_number(out, incarnation.number);
    out.extend_from_slice(&incarnation.birth.to_le_bytes());
}

pub(super) fn incarnation(input: &mut Cursor<'_>) -> Result<Incarnation, Malformed> {
    Ok(Incarnation {
        number: compact::number(input, "incarnation")?,
        birth: u64::from_le_bytes(input.array("birth")?),
    })
}
