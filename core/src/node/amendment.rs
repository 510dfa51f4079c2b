//! What clients wish the members to be, as the leader decides it.
//!
//! Who is a member counts from the moment at which the log says so, so it cannot depend on what
//! comes of the transaction: the leader decides a wish, and the transaction carries the decision.
//! It decides when it has executed everything that its log holds, so nothing stands between the
//! state that it judges by and the transaction. What is asked for meanwhile waits behind the wish.

use alloc::sync::Arc;

use crate::code::Code;
use crate::config::{LEVEL_CONFIG, Reconfiguring};
use crate::listed::PeerRole;
use crate::membership::Membership;
use crate::node::effect::Outbox;
use crate::node::node::Node;
use crate::store::roster::{ANY_CONFIG, Decision, Roster, Wish};
use crate::store::txn::{Action, Txn};
use crate::time::Now;
use crate::tree::acl::Identity;

/// Transactions that wait behind a wish: what comes within some round trips at full load. Those
/// beyond are not proposed, and are handed to the leader again by who asks for them.
const HELD_MAX: usize = 100_000;

impl Node {
    /// Does this transaction wait, behind a wish or as one?
    pub(super) fn hold(&mut self, txn: &Arc<Txn>) -> bool {
        let waits = match txn.action {
            Action::Amend { .. } => !self.has_executed_everything(),
            _ => false,
        };
        if !waits && self.held.is_empty() {
            return false;
        }
        if self.held.len() < HELD_MAX {
            self.held.push_back(Arc::clone(txn));
        }
        true
    }

    /// Proposes what waits, as far as it need not wait any longer.
    pub(super) fn release(&mut self, now: Now, out: &mut Outbox) {
        while let Some(next) = self.held.front() {
            let is_wish = matches!(next.action, Action::Amend { .. });
            if is_wish && !self.has_executed_everything() {
                return;
            }
            if let Some(next) = self.held.pop_front() {
                self.propose_next(now, next, out);
            }
        }
    }

    fn has_executed_everything(&self) -> bool {
        self.store.applied() == self.replica.last()
    }

    /// The transaction with the leader's decision, if it is a wish.
    pub(super) fn decided(&self, mut txn: Arc<Txn>) -> Arc<Txn> {
        let Action::Amend { wish, .. } = &txn.action else {
            return txn;
        };
        let decision = match self.granted(wish, &txn.identities) {
            Ok(membership) => Decision::Granted(membership),
            Err(code) => Decision::Refused(code),
        };
        if let Action::Amend { decision: open, .. } = &mut Arc::make_mut(&mut txn).action {
            *open = decision;
        }
        txn
    }

    /// ZooKeeper's rules, in the order in which it checks them.
    fn granted(&self, wish: &Wish, asker: &[Identity]) -> Result<Membership, Code> {
        let current = self.store.membership();
        if self.config.reconfiguring == Reconfiguring::Off {
            return Err(Code::ReconfigDisabled);
        }
        // ZooKeeper knows no way from one server to several either.
        let is_alone = current.members().len() <= 1;
        if is_alone || self.store.settings().feature_level < LEVEL_CONFIG {
            return Err(Code::Unimplemented);
        }
        if current.incoming.is_some() {
            return Err(Code::ReconfigInProgress);
        }
        if wish.version != ANY_CONFIG && wish.version != self.store.config_version().to_wire() {
            return Err(Code::BadVersion);
        }
        let wanted = Roster::of(current).wanted(wish)?;
        let (voters, learners) = (&wanted.voters, wanted.with(PeerRole::Observer));
        let granted = self.replica.reconfigured(voters, &learners);
        let mut granted = granted.ok_or(Code::NewConfigNoQuorum)?;
        self.store.may_reconfigure(asker)?;
        granted.addresses.extend(wanted.addresses());
        Ok(granted)
    }

    /// The members with the addresses that the configuration has for them, where nobody has agreed
    /// on others.
    pub(super) fn addressed(&self, mut membership: Membership) -> Membership {
        for server in membership.members() {
            if let Some(address) = self.config.addresses.get(&server) {
                let known = membership.addresses.entry(server);
                known.or_insert_with(|| address.clone());
            }
        }
        membership
    }
}
