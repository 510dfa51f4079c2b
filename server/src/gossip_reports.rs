//! What four-letter words tell of gossip.

use std::fmt::{self, Write};

use althing_core::gossip::datagram::Refusal;
use althing_core::gossip::news::News;
use althing_core::gossip::peers::Vitality;
use althing_core::ids::ServerId;

use crate::gossip::Survey;

/// The part of `mntr` that gossip has. The servers are the others.
pub fn mntr(survey: Option<&Survey>, own: ServerId, out: &mut String) -> fmt::Result {
    let mut pair = |key: &str, value: &dyn fmt::Display| writeln!(out, "zk_gossip_{key}\t{value}");
    pair("enabled", &u8::from(survey.is_some()))?;
    let Some(Survey { peers, figures, .. }) = survey else {
        return Ok(());
    };
    let others = || peers.iter().filter(|peer| peer.server != own);
    for vitality in Vitality::ALL {
        let count = others().filter(|peer| peer.vitality == vitality).count();
        pair(&format!("servers_{}", vitality.name()), &count)?;
    }
    pair("suspicions", &figures.suspicions)?;
    pair("renewals", &figures.renewals)?;
    pair("datagrams_sent", &figures.sent)?;
    pair("datagrams_received", &figures.heard)?;
    for refusal in Refusal::ALL {
        let count = figures.refused.get(&refusal).unwrap_or(&0);
        pair(&format!("datagrams_{}", refusal.name()), count)?;
    }
    Ok(())
}

/// `peers`: what gossip knows of every server, one a line. What is not known is a dash.
pub fn peers(survey: &Survey, own: ServerId, out: &mut String) -> fmt::Result {
    let dash = || "-".to_owned();
    let mut line = |cells: [&str; 10]| {
        let [
            id,
            state,
            role,
            epoch,
            leader,
            zxid,
            endpoint,
            version,
            age_ms,
            me,
        ] = cells;
        write!(
            out,
            "{id:<4}{state:<9}{role:<10}{epoch:<8}{leader:<8}{zxid:<20}"
        )?;
        writeln!(out, "{endpoint:<24}{version:<10}{age_ms:<9}{me}")
    };
    line([
        "id", "state", "role", "epoch", "leader", "zxid", "client", "version", "age_ms", "self",
    ])?;
    for peer in &survey.peers {
        let me = if peer.server == own { "yes" } else { "no" };
        let (id, state) = (peer.server.to_string(), peer.vitality.name());
        let Some((News { report, .. }, age)) = &peer.news else {
            line([&id, state, "-", "-", "-", "-", "-", "-", "-", me])?;
            continue;
        };
        let text = |label: &str| match label.is_empty() {
            true => dash(),
            false => format!("{label} "),
        };
        line([
            &id,
            state,
            &report.role.to_string(),
            &report.epoch.to_string(),
            &report.leader.map_or_else(dash, |leader| leader.to_string()),
            &format!("{:#x}", report.applied.to_wire()),
            &text(report.endpoint.as_str()),
            &text(report.release.as_str()),
            &age.as_millis().to_string(),
            me,
        ])?;
    }
    Ok(())
}
