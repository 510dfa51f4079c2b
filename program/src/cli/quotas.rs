//! The commands for quotas: `setquota`, `listquota`, `delquota`, as zkCli has them.

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::quotas::Quota;
use althing_core::code::Code;
use althing_core::tree::quota::{LIMITS, Limits, QUOTAS, limits_path};

use crate::cli::answer::Answer;
use crate::cli::command::{DelQuota, SetQuota};
use crate::cli::error::CliError;
use crate::cli::way::Way;

/// `setquota`: one limit more, or another one; the others stay.
///
/// # Errors
/// [`CliError`]; also if a quota above or below is there, as in zkCli.
pub async fn set(client: &Client<Way>, flags: SetQuota) -> Result<Answer, CliError> {
    let path = flags.path;
    if path == "/" || path == "/zookeeper" || path.starts_with("/zookeeper/") {
        return Err(CliError::Usage(format!("cannot set a quota on {path}")));
    }
    let about = || CliError::about(&path);
    if client.exists(&path).await.map_err(about())?.is_none() {
        return Err(about()(ClientError::Server(Code::NoNode)));
    }
    if let Some(other) = nested(client, &path).await.map_err(about())? {
        return Err(CliError::Usage(format!(
            "{path} has a quota on {other} already"
        )));
    }
    let known = client.quota(&path).await.map_err(about())?;
    let known = known.map_or(Limits::default(), |quota| quota.limits);
    let limits = Limits {
        count: flags.count.or(known.count),
        bytes: flags.bytes.or(known.bytes),
        count_hard: flags.count_hard.or(known.count_hard),
        bytes_hard: flags.bytes_hard.or(known.bytes_hard),
    };
    client.set_quota(&path, limits).await.map_err(about())?;
    let quota = client.quota(&path).await.map_err(about())?;
    Ok(match quota.map(warnings) {
        Some(warnings) if !warnings.is_empty() => Answer::Said(warnings.join("\n")),
        _ => Answer::Done,
    })
}

/// `listquota`.
///
/// # Errors
/// [`CliError`].
pub async fn list(client: &Client<Way>, path: String) -> Result<Answer, CliError> {
    let quota = client.quota(&path).await.map_err(CliError::about(&path))?;
    Ok(match quota {
        Some(Quota { limits, usage }) => Answer::Quota {
            path,
            limits,
            usage,
        },
        None => Answer::Said(format!("quota for {path} does not exist.")),
    })
}

/// `delquota`: one limit, or the whole quota.
///
/// # Errors
/// [`CliError`].
pub async fn delete(client: &Client<Way>, flags: DelQuota) -> Result<Answer, CliError> {
    let path = flags.path;
    let about = || CliError::about(&path);
    let quota = client.quota(&path).await.map_err(about())?;
    let is_whole = !(flags.count || flags.bytes || flags.count_hard || flags.bytes_hard);
    if is_whole {
        let existed = client.remove_quota(&path).await.map_err(about())?;
        return Ok(told(existed, &path));
    }
    let Some(Quota { limits, .. }) = quota else {
        return Ok(told(false, &path));
    };
    let kept = |limit: Option<u64>, goes: bool| limit.filter(|_| !goes);
    let limits = Limits {
        count: kept(limits.count, flags.count),
        bytes: kept(limits.bytes, flags.bytes),
        count_hard: kept(limits.count_hard, flags.count_hard),
        bytes_hard: kept(limits.bytes_hard, flags.bytes_hard),
    };
    client.set_quota(&path, limits).await.map_err(about())?;
    Ok(Answer::Done)
}

fn told(existed: bool, path: &str) -> Answer {
    match existed {
        true => Answer::Done,
        false => Answer::Said(format!("Quota does not exist for {path}")),
    }
}

/// What zkCli says of limits that are exceeded from the beginning.
fn warnings(Quota { limits, usage }: Quota) -> Vec<String> {
    let is_less = |limits: [Option<u64>; 2], used| limits.iter().flatten().any(|most| *most < used);
    let mut warnings = Vec::new();
    for (what, limits, used) in [
        ("count", [limits.count, limits.count_hard], usage.count),
        ("bytes", [limits.bytes, limits.bytes_hard], usage.bytes),
    ] {
        if is_less(limits, used) {
            warnings.push(format!(
                "[Warning]: the {what} quota you create is less than the existing {what}:{used}"
            ));
        }
    }
    warnings
}

/// A path above or below that has a quota.
async fn nested(client: &Client<Way>, path: &str) -> Result<Option<String>, ClientError> {
    for (end, _) in path.match_indices('/').skip(1) {
        let above = &path[..end];
        if client.exists(&limits_path(above)).await?.is_some() {
            return Ok(Some(above.to_owned()));
        }
    }
    let mut open = vec![path.to_owned()];
    while let Some(parent) = open.pop() {
        let children = match client.children(&format!("{QUOTAS}{parent}")).await {
            Ok(children) => children.names,
            Err(ClientError::Server(Code::NoNode)) => continue,
            Err(error) => return Err(error),
        };
        if parent != path && children.iter().any(|name| &**name == LIMITS) {
            return Ok(Some(parent));
        }
        open.extend(children.iter().map(|name| format!("{parent}/{name}")));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use althing_core::tree::quota::Usage;

    use super::*;

    #[test]
    fn limits_that_are_exceeded_from_the_beginning_are_told_of() {
        let usage = Usage { count: 3, bytes: 9 };
        let quota = |limits| Quota { limits, usage };
        let exact = Limits {
            count: Some(3),
            bytes_hard: Some(9),
            ..Limits::default()
        };
        assert!(warnings(quota(exact)).is_empty());
        let less = Limits {
            count_hard: Some(2),
            bytes: Some(8),
            ..Limits::default()
        };
        let told = warnings(quota(less));
        assert_eq!(told.len(), 2);
        assert!(told[0].ends_with("the existing count:3"), "{told:?}");
        assert!(told[1].ends_with("the existing bytes:9"), "{told:?}");
    }
}
