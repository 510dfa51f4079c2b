//! The task that keeps a copy, from session to session.

use std::convert::Infallible;

use crate::error::ClientError;
use crate::recipes::cached::copy::Copy;
use crate::recipes::cached::subject::Subject;
use crate::runtime::Runtime;
use crate::sessions::Sessions;

/// Keeps the copy until its last handle is dropped, or it cannot be kept.
pub(crate) async fn keep<R: Runtime, S: Subject>(
    sessions: Sessions<R>,
    subject: S,
    mut copy: Copy<S::Value>,
) {
    let unwatched = copy.unwatched();
    let error = tokio::select! {
        biased;
        () = unwatched => return,
        Err(error) = follow(&sessions, &subject, &mut copy) => error,
    };
    tracing::info!(%error, "a cached reader gave up");
    copy.fail(error);
}

/// Follows from session to session.
async fn follow<R: Runtime, S: Subject>(
    sessions: &Sessions<R>,
    subject: &S,
    copy: &mut Copy<S::Value>,
) -> Result<Infallible, ClientError> {
    loop {
        let client = match sessions.client().await {
            Ok(client) => client,
            // Whoever has a copy can wait for a better one: an attempt takes its time.
            Err(ClientError::NoServer) if copy.has_value() => continue,
            Err(error) => return Err(error),
        };
        copy.begin(&client);
        match subject.follow(&client, copy).await {
            Err(error) if error.ends_session() => {}
            outcome => return outcome,
        }
    }
}
