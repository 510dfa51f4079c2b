//! Proving by SASL who the client is: on each connection anew, before anything is asked.

use althing_core::code::Code;
use althing_core::digest_md5::Answer;
use althing_core::node::reply::Response;
use althing_core::tree::data::Data;

use crate::config::SaslUser;

/// Why an exchange comes to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unproven {
    /// The server does not let the client in.
    Refused,
    /// The server does not prove that it knows the password.
    Impostor,
}

/// An exchange with one server.
pub(crate) struct Proof {
    user: SaslUser,
    /// What makes this exchange differ from all others.
    cnonce: String,
    /// What the server has not been sent yet.
    unsent: Option<Data>,
    progress: Progress,
}

enum Progress {
    /// The client has asked for a challenge.
    Asked,
    /// It has answered the challenge.
    Answered(Answer),
    /// Both have proven that they know the password.
    Done,
}

impl Proof {
    /// Begins one, with 128 random bits.
    pub(crate) fn new(user: SaslUser, random: [u64; 2]) -> Proof {
        Proof {
            user,
            cnonce: format!("{:016x}{:016x}", random[0], random[1]),
            unsent: Some(Data::copy_of(&[])),
            progress: Progress::Asked,
        }
    }

    /// The token to be sent next, if it is this client's turn.
    pub(crate) fn token(&mut self) -> Option<Data> {
        self.unsent.take()
    }

    /// Does the server know who the client is?
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Done)
    }

    /// Takes what the server says.
    pub(crate) fn hear(&mut self, said: &Result<Response, Code>) -> Result<(), Unproven> {
        // Null is said by a server that knows no SASL, or has let a stranger stay one.
        let Ok(Response::Sasl(Some(token))) = said else {
            return Err(Unproven::Refused);
        };
        match &self.progress {
            Progress::Asked => {
                let answer = self.user.answer(token, &self.cnonce);
                let answer = answer.ok_or(Unproven::Refused)?;
                self.unsent = Some(Data::copy_of(answer.token.as_bytes()));
                self.progress = Progress::Answered(answer);
            }
            Progress::Answered(answer) if answer.is_proven_by(token) => {
                self.progress = Progress::Done;
            }
            Progress::Answered(_) | Progress::Done => return Err(Unproven::Impostor),
        }
        Ok(())
    }
}
