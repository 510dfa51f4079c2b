//! What a master has to do next: a function of the tree as it sees it, and of nothing else.

use std::collections::{BTreeMap, BTreeSet};

/// Below it lies everything that the scheduler has.
pub const ROOT: &str = "/scheduler";
/// The master's file.
pub const MASTER: &str = "/scheduler/master";
/// A znode for each job that is not done.
pub const JOBS: &str = "/scheduler/jobs";
/// An ephemeral znode for each worker that is there.
pub const WORKERS: &str = "/scheduler/workers";
/// Below it, for each worker, a znode for each job that it has to do.
pub const ASSIGNED: &str = "/scheduler/assigned";
/// A znode for each job that was worked on, until its effect is there.
pub const RESULTS: &str = "/scheduler/results";

/// The tree as a master sees it. It may be late.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// The jobs that are not done.
    pub jobs: BTreeSet<String>,
    /// The workers that are there.
    pub workers: BTreeSet<String>,
    /// Who has which jobs to do.
    pub assigned: BTreeMap<String, BTreeSet<String>>,
    /// The jobs that were worked on.
    pub results: BTreeSet<String>,
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Move {
    /// The job has a result: let it have its effect, and take it off the list.
    Finish { job: String },
    /// The worker is gone: it will not do the job.
    Withdraw { worker: String, job: String },
    /// The worker shall do the job.
    Assign { worker: String, job: String },
}

impl View {
    /// Of a tree with these paths.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> View {
        let mut view = View::default();
        for path in paths {
            let below = |folder: &str| path.strip_prefix(folder)?.strip_prefix('/');
            if let Some(job) = below(JOBS) {
                view.jobs.insert(job.to_owned());
            } else if let Some(worker) = below(WORKERS) {
                view.workers.insert(worker.to_owned());
            } else if let Some(job) = below(RESULTS) {
                view.results.insert(job.to_owned());
            } else if let Some((worker, job)) = below(ASSIGNED).and_then(|at| at.split_once('/')) {
                let jobs = view.assigned.entry(worker.to_owned()).or_default();
                jobs.insert(job.to_owned());
            }
        }
        view
    }

    /// Leaves out the jobs that are known to be finished.
    pub fn forget(&mut self, finished: &BTreeSet<String>) {
        self.jobs.retain(|job| !finished.contains(job));
        self.results.retain(|job| !finished.contains(job));
    }

    /// Everything that there is to do.
    pub fn moves(&self) -> Vec<Move> {
        let finish = |job: &String| Move::Finish { job: job.clone() };
        let mut moves: Vec<Move> = self.results.iter().map(finish).collect();
        let mut loads: BTreeMap<&String, usize> = BTreeMap::new();
        loads.extend(self.workers.iter().map(|worker| (worker, 0)));
        let mut placed: BTreeSet<&String> = self.results.iter().collect();
        for (worker, jobs) in &self.assigned {
            match loads.get_mut(worker) {
                Some(load) => {
                    *load += jobs.len();
                    placed.extend(jobs);
                }
                None => moves.extend(jobs.iter().map(|job| Move::Withdraw {
                    worker: worker.clone(),
                    job: job.clone(),
                })),
            }
        }
        for job in self.jobs.iter().filter(|job| !placed.contains(job)) {
            let Some((worker, load)) = loads.iter_mut().min_by_key(|(_, load)| **load) else {
                break;
            };
            *load += 1;
            moves.push(Move::Assign {
                worker: (*worker).clone(),
                job: job.clone(),
            });
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(paths: &[&str]) -> Vec<String> {
        let moves = View::of(paths.iter().copied()).moves();
        let told = moves.iter().map(|next| match next {
            Move::Finish { job } => format!("finish {job}"),
            Move::Withdraw { worker, job } => format!("withdraw {job} from {worker}"),
            Move::Assign { worker, job } => format!("assign {job} to {worker}"),
        });
        told.collect()
    }

    #[test]
    fn jobs_are_spread_over_who_is_there() {
        let tree = [
            "/scheduler",
            "/scheduler/jobs/a",
            "/scheduler/jobs/b",
            "/scheduler/jobs/c",
            "/scheduler/workers/x",
            "/scheduler/workers/y",
            "/scheduler/assigned/x",
            "/scheduler/assigned/x/a",
        ];
        assert_eq!(told(&tree), ["assign b to y", "assign c to x"]);
        assert!(told(&["/scheduler/jobs/a"]).is_empty(), "nobody is there");
    }

    #[test]
    fn what_the_dead_had_to_do_is_done_by_others_and_results_are_finished() {
        let tree = [
            "/scheduler/jobs/a",
            "/scheduler/jobs/b",
            "/scheduler/workers/y",
            "/scheduler/assigned/x/a",
            "/scheduler/results/b",
        ];
        let moves = ["finish b", "withdraw a from x", "assign a to y"];
        assert_eq!(told(&tree), moves);
    }
}
