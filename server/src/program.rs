//! Servers as processes: from their command line to their end.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::{env, fs, panic, thread};

use althing_core::config::Config;
use althing_core::ids::ServerId;
use althing_core::listed::HostPort;
use clap::Parser;
use rustix::process::{Pid, Signal as ProcessSignal, getppid, set_parent_process_death_signal};
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::InitError;

use crate::arguments::{Arguments, Command, Serve};
use crate::audit::AuditLog;
use crate::audit_file;
use crate::config::draft::ConfigError;
use crate::config::ensemble::{Ensemble, Identity};
use crate::config::file;
use crate::config::gossip_secret::{self, Secret};
use crate::config::operators::AuditFiles;
use crate::config::sasl_users::{self, SaslUsers};
use crate::config::settings::{DATA_DIR_DEFAULT, LOG_LEVEL_DEFAULT, Settings};
use crate::config::zoo_cfg::Read;
use crate::desk::Desk;
use crate::gossip::GossipSetup;
use crate::local_ensemble;
use crate::logging::{self, LEVEL_VARIABLE};
use crate::office::{Attend, Office, OfficeError, Ports};
use crate::os_disk::{DirectoryError, OsDisk};
use crate::reports::Described;
use crate::server::{self, Attendance, Fatal, Setup};
use crate::shell::{Shell as _, Task};
use crate::tls::files::TlsError;
use crate::tls::peers::PeerTls;
use crate::tokio_clients::{ClientsError, TokioClients};
use crate::tokio_peers::TokioPeers;
use crate::tokio_shell::TokioShell;
use crate::trace::writer::{Trace, Whose};

/// Threads that read and write sockets, at most: the node's own thread is the bottleneck long
/// before a fifth would help.
const SOCKET_THREADS_MAX: usize = 4;

/// The exit code of a process that was told to stop twice: 128 and SIGINT, as shells have it.
const STOPPED_TWICE: i32 = 130;

/// Why the program ended badly.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Log(String),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{directory}: {source}")]
    Resolve {
        directory: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Clients(#[from] ClientsError),
    #[error("cannot listen for the other servers on {address}: {source}")]
    ListenForPeers { address: String, source: io::Error },
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
    #[error(transparent)]
    Office(#[from] OfficeError),
    #[error("TLS between servers: {0}")]
    Tls(#[from] TlsError),
    #[error("the trace {file}: {source}")]
    Trace { file: PathBuf, source: io::Error },
    #[error("the audit log {file}: {source}")]
    Audit { file: PathBuf, source: InitError },
    #[error(transparent)]
    Server(#[from] Fatal),
    #[error(transparent)]
    Ensemble(#[from] local_ensemble::failure::Failure),
}

/// Runs what the command line says. For a binary that is nothing but this call, and knows nothing
/// but servers.
pub fn main() -> ExitCode {
    run(Arguments::parse().command, None)
}

/// Runs one server or several, until their end; those who ask a server are answered by `attend`.
pub fn run(command: Command, attend: Option<Attend>) -> ExitCode {
    let ended = match command {
        Command::Serve(flags) => serve(flags, attend),
        Command::Ensemble(flags) => local_ensemble::run::run(&flags).map_err(Failure::from),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("althing: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn serve(flags: Serve, attend: Option<Attend>) -> Result<(), Failure> {
    if let Some(parent) = flags.parent {
        end_with(parent)?;
    }
    let (settings, warnings) = settle(&flags)?;
    start_log(&flags, &settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    end_with_the_first_panic();
    let disk = OsDisk::lock(&settings.data_dir)?;
    let data_dir = resolved(&settings, &disk)?;
    let runtime = runtime()?;
    let stop = runtime.block_on(async { stop() })?;
    let clients = runtime.block_on(TokioClients::bind(&settings.ports))?;
    let addresses = clients.addresses()?;
    let listen = addresses[0];
    let peers = runtime.block_on(peers(&settings.ensemble))?;
    let gossip = gossip(&settings, listen)?;
    let config = with_users(&settings)?;
    // As long as this is held, lines are written.
    let (audit, _writes) = audit(&settings)?.unzip();
    let ports = runtime.block_on(Ports::bind(&settings.operators, attend))?;
    let greeting = format!(
        "althing listens on {}, data in {}{}",
        spelled(&addresses),
        data_dir.display(),
        ports.described()?
    );
    let (desk, desks) = mpsc::unbounded_channel();
    let ensemble = &settings.ensemble;
    let setup = Setup {
        config: config.clone(),
        peers: ensemble.others().into_keys().collect(),
        observers: ensemble.learners(),
        gossip,
        limits: settings.limits,
        storage: settings.storage,
        described: Described {
            listen,
            data_dir: data_dir.display().to_string(),
            config,
            servers: shown(ensemble),
        },
        attendance: Attendance {
            words: settings.operators.words,
            desk: attend.map(|_| desk),
            audit: audit.clone(),
        },
    };
    let traced = trace(&flags, &setup)?;
    let stop = either_stop_or_failed(stop, traced.clone());
    let handle = runtime.handle().clone();
    let shell = TokioShell::new(handle, clients, peers, greeting, traced.clone());
    if let Some(attend) = attend {
        shell.spawn(Task::Operator, open(attend, ports, desks, shell.clone()));
    }
    let (clock, serving) = (shell.clone(), server::serve(setup, shell, disk, stop));
    // This thread is the node's: it steps it and nothing else.
    audited(audit.as_ref(), &clock, || runtime.block_on(serving))?;
    if let (Some(trace), Some(file)) = (traced, flags.trace) {
        trace
            .end()
            .map_err(|source| Failure::Trace { file, source })?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// How the node is configured, with the users of SASL, if there are any.
fn with_users(settings: &Settings) -> Result<Config, Failure> {
    let mut config = settings.config.clone();
    if let Some(path) = &settings.sasl_users_file {
        let SaslUsers { users, warning } = sasl_users::read(path)?;
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        config.sasl.users = users;
    }
    Ok(config)
}

/// Where the data lies, whatever the working directory is.
fn resolved(settings: &Settings, disk: &OsDisk) -> Result<PathBuf, Failure> {
    fs::canonicalize(disk.path()).map_err(|source| Failure::Resolve {
        directory: settings.data_dir.clone(),
        source,
    })
}

/// Does what a server does, and tells the audit log of its beginning and its end.
fn audited(
    audit: Option<&AuditLog>,
    clock: &TokioShell,
    serve: impl FnOnce() -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let told = |operation, result| {
        if let Some(audit) = audit {
            audit.server(clock.now().wall, operation, result);
        }
    };
    told("serverStart", "success");
    let ended = serve();
    let how = match ended {
        Ok(()) => "success",
        Err(_) => "failure",
    };
    told("serverStop", how);
    ended
}

/// The audit log, if one is wanted, and what writes it.
fn audit(settings: &Settings) -> Result<Option<(AuditLog, WorkerGuard)>, Failure> {
    let Some(AuditFiles { file, kept }) = settings.operators.audit.clone() else {
        return Ok(None);
    };
    let user = std::env::var("USER").unwrap_or_else(|_| "althing".to_owned());
    match audit_file::open(&file, kept, &user) {
        Ok(opened) => Ok(Some(opened)),
        Err(source) => Err(Failure::Audit { file, source }),
    }
}

/// The addresses, for people.
fn spelled(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(" and ")
}

/// Lets operators in as soon as there is somebody to ask.
async fn open(
    attend: Attend,
    ports: Ports,
    mut desks: mpsc::UnboundedReceiver<Desk>,
    shell: TokioShell,
) {
    let Ports {
        admin,
        metrics,
        snapshots,
    } = ports;
    if let Some(desk) = desks.recv().await {
        attend(Office {
            desk,
            shell,
            admin,
            metrics,
            snapshots,
        });
    }
}

/// The trace, if one is wanted.
fn trace(flags: &Serve, setup: &Setup) -> Result<Option<Arc<Trace>>, Failure> {
    let Some(file) = flags.trace.clone() else {
        return Ok(None);
    };
    let config = &setup.config;
    let whose = Whose {
        server: config.server.0,
        clients: setup.described.listen.to_string(),
        tick_ms: u64::try_from(config.tick.as_millis()).expect("a tick is no age of the world"),
    };
    let trace = Trace::begin(&file, whose).map_err(|source| Failure::Trace { file, source })?;
    Ok(Some(Arc::new(trace)))
}

/// Ends when `stop` does, or when the trace cannot be written any more.
async fn either_stop_or_failed(stop: impl Future<Output = ()> + Send, trace: Option<Arc<Trace>>) {
    let failed = async {
        match &trace {
            Some(trace) => trace.failed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stop => {}
        () = failed => {}
    }
}

/// What gossip needs; a warning if there are servers to gossip with and no secret is shared.
fn gossip(settings: &Settings, listen: SocketAddr) -> Result<Option<GossipSetup>, Failure> {
    let (Some(own), others) = (settings.ensemble.own(), settings.ensemble.others()) else {
        return Ok(None);
    };
    if others.is_empty() {
        return Ok(None);
    }
    let Some(path) = &settings.gossip_secret_file else {
        tracing::warn!("no gossip_secret_file is configured: this server does not gossip");
        return Ok(None);
    };
    let Secret { key, warning } = gossip_secret::read(path)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    // Who listens everywhere is found where the other servers find it.
    let host = match listen.ip().is_unspecified() {
        true => own.at.peer.host.clone(),
        false => listen.ip().to_string(),
    };
    let port = listen.port();
    let endpoint = HostPort { host, port }.to_string();
    Ok(Some(GossipSetup { key, endpoint }))
}

/// Listens for the other servers, if there are any.
async fn peers(ensemble: &Ensemble) -> Result<Option<TokioPeers>, Failure> {
    let (Some(own), others) = (ensemble.own(), ensemble.others()) else {
        return Ok(None);
    };
    if others.is_empty() {
        return Ok(None);
    }
    let address = match ensemble.listen_address {
        Some(address) => SocketAddr::new(address, own.at.peer.port).to_string(),
        None => own.at.peer.to_string(),
    };
    let tls = match &ensemble.tls {
        Some(files) => Some(PeerTls::load(files)?),
        None => None,
    };
    let hosts = others.into_iter().map(|(id, peer)| (id, peer.to_string()));
    let bound = TokioPeers::bind(&address, hosts.collect(), tls).await;
    let bound = bound.map_err(|source| Failure::ListenForPeers { address, source })?;
    Ok(Some(bound))
}

/// The list of servers, as operators are shown it.
fn shown(ensemble: &Ensemble) -> BTreeMap<ServerId, String> {
    let servers = ensemble.servers.iter();
    servers
        .map(|(id, server)| (*id, server.to_string()))
        .collect()
}

/// What the file says, and the flags, which beat it; and what the operator should be told.
fn settle(flags: &Serve) -> Result<(Settings, Vec<String>), Failure> {
    let Read {
        draft,
        dynamic: _,
        mut warnings,
    } = match &flags.config {
        Some(path) => file::read(path)?,
        None => Read::default(),
    };
    let of_file = draft.data_dir.as_ref().map(|given| given.value.as_path());
    let data_dir = flags.data_dir.as_deref().or(of_file);
    let data_dir = data_dir.unwrap_or(Path::new(DATA_DIR_DEFAULT)).to_owned();
    let identity = Identity::find(flags.id.map(ServerId), &data_dir)?;
    let mut settings = Settings::settle(draft, &identity)?;
    settings.data_dir = data_dir;
    if let Some(listen) = flags.listen {
        settings.ports.listen = listen;
    }
    let operators = &mut settings.operators;
    operators.admin = flags.admin_listen.or(operators.admin);
    operators.metrics = flags.metrics_listen.or(operators.metrics);
    warnings.extend(operators.warnings());
    if let Some(log_format) = flags.log_format {
        settings.log_format = log_format;
    }
    let voters = settings.config.voters.len();
    if voters % 2 == 0 && settings.config.voters.shares().is_empty() {
        let fewer = voters - 1;
        warnings.push(format!(
            "{voters} voters survive no more deaths than {fewer} do"
        ));
    }
    Ok((settings, warnings))
}

fn start_log(flags: &Serve, settings: &Settings) -> Result<(), Failure> {
    let variable = env::var(LEVEL_VARIABLE).ok();
    let level = [&flags.log_level, &variable, &settings.log_level]
        .into_iter()
        .find_map(|level| level.as_deref())
        .unwrap_or(LOG_LEVEL_DEFAULT);
    logging::start(settings.log_format, level).map_err(Failure::Log)
}

/// Stops in order when the process `parent`, which has started this one, is gone.
fn end_with(parent: i32) -> io::Result<()> {
    set_parent_process_death_signal(Some(ProcessSignal::TERM))?;
    // It may have gone before it was asked for.
    match getppid().map(Pid::as_raw_pid) == Some(parent) {
        true => Ok(()),
        false => Err(io::Error::other(
            "the process that started this one is gone",
        )),
    }
}

/// A failed assertion means that something is not as we believe: to go on could tell clients what
/// is not so. The whole process ends, whichever of its threads it was.
fn end_with_the_first_panic() {
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(thread, "a broken assumption ends this process: {panic}");
        process::abort();
    }));
}

fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(SOCKET_THREADS_MAX))
        .thread_name("althing-socket")
        .enable_all()
        .build()
}

/// Ends at the first SIGTERM or SIGINT; from then on, another one ends the process at once.
fn stop() -> io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            process::exit(STOPPED_TWICE);
        });
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
