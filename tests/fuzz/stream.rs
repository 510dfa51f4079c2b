//! Connections on which a server may do two things: answer in time, or close.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// What is not answered, and not closed, within this time hangs; a server waits two seconds for
/// another one's introduction.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects; every read and write that takes too long is an error.
pub fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads until the server closes; it must.
pub fn until_closed(stream: &mut TcpStream) -> Result<()> {
    let mut rest = [0; 64 * 1024];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Sends what begins no conversation, and nothing more: the server closes.
pub fn send_alone(address: SocketAddr, bytes: &[u8]) -> Result<()> {
    let mut stream = dial(address)?;
    // The server may close before it has read all.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    until_closed(&mut stream)
}
