//! Questions and answers of one line each, over any stream: how the programs of the examples talk
//! to each other, on tokio and in the simulator.

use std::future::Future;
use std::io;
use std::time::Duration;

use althing_client::runtime::Runtime;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// The longest line: whoever sends more is not one of ours.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Asks `address` one question, on a connection of its own.
///
/// # Errors
/// What the network says, or `TimedOut` after `patience`. Then nobody knows whether the question
/// arrived, or whether it is still on its way.
pub async fn ask<R: Runtime>(
    runtime: &R,
    address: &str,
    question: &str,
    patience: Duration,
) -> io::Result<String> {
    let conversation = async {
        let mut stream = BufReader::new(runtime.connect(address).await?);
        stream.write_all(format!("{question}\n").as_bytes()).await?;
        stream.flush().await?;
        let answer = line(&mut stream).await?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    };
    tokio::select! {
        biased;
        answer = conversation => answer,
        () = runtime.sleep(patience) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Answers questions until the other side has no more.
///
/// # Errors
/// What the network says.
pub async fn answer<S, F>(stream: S, answer: impl Fn(String) -> F) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = String>,
{
    let mut stream = BufReader::new(stream);
    while let Some(question) = line(&mut stream).await? {
        let answer = answer(question).await;
        stream.write_all(format!("{answer}\n").as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The next line; `None` at the end of the stream.
async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(LINE_BYTES_MAX).read_line(&mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some('\n') => Ok(Some(line)),
        Some(_) => Err(match read as u64 == LINE_BYTES_MAX {
            true => io::ErrorKind::InvalidData.into(),
            false => io::ErrorKind::UnexpectedEof.into(),
        }),
    }
}
