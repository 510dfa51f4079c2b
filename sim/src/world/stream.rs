//! One end of a simulated stream, as tokio's I/O traits see it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use althing::shell::ClientStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::random::Stream;
use crate::world::connection::Side;
use crate::world::net::Net;
use crate::world::tap::Tap;

/// How likely a read returns less than what is there: code that relies on whole messages fails.
const SHORT_READ: f64 = 0.1;

/// One end of a stream.
pub struct SimStream {
    net: Net,
    number: u64,
    side: Side,
    tap: Option<Box<Tap>>,
}

impl SimStream {
    /// The end of the stream `number` on this `side`.
    pub fn new(net: Net, number: u64, side: Side) -> SimStream {
        SimStream {
            net,
            number,
            side,
            tap: None,
        }
    }

    /// The same with a tap on it.
    pub fn tapped(mut self, tap: Tap) -> SimStream {
        self.tap = Some(Box::new(tap));
        self
    }
}

impl ClientStream for SimStream {}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let end = &mut *self;
        let take = |inbox: &mut VecDeque<u8>, random: &mut Stream| {
            let whole = inbox.len().min(into.remaining());
            let bytes = match whole > 1 && random.chance(SHORT_READ) {
                true => 1 + random.index(whole - 1),
                false => whole,
            };
            let (first, second) = inbox.as_slices();
            into.put_slice(&first[..bytes.min(first.len())]);
            into.put_slice(&second[..bytes.saturating_sub(first.len())]);
            inbox.drain(..bytes);
        };
        let result = ready!(end.net.poll_read(end.number, end.side, context, take));
        let read = &into.filled()[before..];
        if let Some(tap) = &mut end.tap {
            match read.is_empty() {
                true => tap.ended(),
                false => tap.read(read),
            }
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let end = &mut *self;
        let result = ready!(end.net.poll_write(end.number, end.side, context, bytes));
        if let Some(tap) = &mut end.tap {
            match &result {
                Ok(written) => tap.wrote(&bytes[..*written]),
                Err(_) => tap.ended(),
            }
        }
        Poll::Ready(result)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.shut_down(self.number, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if let Some(tap) = &mut self.tap {
            tap.ended();
        }
        self.net.close(self.number, self.side);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use madsim::Config;
    use madsim::runtime::Runtime;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::plan::{Direction, Weather};
    use crate::random::Streams;
    use crate::world::agenda::Agenda;
    use crate::world::connection::MachineId;
    use crate::world::ether::GIVE_UP;
    use crate::world::net::{Death, Port, WINDOW_BYTES};

    /// Two machines, and a stream between them.
    struct Pair {
        agenda: Agenda,
        net: Net,
        client: MachineId,
        server: MachineId,
        here: SimStream,
        there: SimStream,
    }

    impl Pair {
        /// Lets a closure take all of it: an end that is not named in it would be dropped, and so
        /// closed, at its beginning.
        fn hold(&self) {}
    }

    /// Runs `test` in a world of its own.
    fn in_a_world<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(Agenda, Net) -> F + Send) {
        std::thread::scope(|scope| {
            let world = || {
                Runtime::with_seed_and_config(seed, Config::default()).block_on(async {
                    let agenda = Agenda::new();
                    let weather = Weather {
                        loss: 0.02,
                        ..Weather::default()
                    };
                    madsim::task::spawn(agenda.clone().drive());
                    let net = Net::new(agenda.clone(), Streams::new(seed), &weather);
                    test(agenda, net).await;
                });
            };
            scope.spawn(world).join().expect("the test passes");
        });
    }

    fn with_a_pair<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(Pair) -> F + Send) {
        in_a_world(seed, |agenda, net| async move {
            let (client, server) = (net.machine("client"), net.machine("server"));
            net.listen(server, Port::Clients);
            let number = net
                .connect(client, server, Port::Clients)
                .await
                .expect("somebody listens");
            let (accepted, address) =
                poll_fn(|context| net.poll_accept(server, Port::Clients, context)).await;
            assert_eq!(accepted, number);
            assert_eq!(address.ip(), net.address(client));
            let here = SimStream::new(net.clone(), number, Side::Client);
            let there = SimStream::new(net.clone(), number, Side::Server);
            let pair = Pair {
                agenda,
                net,
                client,
                server,
                here,
                there,
            };
            test(pair).await;
        });
    }

    async fn fails<T>(what: impl Future<Output = io::Result<T>>) -> io::ErrorKind {
        what.await.err().expect("an error").kind()
    }

    #[test]
    fn bytes_arrive_in_order_and_whole() {
        for seed in 0..20 {
            with_a_pair(seed, |pair| async move {
                let mut random = Streams::new(seed).fork("test");
                let mut bytes = vec![0; 300_000];
                random.fill(&mut bytes);
                let sent = bytes.clone();
                let (mut here, mut there) = (pair.here, pair.there);
                madsim::task::spawn(async move {
                    let mut rest = &sent[..];
                    while !rest.is_empty() {
                        let (now, later) = rest.split_at(rest.len().min(random.index(9000) + 1));
                        here.write_all(now).await.expect("the other end reads");
                        rest = later;
                    }
                    here.shutdown().await.expect("the end can be told");
                    // The end comes behind everything; the stream is held until then.
                    assert_eq!(here.read(&mut [0; 1]).await.expect("an orderly end"), 0);
                });
                let mut received = Vec::new();
                there.read_to_end(&mut received).await.expect("all of it");
                assert!(received == bytes);
                drop(there);
                pair.agenda.sleep(GIVE_UP).await;
            });
        }
    }

    #[test]
    fn a_writer_waits_for_its_reader() {
        with_a_pair(1, |mut pair| async move {
            pair.hold();
            let bytes = vec![7; 2 * WINDOW_BYTES];
            let blocked = tokio::select! {
                biased;
                _ = pair.here.write_all(&bytes) => false,
                () = pair.agenda.sleep(Duration::from_secs(60)) => true,
            };
            assert!(blocked, "nobody reads, yet everything was written");
            let mut read = vec![0; WINDOW_BYTES];
            pair.there
                .read_exact(&mut read)
                .await
                .expect("a full window");
            pair.here
                .write_all(&bytes[..WINDOW_BYTES])
                .await
                .expect("room again");
        });
    }

    #[test]
    fn a_cut_holds_bytes_back_until_it_heals() {
        for direction in [Direction::Both, Direction::From] {
            with_a_pair(2, |mut pair| async move {
                pair.hold();
                pair.net.cut(pair.client, direction);
                pair.here
                    .write_all(b"late")
                    .await
                    .expect("the window has room");
                let net = pair.net.clone();
                let heals = pair.agenda.now() + Duration::from_secs(10);
                pair.agenda
                    .at(heals, move || net.mend(pair.client, direction));
                let mut read = [0; 4];
                pair.there.read_exact(&mut read).await.expect("it heals");
                assert_eq!(&read, b"late");
                let after = pair.agenda.now() - heals;
                assert!(after < Duration::from_secs(4), "{after:?}");
            });
        }
    }

    #[test]
    fn what_was_lost_in_a_cut_comes_together_once_it_heals() {
        with_a_pair(6, |mut pair| async move {
            pair.hold();
            pair.net.cut(pair.client, Direction::From);
            for _ in 0..20 {
                let written = pair.here.write_all(b"!").await;
                written.expect("the window has room");
                pair.agenda.sleep(Duration::from_millis(50)).await;
            }
            pair.net.mend(pair.client, Direction::From);
            let heals = pair.agenda.now();
            let mut read = [0; 20];
            pair.there.read_exact(&mut read).await.expect("it heals");
            let after = pair.agenda.now() - heals;
            assert!(after < Duration::from_secs(1), "{after:?}");
        });
    }

    #[test]
    fn a_cut_in_one_direction_lets_the_other_pass() {
        with_a_pair(3, |mut pair| async move {
            pair.hold();
            pair.net.cut(pair.client, Direction::From);
            pair.there
                .write_all(b"news")
                .await
                .expect("the window has room");
            let mut read = [0; 4];
            pair.here
                .read_exact(&mut read)
                .await
                .expect("this way is open");
        });
    }

    #[test]
    fn a_sender_gives_up_and_the_other_end_stays_half_open() {
        with_a_pair(4, |mut pair| async move {
            pair.hold();
            pair.net.cut(pair.client, Direction::Both);
            let begun = pair.agenda.now();
            pair.here
                .write_all(b"lost")
                .await
                .expect("the window has room");
            assert_eq!(fails(pair.here.read_u8()).await, io::ErrorKind::TimedOut);
            let took = pair.agenda.now() - begun;
            assert!(
                took >= GIVE_UP && took < GIVE_UP + Duration::from_secs(5),
                "{took:?}"
            );
            let told = tokio::select! {
                biased;
                _ = pair.there.read_u8() => true,
                () = pair.agenda.sleep(Duration::from_secs(600)) => false,
            };
            assert!(!told, "nobody could tell the other end");
        });
    }

    #[test]
    fn a_killed_process_resets_its_streams_if_the_link_is_up() {
        with_a_pair(5, |mut pair| async move {
            pair.hold();
            pair.net.end_process(pair.server, Death::Killed);
            assert_eq!(
                fails(pair.here.read_u8()).await,
                io::ErrorKind::ConnectionReset
            );
            assert!(pair.agenda.now() < Duration::from_secs(1));
        });
    }

    #[test]
    fn a_process_that_is_killed_behind_a_cut_leaves_its_peer_half_open() {
        with_a_pair(6, |mut pair| async move {
            pair.hold();
            pair.net.cut(pair.server, Direction::Both);
            pair.net.end_process(pair.server, Death::Killed);
            pair.net.mend(pair.server, Direction::Both);
            let told = tokio::select! {
                biased;
                _ = pair.here.read_u8() => true,
                () = pair.agenda.sleep(Duration::from_secs(60)) => false,
            };
            assert!(!told, "the reset was lost");
            pair.here
                .write_all(b"hello?")
                .await
                .expect("it does not know");
            assert_eq!(
                fails(pair.here.read_u8()).await,
                io::ErrorKind::ConnectionReset
            );
        });
    }

    #[test]
    fn a_machine_without_power_says_nothing_until_it_is_back() {
        with_a_pair(7, |mut pair| async move {
            pair.hold();
            pair.net.end_process(pair.server, Death::PowerLost);
            pair.here
                .write_all(b"hello?")
                .await
                .expect("it does not know");
            let back = pair.agenda.now() + Duration::from_secs(5);
            let net = pair.net.clone();
            pair.agenda.at(back, move || net.power_on(pair.server));
            assert_eq!(
                fails(pair.here.read_u8()).await,
                io::ErrorKind::ConnectionReset
            );
            assert!(pair.agenda.now() > back);
        });
    }

    #[test]
    fn connecting_is_refused_or_times_out() {
        in_a_world(8, |agenda, net| async move {
            let (client, server) = (net.machine("client"), net.machine("server"));
            let refused = fails(net.connect(client, server, Port::Clients)).await;
            assert_eq!(refused, io::ErrorKind::ConnectionRefused);
            net.listen(server, Port::Clients);
            net.cut(server, Direction::From);
            let begun = agenda.now();
            assert_eq!(
                fails(net.connect(client, server, Port::Clients)).await,
                io::ErrorKind::TimedOut
            );
            assert!(agenda.now() - begun >= GIVE_UP);
            net.mend(server, Direction::From);
            let number = net
                .connect(client, server, Port::Clients)
                .await
                .expect("all is well");
            drop(SimStream::new(net.clone(), number, Side::Client));
            let (number, _) =
                poll_fn(|context| net.poll_accept(server, Port::Clients, context)).await;
            let mut there = SimStream::new(net.clone(), number, Side::Server);
            assert_eq!(there.read(&mut [0; 1]).await.expect("an orderly end"), 0);
        });
    }

    #[test]
    fn who_loses_patience_while_connecting_leaves_nothing_behind() {
        in_a_world(9, |agenda, net| async move {
            let (client, server) = (net.machine("client"), net.machine("server"));
            net.listen(server, Port::Clients);
            net.slow(client, Duration::from_secs(1));
            let patience = tokio::select! {
                biased;
                _ = net.connect(client, server, Port::Clients) => false,
                () = agenda.sleep(Duration::from_millis(1500)) => true,
            };
            assert!(patience);
            let (number, _) =
                poll_fn(|context| net.poll_accept(server, Port::Clients, context)).await;
            let mut there = SimStream::new(net.clone(), number, Side::Server);
            assert_eq!(there.read(&mut [0; 1]).await.expect("an orderly end"), 0);
        });
    }

    #[test]
    fn a_reset_is_felt_at_both_ends() {
        with_a_pair(10, |mut pair| async move {
            pair.hold();
            assert_eq!(pair.net.reset(pair.client), 1);
            assert_eq!(
                fails(pair.here.read_u8()).await,
                io::ErrorKind::ConnectionReset
            );
            assert_eq!(
                fails(pair.there.read_u8()).await,
                io::ErrorKind::ConnectionReset
            );
        });
    }
}
