//! Does what a command says, through the client.

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::members::Reconfiguration;
use althing_client::persistent::{News, PersistentWatcher};
use althing_client::watcher::Watcher;
use althing_client::znode::{CreateMode, Version};
use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;
use althing_core::tree::tree::CONFIG;
use althing_core::watch::{WatchKind, WatchMode, Whichever};

use crate::cli::answer::Answer;
use crate::cli::command::{AddWatch, Command, Config, Create, Get, GetAcl, Ls, Mode};
use crate::cli::command::{Reconfig, RemoveWatches, Set, SetAcl, Stat};
use crate::cli::connection::Connection;
use crate::cli::error::CliError;
use crate::cli::way::Way;
use crate::cli::{notation, quotas, subtree};
use crate::inspect::spelling;

/// What a command gives, and what it leaves behind.
#[derive(Debug)]
pub struct Done {
    /// What it gives.
    pub answer: Answer,
    /// The watch that it has left.
    pub watcher: Option<Left>,
}

/// A watch that a command has left.
#[derive(Debug)]
pub enum Left {
    /// One that tells once.
    Once(Watcher),
    /// One that stays.
    Staying(PersistentWatcher),
}

impl Left {
    /// What the watch tells next, and what of it is left then.
    ///
    /// # Errors
    /// If the session ends, or the watch is removed.
    pub async fn next(self) -> Result<(News, Option<Left>), ClientError> {
        match self {
            Left::Once(watcher) => Ok((News::Event(watcher.await?), None)),
            Left::Staying(mut watcher) => {
                let news = watcher.next().await?;
                Ok((news, Some(Left::Staying(watcher))))
            }
        }
    }
}

impl From<Answer> for Done {
    fn from(answer: Answer) -> Done {
        let watcher = None;
        Done { answer, watcher }
    }
}

/// Does `command`, which is none of those that the conversation itself understands.
///
/// # Errors
/// [`CliError`].
pub async fn execute(command: Command, connection: &mut Connection) -> Result<Done, CliError> {
    match command {
        Command::Connect { server } => {
            connection.open(&server).await?;
            session(connection.client()?)
        }
        Command::Close => {
            connection.close().await?;
            Ok(Answer::Done.into())
        }
        Command::Version => Ok(Answer::Said(version()).into()),
        command => with_session(command, connection.client()?).await,
    }
}

fn version() -> String {
    format!("althing {}", env!("CARGO_PKG_VERSION"))
}

async fn with_session(command: Command, client: &Client<Way>) -> Result<Done, CliError> {
    match command {
        Command::Ls(flags) => ls(client, flags).await,
        Command::Create(flags) => create(client, flags).await,
        Command::Get(flags) => get(client, flags).await,
        Command::Set(flags) => set(client, flags).await,
        Command::Delete(flags) => {
            let (path, version) = (flags.path, at(flags.version));
            let deleted = client.delete(&path, version).await;
            deleted.map_err(CliError::about(&path))?;
            Ok(Answer::Done.into())
        }
        Command::DeleteAll(flags) => {
            let count = subtree::delete(client, &flags.path, flags.batch).await?;
            Ok(Answer::Deleted { count }.into())
        }
        Command::Stat(flags) => stat(client, flags).await,
        Command::AddWatch(flags) => add_watch(client, flags).await,
        Command::RemoveWatches(flags) => remove_watches(client, flags).await,
        Command::GetAcl(flags) => get_acl(client, flags).await,
        Command::SetAcl(flags) => set_acl(client, flags).await,
        Command::SetQuota(flags) => Ok(quotas::set(client, flags).await?.into()),
        Command::ListQuota { path } => Ok(quotas::list(client, path).await?.into()),
        Command::DelQuota(flags) => Ok(quotas::delete(client, flags).await?.into()),
        Command::GetEphemerals { path } => {
            let paths = client.ephemerals(&path).await;
            let paths = paths.map_err(CliError::about(&path))?;
            let paths = paths.iter().map(|path| path.as_str().to_owned());
            Ok(Answer::Paths(paths.collect()).into())
        }
        Command::GetAllChildrenNumber { path } => {
            let count = client.count_below(&path).await;
            let count = count.map_err(CliError::about(&path))?;
            Ok(Answer::Said(count.to_string()).into())
        }
        Command::WhoAmI => who_am_i(client).await,
        Command::Config(flags) => config(client, flags).await,
        Command::Reconfig(flags) => reconfig(client, flags).await,
        Command::Sync { path } => {
            let synced = client.sync(&path).await;
            synced.map_err(CliError::about(&path))?;
            Ok(Answer::Said("Sync is OK".to_owned()).into())
        }
        Command::AddAuth { scheme, credential } => {
            let taken = client.add_auth(&scheme, credential.as_str()).await;
            taken.map_err(CliError::about(&scheme))?;
            Ok(Answer::Done.into())
        }
        Command::Session => session(client),
        other => Err(CliError::Usage(format!(
            "{other:?} belongs into a conversation"
        ))),
    }
}

fn at(version: Option<i32>) -> Version {
    version.map_or(Version::Any, Version::Exactly)
}

fn session(client: &Client<Way>) -> Result<Done, CliError> {
    let (id, timeout) = (client.session(), client.session_timeout().as_millis());
    let seen = spelling::hex(client.last_zxid());
    let state = client.state();
    let said = format!("session {id}, time-out {timeout} ms, {state:?}, seen up to {seen}");
    Ok(Answer::Said(said).into())
}

async fn who_am_i(client: &Client<Way>) -> Result<Done, CliError> {
    let identities = client.who_am_i().await.map_err(CliError::about("/"))?;
    let mut said = "Auth scheme: User".to_owned();
    for who in identities {
        said += &format!("\n{}: {}", who.scheme, who.id);
    }
    Ok(Answer::Said(said).into())
}

async fn ls(client: &Client<Way>, flags: Ls) -> Result<Done, CliError> {
    let path = flags.path;
    if flags.recursive {
        return Ok(Answer::Paths(subtree::paths(client, &path).await?).into());
    }
    let (children, watcher) = match flags.watch {
        true => {
            let listed = client.watch_children(&path).await;
            let (children, watcher) = listed.map_err(CliError::about(&path))?;
            (children, Some(Left::Once(watcher)))
        }
        false => {
            let listed = client.children(&path).await;
            (listed.map_err(CliError::about(&path))?, None)
        }
    };
    let answer = Answer::Children {
        path,
        names: children.names,
        stat: flags.stat.then_some(children.stat),
    };
    Ok(Done { answer, watcher })
}

async fn create(client: &Client<Way>, flags: Create) -> Result<Done, CliError> {
    let acl = flags.acl.as_deref().unwrap_or("world:anyone:cdrwa");
    let acl = notation::acl(acl).map_err(CliError::Usage)?;
    let mode = match (flags.ephemeral, flags.sequential) {
        (false, false) => CreateMode::Persistent,
        (true, false) => CreateMode::Ephemeral,
        (false, true) => CreateMode::PersistentSequential,
        (true, true) => CreateMode::EphemeralSequential,
    };
    let path = flags.path;
    if flags.parents
        && let Some(parent) = Path::parse(&path).ok().and_then(|path| path.parent())
    {
        let ensured = client.ensure(parent.as_str()).await;
        ensured.map_err(CliError::about(parent.as_str()))?;
    }
    let data = flags.data.into_bytes();
    let created = client.create_with_acl(&path, data, mode, acl).await;
    let created = created.map_err(CliError::about(&path))?;
    let (path, stat) = (created.path.as_str().to_owned(), created.stat);
    Ok(Answer::Created { path, stat }.into())
}

async fn get(client: &Client<Way>, flags: Get) -> Result<Done, CliError> {
    let path = flags.path;
    let (znode, watcher) = match flags.watch {
        true => {
            let read = client.watch_data(&path).await;
            let (znode, watcher) = read.map_err(CliError::about(&path))?;
            (znode, Some(Left::Once(watcher)))
        }
        false => {
            let read = client.get_data(&path).await;
            (read.map_err(CliError::about(&path))?, None)
        }
    };
    let answer = Answer::Data {
        path,
        data: znode.data,
        stat: flags.stat.then_some(znode.stat),
    };
    Ok(Done { answer, watcher })
}

async fn set(client: &Client<Way>, flags: Set) -> Result<Done, CliError> {
    let (path, data) = (flags.path, flags.data.into_bytes());
    let set = client.set_data(&path, data, at(flags.version)).await;
    let stat = set.map_err(CliError::about(&path))?;
    Ok(match flags.stat {
        true => Answer::Stat { path, stat }.into(),
        false => Answer::Done.into(),
    })
}

async fn stat(client: &Client<Way>, flags: Stat) -> Result<Done, CliError> {
    let path = flags.path;
    let (stat, watcher) = match flags.watch {
        true => {
            let asked = client.watch_exists(&path).await;
            let (stat, watcher) = asked.map_err(CliError::about(&path))?;
            (stat, Some(Left::Once(watcher)))
        }
        false => {
            let asked = client.exists(&path).await;
            (asked.map_err(CliError::about(&path))?, None)
        }
    };
    let answer = match (stat, &watcher) {
        (Some(stat), _) => Answer::Stat { path, stat },
        (None, Some(_)) => Answer::Said(format!("Node does not exist: {path}")),
        (None, None) => {
            let error = ClientError::Server(Code::NoNode);
            return Err(CliError::about(&path)(error));
        }
    };
    Ok(Done { answer, watcher })
}

async fn add_watch(client: &Client<Way>, flags: AddWatch) -> Result<Done, CliError> {
    let mode = match flags.mode {
        Mode::Persistent => WatchMode::Persistent,
        Mode::Recursive => WatchMode::Recursive,
    };
    let added = client.add_watch(&flags.path, mode).await;
    let watcher = added.map_err(CliError::about(&flags.path))?;
    Ok(Done {
        answer: Answer::Done,
        watcher: Some(Left::Staying(watcher)),
    })
}

async fn remove_watches(client: &Client<Way>, flags: RemoveWatches) -> Result<Done, CliError> {
    let kinds = match flags {
        _ if flags.children => Whichever::Only(WatchKind::Child),
        _ if flags.data => Whichever::Only(WatchKind::Data),
        _ if flags.persistent => Whichever::Only(WatchKind::Persistent),
        _ if flags.recursive => Whichever::Only(WatchKind::Recursive),
        _ => Whichever::Any,
    };
    let path = flags.path;
    let removed = client.remove_watches(&path, kinds).await;
    match removed.map_err(CliError::about(&path))? {
        true => Ok(Answer::Done.into()),
        false => Err(CliError::about(&path)(ClientError::Server(Code::NoWatcher))),
    }
}

async fn config(client: &Client<Way>, flags: Config) -> Result<Done, CliError> {
    let (znode, watcher) = match flags.watch {
        true => {
            let read = client.watch_config().await;
            let (znode, watcher) = read.map_err(CliError::about(CONFIG))?;
            (znode, Some(Left::Once(watcher)))
        }
        false => {
            let read = client.config().await;
            (read.map_err(CliError::about(CONFIG))?, None)
        }
    };
    let data = match flags.for_clients {
        true => Data::from(for_clients(&String::from_utf8_lossy(&znode.data)).as_str()),
        false => znode.data,
    };
    let answer = Answer::Data {
        path: CONFIG.to_owned(),
        data,
        stat: flags.stat.then_some(znode.stat),
    };
    Ok(Done { answer, watcher })
}

/// The version of a configuration, and where its servers serve clients.
fn for_clients(text: &str) -> String {
    let lines = || text.lines().filter_map(|line| line.split_once('='));
    let version = lines().find(|(key, _)| *key == "version");
    let version = version.map_or("", |(_, version)| version);
    let clients: Vec<&str> = lines()
        .filter_map(|(_, server)| Some(server.split_once(';')?.1))
        .collect();
    format!("{version} {}", clients.join(","))
}

async fn reconfig(client: &Client<Way>, flags: Reconfig) -> Result<Done, CliError> {
    let members = match &flags.file {
        Some(file) => Some(
            std::fs::read_to_string(file)
                .map_err(|error| CliError::Usage(format!("{}: {error}", file.display())))?,
        ),
        None => flags.members,
    };
    let mut wanted = match &members {
        Some(members) => Reconfiguration::to(members),
        None => Reconfiguration::changing(&flags.add.join(","), &flags.remove.join(",")),
    };
    if let Some(version) = flags.version {
        wanted = wanted.only_from(Zxid(version));
    }
    let changed = client.reconfigure(wanted).await;
    let znode = changed.map_err(CliError::about(CONFIG))?;
    let text = String::from_utf8_lossy(&znode.data);
    Ok(Answer::Data {
        path: CONFIG.to_owned(),
        data: Data::from(format!("Committed new configuration:\n{text}").as_str()),
        stat: flags.stat.then_some(znode.stat),
    }
    .into())
}

async fn get_acl(client: &Client<Way>, flags: GetAcl) -> Result<Done, CliError> {
    let path = flags.path;
    let read = client.get_acl(&path).await;
    let (acl, stat) = read.map_err(CliError::about(&path))?;
    let stat = flags.stat.then_some(stat);
    Ok(Answer::Acl { path, acl, stat }.into())
}

async fn set_acl(client: &Client<Way>, flags: SetAcl) -> Result<Done, CliError> {
    let acl = notation::acl(&flags.acl).map_err(CliError::Usage)?;
    let path = flags.path;
    if flags.recursive {
        for path in subtree::paths(client, &path).await? {
            let set = client.set_acl(&path, acl.clone(), Version::Any).await;
            set.map_err(CliError::about(&path))?;
        }
        return Ok(Answer::Done.into());
    }
    let set = client.set_acl(&path, acl, at(flags.version)).await;
    let stat = set.map_err(CliError::about(&path))?;
    Ok(match flags.stat {
        true => Answer::Stat { path, stat }.into(),
        false => Answer::Done.into(),
    })
}
