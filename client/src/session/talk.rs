//! The protocol of one connection, without the connection: what is to be sent, what an arrived
//! frame means, when silence has lasted too long.

use std::collections::VecDeque;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::codec::client::{decode_reply, encode_request, peek_xid};
use althing_core::codec::malformed::Malformed;
use althing_core::ids::{Xid, Zxid};
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::Request;
use althing_core::tree::data::Data;
use tokio::sync::oneshot;

use crate::config::{AUTHS_MAX, FRAME_BYTES_MAX, PING_INTERVAL_MAX, REQUESTS_IN_FLIGHT_MAX};
use crate::error::ClientError;
use crate::session::command::{Command, Waiter};
use crate::session::lasting::Lasting;
use crate::session::later::{Later, Laters};
use crate::session::proof::{Proof, Unproven};
use crate::session::shared::Shared;

/// An answer: how far the server is, and what it says.
type Decoded = (Zxid, Result<Response, Code>);
type Answer = oneshot::Sender<Result<Response, ClientError>>;

/// Why a connection ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// It broke, or has to be given up; the session goes on elsewhere.
    Lost(&'static str),
    /// The server says nothing, not even to heartbeats; the session goes on elsewhere.
    Silent,
    /// The server broke the protocol; the session goes on elsewhere.
    Malformed(Malformed),
    /// The server says that the session is over.
    Expired,
    /// The server has closed the session as it was asked to.
    Closed,
    /// An identity that the session had was refused: it cannot go on as it was.
    AuthFailed,
}

impl From<Malformed> for Ending {
    fn from(malformed: Malformed) -> Ending {
        Ending::Malformed(malformed)
    }
}

/// What a server does for the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    /// Everything.
    Whole,
    /// It has no leader: it reads, and keeps nothing alive.
    Reading,
}

/// A request that was sent and not answered.
struct Flight {
    xid: Xid,
    request: Request,
    sent: Duration,
    purpose: Purpose,
}

/// What a request is for.
enum Purpose {
    /// A handle asked.
    Asked {
        answer: Answer,
        watch: Option<Waiter>,
        /// How often the server has refused it since its clients ask too often.
        refusals: u32,
    },
    /// To prove by SASL who the client is.
    Proving,
    /// To close the session.
    Closing,
}

/// An identity that was sent and not answered.
struct AuthFlight {
    scheme: String,
    credential: Data,
    /// `None` if it is sent again after a reconnect.
    answer: Option<Answer>,
}

/// One connection of a session.
pub(crate) struct Talk<'a> {
    lasting: &'a mut Lasting,
    shared: &'a Shared,
    service: Service,
    /// Who the client is, as long as the server has not seen it proven. Nothing is asked until
    /// then, and no watch is set again: who may not read a znode is not told of it either.
    proof: Option<Proof>,
    /// Answered in this order.
    flights: VecDeque<Flight>,
    auth_flights: VecDeque<AuthFlight>,
    /// What the server has refused for now.
    laters: Laters,
    /// How many setWatches are not answered.
    rearming: usize,
    /// The newest position of an answer.
    answered: Zxid,
    /// When the heartbeat was sent that is not answered.
    pinged: Option<Duration>,
    /// When the newest request was sent whose answer proved that the session lives.
    proven: Duration,
    /// When something was last heard.
    heard: Duration,
}

impl<'a> Talk<'a> {
    /// Begins where the handshake ended: sends what a new connection has to know.
    pub(crate) fn begin(
        lasting: &'a mut Lasting,
        shared: &'a Shared,
        service: Service,
        proof: Option<Proof>,
        now: Duration,
        out: &mut Vec<u8>,
    ) -> Talk<'a> {
        let mut talk = Talk {
            answered: lasting.settled,
            lasting,
            shared,
            service,
            proof,
            flights: VecDeque::new(),
            auth_flights: VecDeque::new(),
            laters: Laters::default(),
            rearming: 0,
            pinged: None,
            proven: now,
            heard: now,
        };
        for (scheme, credential) in talk.lasting.auths.clone() {
            talk.send_auth(scheme, credential, None, out);
        }
        match talk.proof {
            Some(_) => talk.prove(now, out),
            None => talk.set_watches_again(out),
        }
        talk
    }

    /// Goes on proving who the client is; what waited for that comes next.
    fn prove(&mut self, now: Duration, out: &mut Vec<u8>) {
        let Some(proof) = &mut self.proof else {
            return;
        };
        if proof.is_done() {
            self.proof = None;
            self.set_watches_again(out);
        } else if let Some(token) = proof.token() {
            let request = Request::Sasl { token };
            self.send_for(Purpose::Proving, request, now, out);
        }
    }

    fn set_watches_again(&mut self, out: &mut Vec<u8>) {
        for batch in self.lasting.watches.set_again(self.lasting.settled) {
            encode_request(Xid::SET_WATCHES, &Request::SetWatches(batch), out);
            self.rearming += 1;
        }
        self.publish_watches();
    }

    /// May another request be sent?
    pub(crate) fn has_room(&self) -> bool {
        if self.proof.is_some() {
            return false;
        }
        let unanswered = self.flights.len() + self.auth_flights.len() + self.laters.count();
        unanswered < REQUESTS_IN_FLIGHT_MAX
    }

    /// Sends what a handle asks.
    pub(crate) fn ask(&mut self, command: Command, now: Duration, out: &mut Vec<u8>) {
        let Command {
            request,
            watch,
            answer,
        } = command;
        if let Request::Auth { scheme, credential } = request {
            if self.lasting.auths.len() + self.auth_flights.len() >= AUTHS_MAX {
                reply(answer, Err(ClientError::TooManyIdentities));
            } else {
                self.send_auth(scheme, credential, Some(answer), out);
            }
            return;
        }
        let command = Command {
            request,
            watch,
            answer,
        };
        self.send(command, 0, now, out);
    }

    fn send(&mut self, command: Command, refusals: u32, now: Duration, out: &mut Vec<u8>) {
        let Command {
            request,
            watch,
            answer,
        } = command;
        let begin = out.len();
        let xid = self.lasting.next_xid();
        encode_request(xid, &request, out);
        let frame_bytes = out.len() - begin;
        if frame_bytes > FRAME_BYTES_MAX {
            out.truncate(begin);
            reply(answer, Err(ClientError::TooLarge { frame_bytes }));
            return;
        }
        self.flights.push_back(Flight {
            xid,
            request,
            sent: now,
            purpose: Purpose::Asked {
                answer,
                watch,
                refusals,
            },
        });
    }

    /// Asks the server to close the session.
    pub(crate) fn close(&mut self, now: Duration, out: &mut Vec<u8>) {
        self.send_for(Purpose::Closing, Request::CloseSession, now, out);
    }

    /// Sends what no handle has asked.
    fn send_for(&mut self, purpose: Purpose, request: Request, now: Duration, out: &mut Vec<u8>) {
        let xid = self.lasting.next_xid();
        encode_request(xid, &request, out);
        self.flights.push_back(Flight {
            xid,
            request,
            sent: now,
            purpose,
        });
    }

    /// Tells if the silence has lasted too long. To be asked before anything is heard: a process
    /// that was paused finds frames that came long ago, and they prove nothing about now.
    pub(crate) fn bear_silence(&self, now: Duration) -> Result<(), Ending> {
        match now >= self.heard + self.lasting.silence_max() {
            true => Err(Ending::Silent),
            false => Ok(()),
        }
    }

    /// Sends a heartbeat if one is due, and what is to be asked again.
    pub(crate) fn tick(&mut self, now: Duration, out: &mut Vec<u8>) {
        self.prove(now, out);
        while let Some(Later { command, refusals }) = self.laters.due(now) {
            self.send(command, refusals, now, out);
        }
        if self.may_ping() && now >= self.proven + self.ping_interval() {
            encode_request(Xid::PING, &Request::Ping, out);
            self.pinged = Some(now);
        }
    }

    /// When [`Talk::tick`] or the end of [`Talk::bear_silence`] is due.
    pub(crate) fn deadline(&self) -> Duration {
        let silence = self.heard + self.lasting.silence_max();
        let next = match self.may_ping() {
            true => silence.min(self.proven + self.ping_interval()),
            false => silence,
        };
        self.laters.hour().map_or(next, |hour| next.min(hour))
    }

    /// Takes a frame from the server.
    pub(crate) fn hear(&mut self, frame: &[u8], now: Duration) -> Result<(), Ending> {
        self.heard = now;
        match peek_xid(frame)? {
            Xid::NOTIFICATION => self.hear_event(frame),
            Xid::PING => {
                let (zxid, _) = decode_answer(frame, &Request::Ping)?;
                let sent = self.pinged.take().ok_or(out_of_order())?;
                self.note_answer(zxid);
                self.note_proof(sent);
                Ok(())
            }
            Xid::AUTH => self.hear_auth(frame),
            Xid::SET_WATCHES => self.hear_rearmed(frame),
            xid => self.hear_answer(xid, frame),
        }
    }

    /// Fails what was sent and not answered. Tells when the server was last heard.
    pub(crate) fn end(self) -> Duration {
        for flight in self.flights {
            if let Purpose::Asked { answer, .. } = flight.purpose {
                reply(answer, Err(ClientError::ConnectionLoss));
            }
        }
        // These were refused, so nobody need wonder.
        for Later { command, .. } in self.laters.into_all() {
            reply(command.answer, Err(ClientError::Server(Code::ThrottledOp)));
        }
        for answer in self.auth_flights.into_iter().filter_map(|auth| auth.answer) {
            reply(answer, Err(ClientError::ConnectionLoss));
        }
        self.heard
    }

    /// Where proofs are demanded, nothing else comes first, not even a heartbeat.
    fn may_ping(&self) -> bool {
        self.pinged.is_none() && self.proof.is_none()
    }

    fn ping_interval(&self) -> Duration {
        PING_INTERVAL_MAX.min(self.lasting.timeout / 3)
    }

    fn send_auth(
        &mut self,
        scheme: String,
        credential: Data,
        answer: Option<Answer>,
        out: &mut Vec<u8>,
    ) {
        let request = Request::Auth {
            scheme: scheme.clone(),
            credential: credential.clone(),
        };
        encode_request(Xid::AUTH, &request, out);
        self.auth_flights.push_back(AuthFlight {
            scheme,
            credential,
            answer,
        });
    }

    fn hear_event(&mut self, frame: &[u8]) -> Result<(), Ending> {
        let Reply::Event(event) = decode_reply(frame, None)? else {
            return Err(out_of_order().into());
        };
        // ZooKeeper before 3.9 sends -1 here.
        if event.zxid.to_wire() > 0 {
            self.lasting.seen = self.lasting.seen.max(event.zxid);
            self.shared.set_last_zxid(self.lasting.seen);
        }
        self.lasting.watches.fire(&event);
        self.publish_watches();
        Ok(())
    }

    fn hear_auth(&mut self, frame: &[u8]) -> Result<(), Ending> {
        let auth = self.auth_flights.pop_front().ok_or(out_of_order())?;
        let request = Request::Auth {
            scheme: auth.scheme.clone(),
            credential: auth.credential.clone(),
        };
        let (zxid, result) = decode_answer(frame, &request)?;
        self.note_answer(zxid);
        let Some(answer) = auth.answer else {
            return result.map(drop).map_err(|_| Ending::AuthFailed);
        };
        let identity = (auth.scheme, auth.credential);
        if result.is_ok() {
            // How a connection reads can be asked for again and again: the last word counts.
            self.lasting.auths.retain(|known| *known != identity);
            self.lasting.auths.push(identity);
        }
        reply(answer, result.map_err(ClientError::Server));
        Ok(())
    }

    fn hear_rearmed(&mut self, frame: &[u8]) -> Result<(), Ending> {
        self.rearming = self.rearming.checked_sub(1).ok_or(out_of_order())?;
        let request = Request::SetWatches(Default::default());
        let (zxid, result) = decode_answer(frame, &request)?;
        if result.is_err() {
            return Err(Ending::Lost("the server did not set the watches again"));
        }
        self.note_answer(zxid);
        if self.rearming == 0 {
            self.lasting.watches.resumed();
        }
        Ok(())
    }

    fn hear_proof(&mut self, (zxid, result): Decoded) -> Result<(), Ending> {
        if result == Err(Code::SessionExpired) {
            return Err(Ending::Expired);
        }
        self.note_answer(zxid);
        let proof = self.proof.as_mut();
        let heard = proof.map_or(Ok(()), |proof| proof.hear(&result));
        heard.map_err(|unproven| match unproven {
            Unproven::Refused => Ending::AuthFailed,
            Unproven::Impostor => Ending::Lost("the server does not know the password"),
        })
    }

    fn hear_answer(&mut self, xid: Xid, frame: &[u8]) -> Result<(), Ending> {
        if self.flights.front().is_none_or(|flight| flight.xid != xid) {
            return Err(out_of_order().into());
        }
        let flight = self.flights.pop_front().expect("there is a front");
        let decoded = decode_answer(frame, &flight.request);
        let (answer, watch, refusals) = match flight.purpose {
            Purpose::Asked {
                answer,
                watch,
                refusals,
            } => (answer, watch, refusals),
            Purpose::Proving => return self.hear_proof(decoded?),
            Purpose::Closing => return Err(farewell(decoded?.1)),
        };
        let (zxid, result) = match decoded {
            Ok(decoded) => decoded,
            Err(malformed) => {
                reply(answer, Err(ClientError::Protocol(malformed)));
                return Err(malformed.into());
            }
        };
        if result == Err(Code::SessionExpired) {
            reply(answer, Err(ClientError::SessionExpired));
            return Err(Ending::Expired);
        }
        if result == Err(Code::SessionClosedRequireSaslAuth) {
            reply(
                answer,
                Err(ClientError::Server(Code::SessionClosedRequireSaslAuth)),
            );
            return Err(Ending::AuthFailed);
        }
        self.note_answer(zxid);
        if result == Err(Code::ThrottledOp) && Laters::has_hope(refusals) {
            let command = Command {
                request: flight.request,
                watch,
                answer,
            };
            let refusals = refusals + 1;
            let later = Later { command, refusals };
            self.laters.keep(self.heard, flight.xid, later);
            return Ok(());
        }
        if result.is_ok() && proves(&flight.request) {
            self.note_proof(flight.sent);
        }
        if let Some(watch) = watch {
            let outcome = result.as_ref().map_err(|code| *code);
            self.lasting.watches.add(&flight.request, outcome, watch);
            self.publish_watches();
        }
        if let (Request::RemoveWatches { path, kinds }, Ok(_)) = (&flight.request, &result) {
            self.lasting.watches.remove(path, *kinds);
            self.publish_watches();
        }
        reply(
            answer,
            result.map_err(|code| match code {
                Code::ConnectionLoss => ClientError::ConnectionLoss,
                code => ClientError::Server(code),
            }),
        );
        Ok(())
    }

    /// The session lived, and was heard of, after this was sent; unless the server says nothing of
    /// that kind.
    fn note_proof(&mut self, sent: Duration) {
        self.proven = self.proven.max(sent);
        if self.service == Service::Whole {
            self.shared.set_proven(sent);
        }
    }

    /// What every answer tells: how far the server is.
    fn note_answer(&mut self, zxid: Zxid) {
        // ZooKeeper answers some requests, and all that it refuses early, with 0 or -1.
        if zxid.to_wire() > 0 {
            self.answered = self.answered.max(zxid);
            self.lasting.seen = self.lasting.seen.max(zxid);
            self.shared.set_last_zxid(self.lasting.seen);
        }
        if self.rearming == 0 && self.proof.is_none() {
            self.lasting.settled = self.answered;
        }
    }

    fn publish_watches(&self) {
        self.shared.set_watches(self.lasting.watches.count());
    }
}

/// Does the answer to this request prove that the session lives? Who ends sessions must have heard
/// of it. A server that is cut off from that one reads on for a while, so what was read proves
/// nothing.
fn proves(request: &Request) -> bool {
    matches!(
        request,
        Request::Write(_) | Request::Multi(_) | Request::Reconfigure(_) | Request::Sync { .. }
    )
}

/// What the server says to having been asked to close the session.
fn farewell(result: Result<Response, Code>) -> Ending {
    match result {
        Ok(_) => Ending::Closed,
        Err(Code::SessionExpired) => Ending::Expired,
        Err(_) => Ending::Lost("the server did not close the session"),
    }
}

fn decode_answer(frame: &[u8], request: &Request) -> Result<Decoded, Malformed> {
    match decode_reply(frame, Some(request))? {
        Reply::Answer { zxid, result, .. } => Ok((zxid, result)),
        Reply::Event(_) | Reply::Connected(_) => Err(out_of_order()),
    }
}

fn out_of_order() -> Malformed {
    Malformed {
        what: "answer that nobody waits for",
        offset: 0,
    }
}

/// Who asked may have stopped to wait.
fn reply(answer: Answer, result: Result<Response, ClientError>) {
    let _ = answer.send(result);
}
