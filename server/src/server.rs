//! One server, put together: the same in every world.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use althing_core::config::{Config, Reconfiguring};
use althing_core::ids::{DirectoryId, ServerId};
use althing_core::membership::Membership;
use althing_core::node::input::Input;
use althing_core::node::node::Node;
use althing_core::prng::Seed;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::accept::Accept;
use crate::admission::Admission;
use crate::audit::AuditLog;
use crate::clients::Clients;
use crate::desk::Desk;
use crate::disk::Disk;
use crate::drive::{Channels, Drive};
use crate::four_letter::FourLetters;
use crate::gossip::{GossipSetup, Gossiping, Inquiry};
use crate::limits::Limits;
use crate::mail::{Mailbox, Message};
use crate::peers::introduction::{Acquaintance, Strangers};
use crate::peers::neighbours::Neighbours;
use crate::reports::Described;
use crate::shell::{Shell, Task};
use crate::storage::error::StorageError;
use crate::storage::settings::StorageSettings;
use crate::storage::storage;
use crate::words::Whitelist;

/// What a server is told at its start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// For the node.
    pub config: Config,
    /// The other servers to have links with, whatever the node makes of them: the voters and
    /// learners of the configuration. A server on its own has none.
    pub peers: BTreeSet<ServerId>,
    /// The servers, this one perhaps among them, that are to learn and not to vote.
    pub observers: BTreeSet<ServerId>,
    /// For the gossip with them, if there is any.
    pub gossip: Option<GossipSetup>,
    /// Towards clients.
    pub limits: Limits,
    /// For the files.
    pub storage: StorageSettings,
    /// What operators are shown about it.
    pub described: Described,
    /// What operators may ask, and who answers them.
    pub attendance: Attendance,
}

/// What operators may ask, and who answers them.
#[derive(Clone, Debug, Default)]
pub struct Attendance {
    /// The four-letter words that are answered.
    pub words: Whitelist,
    /// Is handed the desk, if somebody else answers there, too.
    pub desk: Option<mpsc::UnboundedSender<Desk>>,
    /// Is told of every change that a client asks for.
    pub audit: Option<AuditLog>,
}

/// Why a server could not start, or had to stop.
#[derive(Debug, Error)]
pub enum Fatal {
    /// The storage gave up.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log has failed after the last client was served.
    #[error("the log failed while the server stopped")]
    Stopping,
}

/// Serves clients until `stop` ends, and then until what was under way is done: what is in the log
/// is durable and every client that read has its replies.
///
/// # Errors
/// If the data directory cannot be opened, or the storage fails: nobody can know what is durable
/// then, so the server ends at once and is to be started again.
pub async fn serve<S: Shell, D: Disk>(
    setup: Setup,
    shell: S,
    disk: D,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Fatal> {
    let fresh = directory_id(shell.entropy());
    let opened = storage::open(disk, setup.storage, setup.config.server, fresh).await?;
    shell.observe_recovered(&opened.recovered);
    tell_of_groups(&setup.config, opened.recovered.store.membership());

    let (to_drive, inbox) = mpsc::unbounded_channel();
    let (to_log, log_jobs) = mpsc::unbounded_channel();
    let (to_snapshots, snapshot_jobs) = mpsc::unbounded_channel();
    let (to_reader, reads) = mpsc::unbounded_channel();
    let (accepting, serving) = watch::channel(());
    let mailbox = Mailbox::new(to_drive);

    let (log_done, log_ended) = oneshot::channel();
    let answer = answer_to(&mailbox);
    let told = mailbox.clone();
    shell.spawn(Task::Log, async move {
        match opened.log.run(log_jobs, answer).await {
            // Nobody waits for it if the drive has ended by an error.
            Ok(()) => drop(log_done.send(())),
            Err(error) => fail(&told, error),
        }
    });
    let answer = answer_to(&mailbox);
    let told = mailbox.clone();
    shell.spawn(Task::Snapshot, async move {
        if let Err(error) = opened.snapshots.run(snapshot_jobs, reads, answer).await {
            fail(&told, error);
        }
    });

    let own = (setup.config.server, opened.recovered.directory);
    let inquiry = gossip(&shell, &mailbox, setup.gossip, own, &setup.peers);
    let reconfiguring = setup.config.reconfiguring;
    let strangers = match reconfiguring {
        Reconfiguring::On => Strangers::Welcome,
        Reconfiguring::Off => Strangers::Refused,
    };
    let has_others = !setup.peers.is_empty();
    let acquaintance = Acquaintance::new(own.0, own.1, setup.peers, strangers);
    let node = Node::new(setup.config, opened.recovered, shell.entropy());
    // A server on its own opens no port for others.
    let neighbours = has_others.then(|| Neighbours::link(&shell, &mailbox, acquaintance));
    shell.spawn(Task::Operator, take_orders(shell.clone(), mailbox.clone()));
    let admission = Admission::default();
    let counted = admission.clone();
    let described = setup.described;
    let desk = Desk::new(described, setup.limits, counted, inquiry, mailbox.clone());
    if let Some(wanted) = setup.attendance.desk {
        // Who wanted it may be gone; clients are served all the same.
        let _ = wanted.send(desk.clone());
    }
    let accept = Accept {
        shell: shell.clone(),
        limits: setup.limits,
        admission,
        mailbox: mailbox.clone(),
        four_letters: Arc::new(FourLetters::new(desk, setup.attendance.words)),
    };
    let channels = Channels {
        inbox,
        mailbox,
        log: to_log,
        snapshots: to_snapshots,
        reader: to_reader,
        observers: setup.observers,
        reconfiguring,
        neighbours,
        accepting,
        audit: setup.attendance.audit,
    };
    let drive = Drive::new(shell.clone(), node, Clients::new(setup.limits), channels);
    shell.spawn(Task::Accept, accept.run(serving));
    drive.run(stop).await?;
    // The drive has let go of the log's channel, so the log ends when it has done what is in it.
    log_ended.await.map_err(|_| Fatal::Stopping)
}

/// Passes on what the operator orders, for ever.
async fn take_orders(shell: impl Shell, mailbox: Mailbox) {
    loop {
        mailbox.send(Message::Ordered(shell.order().await));
    }
}

/// An id for a data directory that was never used.
fn directory_id(entropy: Seed) -> DirectoryId {
    let (id, _) = entropy.0.split_first_chunk().expect("32 bytes");
    DirectoryId(u128::from_le_bytes(*id))
}

/// Begins to gossip with the other servers, if there are any and a key is shared with them.
fn gossip(
    shell: &impl Shell,
    mailbox: &Mailbox,
    setup: Option<GossipSetup>,
    own: (ServerId, DirectoryId),
    peers: &BTreeSet<ServerId>,
) -> Option<Inquiry> {
    let setup = setup.filter(|_| !peers.is_empty())?;
    let mut configured = peers.clone();
    configured.insert(own.0);
    let (shell, mailbox) = (shell.clone(), mailbox.clone());
    let (gossiping, inquiry) = Gossiping::new(shell.clone(), mailbox, setup, own, configured);
    shell.spawn(Task::Gossip, gossiping.run());
    Some(inquiry)
}

fn answer_to(mailbox: &Mailbox) -> impl FnMut(Input) + Send + use<> {
    let mailbox = mailbox.clone();
    move |input| mailbox.send(Message::Stored(input))
}

fn fail(mailbox: &Mailbox, error: StorageError) {
    tracing::error!("{error}");
    mailbox.send(Message::StorageFailed(error));
}
/// An operator who puts servers into groups that were agreed on long ago expects something of it.
fn tell_of_groups(config: &Config, agreed: &Membership) {
    let (given, voters) = (&config.voters, agreed.wanted_voters());
    if !agreed.is_empty() && !given.shares().is_empty() && given.shares() != voters.shares() {
        tracing::warn!(
            %given, agreed = %voters,
            "the groups and weights of the configuration file are not those that were agreed, which \
             hold until a reconfig changes them"
        );
    }
}
