//! The clients of the small service: they connect to any server, ask at random, fall silent, come
//! back with their sessions and set their watches again.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{ConnectionId, Password, SessionId, Xid, Zxid};
use althing_core::node::input::Input;
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{ConnectRequest, Request, SetWatches};
use althing_core::tree::data::Data;
use althing_core::tree::op::{Done, Telling};
use althing_core::tree::stat::Stat;

use crate::check::tests::service::{Coming, Service, Way};
use crate::history::{LinkId, Received, Sent, What};

const SESSION_MS: i32 = 4000;

#[derive(Default)]
pub struct Client {
    pub name: Option<Arc<str>>,
    link: Option<LinkId>,
    session: Option<(SessionId, Password)>,
    xid: i32,
    seen: Zxid,
    /// Requests without an answer, in order.
    open: VecDeque<Arc<Request>>,
    is_connected: bool,
    /// It has forgotten to speak until then.
    silent_until: Duration,
}

impl Service {
    /// When something that leaves now arrives: streams keep their order.
    pub fn arrival(&mut self, link: LinkId, way: Way) -> Duration {
        let delay = Duration::from_micros(u64::from(300 + self.below(8000)));
        let before = self.last.get(&(link, way)).copied().unwrap_or_default();
        let at = (self.now + delay).max(before);
        self.last.insert((link, way), at);
        at
    }

    /// A client sees its link end.
    pub fn end(&mut self, link: LinkId) {
        let Some(client) = self.links.remove(&link) else {
            return;
        };
        let name = self.name(client);
        let known = &mut self.clients[client];
        known.link = None;
        known.is_connected = false;
        known.open.clear();
        self.record(What::LinkEnded { client: name, link });
    }

    fn name(&self, client: usize) -> Arc<str> {
        self.clients[client]
            .name
            .clone()
            .expect("clients have names")
    }

    /// A client's frame reaches its server.
    pub fn up(&mut self, link: LinkId, frame: Sent) {
        let server = self.hosts[&link];
        if self.servers[server].node.is_none() || self.dead.contains(&link) {
            self.dead.insert(link);
            self.end(link);
            return;
        }
        let connection = ConnectionId(link.0);
        match frame {
            Sent::Connect(request) => {
                let address = address(self.owners[&link]);
                let opened = Input::Opened {
                    connection,
                    address,
                    certified: None,
                    request,
                };
                self.step(server, opened);
            }
            Sent::Request { xid, request } => {
                let request = Request::clone(&request);
                let asked = Input::Asked {
                    connection,
                    xid,
                    request,
                };
                self.step(server, asked);
            }
        }
    }

    /// A server's frame reaches its client.
    pub fn down(&mut self, link: LinkId, mut reply: Reply) {
        let Some(client) = self.links.get(&link).copied() else {
            return;
        };
        let name = self.name(client);
        let known = &mut self.clients[client];
        let frame = match &mut reply {
            Reply::Connected(response) => {
                known.is_connected = response.session.is_some();
                known.session = response.session.map(|session| (session, response.password));
                if known.session.is_none() {
                    known.seen = Zxid::ZERO;
                }
                Received::Connected(response.clone())
            }
            Reply::Event(event) => {
                known.seen = known.seen.max(event.zxid);
                Received::Reply {
                    reply: reply.clone(),
                    request: None,
                }
            }
            Reply::Answer { zxid, result, .. } => {
                known.seen = known.seen.max(*zxid);
                // What the wire does not carry is not there.
                if let Ok(Response::Done(Done::Created {
                    stat,
                    telling: Telling::Path,
                    ..
                })) = result
                {
                    *stat = Stat::default();
                }
                let request = known.open.pop_front();
                if request.as_deref() == Some(&Request::CloseSession) {
                    known.session = None;
                    known.is_connected = false;
                    known.seen = Zxid::ZERO;
                }
                Received::Reply {
                    reply: reply.clone(),
                    request,
                }
            }
        };
        self.record(What::Received {
            client: name,
            link,
            frame,
        });
    }

    fn send(&mut self, client: usize, frame: Sent) {
        let link = self.clients[client].link.expect("there is a link");
        let name = self.name(client);
        self.record(What::Sent {
            client: name,
            link,
            frame: frame.clone(),
        });
        let at = self.arrival(link, Way::Up);
        self.schedule_at(at, Coming::Up(link, frame));
    }

    fn ask(&mut self, client: usize, xid: Xid, request: Request) {
        let request = Arc::new(request);
        self.clients[client].open.push_back(request.clone());
        self.send(client, Sent::Request { xid, request });
    }

    /// A client does something, or nothing.
    pub fn turn(&mut self, client: usize) {
        let rest = Duration::from_millis(u64::from(1 + self.below(250)));
        self.schedule(rest, Coming::Turn(client));
        if self.clients[client].silent_until > self.now {
            return;
        }
        if self.clients[client].link.is_none() {
            self.connect(client);
            return;
        }
        if !self.clients[client].is_connected {
            return;
        }
        match self.below(100) {
            0 => {
                let silence = Duration::from_millis(u64::from(1000 + self.below(9000)));
                self.clients[client].silent_until = self.now + silence;
            }
            1 => {
                let link = self.clients[client].link.expect("there is a link");
                self.end(link);
                let at = self.arrival(link, Way::Up);
                self.schedule_at(at, Coming::Gone(link));
            }
            2 => {
                self.next(client, Request::CloseSession);
                self.clients[client].is_connected = false;
            }
            3 => {
                let (scheme, credential) = [
                    ("digest", "ann:secret"),
                    ("digest", "bob:pass"),
                    ("althing", "reads=linearizable"),
                    ("althing", "reads=linearizable"),
                    ("althing", "reads=local"),
                ][self.below(5) as usize];
                let (scheme, credential) = (scheme.to_owned(), Data::from(credential));
                self.ask(client, Xid::AUTH, Request::Auth { scheme, credential });
            }
            4..12 => self.ask(client, Xid::PING, Request::Ping),
            _ => {
                for _ in 0..1 + self.below(3) {
                    let request = self.request();
                    self.next(client, request);
                }
            }
        }
    }

    fn next(&mut self, client: usize, request: Request) {
        self.clients[client].xid += 1;
        let xid = Xid(self.clients[client].xid);
        self.ask(client, xid, request);
    }

    fn connect(&mut self, client: usize) {
        self.numbers += 1;
        let link = LinkId(self.numbers);
        self.links.insert(link, client);
        self.owners.insert(link, client);
        let known = &mut self.clients[client];
        known.link = Some(link);
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: known.seen,
            timeout_ms: SESSION_MS,
            session: known.session.map(|(session, _)| session),
            password: known
                .session
                .map_or(Password::NONE, |(_, password)| password),
            read_only: Some(false),
        };
        let reconnects = request.session.is_some();
        let relative_zxid = known.seen;
        let name = self.name(client);
        let server = self.below(self.servers.len() as u32) as usize;
        self.hosts.insert(link, server);
        let (server, address) = (self.servers[server].id, address(client));
        self.record(What::LinkOpened {
            client: name,
            link,
            server,
            address,
        });
        self.send(client, Sent::Connect(request));
        if reconnects {
            let data = vec![self.path(), self.path()];
            let exist = vec![self.path()];
            let child = vec![self.path(), self.path()];
            let watches = SetWatches {
                relative_zxid,
                data,
                exist,
                child,
                persistent: vec![self.path()],
                recursive: vec![self.path()],
            };
            self.ask(client, Xid::SET_WATCHES, Request::SetWatches(watches));
        }
    }
}

fn address(client: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, client as u8 + 1))
}
