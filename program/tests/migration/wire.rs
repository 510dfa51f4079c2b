//! A connection in bytes, for what the library does not do: null as data, and to find a session
//! again with its password.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::process::PATIENCE;

/// A session and the secret with which it is found again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret {
    pub session: i64,
    pub password: Vec<u8>,
}

/// A connection with a session.
pub struct Wire {
    stream: TcpStream,
    pub secret: Secret,
    pub timeout_ms: i32,
}

fn frame(stream: &mut TcpStream, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as i32).to_be_bytes().to_vec();
    bytes.extend(body);
    stream.write_all(&bytes).expect("a request");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("an answer");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("a whole answer");
    answer
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as i32).to_be_bytes(), bytes].concat()
}

impl Wire {
    /// Opens a session, or finds one again that has seen the transaction `seen`.
    pub fn open(address: SocketAddr, again: Option<(&Secret, i64)>) -> Wire {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let none = Secret {
            session: 0,
            password: vec![0; 16],
        };
        let (secret, seen) = again.unwrap_or((&none, 0));
        let mut body = 0_i32.to_be_bytes().to_vec();
        body.extend(seen.to_be_bytes());
        body.extend(40_000_i32.to_be_bytes());
        body.extend(secret.session.to_be_bytes());
        body.extend(buffer(&secret.password));
        body.push(0);
        let answer = frame(&mut stream, &body);
        let at = |from: usize, to: usize| &answer[from..to];
        Wire {
            stream,
            timeout_ms: i32::from_be_bytes(at(4, 8).try_into().expect("four")),
            secret: Secret {
                session: i64::from_be_bytes(at(8, 16).try_into().expect("eight")),
                password: at(20, 36).to_vec(),
            },
        }
    }

    /// The error of the answer, and what follows it.
    fn ask(&mut self, opcode: i32, body: &[u8]) -> (i32, Vec<u8>) {
        let head = [1_i32.to_be_bytes(), opcode.to_be_bytes()].concat();
        let answer = frame(&mut self.stream, &[&head, body].concat());
        let (head, body) = answer.split_at(16);
        let error = i32::from_be_bytes(head[12..].try_into().expect("four"));
        (error, body.to_vec())
    }

    /// Is the data of a znode null?
    pub fn is_null(&mut self, path: &str) -> bool {
        let (error, body) = self.ask(4, &[buffer(path.as_bytes()), vec![0]].concat());
        assert_eq!(error, 0, "{path} is there");
        body.starts_with(&(-1_i32).to_be_bytes())
    }

    /// Creates a znode, with null as its data if there is none.
    pub fn create(&mut self, path: &str, data: Option<&[u8]>, flags: i32) {
        let mut body = buffer(path.as_bytes());
        body.extend(data.map_or((-1_i32).to_be_bytes().to_vec(), buffer));
        body.extend(1_i32.to_be_bytes());
        body.extend(31_i32.to_be_bytes());
        body.extend(buffer(b"world"));
        body.extend(buffer(b"anyone"));
        body.extend(flags.to_be_bytes());
        assert_eq!(self.ask(1, &body).0, 0, "{path} is created");
    }

    /// A heartbeat is answered: the session is this connection's.
    pub fn is_alive(&mut self) -> bool {
        let head = [(-2_i32).to_be_bytes(), 11_i32.to_be_bytes()].concat();
        frame(&mut self.stream, &head).len() == 16
    }
}
