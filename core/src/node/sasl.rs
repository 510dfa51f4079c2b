//! Authentication by SASL, with the mechanism [`crate::digest_md5`].

use alloc::format;

use crate::code::Code;
use crate::config::FailedSasl;
use crate::digest_md5::{self, Step};
use crate::ids::ConnectionId;
use crate::node::connection::{Challenged, Waiting};
use crate::node::node::Node;
use crate::node::reply::Response;
use crate::tree::acl::Identity;
use crate::tree::data::Data;

/// The scheme of identities that come about by SASL.
pub const SASL: &str = "sasl";

impl Node {
    /// A client's part of the exchange. What is asked after its last one is asked as the new
    /// identity, whenever its turn comes.
    pub(super) fn exchange(&mut self, id: ConnectionId, token: &[u8]) -> Waiting {
        // As in ZooKeeper: where SASL is not configured, there is nothing to say.
        if self.config.sasl.users.is_empty() {
            return Waiting::Answered(Ok(Response::Sasl(None)));
        }
        let nonce = format!("{:016x}{:016x}", self.prng.bits(), self.prng.bits());
        let Some(connection) = self.connections.get_mut(&id) else {
            return Waiting::Failed(Code::AuthFailed);
        };
        let challenged = connection
            .challenged
            .take()
            .map(|challenged| challenged.nonce);
        match digest_md5::step(&self.config.sasl.users, challenged, nonce, token) {
            Some(Step::Challenge { nonce, text }) => {
                connection.challenged = Some(Challenged { nonce });
                answer(&text)
            }
            Some(Step::Done { user, proof }) => {
                connection.take_on(Identity::new(SASL, &user), &self.config.supers);
                answer(&proof)
            }
            None if self.config.enforced_schemes.contains(SASL) => {
                Waiting::Failed(Code::SessionClosedRequireSaslAuth)
            }
            None => match self.config.sasl.failed {
                FailedSasl::Closed => Waiting::Failed(Code::AuthFailed),
                FailedSasl::Kept => Waiting::Answered(Ok(Response::Sasl(None))),
            },
        }
    }

    /// May this connection ask for anything but who it is? ZooKeeper's `enforce.auth`.
    pub(super) fn is_let_in(&self, id: ConnectionId) -> bool {
        let enforced = &self.config.enforced_schemes;
        let is_enforced = |who: &Identity| enforced.contains(&*who.scheme);
        enforced.is_empty() || self.identities_of(id).iter().any(is_enforced)
    }
}

fn answer(text: &str) -> Waiting {
    Waiting::Answered(Ok(Response::Sasl(Some(Data::from(text)))))
}
