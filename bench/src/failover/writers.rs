//! Clients that write continuously, one through each server, and remember when each write was
//! acknowledged.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Tokio;
use althing_client::znode::Version;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::failover::ensemble::wait_for;

/// The pause of a client whose server is gone.
const AGAIN: Duration = Duration::from_millis(5);

type Acknowledged = Arc<Mutex<Vec<Instant>>>;

/// The clients, by their servers.
pub struct Writers {
    acknowledged: BTreeMap<u8, Acknowledged>,
    /// Its tasks end with it.
    _runtime: Runtime,
}

impl Writers {
    pub fn start(servers: &[(u8, SocketAddr)]) -> Result<Writers, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let mut acknowledged = BTreeMap::new();
        for (server, address) in servers {
            let times = Acknowledged::default();
            acknowledged.insert(*server, times.clone());
            runtime.spawn(write(*server, *address, times));
        }
        Ok(Writers {
            acknowledged,
            _runtime: runtime,
        })
    }

    /// Waits until a write was acknowledged to every client after that time, save to that of one
    /// server.
    pub fn await_all_since(&self, at: Instant, save: Option<u8>) -> Result<(), Box<dyn Error>> {
        for (server, times) in &self.acknowledged {
            if Some(*server) != save {
                wait_for("acknowledged writes", || {
                    let times = times.lock().expect("no panic while it is held");
                    times.last().filter(|last| **last > at).map(|_| ())
                })?;
            }
        }
        Ok(())
    }

    /// The longest time that any client, save that of the server `but`, was without an acknowledged
    /// write, from the last one before `at` until now.
    pub fn longest_gap(&self, at: Instant, but: u8) -> Duration {
        let others = self
            .acknowledged
            .iter()
            .filter(|(server, _)| **server != but);
        let gaps = others.map(|(_, times)| {
            let times = times.lock().expect("no panic while it is held");
            longest_gap(&times, at, Instant::now())
        });
        gaps.max().expect("there are other servers")
    }
}

/// The longest time between two that follow each other, or between the last of them and `now`; the
/// later of the two after `at`.
fn longest_gap(times: &[Instant], at: Instant, now: Instant) -> Duration {
    let later = times.iter().copied().skip(1).chain([now]);
    let pairs = times.iter().copied().zip(later);
    let after = pairs.filter(|(_, later)| *later > at);
    let gaps = after.map(|(earlier, later)| later - earlier);
    gaps.max().unwrap_or_default()
}

/// One write after the other, for ever.
async fn write(server: u8, address: SocketAddr, times: Acknowledged) {
    loop {
        let config = ClientConfig::new([address.to_string()]);
        if let Ok(client) = Client::connect(Tokio, config).await {
            let path = format!("/written-through-{server}");
            while !client.state().is_final() {
                if write_on(&client, &path, &times).await.is_err() {
                    sleep(AGAIN).await;
                }
            }
        }
        sleep(AGAIN).await;
    }
}

/// Until the first write that fails.
async fn write_on(
    client: &Client<Tokio>,
    path: &str,
    times: &Acknowledged,
) -> Result<(), ClientError> {
    client.ensure(path).await?;
    loop {
        client.set_data(path, "a value", Version::Any).await?;
        let at = Instant::now();
        times.lock().expect("no panic while it is held").push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_that_of_the_kill() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let times = [0, 100, 110, 120, 330, 340, 400].map(at);
        let gap = |since, now| longest_gap(&times, at(since), at(now)).as_millis();
        assert_eq!(gap(125, 400), 210);
        assert_eq!(gap(335, 400), 60);
        assert_eq!(gap(335, 500), 100, "no write was acknowledged since");
        assert_eq!(gap(1, 400), 210);
    }
}
