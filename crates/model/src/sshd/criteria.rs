//! What stands behind `Match`.

use super::network::{SshdNetwork, SshdNetworkError};
use super::{SshdVersion, words::sshd_words};

/// Checks the criteria of a Match block.
///
/// # Errors
/// Says what is allowed, as a fragment that goes on after the criteria.
pub fn check_sshd_criteria(criteria: &str) -> Result<(), String> {
    const KNOWN: [&str; 8] =
        ["User", "Group", "Host", "LocalAddress", "LocalPort", "RDomain", "Address", "Version"];
    if criteria.chars().any(|c| c.is_control() && c != '\t') {
        return Err("must be one line without control characters".to_owned());
    }
    let words = sshd_words(criteria).ok_or("has a quote that is not closed")?;
    let single = |word: &String| ["all", "invalid-user"].iter().any(|s| word.eq_ignore_ascii_case(s));
    match words.as_slice() {
        [] => {
            return Err(
                "must name whom it is for: User sftp, Group staff, Address 192.0.2.0/24, All".to_owned()
            );
        }
        [one] if single(one) => return Ok(()),
        _ => {}
    }
    for pair in words.chunks(2) {
        let [name, patterns] = pair else {
            return Err(format!("has no pattern behind {}", pair.concat()));
        };
        if !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(format!("has \"{name}\" where one of {} (or All alone) goes", KNOWN.join(", ")));
        }
        let fits = |pattern: &str| match name.to_ascii_lowercase().as_str() {
            "localport" => pattern.parse().is_ok_and(|port: u16| port > 0),
            "address" => {
                let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
                SshdNetwork::parse(pattern) != Err(SshdNetworkError::Mask)
            }
            _ => !pattern.is_empty(),
        };
        if !patterns.split(',').all(fits) {
            return Err(format!("has \"{patterns}\" behind {name}, which takes no such pattern"));
        }
    }
    Ok(())
}

/// The criterion in these criteria that only newer releases know, and the first one that does.
pub fn sshd_criteria_need(criteria: &str) -> Option<(SshdVersion, &'static str)> {
    let words = sshd_words(criteria)?;
    let later = [(SshdVersion::new(10, 0), "Version"), (SshdVersion::new(9, 9), "Invalid-User")];
    later.into_iter().find(|(_, name)| words.iter().step_by(2).any(|word| word.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_checked() {
        for good in [
            "User sftp",
            "user a,b* Address 192.0.2.0/24,!192.0.2.7",
            "All",
            "LocalPort 2222",
            "Group \"domain users\"",
            "invalid-user",
        ] {
            assert_eq!(check_sshd_criteria(good), Ok(()), "{good}");
        }
        let bad = [
            "",
            "User",
            "Usr sftp",
            "Address 192.0.2.0/8",
            "LocalPort x",
            "all user x",
            "User \"a",
            "User a\nPort 1",
        ];
        let said: Vec<String> = bad
            .iter()
            .map(|bad| format!("Match {bad:?}: {}", check_sshd_criteria(bad).unwrap_err()))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn newer_criteria_name_their_release() {
        assert_eq!(sshd_criteria_need("Version x*"), Some((SshdVersion::new(10, 0), "Version")));
        assert_eq!(sshd_criteria_need("Invalid-user"), Some((SshdVersion::new(9, 9), "Invalid-User")));
        assert_eq!(sshd_criteria_need("User version"), None);
    }
}
