//! How many requests a server answers in a second, how soon, and what they cost.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Op};
use althing_core::tree::path::Path;
use althing_program::bench::connection::Trouble;
use althing_program::bench::generator::Generator;
use rustix::time::{ClockId, clock_gettime};

use super::figures::Latencies;
use super::machine;
use super::population;
use crate::process::Process;

/// Bytes of data in every znode.
pub const DATA_BYTES: usize = 100;

/// Znodes that are read and written, drawn anew for every request.
pub const TARGETS: usize = 1000;

/// Load before the clock runs.
pub const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    Get,
    Set,
}

impl fmt::Display for Work {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Work::Get => "get",
            Work::Set => "set",
        })
    }
}

/// What is measured on its own: so many connections, each with so many requests in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    pub work: Work,
    pub connections: usize,
    pub in_flight: usize,
}

/// The cells, in the order of the table.
pub const CELLS: [Cell; 6] = [
    cell(Work::Get, 1, 1),
    cell(Work::Get, 64, 16),
    cell(Work::Get, 256, 16),
    cell(Work::Set, 1, 1),
    cell(Work::Set, 64, 16),
    cell(Work::Set, 256, 16),
];

const fn cell(work: Work, connections: usize, in_flight: usize) -> Cell {
    Cell {
        work,
        connections,
        in_flight,
    }
}

/// What one run of a cell has shown.
pub struct Sample {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Processor time of the server for a request, and of the generator.
    pub server_us: f64,
    pub generator_us: f64,
    /// How many processors each kept busy, and everything else on the machine.
    pub server_cores: f64,
    pub generator_cores: f64,
    pub other_cores: f64,
}

impl Sample {
    /// What the answers' times and the processor time used meanwhile say.
    pub fn of(mut latencies: Latencies, used: &Used) -> Sample {
        let count = latencies.count() as f64;
        let took = used.at.as_secs_f64();
        let micros_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count;
        let others = used.all.saturating_sub(used.servers + used.generator);
        Sample {
            per_second: latencies.per_second(),
            p50_us: latencies.percentile_us(50),
            p99_us: latencies.percentile_us(99),
            server_us: micros_each(used.servers),
            generator_us: micros_each(used.generator),
            server_cores: used.servers.as_secs_f64() / took,
            generator_cores: used.generator.as_secs_f64() / took,
            other_cores: others.as_secs_f64() / took,
        }
    }
}

/// The requests of both kinds, made once.
pub struct Targets {
    gets: Vec<Request>,
    sets: Vec<Request>,
}

impl Targets {
    /// Creates the znodes.
    pub fn create(address: SocketAddr) -> Result<Targets, Trouble> {
        let mut generator = Generator::connect(&[address], 16)?;
        let mut targets = Targets {
            gets: Vec::with_capacity(TARGETS),
            sets: Vec::with_capacity(TARGETS),
        };
        let mut creates = Vec::with_capacity(TARGETS);
        for index in 0..TARGETS {
            let path = Path::parse(&format!("/target-{index:04}"))?;
            creates.push(population::create(path.as_str())?);
            targets.gets.push(get(path.clone()));
            targets.sets.push(Request::Write(Op::SetData {
                path,
                data: Some(Data::copy_of(&[b's'; DATA_BYTES])),
                version: ANY_VERSION,
            }));
        }
        generator.drive(
            |_| creates.pop(),
            |request, answer| answer.succeeded(request),
        )?;
        generator.close()?;
        Ok(targets)
    }
}

pub fn get(path: Path) -> Request {
    Request::Read(Read::GetData {
        path,
        watching: Watching::No,
    })
}

/// The servers under load: where they serve, and their processes.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub addresses: Vec<SocketAddr>,
    pub processes: Vec<Process>,
}

/// Runs a cell once, for `lasts`, with the connections spread over the servers.
pub fn measure(
    servers: &Loaded,
    targets: &Targets,
    cell: Cell,
    lasts: Duration,
) -> Result<Sample, Trouble> {
    let addresses = servers.addresses.iter().copied().cycle();
    let addresses: Vec<SocketAddr> = addresses.take(cell.connections).collect();
    let mut generator = Generator::connect(&addresses, cell.in_flight)?;
    load(&mut generator, targets, cell.work, WARM_UP)?;
    let before = Used::look(&servers.processes)?;
    let latencies = load(&mut generator, targets, cell.work, lasts)?;
    let used = Used::look(&servers.processes)?.since(&before);
    generator.close()?;
    Ok(Sample::of(latencies, &used))
}

fn load(
    generator: &mut Generator,
    targets: &Targets,
    work: Work,
    lasts: Duration,
) -> Result<Latencies, Trouble> {
    let requests = match work {
        Work::Get => &targets.gets,
        Work::Set => &targets.sets,
    };
    let mut latencies = Latencies::default();
    let mut draw = Draw(2026);
    let began = Instant::now();
    let end = began + lasts;
    generator.drive(
        |now| (now < end).then(|| requests[draw.below(requests.len())].clone()),
        |request, answer| {
            answer.succeeded(request)?;
            latencies.add(answer.heard - answer.sent);
            Ok(())
        },
    )?;
    latencies.took(began.elapsed());
    Ok(latencies)
}

/// The same numbers in every run: an xorshift generator.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Processor time used until a moment; or, since another moment.
pub struct Used {
    at: Duration,
    servers: Duration,
    generator: Duration,
    all: Duration,
}

impl Used {
    pub fn look(servers: &[Process]) -> Result<Used, Trouble> {
        let mut of_servers = Duration::ZERO;
        for server in servers {
            of_servers += server.cpu()?;
        }
        Ok(Used {
            at: read(ClockId::Monotonic),
            servers: of_servers,
            generator: read(ClockId::ProcessCPUTime),
            all: machine::cpu_of_all()?,
        })
    }

    pub fn since(&self, earlier: &Used) -> Used {
        Used {
            at: self.at - earlier.at,
            servers: self.servers - earlier.servers,
            generator: self.generator - earlier.generator,
            all: self.all.saturating_sub(earlier.all),
        }
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
