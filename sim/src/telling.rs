//! One moment of a run in words: who, what, and how much it should stand out in a timeline.

use std::borrow::Cow;
use std::sync::Arc;

use althing_core::code::Code;
use althing_core::ids::ServerId;
use althing_core::membership::Membership;
use althing_core::node::event::Event;
use althing_core::node::reply::{ConnectResponse, PartRead, Reply, Response};
use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::op::{Create, Done, Lifetime, Naming, Op};

use crate::history::{Hold, Received, Sent, What};

/// Characters of a znode's data that are shown.
const DATA_CHARS_MAX: usize = 40;

/// How much a line should stand out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// Only who asks for everything wants it.
    Noise,
    /// What happens all the time.
    Plain,
    /// What the story is about.
    Mark,
    /// What was done to the service.
    Fault,
    /// What is wrong.
    Failure,
}

/// Who did it (nobody, for faults), how much it stands out, and what it was.
pub fn told(what: &What) -> (Cow<'_, str>, Weight, String) {
    match what {
        What::Sent { client, frame, .. } => sent(client, frame),
        What::Received { client, frame, .. } => received(client, frame),
        What::LinkOpened { client, server, .. } => {
            let text = format!("is connected to server-{server}");
            (Cow::Borrowed(client), Weight::Plain, text)
        }
        What::LinkEnded { client, .. } => {
            let text = "sees its connection end".to_owned();
            (Cow::Borrowed(client), Weight::Plain, text)
        }
        What::Said { server: id, event } => (server(id), weight_of(event), said(event)),
        What::Mark {
            client,
            name,
            detail,
        } => {
            let text = format!("{name} {detail}");
            (
                Cow::Borrowed(client),
                Weight::Mark,
                text.trim_end().to_owned(),
            )
        }
        What::Held {
            client,
            lock,
            token,
            hold,
        } => {
            let text = match hold {
                Hold::Begins => format!("holds {lock}, token {token}"),
                Hold::Ends => format!("holds {lock} no longer, token {token}"),
            };
            (Cow::Borrowed(client), Weight::Mark, text)
        }
        What::Guarded {
            client,
            token,
            newest,
            accepted,
        } => {
            let (weight, text) = match accepted {
                true => (Weight::Noise, format!("writes to the store, token {token}")),
                false => (
                    Weight::Mark,
                    format!("is refused by the store: token {token} is older than {newest}"),
                ),
            };
            (Cow::Borrowed(client), weight, text)
        }
        other => told_of_servers(other),
    }
}

#[allow(
    clippy::too_many_lines,
    reason = "one arm for each kind, and no two share a thought"
)]
fn told_of_servers(what: &What) -> (Cow<'_, str>, Weight, String) {
    match what {
        What::Started { server: id, life } => {
            (server(id), Weight::Mark, format!("starts, life {life}"))
        }
        What::Recovered {
            server: id,
            snapshot,
            entries,
            ..
        } => {
            let count = entries.len();
            let last = entries.last().map_or(*snapshot, |entry| entry.zxid);
            let text =
                format!("has recovered up to {last}: snapshot at {snapshot}, then {count} entries");
            (server(id), Weight::Mark, text)
        }
        What::Stopped { server: id, why } => {
            (server(id), Weight::Mark, format!("stops itself: {why}"))
        }
        What::Killed { server: id } => (server(id), Weight::Mark, "is dead".to_owned()),
        What::Saving {
            server: id, zxid, ..
        } => (server(id), Weight::Noise, format!("saves {zxid}")),
        What::DiskLost { server: id } => (
            server(id),
            Weight::Fault,
            "has a blank disk from here on".to_owned(),
        ),
        What::SetBack {
            server: id,
            from,
            at,
            ..
        } => {
            let text = format!("has restored the snapshot at {from}: nothing differs at {at}");
            (server(id), Weight::Mark, text)
        }
        What::Durable { server: id, zxid } => (
            server(id),
            Weight::Noise,
            format!("has durable up to {zxid}"),
        ),
        What::Cut { server: id, after } => {
            let text = format!("takes back what follows {after}");
            (server(id), Weight::Noise, text)
        }
        What::Refused { server: id, zxid } => (
            server(id),
            Weight::Noise,
            format!("has no space for {zxid}"),
        ),
        What::Voted { server: id, ballot } => {
            let text = match ballot.voted_for {
                Some(candidate) => {
                    format!("votes for server-{candidate} in epoch {}", ballot.epoch)
                }
                None => format!("knows of epoch {}", ballot.epoch),
            };
            (server(id), Weight::Noise, text)
        }
        What::Asked {
            server: id,
            connection,
        } => {
            let text = format!("takes a frame of {connection}");
            (server(id), Weight::Noise, text)
        }
        What::Struck {
            index,
            kind,
            detail,
        } => {
            let text = format!("FAULT {index} {kind}: {detail}");
            (Cow::Borrowed(""), Weight::Fault, text)
        }
        What::Healed { index, kind } => {
            let text = format!("fault {index} ends: {kind}");
            (Cow::Borrowed(""), Weight::Fault, text)
        }
        What::SecondAct => {
            let text = "THE SECOND ACT: everything is healed, the goals are due".to_owned();
            (Cow::Borrowed(""), Weight::Fault, text)
        }
        _ => unreachable!("clients' moments are told elsewhere"),
    }
}

fn sent<'a>(client: &'a str, frame: &Sent) -> (Cow<'a, str>, Weight, String) {
    let who = Cow::Borrowed(client);
    match frame {
        Sent::Connect(connect) => {
            let timeout = connect.timeout_ms;
            let text = match connect.session {
                Some(session) => format!("-> connect, session {session} again, {timeout}ms"),
                None => format!("-> connect, new session, {timeout}ms"),
            };
            (who, Weight::Plain, text)
        }
        Sent::Request { xid, request } => {
            let text = format!("-> {} {}", requested(request), number(xid.0));
            (who, weight_of_request(request), text.trim_end().to_owned())
        }
    }
}

fn number(xid: i32) -> String {
    match xid {
        ..=0 => String::new(),
        _ => format!("(#{xid})"),
    }
}

fn weight_of_request(request: &Request) -> Weight {
    match request {
        Request::Ping => Weight::Noise,
        _ => Weight::Plain,
    }
}

fn received<'a>(client: &'a str, frame: &Received) -> (Cow<'a, str>, Weight, String) {
    let who = Cow::Borrowed(client);
    match frame {
        Received::Connected(connected) => (who, Weight::Plain, greeted(connected)),
        Received::Reply { reply, request } => {
            let weight = match request {
                Some(request) => weight_of_request(request),
                None => Weight::Plain,
            };
            (who, weight, answered(reply, request.as_deref()))
        }
        Received::Garbage(why) => (who, Weight::Fault, format!("<- GARBAGE: {why}")),
    }
}

fn greeted(connected: &ConnectResponse) -> String {
    match connected.session {
        Some(session) if connected.timeout_ms > 0 => {
            format!(
                "<- connected, session {session}, {}ms",
                connected.timeout_ms
            )
        }
        _ => "<- refused: the session has expired".to_owned(),
    }
}

/// The body of an answer, shortly.
pub fn answer(result: &Result<Response, Code>) -> String {
    match result {
        Ok(response) => body(response),
        Err(code) => code.name().to_owned(),
    }
}

fn answered(reply: &Reply, request: Option<&Request>) -> String {
    match reply {
        Reply::Connected(connected) => greeted(connected),
        Reply::Event(event) => {
            format!("<- event {:?} {} at {}", event.kind, event.path, event.zxid)
        }
        Reply::Answer { xid, zxid, result } => {
            let name = request.map_or("answer", Request::name);
            let body = answer(result);
            let number = number(xid.0);
            let text = format!("<- {name} {number} at {zxid}: {body}");
            text.replace("  ", " ")
        }
    }
}

fn body(response: &Response) -> String {
    match response {
        Response::Done(done) => outcome(done),
        Response::AllDone(dones) => {
            let outcomes: Vec<String> = dones.iter().map(outcome).collect();
            format!("[{}]", outcomes.join(", "))
        }
        Response::NoneDone { count, index, code } => {
            format!("none of {count}, since {} at {index}", code.name())
        }
        Response::Exists(stat) => format!("version {}", stat.version),
        Response::Data { data: found, stat } => {
            format!("{} version {}", data(found.as_deref()), stat.version)
        }
        Response::Children { names, .. } => format!("[{}]", names.join(", ")),
        Response::Ephemerals(paths) => format!("{paths:?}"),
        Response::Count(count) => format!("{count}"),
        Response::Identities(identities) => {
            let names = identities
                .iter()
                .map(|who| format!("{}:{}", who.scheme, who.id));
            format!("[{}]", names.collect::<Vec<_>>().join(", "))
        }
        Response::Several(parts) => {
            let parts = parts.iter().map(|part| match part {
                Ok(PartRead::Data { data: found, stat }) => {
                    format!("{} version {}", data(found.as_deref()), stat.version)
                }
                Ok(PartRead::Children(names)) => format!("[{}]", names.join(", ")),
                Err(code) => code.name().to_owned(),
            });
            parts.collect::<Vec<_>>().join("; ")
        }
        Response::Acl { .. }
        | Response::Synced { .. }
        | Response::Sasl(_)
        | Response::Added
        | Response::Empty => "ok".to_owned(),
    }
}

fn outcome(done: &Done) -> String {
    match done {
        Done::Created { path, .. } => format!("created {path}"),
        Done::Deleted => "deleted".to_owned(),
        Done::DataSet(stat) => format!("version {}", stat.version),
        Done::AclSet(stat) => format!("aversion {}", stat.aversion),
        Done::Checked(_) => "checked".to_owned(),
    }
}

/// A request, as timelines tell it.
pub fn requested(request: &Request) -> String {
    let name = request.name();
    match request {
        Request::Write(op) => operation(op),
        Request::Multi(ops) => {
            let ops: Vec<String> = ops.iter().map(operation).collect();
            format!("multi [{}]", ops.join(", "))
        }
        Request::Read(read) => {
            let (about, watching) = match read {
                Read::Exists { path, watching }
                | Read::GetData { path, watching }
                | Read::GetChildren { path, watching, .. } => (path.as_str(), *watching),
                Read::GetAcl { path } | Read::CountBelow { path } => (path.as_str(), Watching::No),
                Read::GetEphemerals { prefix } => (&**prefix, Watching::No),
                Read::WhoAmI => return name.to_owned(),
                Read::Several(parts) => {
                    let paths: Vec<&str> = parts.iter().map(|part| part.path().as_str()).collect();
                    return format!("{name} [{}]", paths.join(", "));
                }
            };
            match watching {
                Watching::No => format!("{name} {about}"),
                Watching::Once => format!("{name} {about} watching"),
            }
        }
        Request::Sync { path } => format!("sync {path}"),
        Request::Reconfigure(wish) => {
            let said = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
            let (joining, leaving) = (said(&wish.joining), said(&wish.leaving));
            let (members, version) = (said(&wish.members), wish.version);
            format!("{name} +[{joining}] -[{leaving}] =[{members}] if {version:x}")
        }
        Request::SetWatches(watches) => {
            let paths = [&watches.data, &watches.exist, &watches.child];
            let [data, exist, child] = paths.map(Vec::len);
            let since = watches.relative_zxid;
            let staying = watches.persistent.len() + watches.recursive.len();
            let staying = match staying {
                0 => String::new(),
                some => format!(", {some} to stay"),
            };
            format!("setWatches since {since}: {data} data, {exist} exist, {child} child{staying}")
        }
        Request::AddWatch { path, mode } => format!("addWatch {path}, {:?}", mode.kind()),
        Request::CheckWatches { path, kinds } | Request::RemoveWatches { path, kinds } => {
            format!("{name} {path}, {kinds:?}")
        }
        Request::Auth { scheme, .. } => format!("auth {scheme}"),
        Request::Refused(code) => format!("a bad request: {}", code.name()),
        Request::Unknown { opcode } => format!("unknown operation {opcode}"),
        Request::Ping | Request::CloseSession | Request::Sasl { .. } => name.to_owned(),
    }
}

/// A write, shortly.
pub fn operation(op: &Op) -> String {
    match op {
        Op::Create(create) => creation(create),
        Op::Delete { path, version } => format!("delete {path}{}", at_version(*version)),
        Op::SetData {
            path,
            data: new,
            version,
        } => {
            let (new, version) = (data(new.as_deref()), at_version(*version));
            format!("setData {path} {new}{version}")
        }
        Op::SetAcl { path, version, .. } => format!("setACL {path}{}", at_version(*version)),
        Op::Check { path, version } => format!("check {path}{}", at_version(*version)),
    }
}

fn creation(create: &Create) -> String {
    let kind = match (create.lifetime, create.naming) {
        (Lifetime::Persistent, Naming::Exact) => "",
        (Lifetime::Ephemeral, Naming::Exact) => "ephemeral ",
        (Lifetime::Persistent, Naming::Sequential) => "sequential ",
        (Lifetime::Ephemeral, Naming::Sequential) => "ephemeral sequential ",
        (Lifetime::Container, _) => "container ",
        (Lifetime::Ttl(_), Naming::Exact) => "passing ",
        (Lifetime::Ttl(_), Naming::Sequential) => "passing sequential ",
    };
    let content = data(create.data.as_deref());
    format!("create {kind}{} {content}", create.place.to_text())
}

fn at_version(version: i32) -> String {
    match version {
        -1 => String::new(),
        _ => format!(" if version {version}"),
    }
}

fn data(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "null".to_owned();
    };
    // A character has four bytes at most: what is cut off would not be shown.
    let beginning = &bytes[..bytes.len().min(4 * (DATA_CHARS_MAX + 1))];
    let text = String::from_utf8_lossy(beginning);
    let shown = format!("{:?}", clipped(&text, DATA_CHARS_MAX));
    match beginning.len() < bytes.len() || shown.contains("...") {
        true => format!("{shown} ({} bytes)", bytes.len()),
        false => shown,
    }
}

fn weight_of(event: &Event) -> Weight {
    match event {
        Event::Executed { .. }
        | Event::Touched { .. }
        | Event::WatchLeft { .. }
        | Event::WatchFired { .. }
        | Event::SnapshotBegun { .. } => Weight::Noise,
        Event::Elected { .. }
        | Event::Deposed { .. }
        | Event::HandedOver { .. }
        | Event::Installed { .. }
        | Event::Reconfigured { .. }
        | Event::SessionClosed { .. }
        | Event::TimedOut { .. }
        | Event::ReadOnlyBegun
        | Event::ReadOnlyEnded { .. }
        | Event::Paused { .. } => Weight::Mark,
        _ => Weight::Plain,
    }
}

fn said(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::Campaigned { epoch }
        | Event::Canvassed { epoch }
        | Event::Deposed { epoch }
        | Event::EpochOpened { epoch } => format!("{name} epoch {epoch}"),
        Event::Elected { epoch, leader } | Event::Followed { epoch, leader } => {
            format!("{name} server-{leader}, epoch {epoch}")
        }
        Event::HandedOver { epoch, to } => format!("{name} epoch {epoch} to server-{to}"),
        Event::LogCut { after, count } => format!("{name} after {after}: {count} entries"),
        Event::Reforwarded { count } => format!("{name}: {count} requests"),
        Event::TransferBegun { to, zxid, offset } => {
            format!("{name} of the snapshot at {zxid} to server-{to}, from byte {offset}")
        }
        Event::Reconfigured { zxid, membership } => {
            format!("{name} at {zxid}: {}", members(membership))
        }
        Event::QuotaExceeded { excess } => format!(
            "{name} on {}: {} of {} {:?}",
            excess.path, excess.used, excess.limit, excess.measure
        ),
        Event::QuotaRefused { path } => format!("{name} {path}"),
        Event::Reaped { count } => format!("{name}: {count} znodes"),
        Event::Restored { count, refused } => format!("{name}: {count} changes, {refused} refused"),
        Event::Isolated { connections } | Event::ReadOnlyEnded { connections } => {
            format!("{name}: {connections} clients sent away")
        }
        Event::ReadOnlyBegun => name.to_owned(),
        Event::ReadOnlyServed { .. } | Event::LocalServed { .. } => served(event),
        Event::Executed { zxid, .. }
        | Event::MultiRefused { zxid }
        | Event::SnapshotBegun { zxid }
        | Event::SnapshotMade { zxid }
        | Event::SnapshotRefused { zxid }
        | Event::Installed { zxid, .. } => format!("{name} {zxid}"),
        Event::SessionOpened { session, timeout } | Event::SessionUpgraded { session, timeout } => {
            format!("{name} {session}, {timeout:?}")
        }
        Event::Attached {
            connection,
            session,
            attachment,
        } => format!("{name} {connection} to {session}, attachment {attachment}"),
        Event::ConnectionRefused {
            connection,
            refusal,
        } => format!("{name} {connection}: {refusal:?}"),
        Event::Touched { session }
        | Event::TimedOut { session }
        | Event::LocalExpired { session }
        | Event::SessionMoved { session } => format!("{name} {session}"),
        Event::SessionClosed {
            session,
            ephemerals,
            ..
        } => format!("{name} {session}, with {ephemerals} ephemerals"),
        Event::WatchLeft { connection, path } => format!("{name} {path} by {connection}"),
        Event::WatchFired {
            connection,
            path,
            kind,
        } => format!("{name} {path} {kind:?} for {connection}"),
        Event::LimitReached { connection, limit } => format!("{name} {limit:?} by {connection}"),
        Event::SavesRefused { count } => format!("{name}: {count} taken back"),
        Event::Paused { gap } => format!("{name}: did not run for {gap:?}"),
    }
}

/// A client is served by one server alone.
fn served(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::ReadOnlyServed {
            connection,
            session,
        }
        | Event::LocalServed {
            connection,
            session,
        } => format!("{name} {connection} for {session}"),
        _ => name.to_owned(),
    }
}

fn members(members: &Membership) -> String {
    let mut text = format!("{} vote", members.voters);
    if let Some(incoming) = &members.incoming {
        text.push_str(&format!(", {incoming} will"));
    }
    if !members.learners.is_empty() {
        let learners: Vec<String> = members.learners.iter().map(ToString::to_string).collect();
        text.push_str(&format!(", {} learn", learners.join(" ")));
    }
    text
}

fn server(id: &ServerId) -> Cow<'static, str> {
    Cow::Owned(format!("server-{id}"))
}

/// At most `chars_max` characters of `text`; three dots stand for the others.
pub fn clipped(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use althing_core::ids::ConnectionId;
    use althing_core::tree::path::Path;

    use super::*;

    #[test]
    fn long_data_and_strange_data_fit_a_line() {
        assert_eq!(data(None), "null");
        assert_eq!(data(Some(b"a\nb")), "\"a\\nb\"");
        assert_eq!(data(Some(&[0xff, b'a'])), "\"\u{fffd}a\"");
        let long = data(Some("ä".repeat(1_000).as_bytes()));
        assert_eq!(long, format!("\"{}...\" (2000 bytes)", "ä".repeat(40)));
        let watched = Request::Read(Read::GetData {
            path: Path::parse("/a").unwrap(),
            watching: Watching::Once,
        });
        assert_eq!(requested(&watched), "getData /a watching");
        let asks = What::Asked {
            server: ServerId(1),
            connection: ConnectionId(4),
        };
        let (who, weight, text) = told(&asks);
        assert_eq!(
            (&*who, weight, &*text),
            ("server-1", Weight::Noise, "takes a frame of c4")
        );
    }
}
