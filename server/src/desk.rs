//! Where operators ask: four-letter words and the admin interface are answered from here.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::admission::Admission;
use crate::gossip::{Inquiry, Survey};
use crate::limits::{Limits, QUERY_MAX};
use crate::mail::{Counters, Mailbox, Message, View};
use crate::reports::Described;
use crate::shell::{Order, Shell};

/// Where operators ask. A handle: cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The server that is asked about.
    pub described: Arc<Described>,
    /// Its limits towards clients.
    pub limits: Limits,
    admission: Admission,
    inquiry: Option<Inquiry>,
    mailbox: Mailbox,
}

impl Desk {
    /// Tells of the server that is described and reads `mailbox`; what gossip knows is asked
    /// through `inquiry`.
    pub fn new(
        described: Described,
        limits: Limits,
        admission: Admission,
        inquiry: Option<Inquiry>,
        mailbox: Mailbox,
    ) -> Desk {
        Desk {
            described: Arc::new(described),
            limits,
            admission,
            inquiry,
            mailbox,
        }
    }

    /// How many connections there are, those that only ask a four-letter word included.
    pub fn connections(&self) -> usize {
        self.admission.count()
    }

    /// What `look` makes of the node between two of its steps; `None` if that takes too long, or
    /// the server is ending.
    pub async fn look<T: Send + 'static>(
        &self,
        shell: &impl Shell,
        look: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let (told, answer) = oneshot::channel();
        self.mailbox.send(Message::Query(Box::new(move |view| {
            // Whoever asked may have left.
            let _ = told.send(look(view));
        })));
        in_time(answer, shell).await
    }

    /// What gossip knows; `None` where there is none.
    pub async fn survey(&self, shell: &impl Shell) -> Option<Survey> {
        let inquiry = self.inquiry.as_ref()?;
        in_time(inquiry.ask(), shell).await
    }

    /// Orders something; what comes of it is seen by looking.
    pub fn order(&self, order: Order) {
        self.mailbox.send(Message::Ordered(order));
    }

    /// Begins to count anew.
    pub fn reset(&self, counters: Counters) {
        self.mailbox.send(Message::Reset(counters));
    }
}

/// The answer, unless it takes too long or never comes.
async fn in_time<T>(answer: oneshot::Receiver<T>, shell: &impl Shell) -> Option<T> {
    let deadline = shell.now().clock.after(QUERY_MAX);
    tokio::select! {
        biased;
        answer = answer => answer.ok(),
        () = shell.sleep_until(deadline) => None,
    }
}
