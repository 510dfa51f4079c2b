//! The session of the shell: opened when the first command needs it, and opened anew at will.

use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::{ClientConfig, ReadOnlyServers, SaslUser};
use althing_core::node::sasl::SASL;

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
    /// If an identity has no scheme, there are two by SASL, or a file of TLS is of no use.
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
        let mut connection = Connection {
            way: Way::of(flags)?,
            config,
            identities: Vec::new(),
            client: None,
        };
        for identity in given.chain(flags.auth.iter().map(String::as_str)) {
            connection.be(identity)?;
        }
        Ok(connection)
    }

    /// Takes on an identity in every session. One by SASL is proven before anything else is asked.
    fn be(&mut self, identity: &str) -> Result<(), CliError> {
        let usage = |what: &str| CliError::Usage(what.to_owned());
        let parts = identity.split_once(':');
        let (scheme, credential) =
            parts.ok_or_else(|| usage("an identity is SCHEME:CREDENTIAL"))?;
        if scheme != SASL {
            let identity = (scheme.to_owned(), credential.to_owned());
            self.identities.push(identity);
            return Ok(());
        }
        let parts = credential.split_once(':');
        let (name, password) =
            parts.ok_or_else(|| usage("an identity by SASL is sasl:USER:PASSWORD"))?;
        match self.config.sasl.replace(SaslUser::new(name, password)) {
            None => Ok(()),
            Some(_) => Err(usage("only one identity by SASL can be proven")),
        }
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
