//! Measures structures for the tree of znodes: memory, reads, writes, clones, listings.
//!
//! Every structure does the same operations in the same order, in a process of its own, so that
//! none inherits the memory of another.

mod flat;
mod nested;
mod paged;
mod structure;

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, Place};
use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};

use flat::Flat;
use nested::Nested;
use paged::Paged;
use structure::Structure;

/// Operations whose time is averaged.
const SAMPLES: usize = 200_000;

/// Clones whose time is averaged, and writes right after each.
const CLONES: usize = 1_000;

/// Operations that are made before the clock runs.
const BATCH: usize = 10_000;

#[derive(clap::Args)]
pub struct Args {
    /// Only this structure, in this process.
    #[arg(long, requires = "shape")]
    structure: Option<Candidate>,
    /// Only this shape.
    #[arg(long)]
    shape: Option<Shape>,
    /// How many times the usual million znodes.
    #[arg(long, default_value_t = 1)]
    millions: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Candidate {
    /// What althing-core has: a slab of shared pages, and an index of whole paths.
    Paged,
    /// An Arc for every znode, and an ordered map of names in every parent.
    Nested,
    /// One ordered map of whole paths.
    Flat,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// Parents with 1000 children each.
    Wide,
    /// Four children in every znode, ten levels.
    Deep,
}

pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    if let (Some(candidate), Some(shape)) = (args.structure, args.shape) {
        let paths = paths(shape, args.millions)?;
        let row = match candidate {
            Candidate::Paged => measure(Paged::default(), paths, paged::snapshot),
            Candidate::Nested => measure(Nested::default(), paths, |_| None),
            Candidate::Flat => measure(Flat::default(), paths, |_| None),
        }?;
        println!("| {} | {} |{row}", name(candidate), name(shape));
        return Ok(());
    }
    println!(
        "| structure | shape | znodes | B/znode | get ns | setData ns | create ns | delete ns \
         | clone ns | setData after clone ns | list us | snapshot write, read ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for shape in [Shape::Wide, Shape::Deep] {
        for candidate in Candidate::value_variants() {
            let millions = args.millions.to_string();
            let status = Command::new(env::current_exe()?)
                .args(["tree", "--structure", &name(*candidate)])
                .args(["--shape", &name(shape), "--millions", &millions])
                .status()?;
            if !status.success() {
                return Err(format!("{} ended with {status}", name(*candidate)).into());
            }
        }
    }
    Ok(())
}

fn name(value: impl ValueEnum) -> String {
    let possible = value.to_possible_value().expect("no variant is hidden");
    possible.get_name().to_owned()
}

/// The paths of the tree, parents first.
fn paths(shape: Shape, millions: usize) -> Result<Vec<Path>, Box<dyn Error>> {
    let mut paths = Vec::new();
    match shape {
        Shape::Wide => {
            for parent in 0..1_000 * millions {
                paths.push(Path::parse(&format!("/parent-{parent:05}"))?);
                for child in 0..1_000 {
                    paths.push(Path::parse(&format!(
                        "/parent-{parent:05}/child-{child:04}"
                    ))?);
                }
            }
        }
        Shape::Deep => {
            for top in 0..millions {
                let mut level = vec![Path::parse(&format!("/top-{top:05}"))?];
                for _ in 0..10 {
                    let mut next = Vec::with_capacity(level.len() * 4);
                    for parent in &level {
                        for child in 0..4 {
                            next.push(Path::parse(&format!("{parent}/node-{child}"))?);
                        }
                    }
                    paths.append(&mut level);
                    level = next;
                }
                paths.append(&mut level);
            }
        }
    }
    Ok(paths)
}

/// The same numbers in every run: an xorshift generator.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn create(path: &str) -> Op {
    Op::Create(Create {
        place: Place::exact(path).expect("the path of a measurement"),
        data: Some(Data::copy_of(&[b'x'; 100])),
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
        naming: Naming::Exact,
        telling: Telling::Path,
    })
}

fn set(path: &Path) -> Op {
    Op::SetData {
        path: path.clone(),
        data: Some(Data::copy_of(&[b'y'; 100])),
        version: ANY_VERSION,
    }
}

/// Executes the operations that `make` makes, timing the execution only.
fn execute<S: Structure>(
    structure: &mut S,
    count: usize,
    mut make: impl FnMut(usize) -> Op,
) -> f64 {
    let mut elapsed = Duration::ZERO;
    let mut made = 0;
    while made < count {
        let end = count.min(made + BATCH);
        let ops: Vec<Op> = (made..end).map(&mut make).collect();
        let start = cpu_time();
        for op in &ops {
            structure.execute(op);
        }
        elapsed += cpu_time() - start;
        made = end;
    }
    nanos_each(elapsed, count)
}

/// What this thread has used of a processor: it does not count what other processes use.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub fn nanos_each(elapsed: Duration, count: usize) -> f64 {
    elapsed.as_nanos() as f64 / count as f64
}

pub fn resident_bytes() -> Result<usize, Box<dyn Error>> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm
        .split(' ')
        .nth(1)
        .ok_or("statm without resident pages")?;
    Ok(pages.parse::<usize>()? * 4096)
}

fn measure<S: Structure>(
    mut structure: S,
    paths: Vec<Path>,
    snapshot: impl Fn(&S) -> Option<(Duration, Duration)>,
) -> Result<String, Box<dyn Error>> {
    let mut draw = Draw(2026);
    let before = resident_bytes()?;
    execute(&mut structure, paths.len(), |index| {
        create(paths[index].as_str())
    });
    let bytes_each = (resident_bytes()? - before) / paths.len();

    let picks: Vec<usize> = (0..SAMPLES).map(|_| draw.below(paths.len())).collect();
    let start = cpu_time();
    for pick in &picks {
        black_box(structure.get(paths[*pick].as_str()));
    }
    let get = nanos_each(cpu_time() - start, SAMPLES);
    let set_data = execute(&mut structure, SAMPLES, |index| set(&paths[picks[index]]));
    let parents: Vec<&Path> = picks
        .iter()
        .map(|pick| &paths[*pick])
        .filter(|path| structure.count_children(path.as_str()) > 0)
        .collect();
    // Deep trees have enough parents among the picks; wide ones a few hundred, which is as well.
    let fresh: Vec<String> = (0..SAMPLES)
        .map(|index| format!("{}/fresh-{index:06}", parents[index % parents.len()]))
        .collect();
    let create_each = execute(&mut structure, SAMPLES, |index| create(&fresh[index]));
    let delete = execute(&mut structure, SAMPLES, |index| Op::Delete {
        path: Path::parse(&fresh[index]).expect("it was created"),
        version: ANY_VERSION,
    });
    let (clone, set_after_clone) = measure_clones(&mut structure, &paths, &mut draw);
    let list = measure_listing(&structure, &parents);
    let snapshot = match snapshot(&structure) {
        Some((write, read)) => format!("{}, {}", write.as_millis(), read.as_millis()),
        None => "-".to_owned(),
    };
    Ok(format!(
        " {} | {bytes_each} | {get:.0} | {set_data:.0} | {create_each:.0} | {delete:.0} \
         | {clone:.0} | {set_after_clone:.0} | {list:.1} | {snapshot} |",
        paths.len()
    ))
}

/// Time of a clone with its end, and of the first write after it while the clone lives.
fn measure_clones<S: Structure>(structure: &mut S, paths: &[Path], draw: &mut Draw) -> (f64, f64) {
    let start = cpu_time();
    for _ in 0..CLONES {
        black_box(structure.clone());
    }
    let clone = nanos_each(cpu_time() - start, CLONES);
    let ops: Vec<Op> = (0..CLONES)
        .map(|_| set(&paths[draw.below(paths.len())]))
        .collect();
    let start = cpu_time();
    for op in &ops {
        let _clone = black_box(structure.clone());
        structure.execute(op);
    }
    let both = nanos_each(cpu_time() - start, CLONES);
    (clone, both - clone)
}

/// Microseconds for all names of a parent's children.
fn measure_listing<S: Structure>(structure: &S, parents: &[&Path]) -> f64 {
    let listed = parents.len().min(CLONES);
    let start = cpu_time();
    for parent in &parents[..listed] {
        black_box(structure.children(parent.as_str()));
    }
    nanos_each(cpu_time() - start, listed) / 1_000.0
}
