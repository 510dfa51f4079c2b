//! Datagrams between machines: each by itself, so they overtake one another, get lost or come
//! twice, and are kept for nobody who does not listen.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use crate::random::{Stream, Streams};
use crate::world::connection::{MachineId, Wakes};

/// Datagrams that wait to be read; more are dropped, as with a full socket buffer.
const WAITING_MAX: usize = 256;

#[derive(Default)]
struct Socket {
    waiting: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
}

/// The sockets of the processes that listen for datagrams.
#[derive(Default)]
pub(super) struct Datagrams {
    sockets: BTreeMap<MachineId, Socket>,
    /// Each way has randomness of its own.
    ways: BTreeMap<(MachineId, MachineId), Stream>,
}

impl Datagrams {
    /// The randomness of the way between two machines; `name` is asked once.
    pub(super) fn way(
        &mut self,
        from: MachineId,
        to: MachineId,
        streams: Streams,
        name: impl FnOnce() -> String,
    ) -> &mut Stream {
        let way = self.ways.entry((from, to));
        way.or_insert_with(|| streams.fork(&name()))
    }

    /// One has come.
    pub(super) fn take_in(&mut self, to: MachineId, bytes: Vec<u8>, wakes: &mut Wakes) {
        let Some(socket) = self.sockets.get_mut(&to) else {
            return;
        };
        if socket.waiting.len() < WAITING_MAX {
            socket.waiting.push_back(bytes);
            wakes.add(&mut socket.reader);
        }
    }

    /// The next one; from the first call on, they are kept for the caller.
    pub(super) fn poll(&mut self, machine: MachineId, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let socket = self.sockets.entry(machine).or_default();
        match socket.waiting.pop_front() {
            Some(bytes) => Poll::Ready(bytes),
            None => {
                socket.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The process on this machine ends.
    pub(super) fn close(&mut self, machine: MachineId, wakes: &mut Wakes) {
        if let Some(mut socket) = self.sockets.remove(&machine) {
            wakes.add(&mut socket.reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use madsim::Config;
    use madsim::runtime::Runtime;

    use crate::plan::{Direction, Weather};
    use crate::random::Streams;
    use crate::world::agenda::Agenda;
    use crate::world::connection::MachineId;
    use crate::world::net::{Death, Net};

    const COUNT: u32 = 1_000;

    /// What comes of numbered datagrams, one each millisecond, while `fate` strikes the network.
    fn comes(weather: Weather, fate: impl FnOnce(&Net, MachineId, MachineId) + Send) -> Vec<u32> {
        let world = move || {
            Runtime::with_seed_and_config(1, Config::default()).block_on(async {
                let agenda = Agenda::new();
                madsim::task::spawn(agenda.clone().drive());
                let net = Net::new(agenda.clone(), Streams::new(1), &weather);
                let (here, there) = (net.machine("here"), net.machine("there"));
                let mut numbers = Vec::new();
                let mut receive = async |wait| {
                    let until = agenda.now() + Duration::from_millis(wait);
                    loop {
                        tokio::select! {
                            biased;
                            bytes = poll_fn(|context| net.poll_datagram(there, context)) => {
                                let number = bytes.try_into().expect("a number");
                                numbers.push(u32::from_be_bytes(number));
                            }
                            () = agenda.sleep_until(until) => break,
                        }
                    }
                };
                receive(1).await;
                fate(&net, here, there);
                for number in 0..COUNT {
                    net.send_datagram(here, there, &number.to_be_bytes());
                    receive(1).await;
                }
                receive(1_000).await;
                numbers
            })
        };
        std::thread::scope(|scope| scope.spawn(world).join().expect("the test passes"))
    }

    #[test]
    fn datagrams_overtake_get_lost_and_come_twice() {
        let weather = Weather {
            loss: 0.1,
            shuffle: 0.2,
            ..Weather::default()
        };
        let numbers = comes(weather, |_, _, _| ());
        let missing = (0..COUNT)
            .filter(|number| !numbers.contains(number))
            .count();
        let late = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
        let twice = numbers.len() + missing - COUNT as usize;
        assert!((60..140).contains(&missing), "{missing}");
        assert!((120..240).contains(&twice), "{twice}");
        assert!(late > 100, "{late}");
        assert_eq!(
            comes(Weather::default(), |_, _, _| ()).len(),
            COUNT as usize
        );
    }

    #[test]
    fn cuts_stop_datagrams_in_their_direction() {
        let calm = Weather::default;
        let none: [u32; 0] = [];
        let cut_way = comes(calm(), |net, here, there| net.cut_way(here, there));
        assert_eq!(cut_way, none);
        let cut_from = comes(calm(), |net, here, _| net.cut(here, Direction::From));
        assert_eq!(cut_from, none);
        let dead = comes(calm(), |net, _, there| {
            net.end_process(there, Death::PowerLost);
        });
        assert_eq!(dead, none);
        let open = |net: &Net, here: MachineId, there: MachineId| {
            net.cut_way(there, here);
            net.cut_way(here, there);
            net.mend_way(here, there);
        };
        assert_eq!(comes(calm(), open).len(), COUNT as usize);
    }
}
