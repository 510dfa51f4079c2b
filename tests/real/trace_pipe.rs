//! A pipe through which a server's trace reaches a file: the limit on the size of its files, by
//! which a server's disk is made full, does not hold for a pipe.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// One server's.
#[derive(Debug)]
pub struct TracePipe {
    pipe: PathBuf,
    file: PathBuf,
    /// Held open, so that the pipe does not end between two lives of the server.
    kept: Option<File>,
    drain: Option<JoinHandle<io::Result<u64>>>,
}

impl TracePipe {
    /// The pipe and the file of this server below `home`.
    pub fn new(home: &Path, server: u8) -> TracePipe {
        let pipe = home.join(format!("server-{server}.pipe"));
        let file = home.join(format!("server-{server}.trace"));
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, &pipe, FileType::Fifo, mode, 0).expect("a pipe");
        let open = || File::options().read(true).write(true).open(&pipe);
        let kept = open().expect("a pipe of our own");
        // Reading only, so that it ends with the last writer; there is one already.
        let mut from = File::open(&pipe).expect("a pipe of our own");
        let mut into = File::create(&file).expect("a file");
        let drain = thread::spawn(move || io::copy(&mut from, &mut into));
        TracePipe {
            pipe,
            file,
            kept: Some(kept),
            drain: Some(drain),
        }
    }

    /// Where the server writes to.
    pub fn entrance(&self) -> &Path {
        &self.pipe
    }

    /// The whole trace, when the server has ended.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn finish(&mut self) -> &Path {
        self.kept = None;
        if let Some(drain) = self.drain.take() {
            let drained = drain.join().expect("nothing panics there");
            drained.expect("the trace can be copied");
        }
        &self.file
    }
}
