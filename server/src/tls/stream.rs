//! A socket's stream, with TLS or without, whose handshake is part of reading and writing it.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor, TlsStream};

/// The first byte of TLS: a record of a handshake. A client's first frame begins with its length,
/// the first byte of which is 0, and a four-letter word with a letter.
const HANDSHAKE: u8 = 22;

/// A stream of bytes on a socket.
pub enum MaybeTls {
    /// Without TLS.
    Plain(TcpStream),
    /// Its first byte tells whether it begins TLS.
    Undecided(TcpStream, TlsAcceptor),
    /// TLS begins.
    Accepting(Box<Accept<TcpStream>>),
    /// With TLS.
    Secret(Box<TlsStream<TcpStream>>),
    /// TLS did not come about.
    Failed,
}

impl MaybeTls {
    /// Goes on with the beginning, if that is where it stands: as soon as it is read from or
    /// written to, so that a stranger who says nothing holds up nobody.
    fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let MaybeTls::Undecided(stream, _) = self {
            let mut first = [0; 1];
            let mut first = ReadBuf::new(&mut first);
            ready!(stream.poll_peek(context, &mut first))?;
            let begins_tls = first.filled() == [HANDSHAKE];
            *self = match (mem::replace(self, MaybeTls::Failed), begins_tls) {
                (MaybeTls::Undecided(stream, acceptor), true) => {
                    MaybeTls::Accepting(Box::new(acceptor.accept(stream)))
                }
                (MaybeTls::Undecided(stream, _), false) => MaybeTls::Plain(stream),
                (other, _) => other,
            };
        }
        if let MaybeTls::Accepting(accept) = self {
            let accepted = ready!(Pin::new(accept.as_mut()).poll(context));
            *self = MaybeTls::Failed;
            *self = MaybeTls::Secret(Box::new(TlsStream::Server(accepted?)));
        }
        Poll::Ready(Ok(()))
    }

    /// The certificate that the other end has shown and that was found good, if it has.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            MaybeTls::Secret(stream) => stream.get_ref().1.peer_certificates()?.first(),
            _ => None,
        }
    }
}

/// What is done with a stream on which TLS never began.
fn never_begun<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for MaybeTls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            MaybeTls::Plain(stream) => Pin::new(stream).poll_read(context, into),
            MaybeTls::Secret(stream) => Pin::new(stream).poll_read(context, into),
            _ => never_begun(),
        }
    }
}

impl AsyncWrite for MaybeTls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            MaybeTls::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            MaybeTls::Secret(stream) => Pin::new(stream).poll_write(context, bytes),
            _ => never_begun(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            MaybeTls::Plain(stream) => Pin::new(stream).poll_flush(context),
            MaybeTls::Secret(stream) => Pin::new(stream).poll_flush(context),
            _ => never_begun(),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            MaybeTls::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            MaybeTls::Secret(stream) => Pin::new(stream).poll_shutdown(context),
            _ => never_begun(),
        }
    }
}
