//! The processes of a local ensemble: started together, ended together.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use std::{env, fs, process};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::arguments::LocalEnsemble;
use crate::local_ensemble::failure::Failure;
use crate::local_ensemble::layout::{Member, of};

/// How long the servers may take to end when they are told to: as long as one may wait for its
/// disk, for other servers and for its clients, and a little more.
const STOP_MAX: Duration = Duration::from_secs(20);

/// What all servers are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Serve,
    Stop,
    Die,
}

type End = (u8, io::Result<ExitStatus>);

/// The processes.
pub struct Fleet {
    pids: BTreeMap<u8, u32>,
    /// One task waits for the end of each.
    ends: JoinSet<End>,
    /// One task waits for the greeting of each, and gives its stream back to be kept open.
    greetings: JoinSet<io::Result<(usize, BufReader<ChildStdout>)>>,
    orders: watch::Sender<Order>,
}

impl Fleet {
    /// Starts a process for each member.
    ///
    /// # Errors
    /// If the operating system does not start them; those that it did start are killed.
    pub fn start(flags: &LocalEnsemble, members: &[Member]) -> Result<Fleet, Failure> {
        let (orders, _) = watch::channel(Order::Serve);
        let mut fleet = Fleet {
            pids: BTreeMap::new(),
            ends: JoinSet::new(),
            greetings: JoinSet::new(),
            orders,
        };
        for member in members {
            let mut child = spawn(flags, member)?;
            let server = member.server;
            fleet.pids.extend(child.id().map(|pid| (server, pid)));
            let stdout = child.stdout.take().expect("it is piped");
            fleet.greetings.spawn(greeting(stdout));
            let orders = fleet.orders.subscribe();
            let ends = async move { (server, attend(child, orders).await) };
            fleet.ends.spawn(ends);
        }
        Ok(fleet)
    }

    /// A server's process.
    pub fn pid(&self, server: u8) -> Option<u32> {
        self.pids.get(&server).copied()
    }

    /// Ends when every server has said that it serves.
    ///
    /// # Errors
    /// If one ends instead.
    pub async fn until_all_serve(&mut self, members: &[Member]) -> Result<(), Failure> {
        let mut streams = Vec::new();
        while streams.len() < members.len() {
            tokio::select! {
                biased;
                Some(ended) = self.ends.join_next() => {
                    return Err(stillborn(ended.expect("no panic"), members));
                }
                Some(greeted) = self.greetings.join_next() => {
                    let (bytes, stream) = greeted.expect("no panic")?;
                    // One that closes its stream without a word ends.
                    if bytes > 0 {
                        streams.push(stream);
                    }
                }
            }
        }
        Ok(())
    }

    /// The next server that ends; `None` when none is left.
    pub async fn next_end(&mut self) -> Option<End> {
        let ended = self.ends.join_next().await?;
        Some(ended.expect("no panic"))
    }

    /// Tells all to stop, and kills those that do not within a while or before `hurry` ends.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) {
        // Where no task listens, nothing runs.
        let _ = self.orders.send(Order::Stop);
        tokio::select! {
            biased;
            () = async { while self.ends.join_next().await.is_some() {} } => return,
            () = hurry => {}
            () = sleep(STOP_MAX) => eprintln!("some servers did not stop, and are killed"),
        }
        let _ = self.orders.send(Order::Die);
        while self.ends.join_next().await.is_some() {}
    }
}

fn stillborn((server, ended): End, members: &[Member]) -> Failure {
    let member = members.iter().find(|member| member.server == server);
    let log = member.map(|member| member.log.clone()).unwrap_or_default();
    match ended {
        Ok(status) => Failure::Stillborn {
            server,
            status,
            log,
        },
        Err(error) => error.into(),
    }
}

fn spawn(flags: &LocalEnsemble, member: &Member) -> Result<Child, Failure> {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&member.log);
    let mut command = Command::new(env::current_exe()?);
    command
        .arg("serve")
        .arg("--config")
        .arg(&member.config)
        .args(["--parent", &process::id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.map_err(of(&member.log))?)
        // A ^C at the terminal is for this process, which tells each of them once.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(level) = &flags.log_level {
        command.args(["--log-level", level]);
    }
    Ok(command.spawn()?)
}

/// The length of the first line, and the stream, which is to stay open.
async fn greeting(stdout: ChildStdout) -> io::Result<(usize, BufReader<ChildStdout>)> {
    let mut stream = BufReader::new(stdout);
    let mut line = String::new();
    let bytes = stream.read_line(&mut line).await?;
    Ok((bytes, stream))
}

/// Passes orders on to a process until it ends.
async fn attend(mut child: Child, mut orders: watch::Receiver<Order>) -> io::Result<ExitStatus> {
    loop {
        let order = tokio::select! {
            biased;
            status = child.wait() => return status,
            changed = orders.changed() => match changed {
                Ok(()) => *orders.borrow_and_update(),
                Err(_) => Order::Die,
            },
        };
        match order {
            Order::Serve => {}
            Order::Stop => {
                let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
                if let Some(pid) = pid {
                    kill_process(pid, Signal::TERM)?;
                }
            }
            Order::Die => {
                child.start_kill()?;
                return child.wait().await;
            }
        }
    }
}
