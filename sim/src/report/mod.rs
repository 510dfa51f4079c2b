//! Reports of one run for people: a page that draws it, and the same for other tools.

pub mod causes;
pub mod cut;
pub mod drawing;
pub mod mermaid;
pub mod page;
pub mod perfetto;
pub mod scene;
pub mod spans;
#[cfg(test)]
mod tests;
pub mod weave;
pub mod words;
pub mod write;
