//! Plays a case against one server and writes down what each of its sessions heard.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::answer::{Line, LineKind, Piece, When, answer, event};
use crate::ask::{Ask, CLOSE_SESSION, Case, NOTIFICATION_XID, PING, Secret, Since, Step};
use crate::wire::{Reader, Writer};

/// How long a server may be silent. A silence is written down like an answer.
const SILENCE: Duration = Duration::from_secs(10);

/// ZooKeeper's number of a failed authentication.
const AUTH_FAILED: i32 = -115;

/// The largest frame that a server may send.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What one session heard.
#[derive(Clone, Debug, Default)]
pub struct Heard(pub Vec<Line>);

/// What all sessions of a case heard, and who they were.
#[derive(Clone, Debug)]
pub struct Transcript {
    pub heard: Vec<Heard>,
    pub sessions: Vec<i64>,
}

struct Player {
    address: SocketAddr,
    stream: Option<TcpStream>,
    id: i64,
    password: Vec<u8>,
    timeout_ms: i32,
    xid: i32,
    /// The positions in the answers so far.
    positions: Vec<i64>,
    heard: Heard,
}

/// Plays a case in the subtree `root`, which is there already and empty.
pub fn play(address: SocketAddr, root: &str, case: &Case) -> Transcript {
    let mut players: Vec<Player> = Vec::new();
    for timeout_ms in &case.timeouts_ms {
        let mut player = Player::new(address, *timeout_ms);
        player.connect(0, &[0; 16]);
        players.push(player);
    }
    for step in &case.steps {
        match step {
            Step::Ask { session, asks } => players[*session].ask(asks, root),
            Step::Reattach { session, secret } => players[*session].reattach(*secret),
        }
    }
    for player in &mut players {
        // What a watch still has to tell comes before this is answered.
        player.ask(&[Ask::Bare { opcode: PING }], root);
    }
    let sessions = players.iter().map(|player| player.id).collect();
    let heard = players.iter().map(|player| player.heard.clone()).collect();
    players.iter_mut().for_each(Player::leave);
    Transcript { heard, sessions }
}

/// Does these on a session of their own, each of which must succeed.
pub fn prepare(address: SocketAddr, asks: &[Ask]) {
    let mut player = Player::new(address, 30_000);
    player.connect(0, &[0; 16]);
    player.ask(asks, "");
    let done = player.heard.0.iter().filter(|line| {
        let good = Piece::Same("error 0".to_owned());
        line.kind == LineKind::Answer && line.pieces.contains(&good)
    });
    assert_eq!(done.count(), asks.len(), "{:?}", player.heard);
    player.leave();
}

impl Player {
    fn new(address: SocketAddr, timeout_ms: i32) -> Player {
        Player {
            address,
            stream: None,
            id: 0,
            password: Vec::new(),
            timeout_ms,
            xid: 0,
            positions: Vec::new(),
            heard: Heard::default(),
        }
    }

    fn note(&mut self, line: Line) {
        self.heard.0.push(line);
    }

    /// Connects and asks for a session, or for this one again.
    fn connect(&mut self, id: i64, password: &[u8]) {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        self.stream = Some(stream);
        let mut request = Writer::default();
        let seen = self.positions.iter().max().copied().unwrap_or(0);
        request.int(0).long(seen).int(self.timeout_ms).long(id);
        request.buffer(Some(password)).truth(false);
        let connected = self.send(&request.frame()).and_then(|()| self.frame());
        let frame = match connected {
            Ok(frame) => frame,
            Err(error) => return self.lost(&error),
        };
        let mut input = Reader(&frame);
        let mut read = || {
            let version = input.int()?;
            let timeout_ms = input.int()?;
            let session = input.long()?;
            let password = input.buffer()??;
            let read_only = input.truth()?;
            let told = format!("version {version} time-out {timeout_ms} read-only {read_only}");
            Some((session, password, format!("{told} {:?}", input.0)))
        };
        let Some((session, password, told)) = read() else {
            return self.note(Line::connection(format!("unreadable: {frame:?}")));
        };
        let which = match session {
            0 => "no session",
            _ if session == id && password == self.password => "the same session",
            _ if session == id => "the same session, another password",
            _ => "a new session",
        };
        let length = password.len();
        let is_blank = password.iter().all(|byte| *byte == 0);
        let what = format!("{which}, password of {length}, blank {is_blank}");
        self.note(Line::connection(format!("connected: {what}, {told}")));
        if session == 0 {
            self.expect_end();
        } else {
            (self.id, self.password) = (session, password);
        }
    }

    /// The server has nothing more to say here: it must hang up.
    fn expect_end(&mut self) {
        match self.frame() {
            Ok(frame) => self.note(Line::connection(format!("and then: {frame:?}"))),
            Err(error) => self.lost(&error),
        }
    }

    fn reattach(&mut self, secret: Secret) {
        self.stream = None;
        let (id, mut password) = (self.id, self.password.clone());
        if secret == Secret::Wrong {
            password.iter_mut().for_each(|byte| *byte ^= 0x55);
        }
        self.connect(id, &password);
    }

    /// Ends the session, whatever became of its connection: one that expired later would disturb
    /// the positions of another case.
    fn leave(&mut self) {
        if self.stream.is_none() {
            self.connect(self.id, &self.password.clone());
        }
        if self.stream.is_some() {
            let opcode = CLOSE_SESSION;
            self.ask(&[Ask::Bare { opcode }], "");
        }
    }

    /// Asks these in one go and hears until the last is answered.
    fn ask(&mut self, asks: &[Ask], root: &str) {
        if self.stream.is_none() {
            return self.note(Line::connection("not connected"));
        }
        let mut bytes = Vec::new();
        let mut waiting = VecDeque::new();
        for ask in asks {
            self.xid += 1;
            let xid = ask.xid(self.xid);
            bytes.extend(ask.frame(xid, root, |since| self.position(since)));
            waiting.push_back((xid, ask));
        }
        if let Err(error) = self.send(&bytes) {
            return self.lost(&error);
        }
        while let Some((asked, ask)) = waiting.front() {
            let frame = match self.frame() {
                Ok(frame) => frame,
                Err(error) => return self.lost(&error),
            };
            let mut input = Reader(&frame);
            let header = (|| Some((input.int()?, input.long()?, input.int()?)))();
            let Some((xid, zxid, error)) = header else {
                return self.note(Line::connection(format!("unreadable: {frame:?}")));
            };
            if xid == NOTIFICATION_XID {
                let when = match ask {
                    Ask::SetWatches { .. } => When::CatchingUp,
                    _ => When::Live,
                };
                self.heard.0.push(event(when, zxid, error, input.0));
            } else {
                if xid > 0 {
                    self.positions.push(zxid);
                }
                let line = answer(ask, *asked, xid, zxid, error, input.0);
                self.heard.0.push(line);
                // Whether the server still reads before it hangs up depends on its threads.
                if ask.opcode() == CLOSE_SESSION || error == AUTH_FAILED {
                    return self.expect_end();
                }
                waiting.pop_front();
            }
        }
    }

    fn position(&self, since: Since) -> i64 {
        match since {
            Since::Always => 0,
            Since::Never => i64::MAX,
            Since::LastAnswer => self.positions.last().copied().unwrap_or(0),
            Since::Answer(number) => match self.positions.len() {
                0 => 0,
                count => self.positions[number % count],
            },
        }
    }

    fn lost(&mut self, error: &std::io::Error) {
        self.stream = None;
        let what = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "silence",
            // How the last packets of a connection meet depends on the kernel.
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "closed by the server"
            }
            _ => panic!("a connection to a server of this machine: {error}"),
        };
        self.note(Line::connection(what));
    }

    fn stream(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("it is connected")
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream().write_all(bytes)
    }

    fn frame(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream().read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length");
        assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
        let mut frame = vec![0; length];
        self.stream().read_exact(&mut frame)?;
        Ok(frame)
    }
}
