//! How often, how long and how much: the figures of gossip, each with its reason.

use core::num::{NonZeroU8, NonZeroUsize};

use crate::time::Duration;

/// A datagram is no longer than this, which every path carries in one piece: IPv6 promises 1280
/// bytes, of which 48 are headers.
pub const DATAGRAM_BYTES_MAX: usize = 1232;

/// The part of SWIM in a datagram is no longer than this; the rest is for news, of which one of the
/// longest always fits. Twenty members and more fit here, and those that do not come next time.
pub const SWIM_BYTES_MAX: usize = 700;

/// One other server is asked whether it lives, and judged at the end of this time. Many times what
/// a busy machine keeps a process waiting, so that nobody is suspected for it; and so short that
/// the other servers together notice a death well within two seconds, most often within one.
pub const PROBE_PERIOD: Duration = Duration::from_millis(400);

/// A server that has not answered after this is asked through others too, which have the rest of
/// [`PROBE_PERIOD`] for it.
pub const ANSWER_MAX: Duration = Duration::from_millis(150);

/// So many others are asked to ask: one path of three may be broken, hardly all.
pub const PROXIES: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// A suspect has so long to hear of it and to object before it counts as down.
pub const OBJECTION_MAX: Duration = Duration::from_secs(3);

/// What is new about who lives is told this often, beside every other datagram.
pub const SPREAD_PERIOD: Duration = Duration::from_millis(200);

/// And to so many servers at a time.
pub const SPREAD_WIDTH: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// And so often by each server that hears it. After the logarithm of their number nearly everybody
/// knows; this is some times that for any ensemble.
pub const TELLINGS: NonZeroU8 = NonZeroU8::new(8).unwrap();

/// Servers that do not count as living are greeted this often: so one that starts, or to which the
/// network is whole again, is back within about this time.
pub const GREETING_PERIOD: Duration = Duration::from_secs(1);

/// A server that has nothing to tell but how far it is tells it no more often than this.
pub const NEWS_PERIOD: Duration = Duration::from_secs(1);

/// Who wakes so much later than it wished to has been stopped itself (a debugger, a full machine),
/// and suspects nobody for answers that it was too late to read.
pub const LATENESS_MAX: Duration = Duration::from_millis(100);

/// After such a pause what is due waits this much longer, while what has come meanwhile is read.
pub const GRACE: Duration = Duration::from_millis(50);

/// An incarnation or a version that is further than this beyond the newest known one is a lie or
/// damage. Nobody counts so far in the life of an ensemble, and a liar cannot use up the numbers.
pub const LEAP_MAX: u64 = 1 << 32;
