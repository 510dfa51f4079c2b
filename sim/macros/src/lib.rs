//! The attribute `#[althing_sim::test]`: makes of an async function a test that is played on the
//! simulated bed over many seeds.

mod arguments;
mod expansion;

use proc_macro::TokenStream;

/// Makes of an `async fn(bed: Bed)` a `#[test]` that plays it on a simulated ensemble, over many
/// seeds, with faults. The function returns nothing, or a `Result` whose error makes the run red.
///
/// ```ignore
/// use althing_sim::testbed::bed::Bed;
///
/// #[althing_sim::test(servers = 3, seeds = "0..50", lasts = "60s", settles = "30s")]
/// async fn one_master(bed: Bed) {
///     // ...
/// }
/// ```
///
/// | argument | default | meaning |
/// |---|---|---|
/// | `servers` | `3` | how many servers the ensemble has |
/// | `seeds` | `"0..20"` | the seeds of the campaign; each is a run of its own |
/// | `faults` | `"swarm"` | each seed draws faults of its own; `"none"`: nothing goes wrong |
/// | `lasts` | `"30s"` | the first act, in which faults fall |
/// | `settles` | `"30s"` | the second act: all is healed, and goals must be reached within it |
/// | `scenario` | none | a scenario file, beside the package's `Cargo.toml`, in place of `servers`, `faults`, `lasts` and `settles` |
///
/// The environment has the last word: `ALTHING_SEED=7` plays that seed only,
/// `ALTHING_SEEDS=0..1000` others than those written down, `ALTHING_FOR=60s` as many as there is
/// time for, `ALTHING_PLAN=FILE` a plan that was saved, `ALTHING_JOBS=2` on so many threads.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expansion::expand(arguments.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
