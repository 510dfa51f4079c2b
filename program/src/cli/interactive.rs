//! A conversation: lines from a terminal, with history and completion, or from a file.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor, ExternalPrinter as _};
use tokio::runtime::Runtime;

use crate::cli::answer::{self, Answer, Manner};
use crate::cli::command::{self, Command};
use crate::cli::completion::Completion;
use crate::cli::connection::Connection;
use crate::cli::error::CliError;
use crate::cli::execute::{self, Left};
use crate::cli::run::{tell, tell_error};
use crate::cli::words;

/// Lines that are kept over conversations.
const HISTORY_MAX: usize = 1000;

/// Where they are kept, below the user's home.
const HISTORY_FILE: &str = ".althing_history";

/// A conversation.
pub struct Conversation<'a> {
    runtime: &'a Runtime,
    connection: Connection,
    manner: Manner,
    said: Vec<String>,
    /// The exit code of the last command that failed.
    failed: u8,
}

/// Does the conversation go on?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Line,
    End,
}

/// Reads commands until there are no more; the exit code.
///
/// # Errors
/// If the terminal fails.
pub fn converse(runtime: &Runtime, connection: Connection, manner: Manner) -> io::Result<u8> {
    let mut conversation = Conversation {
        runtime,
        connection,
        manner,
        said: Vec::new(),
        failed: 0,
    };
    match io::stdin().is_terminal() {
        true => conversation.terminal()?,
        false => conversation.script()?,
    }
    let closed = runtime.block_on(conversation.connection.close());
    if let Err(error) = closed {
        conversation.complain(&error);
    }
    Ok(conversation.failed)
}

impl Conversation<'_> {
    /// Lines of standard input; what fails does not end it.
    fn script(&mut self) -> io::Result<()> {
        self.failed = 0;
        self.open();
        for line in io::stdin().lock().lines() {
            let line = line?;
            if line.trim_start().starts_with('#') {
                continue;
            }
            if self.say(&line, None)? == Next::End {
                break;
            }
        }
        Ok(())
    }

    fn open(&mut self) {
        if let Err(error) = self.runtime.block_on(self.connection.open(&[])) {
            self.complain(&error);
        }
    }

    fn terminal(&mut self) -> io::Result<()> {
        let config = Config::builder()
            .max_history_size(HISTORY_MAX)
            .map_err(io::Error::other)?
            .auto_add_history(false)
            .build();
        let mut editor: Editor<Completion, DefaultHistory> =
            Editor::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(Completion::new(self.runtime.handle().clone())));
        let file = std::env::home_dir().map(|home| home.join(HISTORY_FILE));
        load(&mut editor, file.as_ref());
        self.open();
        loop {
            if let Some(helper) = editor.helper_mut() {
                helper.client = self.connection.client().ok().cloned();
            }
            let prompt = format!("{}> ", self.connection.place());
            let line = match editor.readline(&prompt) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(io::Error::other(error)),
            };
            // Secrets are not for a file.
            if !line.trim_start().starts_with("addauth") {
                editor.add_history_entry(&line).map_err(io::Error::other)?;
            }
            let printer = editor.create_external_printer().ok();
            let printer = printer.map(|mut printer| -> Printer {
                Box::new(move |told| printer.print(told).is_ok())
            });
            if self.say(&line, printer)? == Next::End {
                break;
            }
        }
        // What one command did does not make the conversation a failure.
        self.failed = 0;
        if let Some(file) = file
            && let Err(error) = editor.save_history(&file)
        {
            eprintln!("{}: {error}", file.display());
        }
        Ok(())
    }

    /// Does what a line says; events of its watch go to `printer`, or to standard output.
    fn say(&mut self, line: &str, printer: Option<Printer>) -> io::Result<Next> {
        let words = match words::split(line) {
            Ok(words) if words.is_empty() => return Ok(Next::Line),
            Ok(words) => words,
            Err(error) => {
                self.complain(&CliError::Usage(error.to_string()));
                return Ok(Next::Line);
            }
        };
        if words[0] == "help" {
            self.help(words.get(1).map(String::as_str))?;
            return Ok(Next::Line);
        }
        let command = match command::read(&words) {
            Ok(command) => command,
            Err(error) => {
                self.complain(&CliError::Usage(error.to_string().trim_end().to_owned()));
                return Ok(Next::Line);
            }
        };
        match command {
            Command::Quit => return Ok(Next::End),
            Command::History => {
                let numbered = self.said.iter().enumerate();
                let lines: Vec<String> =
                    numbered.map(|(n, line)| format!("{n} - {line}")).collect();
                tell(&Answer::Said(lines.join("\n")), self.manner)?;
            }
            Command::Redo { number } => {
                let Some(line) = self.said.get(number).cloned() else {
                    let what = format!("there is no command {number} yet");
                    self.complain(&CliError::Usage(what));
                    return Ok(Next::Line);
                };
                return self.say(&line, printer);
            }
            command => {
                self.said.push(line.to_owned());
                self.execute(command, printer)?;
            }
        }
        Ok(Next::Line)
    }

    fn help(&mut self, of: Option<&str>) -> io::Result<()> {
        match command::help(of) {
            Some(text) => io::stdout().lock().write_all(text.as_bytes()),
            None => {
                let what = format!("there is no command {}", of.unwrap_or_default());
                self.complain(&CliError::Usage(what));
                Ok(())
            }
        }
    }

    fn execute(&mut self, command: Command, printer: Option<Printer>) -> io::Result<()> {
        let executing = execute::execute(command, &mut self.connection);
        match self.runtime.block_on(executing) {
            Ok(done) => {
                tell(&done.answer, self.manner)?;
                if let Some(watcher) = done.watcher {
                    self.runtime.spawn(announce(watcher, printer, self.manner));
                }
            }
            Err(error) => self.complain(&error),
        }
        Ok(())
    }

    fn complain(&mut self, error: &CliError) {
        tell_error(error, self.manner);
        self.failed = error.exit_code();
    }
}

/// Prints beside a line that is being typed; false if it cannot.
type Printer = Box<dyn FnMut(String) -> bool + Send>;

/// Tells of a watch whenever it fires.
async fn announce(watcher: Left, mut printer: Option<Printer>, manner: Manner) {
    let mut left = Some(watcher);
    while let Some(watcher) = left {
        // The session's end is told by the next command.
        let Ok((news, rest)) = watcher.next().await else {
            return;
        };
        left = rest;
        let told = answer::news(&news, manner);
        let printed = printer
            .as_mut()
            .is_some_and(|printer| printer(format!("{told}\n")));
        if !printed {
            // Nobody is left to tell if this fails, too.
            let _ = writeln!(io::stdout().lock(), "{told}");
        }
    }
}

fn load(editor: &mut Editor<Completion, DefaultHistory>, file: Option<&PathBuf>) {
    if let Some(file) = file
        && fs::exists(file).unwrap_or(false)
        && let Err(error) = editor.load_history(file)
    {
        eprintln!("{}: {error}", file.display());
    }
}
