//! A candidate for a mastership: run several, stop the one that leads, see another take over.
//!
//! `cargo run --package althing-client --example election -- 127.0.0.1:2181 10.0.0.7`

use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::recipes::election::Election;
use althing_client::runtime::Tokio;
use althing_client::sessions::Sessions;

const FILE: &str = "/payment/db/shard37/master_ip";

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or("127.0.0.1:2181".to_owned());
    let address = arguments.next().unwrap_or("10.0.0.7".to_owned());
    let sessions = Sessions::new(Tokio, ClientConfig::new([server]));
    loop {
        let client = sessions.client().await?;
        let election = Election::new(&client, FILE)?;
        if let Some(leader) = election.leader().await? {
            let leads = String::from_utf8_lossy(&leader.address);
            println!("{leads} leads, fenced by {}", leader.token);
        }
        match election.lead(address.as_str()).await {
            Ok(hold) => {
                println!("{address} leads, fenced by {}", hold.token());
                hold.lost().await;
                println!("{address} must stop");
            }
            // Another session, another try.
            Err(error) if error.ends_session() => println!("{error}"),
            Err(error) => return Err(error),
        }
    }
}
