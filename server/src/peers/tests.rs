//! Links over streams in memory, at a clock that runs as fast as nothing happens.

use std::future::Future;
use std::sync::Arc;

use althing_core::codec::handshake::{HANDSHAKE_BYTES, Handshake, encode_handshake};
use althing_core::codec::peer::{MESSAGE_BYTES_MAX, encode_message};
use althing_core::ids::{DirectoryId, Epoch, ServerId, Zxid};
use althing_core::quorum::message::{Extent, Message};
use althing_core::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use crate::limits::{
    LINK_HANDSHAKE_MAX, LINK_HANDSHAKES_MAX, LINK_SILENCE_MAX, LINK_UNSTEPPED_BYTES_MAX,
};
use crate::mail::{self, LinkNews, Mailbox};
use crate::peers::introduction::{Acquaintance, Strangers};
use crate::peers::links::{Links, Loss};
use crate::peers::neighbours::Neighbours;
use crate::peers::outgoing::Outgoing;
use crate::rig::{Rig, soon};
use crate::shell::Shell;

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(test)
}

/// What a server's drive is told.
#[derive(Clone, PartialEq, Debug)]
enum Told {
    Joined(u8),
    Heard(u8, Message),
    Lost(u8),
    Replaced(u8),
}

/// A server, as far as links go.
struct Side {
    links: Links,
    inbox: UnboundedReceiver<mail::Message>,
    /// The newest link.
    newest: Option<Arc<Outgoing>>,
}

impl Side {
    /// Server `id` of `servers`, in its own world.
    fn start(rig: &Rig, id: u8, servers: u8) -> Side {
        let others = (1..=servers).filter(|other| *other != id).map(ServerId);
        let own = handshake(id);
        let acquaintance = Acquaintance::new(
            own.server,
            own.directory,
            others.collect(),
            Strangers::Refused,
        );
        let (sender, inbox) = unbounded_channel();
        Neighbours::link(rig, &Mailbox::new(sender), acquaintance);
        Side {
            links: Links::default(),
            inbox,
            newest: None,
        }
    }

    fn take(&mut self, message: mail::Message) -> Told {
        let mail::Message::OfLink(news) = message else {
            panic!("links tell nothing else");
        };
        match news {
            LinkNews::Linked { other, outgoing } => {
                self.newest = Some(Arc::clone(&outgoing));
                self.links.add(other.server, outgoing);
                Told::Joined(other.server.0)
            }
            LinkNews::Heard { from, message, .. } => Told::Heard(from.server.0, *message),
            LinkNews::Unlinked { server, outgoing } => match self.links.remove(server, &outgoing) {
                Loss::Last => Told::Lost(server.0),
                Loss::Replaced => Told::Replaced(server.0),
            },
        }
    }

    async fn told(&mut self) -> Told {
        let message = soon(self.inbox.recv()).await.expect("links live");
        self.take(message)
    }

    fn was_told_nothing(&mut self) {
        assert!(matches!(self.inbox.try_recv(), Err(TryRecvError::Empty)));
    }

    fn send(&mut self, to: u8, message: &Message) {
        self.links.send(ServerId(to), message);
        self.links.hand_over();
    }
}

fn handshake(server: u8) -> Handshake {
    Handshake {
        server: ServerId(server),
        directory: DirectoryId(server.into()),
    }
}

fn handshake_bytes(server: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_handshake(&handshake(server), &mut bytes);
    bytes
}

fn beat(round: u64) -> Message {
    Message::Beat {
        epoch: Epoch(1),
        round,
        committed: Zxid::ZERO,
    }
}

fn frame(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    encode_message(message, &mut body);
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.append(&mut body);
    frame
}

/// Dials `to` by hand, as `server`, and is welcome.
async fn dial_by_hand(rig: &Rig, server: u8, to: u8) -> DuplexStream {
    let mut stream = Shell::dial(rig, ServerId(to)).await.expect("a door");
    let bytes = handshake_bytes(server);
    stream.write_all(&bytes).await.expect("sent");
    let mut answer = [0; HANDSHAKE_BYTES];
    soon(stream.read_exact(&mut answer)).await.expect("welcome");
    assert_eq!(answer.to_vec(), handshake_bytes(to));
    stream
}

/// Ends when the other end closes the stream; what came before that.
async fn rest(stream: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.expect("closed");
    bytes
}

#[test]
fn every_pair_of_servers_has_one_link_for_both_directions() {
    run(async {
        let rigs = Rig::ensemble(3);
        let mut sides: Vec<Side> = (1..=3)
            .map(|id| Side::start(&rigs[usize::from(id) - 1], id, 3))
            .collect();
        for side in &mut sides {
            let mut joined = [side.told().await, side.told().await];
            joined.sort_by_key(|told| matches!(told, Told::Joined(id) if *id > 1));
            assert!(matches!(joined, [Told::Joined(_), Told::Joined(_)]));
            assert_eq!(side.links.count(), 2);
        }
        sides[0].send(3, &beat(1));
        sides[0].send(3, &beat(2));
        sides[2].send(1, &beat(3));
        assert_eq!(sides[2].told().await, Told::Heard(1, beat(1)));
        assert_eq!(sides[2].told().await, Told::Heard(1, beat(2)));
        assert_eq!(sides[0].told().await, Told::Heard(3, beat(3)));
        // Nobody has anything to say, and nobody is given up for it.
        sleep(LINK_SILENCE_MAX * 30).await;
        sides.iter_mut().for_each(Side::was_told_nothing);
        sides[0].send(7, &beat(1));
        assert_eq!(
            sides[0].links.dropped(),
            0,
            "to nobody is not for want of room"
        );
    });
}

#[test]
fn a_link_that_breaks_is_dialled_again() {
    run(async {
        let rigs = Rig::ensemble(2);
        let (mut one, mut two) = (Side::start(&rigs[0], 1, 2), Side::start(&rigs[1], 2, 2));
        for round in 0..5 {
            assert_eq!(one.told().await, Told::Joined(2));
            assert_eq!(two.told().await, Told::Joined(1));
            one.send(2, &beat(round));
            assert_eq!(two.told().await, Told::Heard(1, beat(round)));
            let breaks = if round % 2 == 0 { &one } else { &two };
            breaks.newest.as_ref().expect("it is linked").cut();
            assert_eq!(one.told().await, Told::Lost(2));
            assert_eq!(two.told().await, Told::Lost(1));
        }
    });
}

#[test]
fn a_newer_link_replaces_an_older_one() {
    run(async {
        let rigs = Rig::ensemble(2);
        let mut one = Side::start(&rigs[0], 1, 2);
        let mut older = dial_by_hand(&rigs[1], 2, 1).await;
        assert_eq!(one.told().await, Told::Joined(2));
        let mut newer = dial_by_hand(&rigs[1], 2, 1).await;
        assert_eq!(one.told().await, Told::Joined(2));
        assert_eq!(one.told().await, Told::Replaced(2), "and not lost");
        assert_eq!(rest(&mut older).await, [0; 0]);
        newer.write_all(&frame(&beat(1))).await.expect("sent");
        assert_eq!(one.told().await, Told::Heard(2, beat(1)));
        one.send(2, &beat(2));
        let mut bytes = vec![0; frame(&beat(2)).len()];
        soon(newer.read_exact(&mut bytes)).await.expect("read");
        assert_eq!(bytes, frame(&beat(2)));
        drop(newer);
        assert_eq!(one.told().await, Told::Lost(2));
    });
}

#[test]
fn a_malformed_frame_closes_its_link_and_no_other() {
    run(async {
        let rigs = Rig::ensemble(3);
        let mut one = Side::start(&rigs[0], 1, 3);
        let mut well = dial_by_hand(&rigs[2], 3, 1).await;
        assert_eq!(one.told().await, Told::Joined(3));
        let too_long = (MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes().to_vec();
        let mut cut_short = frame(&beat(1));
        cut_short.truncate(cut_short.len() - 1);
        cut_short[3] -= 1;
        for bytes in [vec![0, 0, 0, 1, 255], vec![255; 4], too_long, cut_short] {
            let mut ill = dial_by_hand(&rigs[1], 2, 1).await;
            assert_eq!(one.told().await, Told::Joined(2));
            ill.write_all(&bytes).await.expect("sent");
            assert_eq!(one.told().await, Told::Lost(2));
            assert_eq!(rest(&mut ill).await, [0; 0]);
        }
        well.write_all(&frame(&beat(2))).await.expect("sent");
        assert_eq!(one.told().await, Told::Heard(3, beat(2)));
    });
}

#[test]
fn who_dials_and_is_no_peer_is_sent_away_without_a_word() {
    run(async {
        let rigs = Rig::ensemble(3);
        let mut two = Side::start(&rigs[1], 2, 3);
        let mut copied = Vec::new();
        let copy = Handshake {
            directory: DirectoryId(2),
            ..handshake(3)
        };
        encode_handshake(&copy, &mut copied);
        let mut of_another_version = handshake_bytes(3);
        of_another_version[11] += 1;
        for (bytes, what) in [
            (handshake_bytes(9), "not in the configuration"),
            (handshake_bytes(2), "the same id"),
            (handshake_bytes(1), "the lower id dials"),
            (copied, "the same data directory"),
            (of_another_version, "another version"),
            (vec![b'x'; HANDSHAKE_BYTES], "noise"),
        ] {
            let mut stream = Shell::dial(&rigs[2], ServerId(2)).await.expect("a door");
            stream.write_all(&bytes).await.expect("sent");
            assert_eq!(rest(&mut stream).await, [0; 0], "{what}");
            two.was_told_nothing();
        }
        let _welcome = dial_by_hand(&rigs[2], 3, 2).await;
        assert_eq!(two.told().await, Told::Joined(3));
    });
}

#[test]
fn who_answers_and_is_no_peer_is_left_and_dialled_again() {
    run(async {
        let rigs = Rig::ensemble(3);
        let mut two = Side::start(&rigs[1], 2, 3);
        for answer in [
            handshake_bytes(3),
            handshake_bytes(9),
            vec![0; HANDSHAKE_BYTES],
        ] {
            let mut stream = soon(rigs[0].accept_link()).await.expect("dialled");
            stream.write_all(&answer).await.expect("sent");
            assert_eq!(rest(&mut stream).await, handshake_bytes(2));
            two.was_told_nothing();
        }
        let mut stream = soon(rigs[0].accept_link()).await.expect("dialled");
        stream.write_all(&handshake_bytes(1)).await.expect("sent");
        assert_eq!(two.told().await, Told::Joined(1));
    });
}

#[test]
fn a_link_on_which_nothing_is_heard_is_given_up() {
    run(async {
        let rigs = Rig::ensemble(2);
        let mut one = Side::start(&rigs[0], 1, 2);
        let mut silent = dial_by_hand(&rigs[1], 2, 1).await;
        assert_eq!(one.told().await, Told::Joined(2));
        let since = Instant::now();
        assert_eq!(one.told().await, Told::Lost(2));
        assert_eq!(since.elapsed(), LINK_SILENCE_MAX);
        let said = rest(&mut silent).await;
        assert!(said.len() >= 12, "it said itself that it lives: {said:?}");
        assert!(said.iter().all(|byte| *byte == 0));
    });
}

#[test]
fn who_does_not_introduce_himself_is_sent_away_and_there_are_not_many() {
    run(async {
        let rigs = Rig::ensemble(2);
        let mut one = Side::start(&rigs[0], 1, 2);
        let mut strangers = Vec::new();
        for _ in 0..LINK_HANDSHAKES_MAX {
            strangers.push(Shell::dial(&rigs[1], ServerId(1)).await.expect("a door"));
        }
        let mut one_too_many = Shell::dial(&rigs[1], ServerId(1)).await.expect("a door");
        let since = Instant::now();
        assert_eq!(rest(&mut one_too_many).await, [0; 0]);
        assert_eq!(since.elapsed(), Duration::ZERO);
        for stranger in &mut strangers {
            assert_eq!(rest(stranger).await, [0; 0]);
        }
        assert_eq!(since.elapsed(), LINK_HANDSHAKE_MAX);
        let _welcome = dial_by_hand(&rigs[1], 2, 1).await;
        assert_eq!(one.told().await, Told::Joined(2));
    });
}

#[test]
fn a_link_is_not_read_while_the_drive_is_behind() {
    run(async {
        let rigs = Rig::ensemble(2);
        let mut one = Side::start(&rigs[0], 1, 2);
        let mut stream = dial_by_hand(&rigs[1], 2, 1).await;
        assert_eq!(one.told().await, Told::Joined(2));
        let chunk = frame(&Message::Chunk {
            epoch: Epoch(1),
            zxid: Zxid(9),
            offset: 0,
            bytes: vec![7; LINK_UNSTEPPED_BYTES_MAX / 8],
            extent: Extent::More,
        });
        let mut sent = 0;
        while let Ok(written) = timeout(Duration::from_secs(1), stream.write_all(&chunk)).await {
            written.expect("it is up");
            sent += 1;
            assert!(sent < 100, "nothing holds it back");
        }
        assert!(sent >= 7, "{sent}");
        for _ in 0..sent {
            assert!(matches!(
                one.told().await,
                Told::Heard(2, Message::Chunk { .. })
            ));
        }
    });
}
