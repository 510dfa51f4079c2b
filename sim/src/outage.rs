//! How long clients were without service: without an acknowledged write although they wanted one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::Xid;
use althing_core::node::reply::Reply;
use althing_core::node::request::Request;

use crate::history::{History, LinkId, Received, Sent, What};

/// An answer that takes longer than this was not service.
const SLOW: Duration = Duration::from_secs(1);

/// The total time of `history`, which ended at `end`, in which somebody who writes had lost its
/// connection or waited for the answer to a write, until anybody's next write was acknowledged.
/// Clients that are killed miss nothing.
pub fn unavailable(history: &History, end: Duration) -> Duration {
    let mut outages = Outages::default();
    for moment in &history.moments {
        outages.see(moment.at, &moment.what);
    }
    outages.finish(end)
}

#[derive(Default)]
struct Outages {
    /// Writes that are not answered, by stream.
    waiting: BTreeMap<LinkId, Vec<(Xid, Duration)>>,
    /// Who has ever written.
    writers: BTreeSet<Arc<str>>,
    /// Who was killed and has not connected since.
    dead: BTreeSet<Arc<str>>,
    /// Streams whose end is wanted.
    closing: BTreeSet<LinkId>,
    /// Somebody is without service since then.
    since: Option<Duration>,
    /// When the last write was acknowledged.
    served: Duration,
    total: Duration,
}

impl Outages {
    fn see(&mut self, at: Duration, what: &What) {
        match what {
            What::Sent {
                client,
                link,
                frame: Sent::Request { xid, request },
            } => match &**request {
                Request::Write(_) | Request::Multi(_) => {
                    self.waiting.entry(*link).or_default().push((*xid, at));
                    if !self.writers.contains(client) {
                        self.writers.insert(client.clone());
                    }
                }
                Request::CloseSession => drop(self.closing.insert(*link)),
                _ => {}
            },
            What::LinkOpened { client, .. } => drop(self.dead.remove(client)),
            What::Struck {
                kind: "crash",
                detail: who,
                ..
            } => drop(self.dead.insert(Arc::from(&**who))),
            What::Received {
                link,
                frame:
                    Received::Reply {
                        reply: Reply::Answer { xid, result, .. },
                        ..
                    },
                ..
            } => {
                let waiting = self.waiting.entry(*link).or_default();
                if let Some(place) = waiting.iter().position(|(asked, _)| asked == xid) {
                    let (_, asked) = waiting.remove(place);
                    if result.is_ok() {
                        self.serve(asked, at);
                    }
                }
            }
            What::LinkEnded { client, link } => {
                let lost = self.waiting.remove(link).unwrap_or_default();
                let wanted = self.closing.remove(link) || self.dead.contains(client);
                if !wanted && self.writers.contains(client) {
                    self.begin(lost.first().map_or(at, |(_, asked)| *asked));
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, at: Duration) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
    }

    fn serve(&mut self, asked: Duration, at: Duration) {
        if at - asked > SLOW {
            self.begin(asked);
        }
        if let Some(since) = self.since.take() {
            // Before the last acknowledged write there was service, if only for somebody else.
            self.total += at.saturating_sub(since.max(self.served));
        }
        self.served = at;
    }

    fn finish(mut self, end: Duration) -> Duration {
        let oldest = self
            .waiting
            .values()
            .flatten()
            .map(|(_, asked)| *asked)
            .min();
        if let Some(asked) = oldest.filter(|asked| end - *asked > SLOW) {
            self.begin(asked);
        }
        if let Some(since) = self.since {
            self.total += end.saturating_sub(since.max(self.served));
        }
        self.total
    }
}

#[cfg(test)]
mod tests {
    use althing_core::ids::Zxid;
    use althing_core::node::reply::Response;
    use althing_core::tree::op::{Done, Op};
    use althing_core::tree::path::Path;

    use super::*;
    use crate::history::Moment;

    /// `s` sends a write, `r` receives its answer, `c` closes the session, `e` ends the stream, `k`
    /// kills the client; each on the stream and at the second that follow it.
    fn history(script: &str) -> History {
        let client: Arc<str> = Arc::from("c");
        let moments = script.split_whitespace().map(|word| {
            let (link, at) = word[1..].split_once('@').expect("stream@second");
            let link = LinkId(link.parse().expect("a stream"));
            let client = client.clone();
            let op = Op::Delete {
                path: Path::parse("/a").expect("a path"),
                version: 1,
            };
            let what = match &word[..1] {
                "s" => What::Sent {
                    client,
                    link,
                    frame: Sent::Request {
                        xid: Xid(1),
                        request: Arc::new(Request::Write(op)),
                    },
                },
                "r" => What::Received {
                    client,
                    link,
                    frame: Received::Reply {
                        reply: Reply::Answer {
                            xid: Xid(1),
                            zxid: Zxid(1),
                            result: Ok(Response::Done(Done::Deleted)),
                        },
                        request: None,
                    },
                },
                "c" => What::Sent {
                    client,
                    link,
                    frame: Sent::Request {
                        xid: Xid(2),
                        request: Arc::new(Request::CloseSession),
                    },
                },
                "k" => What::Struck {
                    index: 0,
                    kind: "crash",
                    detail: client.to_string(),
                },
                _ => What::LinkEnded { client, link },
            };
            Moment {
                at: Duration::from_secs(at.parse().expect("a second")),
                what,
            }
        });
        History {
            moments: moments.collect(),
        }
    }

    fn seconds(script: &str) -> u64 {
        unavailable(&history(script), Duration::from_secs(100)).as_secs()
    }

    #[test]
    fn outages_are_what_writers_feel() {
        assert_eq!(seconds("s1@5 r1@6 s1@50 r1@51"), 0);
        assert_eq!(seconds("s1@5 r1@6 c1@9 e1@10 s2@50 r2@51"), 0, "closed");
        assert_eq!(seconds("s1@5 r1@6 k1@9 e1@10 s2@50 r2@51"), 0, "killed");
        assert_eq!(seconds("s1@5 r1@6 e1@10 s2@50 r2@51"), 41);
        assert_eq!(seconds("e1@10 s2@50 r2@51"), 0, "it did not write");
        assert_eq!(seconds("s1@5 r1@6 s1@10 e1@11 s2@20 r2@21"), 11);
        assert_eq!(seconds("s1@5 r1@20"), 15, "a slow answer");
        assert_eq!(seconds("s1@5 e1@6 s2@7 r2@8 s2@30 r2@31"), 3);
        assert_eq!(
            seconds("s1@5 s2@6 r2@7 s2@20 r2@21 r1@30"),
            9,
            "others were served"
        );
        assert_eq!(seconds("s1@90"), 10, "to the end");
        assert_eq!(seconds("s1@40 e1@41"), 60, "to the end");
    }
}
