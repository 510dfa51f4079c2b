//! The load: what is asked of which znodes, and what came of it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use althing::entropy::entropy;
use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, PathError, Place};

use crate::bench::arguments::{Bench, Work};
use crate::bench::connection::{Connection, Trouble};
use crate::bench::generator::{Answer, Generator};
use crate::bench::latencies::Latencies;

/// Load before the clock runs.
const WARM_UP: Duration = Duration::from_millis(500);

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How long what was asked took.
    pub took: BTreeMap<Work, Latencies>,
    /// What was refused, and how often.
    pub refused: BTreeMap<&'static str, u64>,
    /// How long it lasted.
    pub lasted: Duration,
}

impl Outcome {
    fn add(&mut self, work: Work, answer: &Answer) {
        match answer.refused {
            None => {
                let took = self.took.entry(work).or_default();
                took.add(answer.heard - answer.sent);
            }
            Some(code) => *self.refused.entry(code.name()).or_default() += 1,
        }
    }

    fn join(&mut self, other: &Outcome) {
        for (work, latencies) in &other.took {
            self.took.entry(*work).or_default().join(latencies);
        }
        for (code, count) in &other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.lasted = self.lasted.max(other.lasted);
    }
}

/// The requests, made once.
#[derive(Clone)]
struct Requests {
    gets: Vec<Request>,
    sets: Vec<Request>,
    create: Request,
    /// Those that make the znodes.
    fill: Vec<Request>,
}

impl Requests {
    fn new(flags: &Bench, top: &str) -> Result<Requests, PathError> {
        let data = Data::copy_of(&vec![b'x'; flags.bytes as usize]);
        let mut requests = Requests {
            gets: Vec::new(),
            sets: Vec::new(),
            create: create(&format!("{top}/new-"), &data, Naming::Sequential)?,
            fill: Vec::new(),
        };
        for number in 0..flags.znodes {
            let text = format!("{top}/{number}");
            let path = Path::parse(&text)?;
            requests.fill.push(create(&text, &data, Naming::Exact)?);
            requests.gets.push(Request::Read(Read::GetData {
                path: path.clone(),
                watching: Watching::No,
            }));
            requests.sets.push(Request::Write(Op::SetData {
                path,
                data: Some(data.clone()),
                version: ANY_VERSION,
            }));
        }
        Ok(requests)
    }

    fn of(&self, work: Work, number: u64) -> Request {
        let at = (number % self.gets.len() as u64) as usize;
        match work {
            Work::Get => self.gets[at].clone(),
            Work::Set => self.sets[at].clone(),
            Work::Create => self.create.clone(),
        }
    }
}

/// An ephemeral znode.
fn create(text: &str, data: &Data, naming: Naming) -> Result<Request, PathError> {
    let place = match naming {
        Naming::Exact => Place::exact(text)?,
        Naming::Sequential => Place::prefix(text)?,
    };
    Ok(Request::Write(Op::Create(Create {
        place,
        data: Some(data.clone()),
        acl: Acl::open(),
        lifetime: Lifetime::Ephemeral,
        naming,
        telling: Telling::Path,
    })))
}

/// The container that everything is below.
fn container(top: &str) -> Result<Request, PathError> {
    Ok(Request::Write(Op::Create(Create {
        place: Place::exact(top)?,
        data: None,
        acl: Acl::open(),
        lifetime: Lifetime::Container,
        naming: Naming::Exact,
        telling: Telling::PathAndStat,
    })))
}

/// What is asked by a request.
fn work_of(request: &Request) -> Work {
    match request {
        Request::Read(_) => Work::Get,
        Request::Write(Op::Create(_)) => Work::Create,
        _ => Work::Set,
    }
}

/// Loads the servers.
///
/// # Errors
/// If there are none, or a connection is lost.
pub fn load(flags: &Bench) -> Result<Outcome, Trouble> {
    let addresses = resolved(&flags.server)?;
    let random = entropy();
    let name = u64::from_be_bytes(*random.first_chunk().expect("more than eight"));
    let top = format!("/althing-bench-{name:016x}");
    let requests = Requests::new(flags, &top)?;
    let mut first = Connection::ask(addresses[0])?;
    first.greet()?;
    first.call(container(&top)?)?;
    first.call(Request::CloseSession)?;
    let threads = flags.threads.min(flags.connections);
    let mut generators = Vec::new();
    for thread in 0..threads {
        let share = (thread..flags.connections).step_by(threads as usize);
        let turns: Vec<SocketAddr> = share
            .map(|connection| addresses[connection as usize % addresses.len()])
            .collect();
        let mut generator = Generator::connect(&turns, flags.in_flight as usize)?;
        // Nobody waits for it with a session that nothing keeps alive.
        if thread == 0 {
            fill(&mut generator, &requests)?;
        }
        generators.push(generator);
    }
    let outcome = all(flags, &requests, &mut generators)?;
    for generator in generators {
        generator.close()?;
    }
    Ok(outcome)
}

fn resolved(servers: &[String]) -> Result<Vec<SocketAddr>, Trouble> {
    let mut addresses = Vec::new();
    for server in servers {
        let found = server.to_socket_addrs();
        let mut found = found.map_err(|error| format!("{server}: {error}"))?;
        let address = found.next();
        addresses.push(address.ok_or_else(|| format!("{server} has no address"))?);
    }
    Ok(addresses)
}

fn fill(generator: &mut Generator, requests: &Requests) -> Result<(), Trouble> {
    let mut fill = requests.fill.iter().rev().cloned();
    generator.drive(|_| fill.next(), |request, answer| answer.succeeded(request))
}

/// All threads at once.
fn all(
    flags: &Bench,
    requests: &Requests,
    generators: &mut [Generator],
) -> Result<Outcome, Trouble> {
    let start = Barrier::new(generators.len());
    let outcomes: Vec<Result<Outcome, Trouble>> = thread::scope(|scope| {
        let threads: Vec<_> = (1_u64..)
            .zip(generators)
            .map(|(seed, generator)| {
                let start = &start;
                scope.spawn(move || one(flags, requests, generator, start, seed))
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|outcome| outcome.expect("a thread of this load panics with it"))
            .collect()
    });
    let mut sum = Outcome::default();
    for outcome in outcomes {
        sum.join(&outcome?);
    }
    Ok(sum)
}

fn one(
    flags: &Bench,
    requests: &Requests,
    generator: &mut Generator,
    start: &Barrier,
    seed: u64,
) -> Result<Outcome, Trouble> {
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut outcome = Outcome::default();
    start.wait();
    let began = Instant::now() + WARM_UP;
    let end = began + Duration::from_secs(flags.seconds);
    generator.drive(
        |now| {
            let work = flags.mix.drawn(draw.next());
            (now < end).then(|| requests.of(work, draw.next()))
        },
        |request, answer| {
            if answer.sent >= began {
                outcome.add(work_of(request), &answer);
            }
            Ok(())
        },
    )?;
    outcome.lasted = began.elapsed();
    Ok(outcome)
}

/// An xorshift generator.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
