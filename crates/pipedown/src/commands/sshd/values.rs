//! The values in force, and where each comes from.

use pipedown_model::sshd_keyword;
use pipedown_report::SshdValue;
use pipedown_steps::sshd::{SshdConfig, SshdEffective, SshdLine, SshdSeen, SshdSource, sshd_source};

/// The values that a file or the command line sets, or all of them. What is the same for every identity is told once.
pub fn values(seen: &SshdSeen, defaults: bool) -> Vec<SshdValue> {
    let config = SshdConfig::of(seen);
    let mut keywords: Vec<String> = Vec::new();
    let named = config.lines.iter().map(|line| line.keyword.as_str());
    let printed = seen.effective.iter().flat_map(|of| &of.values).map(|(keyword, _)| keyword.as_str());
    for keyword in named.chain(given(&seen.extra)).chain(printed.filter(|_| defaults)) {
        let keyword = sshd_keyword(keyword).map_or(keyword, |known| known.name);
        if !keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
            keywords.push(keyword.to_owned());
        }
    }
    keywords.iter().flat_map(|keyword| of_keyword(seen, &config, keyword)).collect()
}

/// The keywords that the command line sets (sshd(8)).
fn given(words: &[String]) -> Vec<&str> {
    let mut keywords = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let keyword = match word.as_str() {
            "-4" | "-6" => Some("AddressFamily"),
            "-q" => Some("LogLevel"),
            "-p" => words.next().map(|_| "Port"),
            "-h" => words.next().map(|_| "HostKey"),
            "-c" => words.next().map(|_| "HostCertificate"),
            "-g" => words.next().map(|_| "LoginGraceTime"),
            "-o" => words.next().and_then(|option| option.trim_start().split(['=', ' ', '\t']).next()),
            _ => None,
        };
        keywords.extend(keyword);
    }
    keywords
}

fn of_keyword(seen: &SshdSeen, config: &SshdConfig, keyword: &str) -> Vec<SshdValue> {
    let row = |value: String, identity: Option<String>, (from, ours)| SshdValue {
        keyword: keyword.to_owned(),
        value,
        identity,
        from,
        ours,
    };
    let mut rows: Vec<(String, (String, bool), Vec<&str>)> = Vec::new();
    for effective in &seen.effective {
        let value = value_of(effective, keyword);
        let from =
            if value.is_empty() { Default::default() } else { origin(seen, config, effective, keyword) };
        match rows.iter_mut().find(|(known, origin, _)| (known, origin) == (&value, &from)) {
            Some((.., users)) => users.push(&effective.identity.user),
            None => rows.push((value, from, vec![&effective.identity.user])),
        }
    }
    let alone = rows.len() == 1;
    let rows: Vec<SshdValue> = rows
        .into_iter()
        .filter(|(value, ..)| !value.is_empty())
        .map(|(value, from, users)| row(value, (!alone).then(|| users.join(", ")), from))
        .collect();
    if !rows.is_empty() {
        return rows;
    }
    // sshd prints no value: it would not take the files, nobody asked about is concerned, or the keyword has no effect.
    let mut lines = config.lines.iter().filter(|line| line.sets(keyword));
    let written = |line: &SshdLine| {
        let block = line.block.and_then(|index| config.blocks.get(index));
        let whom = block.map(|block| format!("Match {}", block.criteria));
        row(line.value.clone(), whom, (line.place.to_string(), line.ours))
    };
    lines.by_ref().map(written).collect()
}

/// What sshd prints, each value once; of keywords that add up all of them.
fn value_of(effective: &SshdEffective, keyword: &str) -> String {
    let mut values: Vec<String> = Vec::new();
    for value in effective.of(keyword) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values.join(", ")
}

/// The place that gives a value, and whether it is ours.
fn origin(seen: &SshdSeen, config: &SshdConfig, effective: &SshdEffective, keyword: &str) -> (String, bool) {
    let known = sshd_keyword(keyword);
    let same = |name: &str| name.eq_ignore_ascii_case(keyword) || known.is_some_and(|known| known.is(name));
    if given(&seen.extra).into_iter().any(same) {
        return ("command line".to_owned(), false);
    }
    let told = |lines: &[&SshdLine], word: &str, more: &[String]| {
        let places = lines.iter().map(|line| line.place.to_string()).chain(more.iter().cloned());
        (places.collect::<Vec<_>>().join(word), more.is_empty() && lines.iter().all(|line| line.ours))
    };
    match sshd_source(seen, config, effective, keyword) {
        SshdSource::Default => ("default".to_owned(), false),
        SshdSource::Lines(lines) => told(&lines, ", ", &[]),
        SshdSource::OneOf(lines) if lines.iter().any(|line| line.block.is_none()) => {
            told(&lines, " or ", &[])
        }
        SshdSource::OneOf(lines) => told(&lines, " or ", &["default".to_owned()]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{effective, seen};
    use super::*;

    fn told(values: &[SshdValue]) -> String {
        let line = |v: &SshdValue| {
            let whom = v.identity.as_ref().map(|whom| format!(" for {whom}")).unwrap_or_default();
            let ours = if v.ours { " ours" } else { "" };
            format!("{} {} {}{ours}{whom}\n", v.keyword, v.value, v.from.replace("/etc/ssh/", ""))
        };
        values.iter().map(line).collect()
    }

    #[test]
    fn each_value_has_its_line() {
        let main = "Include /etc/ssh/sshd_config.d/*.conf\nchallengeresponseauthentication no\nPort 22\nPort 2222\n\
                    LoginGraceTime 2m\nX11Forwarding yes\nUsePrivilegeSeparation yes\nAllowUsers root sftp\n\
                    Match User sftp\nX11Forwarding no\nMatch User nobody\nForceCommand true\n";
        let ours = "ClientAliveInterval 60\n";
        let mut seen =
            seen(&[("/etc/ssh/sshd_config", main), ("/etc/ssh/sshd_config.d/00-pipedown.conf", ours)]);
        let same = [
            "kbdinteractiveauthentication no",
            "logingracetime 120",
            "clientaliveinterval 60",
            "maxstartups 10:30:100",
        ];
        let ports = ["port 22", "port 2222", "allowusers root", "allowusers sftp"];
        let of = |user: &str, more: &[&str]| effective(user, &[&same, &ports, more].concat());
        seen.effective = vec![
            of("root", &["x11forwarding yes"]),
            of("deploy", &["x11forwarding yes"]),
            of("sftp", &["x11forwarding no"]),
        ];
        insta::assert_snapshot!(told(&values(&seen, false)));
        let all = told(&values(&seen, true));
        assert!(all.contains("MaxStartups 10:30:100 default\n"), "{all}");

        seen.extra = ["-p", "2222", "-o", "LoginGraceTime=120", "-q"].map(str::to_owned).to_vec();
        let told = told(&values(&seen, false));
        assert!(told.contains("Port 22, 2222 command line\n"), "{told}");
        assert!(told.contains("LoginGraceTime 120 command line\n"), "{told}");
    }

    #[test]
    fn files_that_sshd_does_not_take_are_shown_as_they_stand() {
        let mut seen = seen(&[("/etc/ssh/sshd_config", "Prot 22\nMatch User sftp\nPermitTTY no\n")]);
        seen.effective = vec![effective("root", &[])];
        assert_eq!(
            told(&values(&seen, false)),
            "Prot 22 sshd_config:1\nPermitTTY no sshd_config:3 for Match User sftp\n"
        );
    }
}
