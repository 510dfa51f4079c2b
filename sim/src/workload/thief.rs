//! A thief takes the numbers next to its own session's for those of other clients, and knows
//! nobody's password. No server lets it in, in whatever state the faults bring it into.

use std::io;
use std::time::Duration;

use althing_client::runtime::Runtime;
use althing_core::codec::client;
use althing_core::ids::{Password, SessionId, Zxid};
use althing_core::node::reply::ConnectResponse;
use althing_core::node::request::ConnectRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::testbed::bed::Process;
use crate::workload::persistence::SESSION;

/// How many numbers it tries for each session of its own: as many as a busy server opens in the
/// time of a few rounds.
const TRIES: i64 = 4;

/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer to a first frame that makes sense.
const ANSWER_BYTES_MAX: u32 = 1024;

/// A number that is somebody's, perhaps, and a password that is not.
type Claim = (SessionId, Password);

/// Comes about every `every`, until the faults are over.
pub async fn steal(process: Process, every: Duration) {
    let servers = process.bed().servers();
    while !process.bed().are_faults_over() {
        let mut operation = process.operation();
        let random = &mut operation.random;
        let pause = random.between(every / 2, every * 3 / 2);
        let server = random.index(servers.len());
        process.sleep(pause).await;
        if operation.is_done() {
            visit(&process, &servers[server]).await;
        }
    }
}

/// Opens a session, and tries to get into those that its server opened before.
async fn visit(process: &Process, server: &str) {
    let opened = shown(process, server, None).await;
    let Some((own, password)) = opened.and_then(|opened| Some((opened.session?, opened.password)))
    else {
        return;
    };
    for before in 1..=TRIES {
        let others = SessionId(own.0.wrapping_sub(before));
        let Some(answer) = shown(process, server, Some((others, password))).await else {
            continue;
        };
        match answer.session {
            None => process.mark("thief-refused", ""),
            Some(session) => {
                let what = format!("a thief that knows no password is let into session {session}");
                process.violate("E5 identity", what);
            }
        }
    }
}

/// What a server answers to a first frame; `None` if nothing comes of it, as in a fault.
async fn shown(process: &Process, server: &str, claim: Option<Claim>) -> Option<ConnectResponse> {
    tokio::select! {
        biased;
        answer = ask(process, server, claim) => match answer {
            Ok(response) => Some(response),
            Err(error) => {
                tracing::debug!(%error, "the thief is not even heard");
                None
            }
        },
        () = process.sleep(PATIENCE) => None,
    }
}

async fn ask(process: &Process, server: &str, claim: Option<Claim>) -> io::Result<ConnectResponse> {
    let mut stream = process.runtime.connect(server).await?;
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: i32::try_from(SESSION.as_millis()).expect("seconds"),
        session: claim.map(|(session, _)| session),
        password: claim.map_or(Password::NONE, |(_, password)| password),
        read_only: Some(false),
    };
    let mut bytes = Vec::new();
    client::encode_connect(&request, &mut bytes);
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    let length = stream.read_u32().await?;
    if length > ANSWER_BYTES_MAX {
        let what = format!("an answer of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await?;
    client::decode_connect_response(&frame)
        .map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed.to_string()))
}
