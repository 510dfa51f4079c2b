//! One connection over a stream in memory, its drive played by the test.

use std::net::SocketAddr;
use std::sync::Arc;

use althing_core::code::Code;
use althing_core::config::Config;
use althing_core::ids::{ConnectionId, ServerId, Xid};
use althing_core::node::request::Request;
use althing_core::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::admission::Admission;
use crate::connection::Connection;
use crate::desk::Desk;
use crate::four_letter::FourLetters;
use crate::limits::{Limits, SKIPPED_BYTES_MAX};
use crate::mail::{Mailbox, Message};
use crate::outbound::{Answered, Cut, Outbound};
use crate::reports::Described;
use crate::rig::{PATIENCE, Rig, TestClient, connect_bytes, request_bytes, run, soon};
use crate::words::Whitelist;

struct Scene {
    client: TestClient,
    inbox: UnboundedReceiver<Message>,
    admission: Admission,
}

fn limits() -> Limits {
    Limits {
        frame_bytes_max: 100,
        handshake_max: PATIENCE,
        write_stall_max: PATIENCE,
        ..Limits::default()
    }
}

/// A connection whose stream holds 64 bytes in either direction.
fn scene(limits: Limits) -> Scene {
    let (to_drive, inbox) = unbounded_channel();
    let (near, far) = tokio::io::duplex(64);
    let admission = Admission::default();
    let address = SocketAddr::from(([10, 0, 0, 7], 4711));
    let described = Described {
        listen: address,
        data_dir: "/data".to_owned(),
        config: Config::standalone(ServerId(1)),
        servers: std::collections::BTreeMap::new(),
    };
    let mailbox = Mailbox::new(to_drive);
    let desk = Desk::new(described, limits, admission.clone(), None, mailbox.clone());
    let connection = Connection {
        connection: ConnectionId(1),
        address,
        stream: far,
        admitted: admission.admit(&limits, address.ip()).expect("a place"),
        limits,
        shell: Rig::new(),
        mailbox,
        four_letters: Arc::new(FourLetters::new(desk, Whitelist::default())),
    };
    tokio::spawn(connection.serve());
    Scene {
        client: TestClient::new(near),
        inbox,
        admission,
    }
}

impl Scene {
    async fn next(&mut self) -> Option<Message> {
        soon(self.inbox.recv()).await
    }

    async fn opened(&mut self) -> Arc<Outbound> {
        self.client.send(&connect_bytes()).await;
        match self.next().await {
            Some(Message::Opened { outbound, .. }) => outbound,
            _ => panic!("it was not opened"),
        }
    }

    async fn asked(&mut self) -> Xid {
        match self.next().await {
            Some(Message::Asked { asked, .. }) => asked.xid,
            _ => panic!("nothing was asked"),
        }
    }

    /// The connection ends, is told gone if it was opened, and only once.
    async fn ends(mut self, opened: bool) {
        let mut gone = 0;
        while let Some(message) = self.next().await {
            match message {
                Message::Gone { .. } => gone += 1,
                _ => panic!("more than its end was told"),
            }
        }
        assert_eq!(gone, usize::from(opened));
        assert_eq!(self.admission.count(), 0);
    }
}

#[test]
fn requests_arrive_in_order_however_they_are_cut() {
    run(async {
        let mut scene = scene(limits());
        let mut bytes = connect_bytes();
        for xid in 1..=20 {
            bytes.extend(request_bytes(xid, &Request::Ping));
        }
        for piece in bytes.chunks(7) {
            scene.client.send(piece).await;
        }
        assert!(matches!(scene.next().await, Some(Message::Opened { .. })));
        for xid in 1..=20 {
            assert_eq!(scene.asked().await, Xid(xid));
        }
        drop(scene.client.stream);
        assert!(matches!(
            soon(scene.inbox.recv()).await,
            Some(Message::Gone { .. })
        ));
        assert!(soon(scene.inbox.recv()).await.is_none());
    });
}

#[test]
fn what_is_no_frame_ends_the_connection() {
    run(async {
        for bytes in [
            (-1_i32).to_be_bytes().to_vec(),
            (SKIPPED_BYTES_MAX as i32 + 1).to_be_bytes().to_vec(),
            vec![0, 0, 0, 2, 1, 2],
        ] {
            let mut scene = scene(limits());
            let _outbound = scene.opened().await;
            scene.client.send(&bytes).await;
            assert_eq!(scene.client.rest().await, b"");
            scene.ends(true).await;
        }
    });
}

#[test]
fn a_frame_that_is_too_large_is_refused_and_those_after_it_are_not() {
    run(async {
        let mut scene = scene(limits());
        let _outbound = scene.opened().await;
        let (nothing, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut scene.client.stream, nothing);
        let bytes_max = limits().frame_bytes_max;
        let writer = tokio::spawn(async move {
            let mut client = TestClient::new(stream);
            for (xid, bytes) in [(1, bytes_max + 1), (3, 100_000)] {
                let mut large = vec![0xff; 4 + bytes];
                large[..4].copy_from_slice(&(bytes as i32).to_be_bytes());
                large[4..8].copy_from_slice(&i32::to_be_bytes(xid));
                client.send(&large).await;
                client.ask(xid + 1, &Request::Ping).await;
            }
            client
        });
        for (xid, bytes) in [(1, bytes_max + 1), (2, 8), (3, 100_000), (4, 8)] {
            let Some(Message::Asked { asked, .. }) = scene.next().await else {
                panic!("nothing was asked")
            };
            let refused = Request::Refused(Code::BadArguments);
            let request = if xid % 2 == 1 { refused } else { Request::Ping };
            assert_eq!((asked.xid, asked.bytes), (Xid(xid), bytes));
            assert_eq!(asked.request, request);
        }
        soon(writer).await.expect("all was sent");
    });
}

#[test]
fn what_is_no_first_frame_ends_the_connection_unopened() {
    run(async {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[0, 0, 0, 4, 1, 2, 3, 4],
            b"\x7f\xff\xff\xff",
        ] {
            let mut scene = scene(limits());
            scene.client.send(bytes).await;
            assert_eq!(scene.client.rest().await, b"");
            scene.ends(false).await;
        }
    });
}

#[test]
fn who_says_nothing_is_dropped() {
    run(async {
        let mut scene = scene(Limits {
            handshake_max: Duration::from_millis(20),
            ..limits()
        });
        scene.client.send(&connect_bytes()[..10]).await;
        assert_eq!(scene.client.rest().await, b"");
        scene.ends(false).await;
    });
}

#[test]
fn it_reads_no_further_than_its_unanswered_requests_allow() {
    run(async {
        let mut scene = scene(Limits {
            unanswered_max: 3,
            ..limits()
        });
        let outbound = scene.opened().await;
        let (nothing, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut scene.client.stream, nothing);
        let writer = tokio::spawn({
            let mut client = TestClient::new(stream);
            async move {
                for xid in 1..=50 {
                    client.ask(xid, &Request::Ping).await;
                }
                client
            }
        });
        // The first frame is unanswered too.
        for (answered, news) in [(0, 1..=2), (1, 3..=3), (3, 4..=5)] {
            let requests = answered;
            let bytes = 0;
            outbound.fill(&mut Vec::new(), Answered { requests, bytes });
            for xid in news {
                assert_eq!(scene.asked().await, Xid(xid));
            }
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(scene.inbox.try_recv().is_err(), "it read on");
        }
        for xid in 6..=50 {
            let requests = xid - 2;
            outbound.fill(&mut Vec::new(), Answered { requests, bytes: 0 });
            assert_eq!(scene.asked().await, Xid(xid as i32));
        }
        soon(writer).await.expect("all was sent");
    });
}

#[test]
fn large_requests_count_by_their_bytes() {
    run(async {
        let mut scene = scene(Limits {
            unanswered_bytes_max: 8,
            ..limits()
        });
        let outbound = scene.opened().await;
        let mut both = request_bytes(1, &Request::Ping);
        let bytes = both.len() as u64 - 4;
        both.extend(request_bytes(2, &Request::Ping));
        scene.client.send(&both).await;
        assert_eq!(scene.asked().await, Xid(1));
        assert!(scene.inbox.try_recv().is_err(), "it read on");
        let requests = 2;
        outbound.fill(&mut Vec::new(), Answered { requests, bytes });
        assert_eq!(scene.asked().await, Xid(2));
    });
}

#[test]
fn what_was_said_before_the_end_arrives() {
    run(async {
        let mut scene = scene(limits());
        let outbound = scene.opened().await;
        let said: Vec<u8> = (0..1000).map(|i| i as u8).collect();
        for piece in said.chunks(300) {
            outbound.fill(&mut piece.to_vec(), Answered::default());
        }
        outbound.complete();
        assert_eq!(scene.client.rest().await, said);
        drop(scene.client.stream);
        let gone = soon(scene.inbox.recv()).await;
        assert!(matches!(gone, Some(Message::Gone { .. })));
    });
}

#[test]
fn who_does_not_read_at_all_is_dropped() {
    run(async {
        let mut scene = scene(Limits {
            write_stall_max: Duration::from_millis(20),
            ..limits()
        });
        let outbound = scene.opened().await;
        outbound.fill(&mut vec![1; 1000], Answered::default());
        assert!(matches!(scene.next().await, Some(Message::Gone { .. })));
        assert_eq!(scene.client.rest().await.len(), 64, "what the stream held");
        scene.ends(false).await;
    });
}

#[test]
fn a_cut_does_not_wait_for_the_client() {
    run(async {
        let mut scene = scene(limits());
        let outbound = scene.opened().await;
        outbound.fill(&mut vec![1; 1000], Answered::default());
        outbound.cut(Cut::Unread);
        assert!(matches!(scene.next().await, Some(Message::Gone { .. })));
        assert!(scene.client.rest().await.len() <= 64);
        scene.ends(false).await;
    });
}

#[test]
fn the_drive_is_told_when_the_client_has_read() {
    run(async {
        let soft = 500;
        let mut scene = scene(Limits {
            unread_bytes_soft: soft,
            ..limits()
        });
        let outbound = scene.opened().await;
        outbound.fill(&mut vec![1; 1000], Answered::default());
        let unread = outbound.unread_bytes_or_wait(soft);
        assert!(unread > soft, "{unread}");
        let mut bytes = vec![0; 600];
        soon(scene.client.stream.read_exact(&mut bytes))
            .await
            .expect("bytes");
        assert!(
            scene.inbox.try_recv().is_err(),
            "half of the soft limit is still unread"
        );
        let mut bytes = vec![0; 400];
        soon(scene.client.stream.read_exact(&mut bytes))
            .await
            .expect("bytes");
        assert!(matches!(scene.next().await, Some(Message::HasRead { .. })));
    });
}

#[test]
fn four_letter_words_need_no_introduction() {
    run(async {
        for (word, answer) in [
            ("ruok", "imok"),
            (
                "gtmk",
                "gtmk is not executed because it is not in the whitelist.\n",
            ),
        ] {
            let mut scene = scene(limits());
            scene.client.send(word.as_bytes()).await;
            assert_eq!(scene.client.rest().await, answer.as_bytes());
            drop(scene.client.stream);
            assert!(
                soon(scene.inbox.recv()).await.is_none(),
                "nothing was opened"
            );
        }
    });
}
