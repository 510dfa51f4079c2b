//! The replicated state machine: executes transactions in the order of their positions.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use xxhash_rust::xxh3::Xxh3;

use crate::code::Code;
use crate::config::{
    HardLimits, LEVEL_CONFIG, LEVEL_LOCAL_SESSIONS, LEVEL_QUOTAS, LEVEL_RESTORING, Settings,
};
use crate::ids::{Password, SessionId, Token, Zxid};
use crate::membership::Membership;
use crate::store::roster::{Decision, Roster};
use crate::store::txn::{Action, Attachment, Entry, Origin, Outcome, Txn};
use crate::tree::acl::Identity;
use crate::tree::data::Data;
use crate::tree::op::{Change, Op};
use crate::tree::restoring::Restoration;
use crate::tree::stat::Stat;
use crate::tree::tree::{Context, Tree, Upkeep};

/// A session, as all servers agree on it. Its heartbeats are not part of it: they are soft state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its secret.
    pub password: Password,
    /// Its negotiated time-out.
    pub timeout_ms: u32,
    /// The attachment whose writes are executed; those of older ones are refused.
    pub attachment: Attachment,
    /// The last write of that attachment that was executed.
    pub sequence: u64,
    /// Whose wish the attachment granted.
    pub token: Token,
}

/// The state that all servers share. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) applied: Zxid,
    pub(crate) settings: Settings,
    pub(crate) membership: Membership,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) tree: Tree,
}

impl Store {
    /// The state before the first transaction.
    pub fn new() -> Store {
        Store {
            applied: Zxid::ZERO,
            settings: Settings::default(),
            membership: Membership::default(),
            sessions: BTreeMap::new(),
            tree: Tree::new(),
        }
    }

    /// The state that a snapshot holds.
    pub fn from_parts(
        applied: Zxid,
        settings: Settings,
        membership: Membership,
        sessions: BTreeMap<SessionId, Session>,
        mut tree: Tree,
    ) -> Store {
        tree.resume_upkeep(upkeep(settings));
        Store {
            applied,
            settings,
            membership,
            sessions,
            tree,
        }
    }

    /// The state after a transaction at `zxid` that ends all sessions, for whoever hands it to
    /// servers that they do not know.
    #[must_use]
    pub fn without_sessions(mut self, zxid: Zxid) -> Store {
        for session in core::mem::take(&mut self.sessions).into_keys() {
            self.tree
                .delete_ephemerals_of(zxid, session, &mut Vec::new());
        }
        self.applied = zxid;
        self
    }

    /// The last transaction that was executed.
    pub fn applied(&self) -> Zxid {
        self.applied
    }

    /// Hashes paths with a secret key from here on, so that no client can choose paths that
    /// collide.
    pub fn rekey(&mut self, key: u64) {
        self.tree.rekey(key);
    }

    /// The shared settings.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The members of the ensemble; nobody before it is founded.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The znodes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The sessions that are open, in the order of their ids.
    pub fn sessions(&self) -> &BTreeMap<SessionId, Session> {
        &self.sessions
    }

    /// A digest of the whole state: equal on servers that have executed the same transactions.
    pub fn digest(&self) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&self.applied.0.to_le_bytes());
        hash.update(&self.settings.feature_level.to_le_bytes());
        hash.update(&self.settings.data_bytes_max.to_le_bytes());
        let are_enforced = self.settings.hard_limits == HardLimits::Enforced;
        hash.update(&[are_enforced.into()]);
        self.membership.digest_into(|bytes| hash.update(bytes));
        for (id, session) in &self.sessions {
            hash.update(&id.0.to_le_bytes());
            hash.update(&session.password.0);
            hash.update(&session.timeout_ms.to_le_bytes());
            hash.update(&session.attachment.0.to_le_bytes());
            hash.update(&session.sequence.to_le_bytes());
            hash.update(&session.token.incarnation.to_le_bytes());
            hash.update(&session.token.connection.0.to_le_bytes());
        }
        hash.update(&self.tree.digest().to_le_bytes());
        hash.digest128()
    }

    /// Executes the transaction at its position. What watches may have to tell is appended to
    /// `changes`. Total: no transaction that decodes can panic, now or at replay.
    ///
    /// # Panics
    /// If `entry` does not follow what was executed before: the caller has lost or repeated a part
    /// of the log, and to go on would diverge.
    pub fn execute(&mut self, entry: &Entry, changes: &mut Vec<Change>) -> Outcome {
        self.assert_follows(entry.zxid);
        self.applied = entry.zxid;
        let txn = &*entry.txn;
        // Whoever has the entry in its log counts quorums by it already, so it holds in any case.
        if let Some(membership) = txn.action.membership() {
            self.membership = membership.clone();
        }
        if let Some(origin) = txn.origin
            && let Err(outcome) = self.admit(origin)
        {
            return outcome;
        }
        match &txn.action {
            Action::OpenEpoch {
                leader: _,
                settings,
                membership: _,
            } => {
                self.settings = *settings;
                self.tree.set_upkeep(upkeep(*settings));
                self.show_config(entry, changes);
                Outcome::EpochOpened
            }
            Action::Reconfigure { membership: _ } => {
                self.show_config(entry, changes);
                Outcome::Reconfigured
            }
            Action::Amend { wish: _, decision } => Outcome::Amended(match decision {
                Decision::Granted(_) => Ok(self.renew_config(entry, changes)),
                Decision::Refused(code) => Err(*code),
                // No leader proposes that.
                Decision::Open => Err(Code::SystemError),
            }),
            Action::OpenSession {
                password,
                timeout_ms,
                token,
            } => {
                let session = SessionId::opened_at(entry.zxid);
                self.attach(session, *password, *timeout_ms, *token)
            }
            Action::Attach {
                session,
                password,
                timeout_ms,
                token,
            } => self.attach_again(*session, *password, *timeout_ms, *token),
            Action::Upgrade {
                password,
                timeout_ms,
                token,
            } => match txn.origin.filter(Origin::is_local) {
                Some(origin) => self.attach(origin.session, *password, *timeout_ms, *token),
                // No server asks for that.
                None => Outcome::NotAttached,
            },
            Action::CloseSession { session, ending: _ } => {
                self.close_session(entry.zxid, *session, changes)
            }
            Action::Reap { paths } => Outcome::Reaped {
                count: self.tree.reap(entry.zxid, txn.wall, paths, changes),
            },
            Action::Restore(part) => self.restore(entry, part, changes),
            Action::Write(op) => self.write(entry, op, changes),
            Action::Multi(ops) => self.write_all(entry, ops, changes),
        }
    }

    fn restore(&mut self, entry: &Entry, part: &Restoration, changes: &mut Vec<Change>) -> Outcome {
        let refused = match self.settings.feature_level >= LEVEL_RESTORING {
            true => {
                let context = self.context(entry.zxid, &entry.txn);
                self.tree.restore(&context, part, changes)
            }
            false => part.ops.len(),
        };
        Outcome::Restored { refused }
    }

    fn write(&mut self, entry: &Entry, op: &Op, changes: &mut Vec<Change>) -> Outcome {
        Outcome::Written(match unowned(&entry.txn) {
            Some((_, code)) => Err(code),
            None => {
                let context = self.context(entry.zxid, &entry.txn);
                self.tree.execute(&context, op, changes)
            }
        })
    }

    fn write_all(&mut self, entry: &Entry, ops: &[Op], changes: &mut Vec<Change>) -> Outcome {
        if let Some((index, code)) = unowned(&entry.txn) {
            return Outcome::NoneWritten { index, code };
        }
        let context = self.context(entry.zxid, &entry.txn);
        match self.tree.execute_all(&context, ops, changes) {
            Ok(done) => Outcome::AllWritten(done),
            Err((index, code)) => Outcome::NoneWritten { index, code },
        }
    }

    /// Keeps the znode of the configuration up to date: who the members are, and by which
    /// transaction they came to be. The second half of a change adds nothing to that.
    fn show_config(&mut self, entry: &Entry, changes: &mut Vec<Change>) {
        let is_known = self.settings.feature_level >= LEVEL_CONFIG && !self.membership.is_empty();
        let lines = Roster::of(&self.membership).lines();
        let is_shown = || {
            let (data, _) = self.tree.kept_config()?;
            let text = data.as_deref().map(core::str::from_utf8)?.ok()?;
            Some(text.strip_prefix(&*lines)?.starts_with("version="))
        };
        if is_known && is_shown() != Some(true) {
            self.renew_config(entry, changes);
        }
    }

    /// Gives the configuration this transaction's version.
    fn renew_config(&mut self, entry: &Entry, changes: &mut Vec<Change>) -> (Option<Data>, Stat) {
        let text = Roster::of(&self.membership).text(entry.zxid);
        let tree = &mut self.tree;
        tree.keep_config(entry.zxid, entry.txn.wall, text.as_bytes(), changes);
        tree.kept_config().expect("it was just kept")
    }

    /// The version of the configuration: the transaction that brought it.
    pub fn config_version(&self) -> Zxid {
        let kept = self.tree.kept_config();
        kept.map_or(Zxid::ZERO, |(_, stat)| stat.mzxid)
    }

    /// May somebody with these identities wish for another configuration?
    ///
    /// # Errors
    /// `NoAuth`.
    pub fn may_reconfigure(&self, asker: &[Identity]) -> Result<(), Code> {
        self.tree.may_write_config(asker)
    }

    fn assert_follows(&self, zxid: Zxid) {
        let dense = self.applied.next() == Some(zxid);
        let opens = zxid.epoch() > self.applied.epoch() && zxid.counter() == 0;
        assert!(dense || opens, "{zxid} does not follow {}", self.applied);
    }

    /// May this write execute? The session must be there, attached as the write says, and the
    /// write must be the next one of that attachment.
    fn admit(&mut self, origin: Origin) -> Result<(), Outcome> {
        if origin.is_local() {
            return self.admit_local(origin.session);
        }
        let Some(session) = self.sessions.get_mut(&origin.session) else {
            return Err(Outcome::Refused(Code::SessionExpired));
        };
        if session.attachment != origin.attachment {
            return Err(Outcome::Refused(Code::SessionMoved));
        }
        if origin.sequence <= session.sequence {
            return Err(Outcome::Repeated);
        }
        if origin.sequence != session.sequence + 1 {
            // A write before this one was lost on its way, so the pipeline of this attachment ends
            // here: to execute what follows would break the client's order.
            return Err(Outcome::Refused(Code::SessionMoved));
        }
        session.sequence = origin.sequence;
        Ok(())
    }

    /// May a write execute whose session is one server's alone? The log does not know the session:
    /// its server answers for it. Once the ensemble has taken it over, it is attached like others.
    fn admit_local(&self, session: SessionId) -> Result<(), Outcome> {
        if self.sessions.contains_key(&session) {
            return Err(Outcome::Refused(Code::SessionMoved));
        }
        match self.settings.feature_level >= LEVEL_LOCAL_SESSIONS {
            true => Ok(()),
            false => Err(Outcome::Refused(Code::SessionExpired)),
        }
    }

    fn context<'a>(&self, zxid: Zxid, txn: &'a Txn) -> Context<'a> {
        Context {
            zxid,
            wall: txn.wall,
            session: txn.origin.map(|origin| origin.session),
            identities: &txn.identities,
            data_bytes_max: self.settings.data_bytes_max,
            hard_limits: self.settings.hard_limits,
        }
    }

    fn attach_again(
        &mut self,
        session: SessionId,
        password: Password,
        timeout_ms: u32,
        token: Token,
    ) -> Outcome {
        match self.sessions.get(&session) {
            // The server that asked has asked twice, since the leader changed.
            Some(known) if known.token == token => Outcome::Repeated,
            Some(known) if known.password == password => {
                self.attach(session, password, timeout_ms, token)
            }
            _ => Outcome::NotAttached,
        }
    }

    fn attach(
        &mut self,
        session: SessionId,
        password: Password,
        timeout_ms: u32,
        token: Token,
    ) -> Outcome {
        let attachment = self.applied;
        self.sessions.insert(
            session,
            Session {
                password,
                timeout_ms,
                attachment,
                sequence: 0,
                token,
            },
        );
        Outcome::Attached {
            session,
            password,
            timeout_ms,
            attachment,
        }
    }

    fn close_session(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        changes: &mut Vec<Change>,
    ) -> Outcome {
        let existed = self.sessions.remove(&session).is_some();
        let ephemerals = match existed {
            true => self.tree.delete_ephemerals_of(zxid, session, changes),
            false => 0,
        };
        Outcome::SessionClosed {
            session,
            existed,
            ephemerals,
        }
    }
}

/// The first znode that a transaction would create for a session that is one server's alone: the
/// log does not know when such a session ends, so it owns nothing.
fn unowned(txn: &Txn) -> Option<(usize, Code)> {
    let is_local = txn.origin.is_some_and(|origin| origin.is_local());
    let index = is_local.then(|| txn.action.first_ephemeral())??;
    Some((index, Code::EphemeralOnLocalSession))
}

fn upkeep(settings: Settings) -> Upkeep {
    match settings.feature_level >= LEVEL_QUOTAS {
        true => Upkeep::Kept,
        false => Upkeep::Left,
    }
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}
