//! What is made of files, and made anew when they change: certificates are renewed while servers
//! serve.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use althing_core::time::Duration;
use tokio::time::Instant;

use crate::tls::files::TlsError;

/// How long what was made counts as new: a look at a few files costs microseconds, and nobody needs
/// a renewed certificate sooner.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// When a file was last written, and its length; `None` if it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// A value made of files. Whoever asks for it sees to it that it is made anew, if the files are not
/// what they were: there is no task behind it.
pub struct Fresh<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>,
    made: Mutex<Made<T>>,
}

struct Made<T> {
    value: T,
    of: Vec<Stamp>,
    looked_at: Instant,
}

impl<T> fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fresh({})", self.what)
    }
}

impl<T: Clone> Fresh<T> {
    /// Makes the value, which `make` makes of `files`; the log calls it `what`.
    ///
    /// # Errors
    /// If it cannot be made now. Later, the value stays as it was then, with a line in the log.
    pub fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Fresh<T>, TlsError> {
        // The stamps come first: what is written meanwhile is seen at the next look.
        let of = stamps(&files);
        let made = Mutex::new(Made {
            value: make()?,
            of,
            looked_at: Instant::now(),
        });
        Ok(Fresh {
            what,
            files,
            make: Box::new(make),
            made,
        })
    }

    /// The value, as the files were a few seconds ago or later.
    pub fn get(&self) -> T {
        let mut made = self.lock();
        if made.looked_at.elapsed() >= LOOK_EVERY {
            made.looked_at = Instant::now();
            let now = stamps(&self.files);
            if now != made.of {
                made.of = now;
                match (self.make)() {
                    Ok(value) => {
                        made.value = value;
                        tracing::info!("{}: the files have changed and are read again", self.what);
                    }
                    Err(error) => tracing::error!(
                        "{}: the files have changed and are of no use, so the earlier ones stay \
                         in force: {error}",
                        self.what
                    ),
                }
            }
        }
        made.value.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Made<T>> {
        // A panic within leaves the value of before, which is whole.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::files::wrong;

    #[tokio::test(start_paused = true)]
    async fn what_has_changed_is_made_anew_and_what_is_of_no_use_changes_nothing() {
        {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("number");
            fs::write(&path, "1").expect("written");
            let file = path.clone();
            let number = Fresh::new("a number", vec![path.clone()], move || {
                let text = fs::read_to_string(&file).map_err(|e| wrong(&file, e.to_string()))?;
                text.parse::<u32>().map_err(|e| wrong(&file, e.to_string()))
            })
            .expect("a number");
            assert_eq!(number.get(), 1);
            fs::write(&path, "22").expect("written");
            assert_eq!(number.get(), 1, "it is not looked at all the time");
            for (text, expected) in [("22", 22), ("nonsense", 22), ("333", 333)] {
                fs::write(&path, text).expect("written");
                tokio::time::advance(LOOK_EVERY).await;
                assert_eq!(number.get(), expected, "{text}");
            }
            fs::remove_file(&path).expect("removed");
            tokio::time::advance(LOOK_EVERY).await;
            assert_eq!(number.get(), 333);
        }
    }
}
