//! Which state of the code plays, as git names it.

use std::env;
use std::path::Path;
use std::process::Command;

/// Digits of a commit's name that are told.
const DIGITS: &str = "--short=12";
/// What follows the name if the tree has changes that are in no commit.
const CHANGED: &str = "+changes";

/// The variable that names the commit where there is no repository to ask.
const VARIABLE: &str = "ALTHING_SIM_COMMIT";

/// The commit of the tree at `root`, if it is said or git knows one.
pub fn commit(root: &Path) -> Option<String> {
    let said = env::var(VARIABLE).ok().filter(|said| !said.is_empty());
    said.or_else(|| commit_of_git(root))
}

fn commit_of_git(root: &Path) -> Option<String> {
    let name = git(root, &["rev-parse", DIGITS, "HEAD"])?;
    let changes = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(match changes.is_empty() {
        true => name,
        false => format!("{name}{CHANGED}"),
    })
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let told = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output();
    // No git, or no repository: then it is not known.
    let told = told.ok().filter(|told| told.status.success())?;
    Some(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_repositories_nothing_is_known() {
        assert_eq!(commit_of_git(Path::new("/")), None);
    }
}
