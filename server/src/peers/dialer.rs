//! Keeps up the link to one server with a lower id: dials it, again and again.

use std::sync::Arc;

use althing_core::ids::ServerId;
use althing_core::prng::Prng;
use althing_core::time::Duration;

use crate::limits::{DIAL_MAX, REDIAL_PAUSE_MAX, REDIAL_PAUSE_MIN};
use crate::mail::Mailbox;
use crate::peers::introduction::{Acquaintance, Refusal};
use crate::peers::link::Link;
use crate::peers::repeats::Repeats;
use crate::shell::Shell;

/// Dials one server.
pub struct Dialer<S: Shell> {
    /// The world.
    pub shell: S,
    /// The drive.
    pub mailbox: Mailbox,
    /// Who this server is.
    pub acquaintance: Arc<Acquaintance>,
    /// Whom it dials.
    pub server: ServerId,
    /// Draws the pauses.
    pub prng: Prng,
}

/// How long to wait before the next attempt: more from failure to failure, and never the same at
/// two servers, so that those which lost the same peer do not all come back at once.
struct Pauses {
    prng: Prng,
    next: Duration,
}

impl Pauses {
    fn new(prng: Prng) -> Pauses {
        let next = REDIAL_PAUSE_MIN;
        Pauses { prng, next }
    }

    /// Between half and all of the pause that is due.
    fn draw(&mut self) -> Duration {
        let half = self.next / 2;
        let jitter_us = u32::try_from(half.as_micros()).expect("a pause is short");
        let jitter = Duration::from_micros(self.prng.below(jitter_us + 1).into());
        self.next = (self.next * 2).min(REDIAL_PAUSE_MAX);
        half + jitter
    }

    fn reset(&mut self) {
        self.next = REDIAL_PAUSE_MIN;
    }
}

impl<S: Shell> Dialer<S> {
    /// Dials until the drive has ended.
    pub async fn run(self) {
        let mailbox = self.mailbox.clone();
        tokio::select! {
            biased;
            () = mailbox.closed() => {}
            () = self.keep_up() => {}
        }
    }

    async fn keep_up(self) {
        let mut pauses = Pauses::new(self.prng.clone());
        let mut repeats = Repeats::default();
        let server = self.server;
        loop {
            match self.link().await {
                Ok(link) => {
                    repeats.forget();
                    pauses.reset();
                    // It has told how it ended.
                    let _told = link.attend().await;
                }
                Err(refusal) => {
                    let told = refusal.to_string();
                    match repeats.is_news(self.shell.now().clock, &told) {
                        true => tracing::warn!(%server, "no link to another server: {told}"),
                        false => tracing::debug!(%server, "still no link: {told}"),
                    }
                }
            }
            let until = self.shell.now().clock.after(pauses.draw());
            self.shell.sleep_until(until).await;
        }
    }

    async fn link(&self) -> Result<Link<S>, Refusal> {
        let deadline = self.shell.now().clock.after(DIAL_MAX);
        let mut stream = tokio::select! {
            biased;
            stream = self.shell.dial(self.server) => stream?,
            () = self.shell.sleep_until(deadline) => return Err(Refusal::Silent(DIAL_MAX)),
        };
        let introducing = self
            .acquaintance
            .introduce(&self.shell, self.server, &mut stream);
        let other = introducing.await?;
        Ok(Link {
            shell: self.shell.clone(),
            mailbox: self.mailbox.clone(),
            other,
            stream,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use althing_core::prng::Seed;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let drawn = |seed| {
            let mut pauses = Pauses::new(Prng::new(Seed([seed; 32])));
            (0..10).map(|_| pauses.draw()).collect::<Vec<_>>()
        };
        let mut longest = REDIAL_PAUSE_MIN;
        for pause in drawn(1) {
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?}");
            longest = (longest * 2).min(REDIAL_PAUSE_MAX);
        }
        assert_ne!(drawn(1), drawn(2));
        let mut pauses = Pauses::new(Prng::new(Seed([1; 32])));
        for _ in 0..10 {
            pauses.draw();
        }
        pauses.reset();
        assert!(pauses.draw() <= REDIAL_PAUSE_MIN);
    }
}
