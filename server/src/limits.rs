//! The limits of a server towards its clients and the other servers, each with its reason.

use althing_core::config::DATA_BYTES_MAX_DEFAULT;
use althing_core::time::Duration;

/// What an operator, a test or a scenario may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections in all; ZooKeeper's `maxCnxns`. 0 is no limit.
    pub connections_max: usize,
    /// Connections from one address; ZooKeeper's `maxClientCnxns`. 0, our default, is no limit:
    /// behind one address may be a whole data centre (NAT) or a machine with many clients, and
    /// ZooKeeper's own default of 60 is known above all for the outages that it caused.
    pub connections_per_address_max: usize,
    /// The largest frame from a client, without its length.
    pub frame_bytes_max: usize,
    /// A client that connects must have sent its first frame within this time.
    pub handshake_max: Duration,
    /// A client is not read from while it has so many unanswered requests; ZooKeeper's
    /// `globalOutstandingLimit`, here per client so that one cannot starve the others.
    pub unanswered_max: usize,
    /// A client is not read from while its unanswered requests have so many bytes.
    pub unanswered_bytes_max: usize,
    /// A client's further requests wait while it has left so many bytes of replies unread.
    pub unread_bytes_soft: usize,
    /// A client is dropped when watch events would make its unread bytes more than this; answers
    /// cannot, since its requests wait above `unread_bytes_soft`.
    pub unread_bytes_max: usize,
    /// A client that has replies to read and reads nothing at all for this long is dropped.
    pub write_stall_max: Duration,
}

/// Connections in all: more than most ensembles ever see, and below a GiB of buffers when idle.
pub const CONNECTIONS_MAX_DEFAULT: usize = 10_000;

/// What a frame has beside a znode's data: path, ACL, headers; and several small operations in one
/// `multi`.
pub const FRAME_SLACK_BYTES: usize = 64 * 1024;

/// A request that is too large is answered as long as it has no more than this; its rest is thrown
/// away as it comes, which costs no memory. A length beyond it is no length: what speaks another
/// protocol looks like a frame of a GiB or two.
pub const SKIPPED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Clients that reach their limits are told of in the log so often at most.
pub const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(10);

/// The first frame has 45 bytes from all known clients; later ones may add to it.
pub const CONNECT_FRAME_BYTES_MAX: usize = 1024;

/// How long a closed connection is still read from (and what comes thrown away), so that the last
/// reply is not lost to a reset because requests were on their way.
pub const LINGER_MAX: Duration = Duration::from_millis(500);

/// How long the accepting waits after the operating system has refused, for example because there
/// are no file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Messages that the drive takes before it hands the replies to the connections: enough to share
/// the cost of waking, few enough that nobody waits long for a neighbour.
pub const BATCH_MAX: usize = 1024;

/// Timers that are stepped in one go; those beyond it come right after the next batch.
pub const TIMERS_MAX: usize = 1024;

/// Connections, sessions, znodes or watches that one answer to an operator lists: the node stands
/// still while it is made, and nobody reads more.
pub const LISTED_MAX: usize = 10_000;

/// How long a four-letter word waits for the drive.
pub const QUERY_MAX: Duration = Duration::from_secs(5);

/// How long a graceful stop waits for the saves that are under way.
pub const STOP_SAVES_MAX: Duration = Duration::from_secs(10);

/// How long a graceful stop waits for clients to take their last replies.
pub const STOP_REPLIES_MAX: Duration = Duration::from_secs(1);

/// How long a leader that stops waits until another server leads: a hand-over takes a few round
/// trips, and where nobody can take over, an operator should not wait long for nothing.
pub const STOP_HAND_OVER_MAX: Duration = Duration::from_secs(2);

/// How long a server that stops waits for answers which depend on other servers.
pub const STOP_ANSWERS_MAX: Duration = Duration::from_secs(2);

/// A buffer that has grown beyond this is given back when it is empty; one that has not is kept.
pub const BUFFER_KEPT_BYTES_MAX: usize = 16 * 1024;

/// The largest datagram of the gossip: what every path carries in one piece (IPv6 promises 1280
/// bytes, of which 48 are headers).
pub const DATAGRAM_BYTES_MAX: usize = 1232;

/// How long dialling another server may take: more than a round trip around the world, less than
/// an operating system waits for a machine that is not there.
pub const DIAL_MAX: Duration = Duration::from_secs(1);

/// How long the two ends of a new link may take to introduce themselves.
pub const LINK_HANDSHAKE_MAX: Duration = Duration::from_secs(2);

/// Strangers that may be introducing themselves at the same time: several times the other servers
/// of the largest ensemble, and not enough to cost anything.
pub const LINK_HANDSHAKES_MAX: usize = 64;

/// The pause before another server is dialled again, at first: a server that was started again is
/// found at once.
pub const REDIAL_PAUSE_MIN: Duration = Duration::from_millis(20);

/// The pause before another server is dialled again, after several failures: a server that comes
/// back is found within this time, and to dial one that is away costs next to nothing.
pub const REDIAL_PAUSE_MAX: Duration = Duration::from_millis(500);

/// A link says at least so often that its server lives.
pub const LINK_SPEAKS_EVERY: Duration = Duration::from_millis(500);

/// A link on which nothing was heard for so long is given up: four silences of
/// [`LINK_SPEAKS_EVERY`]. To dial again costs little; to wait for TCP, which after an outage tries
/// again ever later, can cost a minute.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(2);

/// Bytes of long messages that wait for a link: as much as a fast network carries in a few hundred
/// milliseconds. The other server is slower than that, so more would only come later; the leader
/// says it again.
pub const LINK_BULK_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Short messages that wait for a link: far more than a second's heartbeats and acknowledgements.
pub const LINK_PROMPT_FRAMES_MAX: usize = 4096;

/// What is written to a link at once: few system calls, and a heartbeat behind it waits a
/// millisecond or two.
pub const LINK_WRITE_BYTES: usize = 256 * 1024;

/// Bytes of messages that a link has read and the drive has not stepped; beyond it the link is not
/// read from.
pub const LINK_UNSTEPPED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A link's buffer that has grown beyond this is given back when it is empty; there are few links
/// and they are busy, so it is more than a client's.
pub const LINK_BUFFER_KEPT_BYTES_MAX: usize = 1024 * 1024;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: CONNECTIONS_MAX_DEFAULT,
            connections_per_address_max: 0,
            frame_bytes_max: DATA_BYTES_MAX_DEFAULT as usize + FRAME_SLACK_BYTES,
            handshake_max: Duration::from_secs(10),
            unanswered_max: 1000,
            unanswered_bytes_max: 4 * 1024 * 1024,
            unread_bytes_soft: 1024 * 1024,
            unread_bytes_max: 16 * 1024 * 1024,
            write_stall_max: Duration::from_secs(30),
        }
    }
}
