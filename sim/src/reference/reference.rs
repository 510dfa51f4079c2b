//! The whole service as one value: what a transaction does to it, what a read of it answers.

use std::collections::BTreeMap;

use althing_core::code::Code;
use althing_core::config::{
    LEVEL_LOCAL_SESSIONS, LEVEL_RESTORING, REPLY_BYTES_MAX_DEFAULT, Settings,
};
use althing_core::ids::{Password, SessionId, Token, Zxid};
use althing_core::membership::Membership;
use althing_core::node::reply::{EventKind, PartRead, Response};
use althing_core::node::request::{Listing, Read, ReadPart, SetWatches, Watching};
use althing_core::node::size::{self, HEADER_BYTES};
use althing_core::store::roster::{Decision, Wish};
use althing_core::store::txn::{Action, Attachment, Origin, Outcome, Txn};
use althing_core::tree::acl::{Identity, Perms};
use althing_core::tree::data::Data;
use althing_core::tree::op::{Lifetime, Op};
use althing_core::tree::path::Path;
use althing_core::tree::restoring::Restoration;
use althing_core::tree::stat::Stat;
use althing_core::watch::WatchMode;

use crate::reference::access;
use crate::reference::config;
use crate::reference::tree::{Actor, RefTree, RefZnode, Table, Telling};

/// A session that is open.
#[derive(Clone, Debug)]
pub struct RefSession {
    /// Its secret.
    pub password: Password,
    /// Its time-out in milliseconds.
    pub timeout_ms: u32,
    /// Whose writes are executed.
    pub attachment: Attachment,
    /// How many of them were.
    pub sequence: u64,
    /// Whose wish the attachment granted.
    pub token: Token,
}

/// What came of a transaction.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What its asker is told.
    pub outcome: Outcome,
    /// What watches are told, in order.
    pub told: Vec<Telling>,
    /// The znodes that went with a session, or since their time was over.
    pub gone: Vec<Path>,
}

/// What `setWatches` does with one watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rearmed {
    /// The znode has changed since: the watch is told at once.
    Told(EventKind, Path),
    /// It has not: the watch is left.
    Left(Table, Path),
    /// The watch stays, whatever it has missed.
    Stays(WatchMode, Path),
}

/// Is a configuration shown that is the same as before?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Always,
    IfNew,
}

/// The state after some transaction.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// The znodes.
    pub tree: RefTree,
    /// The sessions that are open.
    pub sessions: BTreeMap<SessionId, RefSession>,
    /// The members of the ensemble.
    pub membership: Membership,
    settings: Settings,
}

impl Reference {
    /// The state before the first transaction.
    pub fn new() -> Reference {
        Reference::default()
    }

    /// Executes the transaction at `zxid`.
    pub fn apply(&mut self, zxid: Zxid, txn: &Txn) -> Applied {
        let mut told = Vec::new();
        let mut gone = Vec::new();
        let outcome = match txn.origin.map_or(Ok(()), |origin| self.admit(origin)) {
            Err(refused) => refused,
            Ok(()) => self.act(zxid, txn, &mut told, &mut gone),
        };
        let live = |owner| self.sessions.contains_key(&owner);
        debug_assert!(
            self.tree.owners().all(live),
            "an ephemeral's session is open"
        );
        Applied {
            outcome,
            told,
            gone,
        }
    }

    /// A session's writes execute in order, each once, through its newest attachment only.
    fn admit(&mut self, origin: Origin) -> Result<(), Outcome> {
        let is_open = self.sessions.contains_key(&origin.session);
        if origin.is_local() && !is_open && self.settings.feature_level >= LEVEL_LOCAL_SESSIONS {
            // Its server answers for it, and hands each write of it to one leader at a time.
            return Ok(());
        }
        match self.sessions.get_mut(&origin.session) {
            None => Err(Outcome::Refused(Code::SessionExpired)),
            Some(session) if session.attachment != origin.attachment => {
                Err(Outcome::Refused(Code::SessionMoved))
            }
            Some(session) if origin.sequence <= session.sequence => Err(Outcome::Repeated),
            Some(session) if origin.sequence > session.sequence + 1 => {
                Err(Outcome::Refused(Code::SessionMoved))
            }
            Some(session) => {
                session.sequence += 1;
                Ok(())
            }
        }
    }

    fn act(
        &mut self,
        zxid: Zxid,
        txn: &Txn,
        told: &mut Vec<Telling>,
        gone: &mut Vec<Path>,
    ) -> Outcome {
        let actor = Actor {
            zxid,
            wall: txn.wall,
            session: txn.origin.map(|origin| origin.session),
            identities: &txn.identities,
            data_bytes_max: self.settings.data_bytes_max,
            hard_limits: self.settings.hard_limits,
        };
        match &txn.action {
            Action::OpenEpoch {
                leader: _,
                settings,
                membership,
            } => {
                self.settings = *settings;
                self.tree.reach(settings.feature_level);
                self.membership = membership.clone();
                self.show_config(&actor, Shown::IfNew, told);
                Outcome::EpochOpened
            }
            Action::Reconfigure { membership } => {
                self.membership = membership.clone();
                self.show_config(&actor, Shown::IfNew, told);
                Outcome::Reconfigured
            }
            Action::Amend { wish, decision } => {
                Outcome::Amended(self.amend(&actor, wish, decision, told))
            }
            Action::OpenSession {
                password,
                timeout_ms,
                token,
            } => {
                let session = SessionId(zxid.to_wire());
                self.attach(session, zxid, *password, *timeout_ms, *token)
            }
            Action::Attach {
                session,
                password,
                timeout_ms,
                token,
            } => self.attach_again(*session, zxid, *password, *timeout_ms, *token),
            Action::Upgrade {
                password,
                timeout_ms,
                token,
            } => match txn.origin.filter(Origin::is_local) {
                Some(origin) => self.attach(origin.session, zxid, *password, *timeout_ms, *token),
                None => Outcome::NotAttached,
            },
            Action::CloseSession { session, .. } => {
                let existed = self.sessions.remove(session).is_some();
                if existed {
                    *gone = self.tree.delete_of(zxid, *session, told);
                }
                Outcome::SessionClosed {
                    session: *session,
                    existed,
                    ephemerals: gone.len(),
                }
            }
            Action::Reap { paths } => {
                *gone = self.tree.reap(zxid, txn.wall, paths, told);
                Outcome::Reaped { count: gone.len() }
            }
            Action::Restore(part) => self.restore(&actor, part, told),
            Action::Write(op) => self.write(&actor, txn, op, told),
            Action::Multi(ops) => self.write_all(&actor, txn, ops, told),
        }
    }

    fn restore(
        &mut self,
        actor: &Actor<'_>,
        part: &Restoration,
        told: &mut Vec<Telling>,
    ) -> Outcome {
        let refused = match self.settings.feature_level >= LEVEL_RESTORING {
            true => self.tree.restore(actor, part, told),
            false => part.ops.len(),
        };
        Outcome::Restored { refused }
    }

    fn write(&mut self, actor: &Actor<'_>, txn: &Txn, op: &Op, told: &mut Vec<Telling>) -> Outcome {
        Outcome::Written(match owning(txn, core::slice::from_ref(op)) {
            Some(_) => Err(Code::EphemeralOnLocalSession),
            None => self.tree.apply(actor, op, told),
        })
    }

    fn write_all(
        &mut self,
        actor: &Actor<'_>,
        txn: &Txn,
        ops: &[Op],
        told: &mut Vec<Telling>,
    ) -> Outcome {
        if let Some(index) = owning(txn, ops) {
            let code = Code::EphemeralOnLocalSession;
            return Outcome::NoneWritten { index, code };
        }
        match self.tree.apply_all(actor, ops, told) {
            Ok(done) => Outcome::AllWritten(done),
            Err((index, code)) => Outcome::NoneWritten { index, code },
        }
    }

    fn amend(
        &mut self,
        actor: &Actor<'_>,
        wish: &Wish,
        decision: &Decision,
        told: &mut Vec<Telling>,
    ) -> Result<(Option<Data>, Stat), Code> {
        let znode = self.tree.get(config::CONFIG).ok_or(Code::NoNode)?;
        let may_write = access::permits(&znode.acl, Perms::WRITE, actor.identities);
        let version = znode.mzxid;
        self.membership = config::judged(wish, decision, &self.membership, version, may_write)?;
        self.show_config(actor, Shown::Always, told);
        let znode = self.tree.get(config::CONFIG).ok_or(Code::NoNode)?;
        Ok((znode.data.clone(), znode.stat()))
    }

    /// The znode of the configuration tells who the members are, and since which transaction.
    fn show_config(&mut self, actor: &Actor<'_>, shown: Shown, told: &mut Vec<Telling>) {
        if self.settings.feature_level < config::LEVEL || self.membership.voters.is_empty() {
            return;
        }
        let servers = config::text_of(&self.membership);
        let known = self.tree.get(config::CONFIG).and_then(|znode| {
            let text = znode.data.as_ref()?.to_vec();
            let text = String::from_utf8(text).ok()?;
            let (servers, _version) = text.rsplit_once("version=")?;
            Some(servers.to_owned())
        });
        if shown == Shown::Always || known != Some(servers.clone()) {
            let text = format!("{servers}version={:x}", actor.zxid.0);
            self.tree.set_config(actor, &text, told);
        }
    }

    fn attach_again(
        &mut self,
        session: SessionId,
        attachment: Attachment,
        password: Password,
        timeout_ms: u32,
        token: Token,
    ) -> Outcome {
        match self.sessions.get(&session) {
            // One wish is granted once.
            Some(known) if known.token == token => Outcome::Repeated,
            Some(known) if known.password == password => {
                self.attach(session, attachment, password, timeout_ms, token)
            }
            _ => Outcome::NotAttached,
        }
    }

    fn attach(
        &mut self,
        session: SessionId,
        attachment: Attachment,
        password: Password,
        timeout_ms: u32,
        token: Token,
    ) -> Outcome {
        let fresh = RefSession {
            password,
            timeout_ms,
            attachment,
            sequence: 0,
            token,
        };
        self.sessions.insert(session, fresh);
        Outcome::Attached {
            session,
            password,
            timeout_ms,
            attachment,
        }
    }

    /// What a read answers to somebody with these identities, in this session.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth`; `MarshallingError` if the whole answer is too large.
    pub fn read(
        &self,
        read: &Read,
        identities: &[Identity],
        session: Option<SessionId>,
    ) -> Result<Response, Code> {
        let found = self.found(read, identities, session)?;
        match HEADER_BYTES + size::of_read(&found) <= REPLY_BYTES_MAX_DEFAULT {
            true => Ok(found),
            false => Err(Code::MarshallingError),
        }
    }

    fn found(
        &self,
        read: &Read,
        identities: &[Identity],
        session: Option<SessionId>,
    ) -> Result<Response, Code> {
        let find = |path: &Path, wanted: Perms| -> Result<&RefZnode, Code> {
            let znode = self.tree.get(path.as_str()).ok_or(Code::NoNode)?;
            match access::permits(&znode.acl, wanted, identities) {
                true => Ok(znode),
                false => Err(Code::NoAuth),
            }
        };
        match read {
            Read::Exists { path, .. } => Ok(Response::Exists(find(path, Perms::READ)?.stat())),
            Read::GetData { path, .. } => {
                let znode = find(path, Perms::READ)?;
                Ok(Response::Data {
                    data: znode.data.clone(),
                    stat: znode.stat(),
                })
            }
            Read::GetChildren { path, listing, .. } => {
                let znode = find(path, Perms::READ)?;
                let stat = match listing {
                    Listing::Names => None,
                    Listing::NamesAndStat => Some(znode.stat()),
                };
                Ok(Response::Children {
                    names: self.tree.names(path.as_str()),
                    stat,
                })
            }
            Read::GetAcl { path } => {
                let znode = find(path, Perms::READ | Perms::ADMIN)?;
                let acl = match access::permits(&znode.acl, Perms::ADMIN, identities) {
                    true => znode.acl.clone(),
                    false => access::redacted(&znode.acl),
                };
                Ok(Response::Acl {
                    acl,
                    stat: znode.stat(),
                })
            }
            Read::GetEphemerals { prefix } => {
                let owned = session.map_or_else(Vec::new, |session| self.tree.owned(session));
                let all = prefix.trim().is_empty() || prefix.trim() == "/";
                let begins = |path: &Path| all || path.as_str().starts_with(&**prefix);
                Ok(Response::Ephemerals(
                    owned.into_iter().filter(begins).collect(),
                ))
            }
            Read::CountBelow { path } => {
                find(path, Perms::READ)?;
                Ok(Response::Count(self.tree.below(path)))
            }
            Read::WhoAmI => Ok(Response::Identities(
                identities.iter().map(access::shown).collect(),
            )),
            Read::Several(parts) => self.several(parts, identities).map(Response::Several),
        }
    }

    /// Each read by itself.
    fn several(
        &self,
        parts: &[ReadPart],
        identities: &[Identity],
    ) -> Result<Vec<Result<PartRead, Code>>, Code> {
        let one = |part: &ReadPart| {
            let read = match part {
                ReadPart::Data(path) => Read::GetData {
                    path: path.clone(),
                    watching: Watching::No,
                },
                ReadPart::Children(path) => Read::GetChildren {
                    path: path.clone(),
                    watching: Watching::No,
                    listing: Listing::Names,
                },
            };
            match self.read(&read, identities, None)? {
                Response::Data { data, stat } => Ok(PartRead::Data { data, stat }),
                Response::Children { names, .. } => Ok(PartRead::Children(names)),
                other => unreachable!("{other:?} answers neither"),
            }
        };
        let all: Vec<Result<PartRead, Code>> = parts.iter().map(one).collect();
        Ok(all)
    }

    /// What `setWatches` does with each of its watches, in the order of the request.
    pub fn rearm(&self, watches: &SetWatches) -> Vec<Rearmed> {
        let since = watches.relative_zxid;
        let at = |path: &Path| self.tree.get(path.as_str());
        let told = |kind, path: &Path| Rearmed::Told(kind, path.clone());
        let data = watches.data.iter().map(|path| match at(path) {
            None => told(EventKind::NodeDeleted, path),
            Some(znode) if znode.mzxid > since => told(EventKind::NodeDataChanged, path),
            Some(_) => Rearmed::Left(Table::Data, path.clone()),
        });
        let exist = watches.exist.iter().map(|path| match at(path) {
            Some(_) => told(EventKind::NodeCreated, path),
            None => Rearmed::Left(Table::Data, path.clone()),
        });
        let child = watches.child.iter().map(|path| match at(path) {
            None => told(EventKind::NodeDeleted, path),
            Some(znode) if znode.pzxid > since => told(EventKind::NodeChildrenChanged, path),
            Some(_) => Rearmed::Left(Table::Child, path.clone()),
        });
        let stays = |mode| move |path: &Path| Rearmed::Stays(mode, path.clone());
        let persistent = watches.persistent.iter().map(stays(WatchMode::Persistent));
        let recursive = watches.recursive.iter().map(stays(WatchMode::Recursive));
        data.chain(exist)
            .chain(child)
            .chain(persistent)
            .chain(recursive)
            .collect()
    }
}

/// The first operation that would create an ephemeral znode in a session that is one server's
/// alone.
fn owning(txn: &Txn, ops: &[Op]) -> Option<usize> {
    let is_local = txn.origin.is_some_and(|origin| origin.is_local());
    let owns = |op: &Op| match op {
        Op::Create(create) => create.lifetime == Lifetime::Ephemeral,
        _ => false,
    };
    ops.iter().position(|op| is_local && owns(op))
}
