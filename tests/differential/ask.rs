//! What a case asks of a server, with everything that a client can get wrong, and how it is
//! written.

use crate::wire::Writer;

pub const CREATE: i32 = 1;
pub const DELETE: i32 = 2;
pub const EXISTS: i32 = 3;
pub const GET_DATA: i32 = 4;
pub const SET_DATA: i32 = 5;
pub const GET_ACL: i32 = 6;
pub const SET_ACL: i32 = 7;
pub const GET_CHILDREN: i32 = 8;
pub const SYNC: i32 = 9;
pub const PING: i32 = 11;
pub const GET_CHILDREN2: i32 = 12;
pub const CHECK: i32 = 13;
pub const MULTI: i32 = 14;
pub const CREATE2: i32 = 15;
pub const CHECK_WATCHES: i32 = 17;
pub const REMOVE_WATCHES: i32 = 18;
pub const CREATE_CONTAINER: i32 = 19;
pub const CREATE_TTL: i32 = 21;
pub const MULTI_READ: i32 = 22;
pub const AUTH: i32 = 100;
pub const SET_WATCHES: i32 = 101;
pub const GET_EPHEMERALS: i32 = 103;
pub const COUNT_BELOW: i32 = 104;
pub const SET_WATCHES2: i32 = 105;
pub const ADD_WATCH: i32 = 106;
pub const WHO_AM_I: i32 = 107;
pub const CLOSE_SESSION: i32 = -11;

/// The xid of notifications.
pub const NOTIFICATION_XID: i32 = -1;
/// The xid of heartbeats.
pub const PING_XID: i32 = -2;
const AUTH_XID: i32 = -4;
const SET_WATCHES_XID: i32 = -8;

/// A path as a case names it: every run of a case has a subtree of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spot {
    /// In the subtree of the case: this is appended to its root.
    Below(String),
    /// Where the quotas of that subtree are: this is appended.
    Quota(&'static str),
    /// Exactly this.
    Exactly(String),
    /// No text at all.
    Null,
}

impl Spot {
    pub fn below(text: &str) -> Spot {
        Spot::Below(text.to_owned())
    }

    fn text(&self, root: &str) -> Option<String> {
        match self {
            Spot::Below(rest) => Some(format!("{root}{rest}")),
            Spot::Quota(rest) => Some(format!("/zookeeper/quota{root}{rest}")),
            Spot::Exactly(text) => Some(text.clone()),
            Spot::Null => None,
        }
    }
}

/// Data of a znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    Null,
    Text(&'static str),
    /// So many bytes.
    Bytes(usize),
}

/// One line of an access control list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AclLine {
    pub perms: i32,
    pub scheme: Option<&'static str>,
    pub id: Option<&'static str>,
}

/// Since when a client that comes back says it has missed changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    Always,
    /// The position in the `n`-th answer that the session had, counted around.
    Answer(usize),
    LastAnswer,
    Never,
}

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// `opcode` is one of the four creates.
    Create {
        opcode: i32,
        path: Spot,
        data: Payload,
        acl: Option<Vec<AclLine>>,
        flags: i32,
        ttl: i64,
    },
    /// Delete or check.
    Versioned {
        opcode: i32,
        path: Spot,
        version: i32,
    },
    SetData {
        path: Spot,
        data: Payload,
        version: i32,
    },
    SetAcl {
        path: Spot,
        acl: Option<Vec<AclLine>>,
        version: i32,
    },
    /// exists, getData, getChildren, getChildren2.
    Look {
        opcode: i32,
        path: Spot,
        watch: bool,
    },
    /// What takes a path alone: getACL, sync, getAllChildrenNumber, getEphemerals.
    Of { opcode: i32, path: Spot },
    /// addWatch, checkWatches, removeWatches: a path and a number.
    Watch { opcode: i32, path: Spot, kind: i32 },
    /// multi and multiRead.
    Several { opcode: i32, parts: Vec<Ask> },
    /// `lists` are three or five.
    SetWatches { since: Since, lists: Vec<Vec<Spot>> },
    Auth {
        scheme: &'static str,
        credential: Option<&'static str>,
    },
    /// What has no body: whoAmI, ping, closeSession, and numbers that mean nothing.
    Bare { opcode: i32 },
}

impl Ask {
    pub fn opcode(&self) -> i32 {
        match self {
            Ask::Create { opcode, .. }
            | Ask::Versioned { opcode, .. }
            | Ask::Look { opcode, .. }
            | Ask::Of { opcode, .. }
            | Ask::Watch { opcode, .. }
            | Ask::Several { opcode, .. }
            | Ask::Bare { opcode } => *opcode,
            Ask::SetData { .. } => SET_DATA,
            Ask::SetAcl { .. } => SET_ACL,
            Ask::SetWatches { lists, .. } if lists.len() == 3 => SET_WATCHES,
            Ask::SetWatches { .. } => SET_WATCHES2,
            Ask::Auth { .. } => AUTH,
        }
    }

    /// Does it change the tree, if it succeeds?
    pub fn changes(&self) -> bool {
        match self {
            Ask::Create { .. } | Ask::SetData { .. } | Ask::SetAcl { .. } => true,
            Ask::Versioned { opcode, .. } => *opcode == DELETE,
            Ask::Several { opcode, parts } => *opcode == MULTI && parts.iter().any(Ask::changes),
            _ => false,
        }
    }

    /// The xid under which this is asked: `counted`, unless it has one of its own.
    pub fn xid(&self, counted: i32) -> i32 {
        match self.opcode() {
            PING => PING_XID,
            AUTH => AUTH_XID,
            SET_WATCHES | SET_WATCHES2 => SET_WATCHES_XID,
            _ => counted,
        }
    }

    /// The whole frame. `position` makes a position of a [`Since`].
    pub fn frame(&self, xid: i32, root: &str, position: impl Fn(Since) -> i64) -> Vec<u8> {
        let mut out = Writer::default();
        out.int(xid).int(self.opcode());
        if let Ask::SetWatches { since, .. } = self {
            out.long(position(*since));
        }
        self.put(&mut out, root);
        out.frame()
    }

    fn put(&self, out: &mut Writer, root: &str) {
        match self {
            Ask::Create {
                opcode,
                path,
                data,
                acl,
                flags,
                ttl,
            } => {
                put_spot(out, path, root);
                put_data(out, data);
                put_acl(out, acl.as_deref());
                out.int(*flags);
                if *opcode == CREATE_TTL {
                    out.long(*ttl);
                }
            }
            Ask::Versioned { path, version, .. } => {
                put_spot(out, path, root);
                out.int(*version);
            }
            Ask::SetData {
                path,
                data,
                version,
            } => {
                put_spot(out, path, root);
                put_data(out, data);
                out.int(*version);
            }
            Ask::SetAcl { path, acl, version } => {
                put_spot(out, path, root);
                put_acl(out, acl.as_deref());
                out.int(*version);
            }
            Ask::Look { path, watch, .. } => {
                put_spot(out, path, root);
                out.truth(*watch);
            }
            Ask::Of { path, .. } => put_spot(out, path, root),
            Ask::Watch { path, kind, .. } => {
                put_spot(out, path, root);
                out.int(*kind);
            }
            Ask::Several { parts, .. } => {
                for part in parts {
                    out.int(part.opcode()).truth(false).int(-1);
                    part.put(out, root);
                }
                out.int(-1).truth(true).int(-1);
            }
            Ask::SetWatches { lists, .. } => {
                for list in lists {
                    out.count(list.len());
                    list.iter().for_each(|path| put_spot(out, path, root));
                }
            }
            Ask::Auth { scheme, credential } => {
                out.int(0).text(Some(scheme));
                out.buffer(credential.map(str::as_bytes));
            }
            Ask::Bare { .. } => {}
        }
    }
}

fn put_spot(out: &mut Writer, path: &Spot, root: &str) {
    out.text(path.text(root).as_deref());
}

fn put_data(out: &mut Writer, data: &Payload) {
    match data {
        Payload::Null => out.buffer(None),
        Payload::Text(text) => out.text(Some(text)),
        Payload::Bytes(count) => out.buffer(Some(&vec![b'x'; *count])),
    };
}

fn put_acl(out: &mut Writer, acl: Option<&[AclLine]>) {
    let Some(acl) = acl else {
        out.int(-1);
        return;
    };
    out.count(acl.len());
    for line in acl {
        out.int(line.perms).text(line.scheme).text(line.id);
    }
}

/// Something that a case does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// These are sent on one session in one go, then their answers are awaited.
    Ask { session: usize, asks: Vec<Ask> },
    /// The connection is dropped, and the session attached to a new one.
    Reattach { session: usize, secret: Secret },
}

/// With which password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secret {
    Right,
    Wrong,
}

/// One case: the time-outs that its sessions ask for, and what happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub timeouts_ms: Vec<i32>,
    pub steps: Vec<Step>,
}
