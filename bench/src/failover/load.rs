//! Full load on an ensemble that nothing disturbs: whoever is elected then was elected in vain.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Tokio;
use althing_client::znode::Version;

use crate::failover::ensemble::{Ensemble, wait_for};

/// Connections to each server, and requests in flight on each: enough that every core of a small
/// machine is always busy.
const CONNECTIONS: usize = 16;
const IN_FLIGHT: usize = 16;

/// One request of so many is a write.
const WRITE_ONE_IN: usize = 4;

/// The data of a znode.
const DATA: [u8; 100] = [b'x'; 100];

/// How often the epoch is looked at and progress is told.
const LOOK: Duration = Duration::from_secs(10);

/// What came of it.
pub struct Calm {
    pub lasted: Duration,
    pub requests: u64,
    /// How many requests failed.
    pub failed: u64,
    /// How many leaders followed the first.
    pub elections: u64,
}

#[derive(Default)]
struct Count {
    answered: AtomicU64,
    failed: AtomicU64,
}

pub fn calm(ensemble: &Ensemble, lasts: Duration) -> Result<Calm, Box<dyn Error>> {
    ensemble.await_leader()?;
    // A leader says that it leads a little before its first transaction is executed.
    let first = wait_for("an epoch", || ensemble.epoch().filter(|epoch| *epoch > 0))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let count = Arc::new(Count::default());
    for (server, address) in ensemble.addresses() {
        for connection in 0..CONNECTIONS {
            let path = format!("/load-{server}-{connection}");
            runtime.spawn(ask_for_ever(address, path, count.clone()));
        }
    }
    let began = std::time::Instant::now();
    let mut newest = first;
    while began.elapsed() < lasts {
        sleep(LOOK.min(lasts - began.elapsed().min(lasts)));
        // On a machine that is as busy as this, a word may come too late for once.
        newest = newest.max(ensemble.epoch().unwrap_or(newest));
        let answered = count.answered.load(Ordering::Relaxed);
        eprintln!(
            "  {:.0?}: {answered} requests, epoch {newest}",
            began.elapsed()
        );
    }
    let calm = Calm {
        lasted: began.elapsed(),
        requests: count.answered.load(Ordering::Relaxed),
        failed: count.failed.load(Ordering::Relaxed),
        elections: 0,
    };
    // The load ends, and every server says where it is.
    drop(runtime);
    ensemble.await_leader()?;
    let last = ensemble.epoch().ok_or("no server tells its epoch")?;
    Ok(Calm {
        elections: newest.max(last) - first,
        ..calm
    })
}

async fn ask_for_ever(address: SocketAddr, path: String, count: Arc<Count>) {
    loop {
        let config = ClientConfig::new([address.to_string()]);
        if let Ok(client) = Client::connect(Tokio, config).await {
            let lanes = (0..IN_FLIGHT).map(|lane| {
                let (client, path, count) = (client.clone(), path.clone(), count.clone());
                tokio::spawn(async move {
                    while !client.state().is_final() {
                        let asked = ask(&client, &path, lane, &count).await;
                        if asked.is_err() {
                            count.failed.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                })
            });
            for lane in lanes.collect::<Vec<_>>() {
                // A lane that panicked has said so.
                let _ = lane.await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Until the first request that fails.
async fn ask(
    client: &Client<Tokio>,
    path: &str,
    lane: usize,
    count: &Count,
) -> Result<(), ClientError> {
    client.ensure(path).await?;
    for number in lane.. {
        match number % WRITE_ONE_IN {
            0 => drop(client.set_data(path, &DATA[..], Version::Any).await?),
            _ => drop(client.get_data(path).await?),
        }
        count.answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
