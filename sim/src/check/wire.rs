//! The wire as clients saw it, joined: each link with its requests in order, each request with its
//! answer, each event in its place; and the run's trace of askings and answers in true order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{ServerId, SessionId, Xid, Zxid};
use althing_core::node::event::Event;
use althing_core::node::reply::{ConnectResponse, Reply, Response, WatchEvent};
use althing_core::node::request::{ConnectRequest, Request};
use althing_core::store::txn::Attachment;
use althing_core::tree::acl::Identity;

use crate::check::findings::Findings;
use crate::history::{History, LinkId, Received, Sent, What};
use crate::reference::{access, sasl};

/// An answer, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// When.
    pub at: Duration,
    /// The zxid of its header.
    pub zxid: Zxid,
    /// What it says.
    pub result: &'a Result<Response, Code>,
}

/// A request, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// When it was sent.
    pub at: Duration,
    /// The client's number for it.
    pub xid: Xid,
    /// What.
    pub request: &'a Request,
    /// Its answer, if one arrived.
    pub answer: Option<Answer<'a>>,
}

impl Asked<'_> {
    /// Is this a change that executes as a transaction of its session?
    pub fn is_write(&self) -> bool {
        matches!(
            self.request,
            Request::Write(_) | Request::Multi(_) | Request::Reconfigure(_) | Request::CloseSession
        )
    }
}

/// What arrived on a link, in order.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// The answer of the request with this index.
    Answer(usize),
    /// A watch's event.
    Event(Duration, &'a WatchEvent),
}

/// One stream between a client and a server.
#[derive(Clone, Debug)]
pub struct Link<'a> {
    /// Which.
    pub id: LinkId,
    /// Whose.
    pub client: &'a str,
    /// To which server.
    pub server: Option<ServerId>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The first frame, and when it left.
    pub connect: Option<(Duration, &'a ConnectRequest)>,
    /// Its answer, and when it arrived.
    pub connected: Option<(Duration, &'a ConnectResponse)>,
    /// The other requests in the order in which they were sent.
    pub asked: Vec<Asked<'a>>,
    /// What arrived.
    pub frames: Vec<Frame<'a>>,
    /// The attachment that this link's writes name; `None` if the run does not tell.
    pub attachment: Option<Attachment>,
    /// How many of its requests the server says it has refused as over a limit.
    pub refused: usize,
    /// The identities that its client has proven, each with the index of the proving request.
    proven: Vec<(usize, Identity)>,
}

impl<'a> Link<'a> {
    /// The session that the server attached this link to.
    pub fn session(&self) -> Option<SessionId> {
        self.connected.and_then(|(_, response)| response.session)
    }

    /// Has its server no leader, so that the client is only let read?
    pub fn reads_only(&self) -> bool {
        self.connected.is_some_and(|(_, response)| {
            response.session.is_some() && response.read_only == Some(true)
        })
    }

    /// Is its session one that its server has opened for itself alone? It may be the ensemble's
    /// since.
    pub fn is_local(&self) -> bool {
        !self.reads_only() && self.session().is_some_and(SessionId::is_local)
    }

    /// As whom the client asks its request `index`: its address, and what it has proven before.
    pub fn identities(&self, index: usize) -> Vec<Identity> {
        let mut identities: Vec<Identity> =
            self.address.into_iter().map(access::ip_identity).collect();
        for (_, who) in self.proven.iter().filter(|(at, _)| *at < index) {
            if !identities.contains(who) {
                identities.push(who.clone());
            }
        }
        identities
    }

    /// What the client has proven, by the indices of its requests.
    fn proofs(&self) -> Vec<(usize, Identity)> {
        let asked = self.asked.iter().enumerate();
        let proof = |(index, asked): (usize, &Asked<'_>)| match asked.request {
            Request::Auth { scheme, credential } if scheme == "digest" => {
                let refused = asked.answer.is_some_and(|answer| answer.result.is_err());
                let who = access::digest_identity(credential).filter(|_| !refused)?;
                let is_super = &**credential == access::SUPER_CREDENTIAL;
                let proven = is_super.then(access::super_identity).into_iter();
                Some(
                    proven
                        .chain([who])
                        .map(|who| (index, who))
                        .collect::<Vec<_>>(),
                )
            }
            Request::Sasl { token } if !token.is_empty() => {
                let known = matches!(
                    asked.answer.map(|answer| answer.result),
                    Some(Ok(Response::Sasl(Some(_))))
                );
                let name = *sasl::said(token).get("username").filter(|_| known)?;
                Some(vec![(index, Identity::new("sasl", name))])
            }
            _ => None,
        };
        asked.filter_map(proof).flatten().collect()
    }
}

/// One step of the run in true order, by the indices of the link and of its request.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A request left.
    Asked(usize, usize),
    /// Its answer arrived.
    Answered(usize, usize),
    /// An event arrived.
    Told(usize, Zxid),
    /// A link's first frame was answered.
    Connected(usize),
    /// A server executed a transaction.
    Executed(Zxid),
}

/// All links and the trace.
#[derive(Clone, Debug, Default)]
pub struct Wire<'a> {
    /// In the order in which they came about.
    pub links: Vec<Link<'a>>,
    /// In true order.
    pub trace: Vec<Step>,
}

/// Joins what the taps recorded. Answers out of order are `W3`, bytes that make no sense are `G1`.
pub fn join<'a>(history: &'a History, findings: &mut Findings) -> Wire<'a> {
    let mut joining = Joining {
        wire: Wire::default(),
        index: BTreeMap::new(),
        next: Vec::new(),
    };
    for moment in &history.moments {
        let at = moment.at;
        match &moment.what {
            What::LinkOpened {
                client,
                link,
                server,
                address,
            } => {
                let at = joining.link(client, *link);
                joining.wire.links[at].server = Some(*server);
                joining.wire.links[at].address = Some(*address);
            }
            What::Sent {
                client,
                link,
                frame,
            } => {
                let link = joining.link(client, *link);
                joining.sent(at, link, frame);
            }
            What::Received {
                client,
                link,
                frame,
            } => {
                let link = joining.link(client, *link);
                joining.received(at, link, frame, findings);
            }
            What::Said {
                event: Event::Executed { zxid, .. },
                ..
            } => {
                joining.wire.trace.push(Step::Executed(*zxid));
            }
            _ => {}
        }
    }
    for link in &mut joining.wire.links {
        link.proven = link.proofs();
    }
    joining.wire
}

struct Joining<'a> {
    wire: Wire<'a>,
    index: BTreeMap<LinkId, usize>,
    /// By link: the first request that is not answered.
    next: Vec<usize>,
}

impl<'a> Joining<'a> {
    fn link(&mut self, client: &'a Arc<str>, id: LinkId) -> usize {
        *self.index.entry(id).or_insert_with(|| {
            self.wire.links.push(Link {
                id,
                client,
                server: None,
                address: None,
                connect: None,
                connected: None,
                asked: Vec::new(),
                frames: Vec::new(),
                attachment: None,
                refused: 0,
                proven: Vec::new(),
            });
            self.next.push(0);
            self.wire.links.len() - 1
        })
    }

    fn sent(&mut self, at: Duration, link: usize, frame: &'a Sent) {
        let joined = &mut self.wire.links[link];
        match frame {
            Sent::Connect(request) => joined.connect = Some((at, request)),
            Sent::Request { xid, request } => {
                let asked = Asked {
                    at,
                    xid: *xid,
                    request,
                    answer: None,
                };
                self.wire.trace.push(Step::Asked(link, joined.asked.len()));
                joined.asked.push(asked);
            }
        }
    }

    fn received(
        &mut self,
        at: Duration,
        link: usize,
        frame: &'a Received,
        findings: &mut Findings,
    ) {
        match frame {
            Received::Connected(response)
            | Received::Reply {
                reply: Reply::Connected(response),
                ..
            } => {
                self.wire.links[link].connected = Some((at, response));
                self.wire.trace.push(Step::Connected(link));
            }
            Received::Reply {
                reply: Reply::Event(event),
                ..
            } => {
                self.wire.links[link].frames.push(Frame::Event(at, event));
                self.wire.trace.push(Step::Told(link, event.zxid));
            }
            Received::Reply {
                reply: Reply::Answer { xid, zxid, result },
                ..
            } => {
                self.answered(
                    link,
                    *xid,
                    Answer {
                        at,
                        zxid: *zxid,
                        result,
                    },
                    findings,
                );
            }
            Received::Garbage(why) => {
                let client = self.wire.links[link].client;
                findings.add("G1 garbage", at, None, || {
                    format!("{client} received {why}")
                });
            }
        }
    }

    /// An answer belongs to the oldest request that has none; if its number says otherwise, that
    /// is a finding, and the one it names is taken.
    fn answered(&mut self, link: usize, xid: Xid, answer: Answer<'a>, findings: &mut Findings) {
        let joined = &mut self.wire.links[link];
        let next = self.next[link];
        let open = joined.asked.get(next).map(|asked| asked.xid);
        let mut which = next;
        if open != Some(xid) {
            let unanswered = |asked: &Asked<'_>| asked.xid == xid && asked.answer.is_none();
            let found = joined.asked.iter().position(unanswered);
            findings.add("W3 order", answer.at, joined.session(), || {
                format!(
                    "{} on link {} received the answer of xid {}, but the oldest request without \
                     an answer is {}",
                    joined.client,
                    joined.id.0,
                    xid.0,
                    open.map_or("none".to_owned(), |xid| format!("xid {}", xid.0)),
                )
            });
            let Some(found) = found else { return };
            which = found;
        }
        joined.asked[which].answer = Some(answer);
        let answered = |asked: &&Asked<'_>| asked.answer.is_some();
        self.next[link] = next + joined.asked[next..].iter().take_while(answered).count();
        joined.frames.push(Frame::Answer(which));
        self.wire.trace.push(Step::Answered(link, which));
    }
}
