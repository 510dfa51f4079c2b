//! What is found where: commands, health, metrics.

use std::fmt::Write as _;

use althing::four_letter;
use althing::mail::{Counters, View};
use althing::shell::{Shell as _, Usage};
use althing_core::gossip::peers::Peer;
use althing_core::node::status::Role;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::admin::answers::{self, Fields, Length};
use crate::admin::command::Command;
use crate::admin::prometheus;
use crate::admin::restoring::{self, RESTORE};
use crate::admin::served::{Refused, Served, json_of};
use crate::admin::snapshot::{self, SNAPSHOT};

/// Everything.
pub fn admin(served: Served) -> Router {
    Router::new()
        .route("/commands", get(list))
        .route("/commands/", get(list))
        .route("/commands/snapshot", get(snapshot::snapshot))
        .route("/commands/snap", get(snapshot::snapshot))
        .route("/commands/restore", post(restoring::restore))
        .route("/commands/rest", post(restoring::restore))
        .route("/commands/{name}", get(command).post(command))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(scrape))
        .fallback(nothing)
        .with_state(served)
}

/// The metrics alone: they tell figures, and no names.
pub fn metrics(served: Served) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .fallback(nothing)
        .with_state(served)
}

async fn nothing() -> Response {
    json_of(
        StatusCode::NOT_FOUND,
        &json!({ "error": "there is nothing here" }),
    )
}

/// The commands, each with a link, as ZooKeeper lists them.
async fn list() -> Html<String> {
    let mut page = String::new();
    let names = Command::ALL.iter().map(|command| command.name());
    for name in names.chain([SNAPSHOT, RESTORE]) {
        writeln!(page, "<a href=\"/commands/{name}\">{name}</a><br/>")
            .expect("writing into a string does not fail");
    }
    Html(page)
}

async fn command(State(served): State<Served>, Path(name): Path<String>) -> Response {
    let Some(command) = Command::parse(&name) else {
        let told = json!({ "command": name, "error": format!("Unknown command: {name}") });
        return json_of(StatusCode::NOT_FOUND, &told);
    };
    let (status, error, mut fields) = match served.answer(command).await {
        Ok(fields) => (StatusCode::OK, Value::Null, fields),
        Err(Refused::Not(why)) => (StatusCode::OK, json!(why), Fields::new()),
        Err(Refused::Unserved) => {
            let why = four_letter::NOT_SERVING.trim_end();
            (StatusCode::SERVICE_UNAVAILABLE, json!(why), Fields::new())
        }
    };
    fields.insert("command".to_owned(), json!(command.name()));
    fields.insert("error".to_owned(), error);
    json_of(status, &Value::Object(fields))
}

impl Served {
    async fn answer(&self, command: Command) -> Result<Fields, Refused> {
        let desk = &self.desk;
        let described = desk.described.clone();
        let connections = desk.connections();
        match command {
            Command::Configuration => Ok(answers::configuration(desk)),
            Command::InitialConfiguration => Ok(answers::initial_configuration(&described)),
            Command::Environment => Ok(answers::environment(&described)),
            Command::Dirs => Ok(answers::dirs(&self.usage())),
            Command::LastSnapshot => Ok(answers::last_snapshot(&self.usage())),
            Command::Ruok => Ok(Fields::new()),
            Command::StatReset => Ok(self.reset(Counters::OfServer)),
            Command::ConnectionStatReset => Ok(self.reset(Counters::OfClients)),
            Command::Peers => self.peers().await,
            Command::Monitor => {
                let figures = four_letter::figures(desk, &self.shell).await;
                figures
                    .map(|all| answers::monitor(&all))
                    .ok_or(Refused::Unserved)
            }
            // A server that only looks for a leader takes no writes, but it is not read-only.
            Command::IsReadOnly => {
                let is_read_only = |view: &View<'_>| view.node.status().role == Role::ReadOnly;
                self.look(move |view| one("read_only", json!(is_read_only(view))))
                    .await
            }
            Command::ServerStats => {
                let usage = self.usage();
                self.look(move |view| answers::server_stats(view, connections, &usage))
                    .await
            }
            Command::Stats => {
                let usage = self.usage();
                let stats = move |view: &View<'_>| {
                    let mut told = answers::server_stats(view, connections, &usage);
                    told.extend(answers::connections(view, Length::Short));
                    told
                };
                self.look(stats).await
            }
            Command::Connections => {
                self.look(|view| answers::connections(view, Length::Long))
                    .await
            }
            Command::Dump => self.look(answers::dump).await,
            Command::Hash => self.look(answers::hash).await,
            Command::Leader => {
                let told = self
                    .look(move |view| answers::leader(view, &described))
                    .await?;
                told.map_err(Refused::Not)
            }
            Command::VotingView => {
                self.look(move |view| answers::voting_view(view, &described))
                    .await
            }
            Command::ZabState => {
                self.look(move |view| answers::zab_state(view, &described))
                    .await
            }
            Command::WatchSummary => self.look(answers::watch_summary).await,
            Command::Watches => self.look(answers::watches).await,
            Command::WatchesByPath => self.look(answers::watches_by_path).await,
        }
    }

    fn usage(&self) -> Usage {
        let usage = self.shell.usage(&self.desk.described.data_dir);
        usage.unwrap_or_default()
    }

    fn reset(&self, counters: Counters) -> Fields {
        self.desk.reset(counters);
        Fields::new()
    }

    async fn peers(&self) -> Result<Fields, Refused> {
        let survey = self.desk.survey(&self.shell).await;
        let survey = survey.ok_or(Refused::Not("this server does not gossip"))?;
        let peers: Vec<Value> = survey.peers.iter().map(peer).collect();
        Ok(one("peers", json!(peers)))
    }
}

fn peer(peer: &Peer) -> Value {
    let news = peer.news.as_ref().map(|(news, age)| {
        let report = &news.report;
        json!({
            "role": report.role.to_string(),
            "epoch": report.epoch.0,
            "leader": report.leader.map(|leader| leader.0),
            "applied_zxid": report.applied.to_wire(),
            "client": report.endpoint.as_str(),
            "version": report.release.as_str(),
            "age_ms": age.as_millis() as u64,
        })
    });
    json!({ "id": peer.server.0, "state": peer.vitality.name(), "news": news })
}

fn one(name: &str, value: Value) -> Fields {
    let mut fields = Fields::new();
    fields.insert(name.to_owned(), value);
    fields
}

/// Does the process live: does the node's thread answer? If not, it should be started again.
async fn live(State(served): State<Served>) -> Response {
    health(&served, |_| true).await
}

/// Should clients be sent here: does this server follow a leader, or lead?
async fn ready(State(served): State<Served>) -> Response {
    health(&served, |role| {
        !matches!(role, Role::Looking | Role::ReadOnly)
    })
    .await
}

async fn health(served: &Served, good: fn(Role) -> bool) -> Response {
    let role = served.look(|view| view.node.status().role).await.ok();
    let state = role.map_or("unanswering", althing::figures::role_name);
    let status = match role.is_some_and(good) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_of(
        status,
        &json!({ "ok": status == StatusCode::OK, "server_state": state }),
    )
}

async fn scrape(State(served): State<Served>) -> Response {
    match four_letter::figures(&served.desk, &served.shell).await {
        Some(figures) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
            (kind, prometheus::text(&figures)).into_response()
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
