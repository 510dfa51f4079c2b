//! A server with many znodes: its memory, its disk, and how soon it is back after a restart.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use althing_core::node::request::Request;
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, Place};
use althing_program::bench::connection::{Connection, Trouble};
use althing_program::bench::generator::Generator;

use super::server::{Server, Stored};
use super::throughput::{DATA_BYTES, get};

/// The znodes lie below so many parents.
pub const PARENTS: usize = 1000;

const CONNECTIONS: usize = 64;
const IN_FLIGHT: usize = 16;

/// From the start of a process to its first answer.
pub struct Start {
    pub took: Duration,
    /// Processor time of all threads.
    pub cpu: Duration,
}

/// What one run has shown.
pub struct Sample {
    /// The start of an empty server, and its memory then.
    pub empty_start: Start,
    pub empty_bytes: u64,
    pub creates_per_second: f64,
    /// Memory when all znodes are there and all snapshots written; and the most that it ever had.
    pub full_bytes: u64,
    pub peak_bytes: u64,
    pub stored: Stored,
    /// From SIGTERM to the end of the process.
    pub stop: Duration,
    /// The start with all znodes, and the memory then.
    pub restart: Start,
    pub restarted_bytes: u64,
}

pub fn measure(binary: &FilePath, data: &FilePath, znodes: usize) -> Result<Sample, Trouble> {
    let (server, empty_start) = start(binary, data, Path::root())?;
    server.settle(data)?;
    let empty_bytes = server.process().resident_bytes()?;
    let took = fill(server.address(), znodes)?;
    server.settle(data)?;
    let full_bytes = server.process().resident_bytes()?;
    let peak_bytes = server.process().resident_peak_bytes()?;
    let stored = Stored::look(data)?;
    let stopping = Instant::now();
    server.stop()?;
    let stop = stopping.elapsed();
    let last = Path::parse(&child(znodes - 1))?;
    let (server, restart) = start(binary, data, last)?;
    server.settle(data)?;
    let restarted_bytes = server.process().resident_bytes()?;
    server.stop()?;
    Ok(Sample {
        empty_start,
        empty_bytes,
        creates_per_second: znodes as f64 / took.as_secs_f64(),
        full_bytes,
        peak_bytes,
        stored,
        stop,
        restart,
        restarted_bytes,
    })
}

/// Starts a server, opens a session, and reads `path`.
fn start(binary: &FilePath, data: &FilePath, path: Path) -> Result<(Server, Start), Trouble> {
    let began = Instant::now();
    let server = Server::start(binary, data)?;
    let mut connection = Connection::ask(server.address())?;
    connection.greet()?;
    connection.call(get(path))?;
    let start = Start {
        took: began.elapsed(),
        cpu: server.process().cpu()?,
    };
    connection.call(Request::CloseSession)?;
    Ok((server, start))
}

/// Creates the parents, and then below them `znodes` znodes, one by one; how long did these take?
fn fill(address: SocketAddr, znodes: usize) -> Result<Duration, Trouble> {
    let mut generator = Generator::connect(&[address; CONNECTIONS], IN_FLIGHT)?;
    create_all(&mut generator, PARENTS, parent)?;
    let began = Instant::now();
    create_all(&mut generator, znodes, child)?;
    let took = began.elapsed();
    generator.close()?;
    Ok(took)
}

fn create_all(
    generator: &mut Generator,
    count: usize,
    path: impl Fn(usize) -> String,
) -> Result<(), Trouble> {
    let mut indexes = 0..count;
    generator.drive(
        |_| {
            let index = indexes.next()?;
            Some(create(&path(index)).expect("our own path is valid"))
        },
        |request, answer| answer.succeeded(request),
    )?;
    Ok(())
}

fn parent(index: usize) -> String {
    format!("/parent-{index:04}")
}

/// The znodes are spread evenly: neighbours in time have different parents.
fn child(index: usize) -> String {
    format!("{}/child-{:06}", parent(index % PARENTS), index / PARENTS)
}

/// The creation of a znode with the usual data.
pub fn create(path: &str) -> Result<Request, Trouble> {
    Ok(Request::Write(Op::Create(Create {
        place: Place::exact(path)?,
        data: Some(Data::copy_of(&[b'c'; DATA_BYTES])),
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
        naming: Naming::Exact,
        telling: Telling::Path,
    })))
}
