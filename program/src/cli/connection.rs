//! The session of the shell: opened when the first command needs it, and opened anew at will.

use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::{ClientConfig, ReadOnlyServers};

use crate::cli::arguments::Cli;
use crate::cli::error::CliError;
use crate::cli::way::Way;

/// Identities that are taken on in every session, separated by this in the variable.
const AUTH_SEPARATOR: char = '\n';

/// The variable with identities that the command line should not show.
const AUTH_VARIABLE: &str = "ALTHING_AUTH";

/// The session, and how to open another one.
#[derive(Debug)]
pub struct Connection {
    way: Way,
    config: ClientConfig,
    /// Scheme and credential.
    identities: Vec<(String, String)>,
    client: Option<Client<Way>>,
}

impl Connection {
    /// A session that is yet to be opened.
    ///
    /// # Errors
    /// If an identity has no scheme, or a file of TLS is of no use.
    pub fn new(flags: &Cli) -> Result<Connection, CliError> {
        let read_only_servers = match flags.read_only {
            true => ReadOnlyServers::Accepted,
            false => ReadOnlyServers::Refused,
        };
        let config = ClientConfig::new(flags.server.clone())
            .read_only_servers(read_only_servers)
            .session_timeout(Duration::from_millis(flags.timeout_ms))
            .connect_patience(Duration::from_millis(flags.patience_ms));
        let of_variable = std::env::var(AUTH_VARIABLE).unwrap_or_default();
        let given = of_variable
            .split(AUTH_SEPARATOR)
            .filter(|identity| !identity.is_empty());
        let identities: Result<Vec<_>, CliError> = given
            .chain(flags.auth.iter().map(String::as_str))
            .map(|identity| {
                let parts = identity.split_once(':');
                let (scheme, credential) = parts.ok_or_else(|| {
                    CliError::Usage("an identity is SCHEME:CREDENTIAL".to_owned())
                })?;
                Ok((scheme.to_owned(), credential.to_owned()))
            })
            .collect();
        Ok(Connection {
            way: Way::of(flags)?,
            config,
            identities: identities?,
            client: None,
        })
    }

    /// Opens a session, at these servers if there are any, and ends the one before.
    ///
    /// # Errors
    /// If no server gives one, or does not take an identity.
    pub async fn open(&mut self, servers: &[String]) -> Result<(), CliError> {
        self.close().await?;
        if !servers.is_empty() {
            self.config.servers = servers.to_vec();
        }
        let opened = Client::connect(self.way.clone(), self.config.clone()).await;
        let client = opened.map_err(|error| match self.way.complaint() {
            Some(why) => CliError::NoTls { error, why },
            None => CliError::about("")(error),
        })?;
        for (scheme, credential) in &self.identities {
            let taken = client.add_auth(scheme, credential.as_str()).await;
            taken.map_err(CliError::about(scheme))?;
        }
        self.client = Some(client);
        Ok(())
    }

    /// The session.
    ///
    /// # Errors
    /// If there is none.
    pub fn client(&self) -> Result<&Client<Way>, CliError> {
        self.client.as_ref().ok_or(CliError::NotConnected)
    }

    /// Ends the session, if there is one.
    ///
    /// # Errors
    /// If the server could not be told: then it keeps the session until its time-out.
    pub async fn close(&mut self) -> Result<(), CliError> {
        match self.client.take() {
            // A session that is over needs no farewell.
            Some(client) if !client.state().is_final() => {
                client.close().await.map_err(CliError::about(""))
            }
            _ => Ok(()),
        }
    }

    /// Where the session is, in a word, for the prompt.
    pub fn place(&self) -> String {
        let servers = self.config.servers.join(",");
        let state = match &self.client {
            Some(client) => format!("{:?}", client.state()).to_lowercase(),
            None => "closed".to_owned(),
        };
        let state = state.split(' ').next().unwrap_or_default().to_owned();
        format!("{servers}({state})")
    }
}
