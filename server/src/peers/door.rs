//! Lets in the servers that dial this one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::limits::{ACCEPT_PAUSE, LINK_HANDSHAKES_MAX};
use crate::mail::Mailbox;
use crate::peers::introduction::{Acquaintance, Refusal};
use crate::peers::link::Link;
use crate::peers::repeats::Repeats;
use crate::shell::{Shell, Task};

/// Accepts links.
pub struct Door<S: Shell> {
    /// The world.
    pub shell: S,
    /// The drive.
    pub mailbox: Mailbox,
    /// Who this server is.
    pub acquaintance: Arc<Acquaintance>,
}

impl<S: Shell> Door<S> {
    /// Accepts until the drive has ended.
    pub async fn run(self) {
        let mailbox = self.mailbox.clone();
        tokio::select! {
            biased;
            () = mailbox.closed() => {}
            () = self.accept() => {}
        }
    }

    async fn accept(self) {
        let strangers = Arc::new(Semaphore::new(LINK_HANDSHAKES_MAX));
        let repeats = Arc::new(Mutex::new(Repeats::default()));
        loop {
            let stream = match self.shell.accept_link().await {
                Ok(stream) => stream,
                Err(error) => {
                    self.complain(&repeats, &Refusal::Failed(error));
                    let again = self.shell.now().clock.after(ACCEPT_PAUSE);
                    self.shell.sleep_until(again).await;
                    continue;
                }
            };
            let Ok(stranger) = Arc::clone(&strangers).try_acquire_owned() else {
                tracing::debug!("too many dial this server at once");
                continue;
            };
            let door = self.handle();
            let repeats = Arc::clone(&repeats);
            self.shell.spawn(Task::Link, async move {
                match door.welcome(stream).await {
                    Ok(link) => {
                        drop(stranger);
                        // It has told how it ended.
                        let _told = link.attend().await;
                    }
                    Err(refusal) => door.complain(&repeats, &refusal),
                }
            });
        }
    }

    fn handle(&self) -> Door<S> {
        Door {
            shell: self.shell.clone(),
            mailbox: self.mailbox.clone(),
            acquaintance: Arc::clone(&self.acquaintance),
        }
    }

    async fn welcome(&self, mut stream: S::Link) -> Result<Link<S>, Refusal> {
        let other = self.acquaintance.welcome(&self.shell, &mut stream).await?;
        Ok(Link {
            shell: self.shell.clone(),
            mailbox: self.mailbox.clone(),
            other,
            stream,
        })
    }

    fn complain(&self, repeats: &Mutex<Repeats>, refusal: &Refusal) {
        let told = refusal.to_string();
        let mut repeats = repeats.lock().unwrap_or_else(PoisonError::into_inner);
        match repeats.is_news(self.shell.now().clock, &told) {
            true => tracing::warn!("a link from another server is refused: {told}"),
            false => tracing::debug!("a link is refused again: {told}"),
        }
    }
}
