//! The same load on etcd, by its own protocol: gRPC, of which two calls are needed, put and range.
//!
//! A connection of the table is one connection of HTTP/2, on which so many calls are under way at a
//! time. A get is a read from the server's own state (`serializable`), as ZooKeeper's and ours are
//! by default; what etcd does by default asks a quorum first and costs more.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_program::bench::connection::Trouble;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::cluster::GREETED_WITHIN;
use crate::load::figures::Latencies;
use crate::load::throughput::{CELLS, Cell, DATA_BYTES, Draw, Loaded, Sample};
use crate::load::throughput::{TARGETS, Used, WARM_UP, Work};

/// What is no answer within this is none.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// `etcdserverpb.PutRequest`, as far as it is used.
#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `etcdserverpb.PutResponse`, of which nothing is looked at.
#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

/// `etcdserverpb.RangeRequest`, as far as it is used.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

/// `etcdserverpb.RangeResponse`, as far as it is used.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

/// `mvccpb.KeyValue`, as far as it is used.
#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

/// One connection.
#[derive(Clone)]
struct Client(Grpc<Channel>);

impl Client {
    async fn connect(address: SocketAddr) -> Result<Client, Trouble> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .timeout(ANSWERED_WITHIN);
        Ok(Client(Grpc::new(endpoint.connect().await?)))
    }

    async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, Trouble>
    where
        Q: prost::Message + Default + 'static,
        A: prost::Message + Default + 'static,
    {
        self.0.ready().await?;
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        let path = PathAndQuery::from_static(path);
        let answer = self.0.unary(tonic::Request::new(request), path, codec);
        Ok(answer.await?.into_inner())
    }

    async fn put(&mut self, key: Vec<u8>) -> Result<(), Trouble> {
        let value = vec![b's'; DATA_BYTES];
        let request = PutRequest { key, value };
        let _: PutResponse = self.call("/etcdserverpb.KV/Put", request).await?;
        Ok(())
    }

    async fn get(&mut self, key: Vec<u8>) -> Result<(), Trouble> {
        let request = RangeRequest {
            key,
            serializable: true,
        };
        let answer: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        match answer.kvs.first() {
            Some(found) if found.value.len() == DATA_BYTES => Ok(()),
            _ => Err("a get found nothing".into()),
        }
    }
}

fn key(index: usize) -> Vec<u8> {
    format!("/target-{index:04}").into_bytes()
}

/// Like the generator of the others, one thread drives all connections.
fn runtime() -> Result<Runtime, Trouble> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Does this server write?
pub fn serves(address: SocketAddr) -> bool {
    let asked = async {
        let mut client = Client::connect(address).await?;
        client.put(b"/is-there".to_vec()).await
    };
    let asked = async { tokio::time::timeout(GREETED_WITHIN, asked).await };
    runtime().is_ok_and(|runtime| matches!(runtime.block_on(asked), Ok(Ok(()))))
}

/// All cells, in their order.
pub fn measure(servers: &Loaded, lasts: Duration) -> Result<Vec<Sample>, Trouble> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut client = Client::connect(servers.addresses[0]).await?;
        for index in 0..TARGETS {
            client.put(key(index)).await?;
        }
        let mut samples = Vec::new();
        for cell in CELLS {
            samples.push(one(servers, cell, lasts).await?);
        }
        Ok(samples)
    })
}

async fn one(servers: &Loaded, cell: Cell, lasts: Duration) -> Result<Sample, Trouble> {
    let mut clients = Vec::new();
    for address in servers.addresses.iter().cycle().take(cell.connections) {
        clients.push(Client::connect(*address).await?);
    }
    load(&clients, cell, WARM_UP).await?;
    let before = Used::look(&servers.processes)?;
    let latencies = load(&clients, cell, lasts).await?;
    let used = Used::look(&servers.processes)?.since(&before);
    Ok(Sample::of(latencies, &used))
}

/// So many calls under way on each connection until the time is over.
async fn load(clients: &[Client], cell: Cell, lasts: Duration) -> Result<Latencies, Trouble> {
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    let draw = Arc::new(Mutex::new(Draw(2026)));
    let began = Instant::now();
    let end = began + lasts;
    let mut calls = JoinSet::new();
    for client in clients {
        for _ in 0..cell.in_flight {
            let (mut client, latencies, draw) = (client.clone(), latencies.clone(), draw.clone());
            calls.spawn(async move {
                loop {
                    let sent = Instant::now();
                    if sent >= end {
                        return Ok::<(), Trouble>(());
                    }
                    let index = draw.lock().expect("nobody panics with it").below(TARGETS);
                    match cell.work {
                        Work::Get => client.get(key(index)).await?,
                        Work::Set => client.put(key(index)).await?,
                    }
                    let mut latencies = latencies.lock().expect("nobody panics with it");
                    latencies.add(sent.elapsed());
                }
            });
        }
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    let mut latencies = std::mem::take(&mut *latencies.lock().expect("nobody panics with it"));
    latencies.took(began.elapsed());
    Ok(latencies)
}
