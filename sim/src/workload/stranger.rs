//! A stranger claims to be one of the users, and does not know the password. Every server refuses
//! it, in every state that the faults bring it into.

use std::time::Duration;

use althing_client::config::SaslUser;
use althing_client::error::ClientError;
use althing_client::sessions::Sessions;
use althing_core::code::Code;

use crate::reference::sasl::{self, PROOF};
use crate::testbed::bed::Process;
use crate::workload::persistence::{SESSION, config, next_round};

/// How often it comes, about. Each time leaves a session behind, which nobody keeps alive.
const EVERY: Duration = Duration::from_secs(2);

/// Comes again and again, until the faults are over.
pub async fn guess(process: Process) {
    let (name, password) = sasl::user(0);
    let config = config(&process, SESSION).sasl(SaslUser::new(&name, &format!("{password}?")));
    let sessions = Sessions::new(process.runtime.clone(), config);
    while let Some((client, _)) = next_round(&process, &sessions, EVERY).await {
        let outcome = match client {
            Ok(client) => client.who_am_i().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(who) => process.violate(PROOF, format!("a stranger is let in, as {who:?}")),
            Err(ClientError::Server(Code::AuthFailed)) => process.mark("stranger-refused", ""),
            Err(error) => tracing::debug!(%error, "the stranger is not even heard"),
        }
    }
}
