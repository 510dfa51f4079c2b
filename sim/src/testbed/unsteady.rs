//! Two runs of one seed that differ: where, and what in a program makes that happen.

use crate::history::{History, Moment};

/// What makes a program do something else each time, and what to use in its place.
const ADVICE: &str = "\
  A test and its processes must do the same each time that they are played with one seed. Look for
  - the order of a std HashMap or HashSet, of pointers, of anything that hashes by address:
    use BTreeMap and BTreeSet, or sort;
  - a std or tokio clock (Instant::now, SystemTime::now, tokio::time): use runtime.now() and
    runtime.sleep();
  - randomness of the process (that of the crate rand, RandomState): use process.random, runtime.random() or
    bed.random(\"name\");
  - threads (std::thread, spawn_blocking, rayon): use runtime.spawn();
  - tokio::select! without `biased;`, which draws from a generator of its own;
  - what outlives a run: statics, thread-locals, files, the environment, real sockets.
";

/// Where two runs part, and what to look for.
pub(super) fn explain(first: &History, second: &History) -> String {
    let (a, b) = (&first.moments, &second.moments);
    let index = a.iter().zip(b).position(|(a, b)| a != b);
    let index = index.unwrap_or(a.len().min(b.len()));
    let told = |moments: &[Moment]| match moments.get(index) {
        Some(moment) => format!("t={:.6}s {:?}", moment.at.as_secs_f64(), moment.what),
        None => "nothing more".to_owned(),
    };
    format!(
        "  the two runs part at moment {index}:\n    first:  {}\n    second: {}\n{ADVICE}",
        told(a),
        told(b)
    )
}
