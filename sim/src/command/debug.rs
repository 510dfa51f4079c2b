//! `cargo sim debug`: interactive replay on the terminal, or from a file of commands.

use std::io::{BufRead, IsTerminal, Write};

use crate::command::failure::Failure;
use crate::debug::console::{Answer, Console};
use crate::draw;
use crate::library::Entry;
use crate::performance::Perform;
use crate::verdict::Verdict;

/// Obeys the lines of `input` until they or the patience of their writer end.
pub fn debug(
    entry: &Entry,
    seed: u64,
    perform: &Perform,
    input: &mut (dyn BufRead + '_),
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let plan = draw::draw(&entry.scenario, seed);
    let mut console = Console::new(&plan, seed, perform);
    write!(
        out,
        "{} under seed {seed}: {}",
        plan.name,
        console.verdict()
    )?;
    writeln!(out, "`help` lists what can be said.")?;
    let prompts = std::io::stdin().is_terminal();
    let mut line = String::new();
    loop {
        if prompts {
            write!(out, "> ")?;
            out.flush()?;
        }
        line.clear();
        if input.read_line(&mut line)? == 0 {
            break;
        }
        match console.obey(line.trim()) {
            Answer::Told(text) => out.write_all(text.as_bytes())?,
            Answer::Quit => break,
        }
    }
    Ok(Verdict::Green)
}
