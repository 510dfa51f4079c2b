//! The shell from its flags to its exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::cli::answer::{self, Answer, Manner};
use crate::cli::arguments::Cli;
use crate::cli::command::{self, Command};
use crate::cli::connection::Connection;
use crate::cli::error::CliError;
use crate::cli::{execute, interactive};

/// Asks what the flags say, and tells the exit code.
pub fn run(flags: &Cli) -> ExitCode {
    let manner = match flags.json {
        true => Manner::Json,
        false => Manner::Text,
    };
    let code = match ask(flags, manner) {
        Ok(code) => code,
        // Whoever reads has seen enough.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            tell_error(&error, manner);
            error.exit_code()
        }
    };
    ExitCode::from(code)
}

fn ask(flags: &Cli, manner: Manner) -> Result<u8, CliError> {
    let connection = Connection::new(flags)?;
    // The session's task goes on while a terminal is read.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    if flags.command.is_empty() {
        return Ok(interactive::converse(&runtime, connection, manner)?);
    }
    once(&flags.command, connection, manner, &runtime)?;
    Ok(0)
}

/// One command in a session of its own.
fn once(
    words: &[String],
    mut connection: Connection,
    manner: Manner,
    runtime: &Runtime,
) -> Result<(), CliError> {
    if words[0] == "help" {
        let of = words.get(1).map(String::as_str);
        let text = command::help(of);
        let text = text.ok_or_else(|| CliError::Usage("there is no such command".to_owned()))?;
        io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(());
    }
    let command = command::read(words)
        .map_err(|error| CliError::Usage(error.to_string().trim_end().to_owned()))?;
    if command == Command::Quit {
        return Ok(());
    }
    runtime.block_on(async {
        if !matches!(command, Command::Version | Command::Connect { .. }) {
            connection.open(&[]).await?;
        }
        let done = execute::execute(command, &mut connection).await?;
        tell(&done.answer, manner)?;
        let mut left = done.watcher;
        while let Some(watcher) = left {
            let (news, rest) = watcher.next().await.map_err(CliError::about(""))?;
            line(answer::news(&news, manner))?;
            left = rest;
        }
        connection.close().await
    })
}

/// Says what a command gave.
///
/// # Errors
/// If nobody reads it.
pub fn tell(answer: &Answer, manner: Manner) -> io::Result<()> {
    let text = match manner {
        Manner::Json => answer.json().to_string(),
        Manner::Text => match answer.text() {
            text if text.is_empty() && *answer == Answer::Done => return Ok(()),
            text => text,
        },
    };
    line(text)
}

fn line(text: String) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says why a command was not done.
pub fn tell_error(error: &CliError, manner: Manner) {
    match manner {
        Manner::Json => eprintln!("{}", error.json()),
        Manner::Text => eprintln!("{error}"),
    }
}
