//! What four-letter words tell of gossip.

use std::fmt::{self, Write};

use althing_core::gossip::datagram::Refusal;
use althing_core::gossip::news::News;
use althing_core::gossip::peers::Vitality;
use althing_core::ids::ServerId;

use crate::figures::{Collection, Figures};
use crate::gossip::Survey;

/// What is counted and measured of gossip. The servers are the others.
pub fn figures(survey: Option<&Survey>, own: ServerId) -> Figures {
    let mut all = Collection::default();
    all.level("gossip_enabled", u8::from(survey.is_some()));
    let Some(Survey { peers, figures, .. }) = survey else {
        return all.0;
    };
    let others = || peers.iter().filter(|peer| peer.server != own);
    for vitality in Vitality::ALL {
        let count = others().filter(|peer| peer.vitality == vitality).count();
        all.level(&format!("gossip_servers_{}", vitality.name()), count);
    }
    all.count("gossip_suspicions", figures.suspicions);
    all.count("gossip_renewals", figures.renewals);
    all.count("gossip_datagrams_sent", figures.sent);
    all.count("gossip_datagrams_received", figures.heard);
    for refusal in Refusal::ALL {
        let count = figures.refused.get(&refusal).unwrap_or(&0);
        all.count(&format!("gossip_datagrams_{}", refusal.name()), *count);
    }
    all.0
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
