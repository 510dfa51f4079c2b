//! The generator: one thread that keeps a fixed number of requests in flight on every connection.
//!
//! It waits with epoll, level-triggered: one wait, one read and one write for all the answers that
//! a connection has received, and the clock is read once for all of them.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use althing_core::code::Code;
use althing_core::node::request::Request;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::bench::connection::{Answered, Connection, Left, PATIENCE, Trouble};

/// Connections that one wait tells of.
const EVENTS_MAX: usize = 256;

struct Watched {
    connection: Connection,
    /// What the last write left, and so what epoll was told to wait for.
    left: Left,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// When the request was sent.
    pub sent: Instant,
    /// When the answer was read.
    pub heard: Instant,
    /// Why it was refused, if it was.
    pub refused: Option<Code>,
}

impl Answer {
    /// Makes a refusal of what was asked an error.
    ///
    /// # Errors
    /// If it was refused.
    pub fn succeeded(&self, request: &Request) -> Result<(), Trouble> {
        match self.refused {
            None => Ok(()),
            Some(code) => {
                let name = request.name();
                Err(format!("{name} was refused: {}", code.name()).into())
            }
        }
    }
}

/// Some connections, each with requests in flight.
pub struct Generator {
    epoll: OwnedFd,
    watched: Vec<Watched>,
    in_flight: usize,
}

impl Generator {
    /// Opens a session at each of these addresses, which will each have `in_flight` requests
    /// unanswered at any time.
    ///
    /// # Errors
    /// If a server gives none.
    pub fn connect(addresses: &[SocketAddr], in_flight: usize) -> Result<Generator, Trouble> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut asking = Vec::with_capacity(addresses.len());
        for address in addresses {
            asking.push(Connection::ask(*address)?);
        }
        let mut watched = Vec::with_capacity(addresses.len());
        for (index, mut connection) in asking.into_iter().enumerate() {
            connection.greet()?;
            connection.stop_waiting()?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, connection.stream(), data, epoll::EventFlags::IN)?;
            watched.push(Watched {
                connection,
                left: Left::Nothing,
            });
        }
        Ok(Generator {
            epoll,
            watched,
            in_flight,
        })
    }

    /// Sends what `next` gives until it gives nothing more and all is answered. `answered` is told
    /// of each answer, and ends it by an error.
    ///
    /// # Errors
    /// If a connection is lost, or `answered` says so.
    pub fn drive(
        &mut self,
        mut next: impl FnMut(Instant) -> Option<Request>,
        mut answered: impl FnMut(&Request, Answer) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut unanswered = 0;
        for index in 0..self.watched.len() {
            unanswered += self.refill(index, Instant::now(), &mut next)?;
        }
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        while unanswered > 0 {
            self.wait(&mut events)?;
            for event in events.drain(..) {
                let index = usize::try_from(event.data.u64())?;
                let mut told: Vec<Answered> = Vec::with_capacity(self.in_flight);
                let connection = &mut self.watched[index].connection;
                connection.receive(|answered| told.push(answered))?;
                let now = Instant::now();
                unanswered -= told.len();
                for Answered {
                    request,
                    sent,
                    refused,
                } in told
                {
                    let heard = now;
                    answered(
                        &request,
                        Answer {
                            sent,
                            heard,
                            refused,
                        },
                    )?;
                }
                unanswered += self.refill(index, now, &mut next)?;
            }
        }
        Ok(())
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) -> Result<(), Trouble> {
        let patience = Timespec::try_from(PATIENCE)?;
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&patience)) {
            Ok(0) => Err("the server has answered nothing for a long time".into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends until as much is in flight as there should be; how many requests were that?
    fn refill(
        &mut self,
        index: usize,
        now: Instant,
        next: &mut impl FnMut(Instant) -> Option<Request>,
    ) -> io::Result<usize> {
        let Watched { connection, left } = &mut self.watched[index];
        let mut queued = 0;
        while connection.count_unanswered() < self.in_flight {
            let Some(request) = next(now) else {
                break;
            };
            connection.queue(request, now);
            queued += 1;
        }
        let left_now = connection.send()?;
        if *left != left_now {
            *left = left_now;
            let flags = match left_now {
                Left::Nothing => epoll::EventFlags::IN,
                Left::Something => epoll::EventFlags::IN | epoll::EventFlags::OUT,
            };
            let data = epoll::EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, connection.stream(), data, flags)?;
        }
        Ok(queued)
    }

    /// Ends all sessions, so that none expires later.
    ///
    /// # Errors
    /// If a connection is lost.
    pub fn close(mut self) -> Result<(), Trouble> {
        for Watched { connection, .. } in &mut self.watched {
            connection.queue(Request::CloseSession, Instant::now());
            connection.start_waiting()?;
            connection.send()?;
        }
        for Watched { connection, .. } in &mut self.watched {
            connection.hear()?;
        }
        Ok(())
    }
}
