//! The handshake: a session is offered to a server, and the server answers.

use std::io;
use std::time::Duration;

use althing_core::codec::client::{decode_connect_response, encode_connect};
use althing_core::node::reply::ConnectResponse;
use althing_core::node::request::ConnectRequest;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};

use crate::runtime::Runtime;
use crate::session::wire::{Inbound, Outbound};

/// What is offered.
pub(crate) struct Offer {
    pub(crate) request: ConnectRequest,
    /// How long the server may take to be reached, and to answer.
    pub(crate) patience: [Duration; 2],
}

/// A connection whose server has answered.
pub(crate) struct Offered<R: Runtime> {
    /// Whose server it is.
    pub(crate) address: String,
    pub(crate) inbound: Inbound<ReadHalf<R::Stream>>,
    pub(crate) outbound: Outbound<WriteHalf<R::Stream>>,
    /// What was asked for.
    pub(crate) request: ConnectRequest,
    /// The answer.
    pub(crate) response: ConnectResponse,
    /// When the offer left.
    pub(crate) sent: Duration,
}

impl Offer {
    /// Connects to a server and offers it the session.
    pub(crate) async fn make<R: Runtime>(
        self,
        runtime: &R,
        address: &str,
    ) -> io::Result<Offered<R>> {
        let [to_connect, to_answer] = self.patience;
        let stream = within(runtime, to_connect, runtime.connect(address)).await?;
        let (reader, writer) = tokio::io::split(stream);
        let mut inbound = Inbound::new(reader);
        let mut outbound = Outbound::new(writer);
        let sent = runtime.now();
        encode_connect(&self.request, outbound.bytes());
        let response = within(runtime, to_answer, greet(&mut inbound, &mut outbound)).await?;
        Ok(Offered {
            address: address.to_owned(),
            inbound,
            outbound,
            request: self.request,
            response,
            sent,
        })
    }
}

impl<R: Runtime> Offered<R> {
    /// Does it tell more than a connection whose server only reads: that it has a leader, or that
    /// the session is over?
    pub(crate) fn is_useful(&self) -> bool {
        let is_over = self.response.session.is_none() && self.request.session.is_some();
        let is_whole = self.response.session.is_some() && self.response.read_only != Some(true);
        is_over || is_whole
    }
}

/// Exchanges the first frames.
async fn greet<S: AsyncRead + Unpin, T: AsyncWrite + Unpin>(
    inbound: &mut Inbound<S>,
    outbound: &mut Outbound<T>,
) -> io::Result<ConnectResponse> {
    let malformed = |malformed| io::Error::new(io::ErrorKind::InvalidData, malformed);
    while !outbound.is_idle() {
        outbound.write().await?;
    }
    loop {
        inbound.read().await?;
        if let Some(frame) = inbound.frame().map_err(malformed)? {
            return decode_connect_response(frame).map_err(malformed);
        }
    }
}

async fn within<R: Runtime, T>(
    runtime: &R,
    patience: Duration,
    attempt: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        outcome = attempt => outcome,
        () = runtime.sleep(patience) => Err(io::ErrorKind::TimedOut.into()),
    }
}
