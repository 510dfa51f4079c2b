//! The generator: one thread that keeps a fixed number of requests in flight on every connection.
//!
//! It waits with epoll, level-triggered: one wait, one read and one write for all the answers that
//! a connection has received, and the clock is read once for all of them.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use althing_core::node::request::Request;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use super::connection::{Connection, Left};
use super::server::PATIENCE;

/// Connections that one wait tells of.
const EVENTS_MAX: usize = 256;

struct Watched {
    connection: Connection,
    /// What the last write left, and so what epoll was told to wait for.
    left: Left,
}

pub struct Generator {
    epoll: OwnedFd,
    watched: Vec<Watched>,
    in_flight: usize,
}

impl Generator {
    /// Opens sessions on `connections` connections, which will each have `in_flight` requests
    /// unanswered at any time.
    pub fn connect(
        address: SocketAddr,
        connections: usize,
        in_flight: usize,
    ) -> Result<Generator, Box<dyn Error>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut asking = Vec::with_capacity(connections);
        for _ in 0..connections {
            asking.push(Connection::ask(address)?);
        }
        let mut watched = Vec::with_capacity(connections);
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
    /// when a request was sent, and when its answer was read.
    pub fn drive(
        &mut self,
        mut next: impl FnMut(Instant) -> Option<Request>,
        mut answered: impl FnMut(Instant, Instant),
    ) -> Result<(), Box<dyn Error>> {
        let mut unanswered = 0;
        for index in 0..self.watched.len() {
            unanswered += self.refill(index, Instant::now(), &mut next)?;
        }
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        while unanswered > 0 {
            self.wait(&mut events)?;
            for event in events.drain(..) {
                let index = usize::try_from(event.data.u64())?;
                let mut sent = Vec::with_capacity(self.in_flight);
                let connection = &mut self.watched[index].connection;
                connection.receive(|at| sent.push(at))?;
                let now = Instant::now();
                unanswered -= sent.len();
                for at in sent {
                    answered(at, now);
                }
                unanswered += self.refill(index, now, &mut next)?;
            }
        }
        Ok(())
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) -> Result<(), Box<dyn Error>> {
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

    /// Ends all sessions, so that none expires while something else is measured.
    pub fn close(mut self) -> Result<(), Box<dyn Error>> {
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
