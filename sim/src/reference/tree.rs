//! The reference's znodes: a map from (parent, name) to values, and ZooKeeper's rules for changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use althing_core::code::Code;
use althing_core::config::HardLimits;
use althing_core::ids::{SessionId, Zxid};
use althing_core::node::reply::EventKind;
use althing_core::time::WallTime;
use althing_core::tree::acl::{Acl, Identity, Perms};
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Done, Lifetime, Naming, Op};
use althing_core::tree::path::Path;
use althing_core::tree::restoring::Restoration;
use althing_core::tree::stat::Stat;

use crate::reference::access;
use crate::reference::config::CONFIG;
use crate::reference::quotas::{self, Size};

/// The znodes that are always there.
pub const RESERVED: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// One znode.
#[derive(Clone, Debug)]
pub struct RefZnode {
    /// Its data; `None` is ZooKeeper's null.
    pub data: Option<Data>,
    /// Its access control list, as it is stored.
    pub acl: Acl,
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// The transaction that last created or deleted a child.
    pub pzxid: Zxid,
    /// When it was created.
    pub ctime: WallTime,
    /// When its data was last set.
    pub mtime: WallTime,
    /// How often its data was set.
    pub version: i32,
    /// How often its list was set.
    pub aversion: i32,
    /// How many children were ever created: the next sequence number.
    pub creations: u64,
    /// How many children there are.
    pub children: i32,
    /// Whose it is, if it is ephemeral.
    pub owner: Option<SessionId>,
    /// When it goes by itself, if it does.
    pub goes: Goes,
}

/// When a znode goes by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goes {
    /// Never.
    Never,
    /// After its last child.
    AfterChildren,
    /// When it is childless and its data is older than so many milliseconds.
    After(i64),
}

impl RefZnode {
    /// What a client is told of it.
    pub fn stat(&self) -> Stat {
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self
                .creations
                .wrapping_mul(2)
                .wrapping_sub(self.children as u64) as i32,
            aversion: self.aversion,
            // How long a znode without one lives is told to nobody.
            ephemeral_owner: self.owner.map_or(0, |owner| owner.0),
            data_length: self.data.as_ref().map_or(0, |data| data.len() as i32),
            num_children: self.children,
            pzxid: self.pzxid,
        }
    }
}

/// What lasts of a znode, whoever comes and goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lasting {
    /// Its data.
    pub data: Option<Data>,
    /// Its access control list.
    pub acl: Acl,
    /// When it goes by itself.
    pub goes: Goes,
    /// How many children were ever created.
    pub creations: u64,
}

/// Which kind of watch a change concerns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Table {
    /// Left by `exists` and `getData`.
    Data,
    /// Left by `getChildren`.
    Child,
}

/// What one watch on one znode would be told of a change.
#[derive(Clone, Debug)]
pub struct Telling {
    /// The kind of watch.
    pub table: Table,
    /// Where it was left.
    pub path: Path,
    /// What it is told.
    pub kind: EventKind,
    /// The znode's list at the change: only who may read is told.
    pub acl: Acl,
}

/// Who changes the tree, and when.
pub struct Actor<'a> {
    /// The transaction.
    pub zxid: Zxid,
    /// Its wall time.
    pub wall: WallTime,
    /// The session that asks.
    pub session: Option<SessionId>,
    /// As whom.
    pub identities: &'a [Identity],
    /// The limit on a znode's data.
    pub data_bytes_max: u32,
    /// Are hard limits of quotas enforced?
    pub hard_limits: HardLimits,
}

impl Actor<'_> {
    /// A list as it is stored: what is set back to an earlier state was judged when it was given.
    fn listed(&self, acl: &Acl) -> Result<Acl, Code> {
        match self.session {
            Some(_) => access::stored(acl, self.identities),
            None if acl.0.is_empty() => Err(Code::InvalidACL),
            None => Ok(acl.clone()),
        }
    }

    fn need(&self, acl: &Acl, wanted: Perms) -> Result<(), Code> {
        match self.session.is_none() || access::permits(acl, wanted, self.identities) {
            true => Ok(()),
            false => Err(Code::NoAuth),
        }
    }

    fn bounded(&self, data: &Option<Data>) -> Result<(), Code> {
        match data.as_ref().map_or(0, |data| data.len()) <= self.data_bytes_max as usize {
            true => Ok(()),
            false => Err(Code::BadArguments),
        }
    }
}

type Key = (String, String);

fn key(path: &str) -> Key {
    let (parent, name) = path.rsplit_once('/').expect("paths are absolute");
    (parent.to_owned(), name.to_owned())
}

fn parent_of(path: &str) -> &str {
    match path.rsplit_once('/').expect("paths are absolute").0 {
        "" => "/",
        parent => parent,
    }
}

/// All znodes.
#[derive(Clone, Debug)]
pub struct RefTree {
    /// By parent ("" for the root) and name, so that siblings stand together.
    znodes: BTreeMap<Key, RefZnode>,
    /// What stood where before, newest last: to take a multi back.
    before: Vec<(Key, Option<RefZnode>)>,
    /// The level of the semantics.
    level: u32,
}

impl RefTree {
    /// What a new ensemble begins with.
    pub fn new() -> RefTree {
        let mut tree = RefTree {
            znodes: BTreeMap::new(),
            before: Vec::new(),
            level: quotas::LEVEL,
        };
        for (path, children) in RESERVED.iter().zip([1_i32, 2, 0, 0]) {
            tree.znodes.insert(
                key(path),
                RefZnode {
                    data: Some(Data::default()),
                    acl: Acl::open(),
                    czxid: Zxid::ZERO,
                    mzxid: Zxid::ZERO,
                    pzxid: Zxid::ZERO,
                    ctime: WallTime(0),
                    mtime: WallTime(0),
                    version: 0,
                    aversion: 0,
                    creations: 0,
                    children,
                    owner: None,
                    goes: Goes::Never,
                },
            );
        }
        tree
    }

    /// A znode, if it is there.
    pub fn get(&self, path: &str) -> Option<&RefZnode> {
        self.znodes.get(&key(path))
    }

    /// The names of a znode's children, in order.
    pub fn names(&self, path: &str) -> Vec<Arc<str>> {
        let parent = if path == "/" { "" } else { path };
        self.znodes
            .range((parent.to_owned(), String::new())..)
            .take_while(|((above, _), _)| above == parent)
            .filter(|((_, name), _)| !name.is_empty())
            .map(|((_, name), _)| Arc::from(name.as_str()))
            .collect()
    }

    /// Does one operation, or nothing if it is refused.
    pub fn apply(
        &mut self,
        actor: &Actor<'_>,
        op: &Op,
        told: &mut Vec<Telling>,
    ) -> Result<Done, Code> {
        self.before.clear();
        self.change(actor, op, told)
    }

    /// Does all operations, or nothing if one is refused; then which, and why.
    pub fn apply_all(
        &mut self,
        actor: &Actor<'_>,
        ops: &[Op],
        told: &mut Vec<Telling>,
    ) -> Result<Vec<Done>, (usize, Code)> {
        self.before.clear();
        let mut done = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            match self.change(actor, op, told) {
                Ok(one) => done.push(one),
                Err(code) => {
                    told.clear();
                    while let Some((key, znode)) = self.before.pop() {
                        match znode {
                            Some(znode) => self.znodes.insert(key, znode),
                            None => self.znodes.remove(&key),
                        };
                    }
                    return Err((index, code));
                }
            }
        }
        Ok(done)
    }

    /// Deletes what belongs to a session; tells the paths.
    pub fn delete_of(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        told: &mut Vec<Telling>,
    ) -> Vec<Path> {
        let paths = self.owned(session);
        for path in &paths {
            self.remove(zxid, path, told);
        }
        self.keep_stats();
        self.before.clear();
        paths
    }

    /// Deletes those of these znodes that go by themselves and whose time is over; tells which.
    pub fn reap(
        &mut self,
        zxid: Zxid,
        wall: WallTime,
        paths: &[Path],
        told: &mut Vec<Telling>,
    ) -> Vec<Path> {
        let mut gone = Vec::new();
        for path in paths {
            let is_over = self.get(path.as_str()).is_some_and(|znode| {
                let over = match znode.goes {
                    Goes::Never => false,
                    Goes::AfterChildren => znode.creations > 0,
                    Goes::After(ms) => wall.0 - znode.mtime.0 > ms,
                };
                over && znode.children == 0
            });
            if is_over {
                self.remove(zxid, path, told);
                gone.push(path.clone());
            }
        }
        self.keep_stats();
        self.before.clear();
        gone
    }

    /// Does what is allowed of a part of the way back to a snapshot, as somebody who may do
    /// everything; tells how much was not.
    pub fn restore(
        &mut self,
        actor: &Actor<'_>,
        part: &Restoration,
        told: &mut Vec<Telling>,
    ) -> usize {
        let actor = Actor {
            session: None,
            hard_limits: HardLimits::Advised,
            ..*actor
        };
        let mut refused = 0;
        for op in &part.ops {
            refused += usize::from(self.apply(&actor, op, told).is_err());
        }
        for (path, creations) in &part.counts {
            let znode = self.znodes.get_mut(&key(path.as_str()));
            if let Some(znode) = znode.filter(|znode| znode.owner.is_none()) {
                znode.creations = znode.creations.max(*creations);
            }
        }
        refused
    }

    /// What an operator means by the state: data, list and lifetime of every znode that belongs to
    /// no session, by path, and the next sequence number; but not what the servers keep by
    /// themselves.
    pub fn lasting(&self) -> BTreeMap<String, Lasting> {
        let all = self
            .znodes
            .iter()
            .filter(|(_, znode)| znode.owner.is_none());
        let shown = all.map(|((parent, name), znode)| {
            let path = format!("{parent}/{name}");
            let is_kept = quotas::are_stats(&path);
            let lasting = Lasting {
                data: znode.data.clone().filter(|_| !is_kept),
                acl: znode.acl.clone(),
                goes: znode.goes,
                creations: znode.creations,
            };
            (path, lasting)
        });
        shown.filter(|(path, _)| path != CONFIG).collect()
    }

    /// What belongs to a session, in the order of the paths.
    pub fn owned(&self, session: SessionId) -> Vec<Path> {
        let owned = self
            .znodes
            .iter()
            .filter(|(_, znode)| znode.owner == Some(session));
        owned
            .map(|((parent, name), _)| format!("{parent}/{name}"))
            .map(|path| Path::parse(&path).expect("a znode's path is valid"))
            .collect()
    }

    /// How many znodes are below one.
    pub fn below(&self, path: &Path) -> i32 {
        let above = format!("{}/", path.as_str().trim_end_matches('/'));
        let paths = self.znodes.keys();
        let is_below = |(parent, name): &&(String, String)| {
            !name.is_empty() && format!("{parent}/{name}").starts_with(&above)
        };
        paths.filter(is_below).count() as i32
    }

    /// The sessions that own ephemeral znodes.
    pub fn owners(&self) -> impl Iterator<Item = SessionId> {
        self.znodes.values().filter_map(|znode| znode.owner)
    }

    fn znode(&self, path: &str) -> Result<&RefZnode, Code> {
        self.get(path).ok_or(Code::NoNode)
    }

    fn set(&mut self, path: &str, znode: Option<RefZnode>) {
        let key = key(path);
        let before = match znode {
            Some(znode) => self.znodes.insert(key.clone(), znode),
            None => self.znodes.remove(&key),
        };
        self.before.push((key, before));
    }

    /// The level of the semantics is this one from here on.
    pub fn reach(&mut self, level: u32) {
        self.level = level;
        self.keep_stats();
        self.before.clear();
    }

    /// What every quota that holds governs, and how much that is.
    fn quotas(&self) -> Vec<(String, Size)> {
        let is_any = |znode: &RefZnode| znode.children > 0;
        if self.level < quotas::LEVEL || !self.get(quotas::ABOVE).is_some_and(is_any) {
            return Vec::new();
        }
        let named = self
            .znodes
            .keys()
            .filter(|(_, name)| name == quotas::LIMITS);
        let governed = named.filter_map(|(parent, _)| quotas::governed(parent));
        governed
            .filter(|governed| self.get(&quotas::stats_of(governed)).is_some())
            .map(|governed| (governed.to_owned(), self.size(governed)))
            .collect()
    }

    fn size(&self, governed: &str) -> Size {
        let mut size = Size::default();
        for ((parent, name), znode) in &self.znodes {
            if quotas::is_within(&format!("{parent}/{name}"), governed) {
                size.count += 1;
                size.bytes += znode.data.as_ref().map_or(0, |data| data.len() as i64);
            }
        }
        size
    }

    /// Says in the stats of every quota what is true; nobody is told.
    fn keep_stats(&mut self) {
        for (governed, size) in self.quotas() {
            let stats = quotas::stats_of(&governed);
            let mut znode = self.get(&stats).expect("it holds").clone();
            let said = Some(Data::from(size.text().as_str()));
            if znode.data != said {
                znode.data = said;
                self.set(&stats, Some(znode));
            }
        }
    }

    /// May so much come to this znode?
    fn judge(&self, actor: &Actor<'_>, path: &str, more: Size) -> Result<(), Code> {
        let breaks = |(governed, size): &(String, Size)| {
            let limits = self.get(&quotas::limits_of(governed));
            let limits = limits.and_then(|znode| znode.data.as_ref());
            quotas::is_within(path, governed) && size.breaks(more, limits)
        };
        match actor.hard_limits == HardLimits::Enforced && self.quotas().iter().any(breaks) {
            true => Err(Code::QuotaExceeded),
            false => Ok(()),
        }
    }

    fn change(
        &mut self,
        actor: &Actor<'_>,
        op: &Op,
        told: &mut Vec<Telling>,
    ) -> Result<Done, Code> {
        let mut done = self.change_one(actor, op, told)?;
        self.keep_stats();
        // What is shown of stats is what they say then.
        match (&mut done, op) {
            (Done::Created { path, stat, .. }, _) => *stat = self.znode(path.as_str())?.stat(),
            (Done::DataSet(stat), Op::SetData { path, .. }) => {
                *stat = self.znode(path.as_str())?.stat();
            }
            _ => {}
        }
        Ok(done)
    }

    fn change_one(
        &mut self,
        actor: &Actor<'_>,
        op: &Op,
        told: &mut Vec<Telling>,
    ) -> Result<Done, Code> {
        match op {
            Op::Create(create) => self.create(actor, create, told),
            Op::Delete { path, version } => {
                if RESERVED.contains(&path.as_str()) {
                    return Err(Code::BadArguments);
                }
                let parent = self.znode(parent_of(path.as_str()))?;
                actor.need(&parent.acl, Perms::DELETE)?;
                let znode = self.znode(path.as_str())?;
                at_version(*version, znode.version)?;
                if znode.children > 0 {
                    return Err(Code::NotEmpty);
                }
                self.remove(actor.zxid, path, told);
                Ok(Done::Deleted)
            }
            Op::SetData {
                path,
                data,
                version,
            } => {
                actor.bounded(data)?;
                let mut znode = self.znode(path.as_str())?.clone();
                actor.need(&znode.acl, Perms::WRITE)?;
                if path.as_str() == CONFIG && znode.version == -1 {
                    return Err(Code::BadArguments);
                }
                let bytes = |data: &Option<Data>| data.as_ref().map_or(0, |data| data.len() as i64);
                let (count, bytes) = (0, bytes(data) - bytes(&znode.data));
                self.judge(actor, path.as_str(), Size { count, bytes })?;
                at_version(*version, znode.version)?;
                znode.data = data.clone();
                znode.version = znode.version.wrapping_add(1);
                znode.mzxid = actor.zxid;
                znode.mtime = actor.wall;
                let stat = znode.stat();
                let acl = znode.acl.clone();
                self.set(path.as_str(), Some(znode));
                let (table, kind) = (Table::Data, EventKind::NodeDataChanged);
                told.push(Telling {
                    table,
                    path: path.clone(),
                    kind,
                    acl,
                });
                Ok(Done::DataSet(stat))
            }
            Op::SetAcl { path, acl, version } => {
                let acl = actor.listed(acl)?;
                let mut znode = self.znode(path.as_str())?.clone();
                actor.need(&znode.acl, Perms::ADMIN)?;
                at_version(*version, znode.aversion)?;
                znode.acl = acl;
                znode.aversion = znode.aversion.wrapping_add(1);
                let stat = znode.stat();
                self.set(path.as_str(), Some(znode));
                Ok(Done::AclSet(stat))
            }
            Op::Check { path, version } => {
                let znode = self.znode(path.as_str())?;
                actor.need(&znode.acl, Perms::READ)?;
                at_version(*version, znode.version)?;
                Ok(Done::Checked(znode.stat()))
            }
        }
    }

    /// The servers' own change of the configuration's znode: nobody else's from then on.
    pub fn set_config(&mut self, actor: &Actor<'_>, text: &str, told: &mut Vec<Telling>) {
        let mut znode = self.get(CONFIG).expect("it is always there").clone();
        if znode.version != -1 {
            znode.acl = Acl::of(Perms::READ, "world", "anyone");
            (znode.version, znode.aversion) = (-1, -1);
        }
        znode.data = Some(Data::from(text));
        znode.mzxid = actor.zxid;
        znode.mtime = actor.wall;
        told.push(Telling {
            table: Table::Data,
            path: Path::parse(CONFIG).expect("a path"),
            kind: EventKind::NodeDataChanged,
            acl: znode.acl.clone(),
        });
        self.set(CONFIG, Some(znode));
        self.before.clear();
    }

    fn create(
        &mut self,
        actor: &Actor<'_>,
        create: &Create,
        told: &mut Vec<Telling>,
    ) -> Result<Done, Code> {
        actor.bounded(&create.data)?;
        let acl = actor.listed(&create.acl)?;
        let above = create.place.parent().as_str();
        let mut parent = self.znode(above)?.clone();
        actor.need(&parent.acl, Perms::CREATE)?;
        let mut text = create.place.to_text();
        if create.naming == Naming::Sequential {
            text += &format!("{:010}", parent.creations);
        }
        let path = Path::parse(&text).map_err(|_| Code::BadArguments)?;
        if self.get(path.as_str()).is_some() {
            return Err(Code::NodeExists);
        }
        if parent.owner.is_some() {
            return Err(Code::NoChildrenForEphemerals);
        }
        let bytes = create.data.as_ref().map_or(0, |data| data.len() as i64);
        self.judge(actor, path.as_str(), Size { count: 1, bytes })?;
        parent.creations = parent.creations.wrapping_add(1);
        parent.children += 1;
        parent.pzxid = actor.zxid;
        let znode = RefZnode {
            data: create.data.clone(),
            acl: acl.clone(),
            czxid: actor.zxid,
            mzxid: actor.zxid,
            pzxid: actor.zxid,
            ctime: actor.wall,
            mtime: actor.wall,
            version: 0,
            aversion: 0,
            creations: 0,
            children: 0,
            owner: match create.lifetime {
                Lifetime::Ephemeral => actor.session,
                _ => None,
            },
            goes: match create.lifetime {
                Lifetime::Container => Goes::AfterChildren,
                Lifetime::Ttl(ttl) => Goes::After(ttl.ms() as i64),
                Lifetime::Persistent | Lifetime::Ephemeral => Goes::Never,
            },
        };
        let stat = znode.stat();
        let (table, kind) = (Table::Data, EventKind::NodeCreated);
        told.push(Telling {
            table,
            path: path.clone(),
            kind,
            acl,
        });
        tell_parent(create.place.parent(), &parent, told);
        self.set(above, Some(parent));
        self.set(path.as_str(), Some(znode));
        Ok(Done::Created {
            path,
            stat,
            telling: create.telling,
        })
    }

    fn remove(&mut self, zxid: Zxid, path: &Path, told: &mut Vec<Telling>) {
        let acl = self
            .get(path.as_str())
            .expect("only what is there is removed")
            .acl
            .clone();
        for table in [Table::Data, Table::Child] {
            let kind = EventKind::NodeDeleted;
            told.push(Telling {
                table,
                path: path.clone(),
                kind,
                acl: acl.clone(),
            });
        }
        let above = path.parent().expect("the root is never removed");
        let mut parent = self
            .get(above.as_str())
            .expect("a znode has a parent")
            .clone();
        parent.children -= 1;
        parent.pzxid = zxid;
        tell_parent(&above, &parent, told);
        self.set(above.as_str(), Some(parent));
        self.set(path.as_str(), None);
    }
}

impl Default for RefTree {
    fn default() -> RefTree {
        RefTree::new()
    }
}

fn tell_parent(path: &Path, parent: &RefZnode, told: &mut Vec<Telling>) {
    told.push(Telling {
        table: Table::Child,
        path: path.clone(),
        kind: EventKind::NodeChildrenChanged,
        acl: parent.acl.clone(),
    });
}

fn at_version(wanted: i32, version: i32) -> Result<(), Code> {
    match wanted == ANY_VERSION || wanted == version {
        true => Ok(()),
        false => Err(Code::BadVersion),
    }
}
