//! What there is to be fetched.

use std::collections::HashMap;

use pipedown_model::TextId;

use crate::StepError;
use crate::files::channel::{Channels, Said, patience, words};
use crate::fragment;

const CALL: &str = "the list of files";
/// How much may have to be summed up before the first answer: some 60 GiB.
const MOST: u64 = 64 << 30;

/// One thing on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) what: Listing,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Where it is on the host.
    pub(crate) path: String,
    /// Where it goes below the host's folder, without `.` and `..`.
    pub(crate) name: String,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listing {
    File { size: u64, sum: TextId },
    Folder,
    Link { to: String },
}

impl Listed {
    /// Size and sum, if it is a file.
    pub(crate) fn content(&self) -> Option<(u64, TextId)> {
        match self.what {
            Listing::File { size, sum } => Some((size, sum)),
            Listing::Folder | Listing::Link { .. } => None,
        }
    }
}

/// Lists what is asked for.
pub(crate) async fn list(
    channels: &dyn Channels,
    paths: &[String],
    recursive: bool,
) -> Result<Vec<Listed>, StepError> {
    let deep = if recursive { "r" } else { "-" };
    let args = std::iter::once(deep.to_owned()).chain(paths.iter().cloned());
    let mut exec = channels.start(words(fragment::files_list(), args)).await?;
    exec.stdin.eof();
    let said = Said::read(CALL, &mut exec.output, patience(MOST)).await?;
    if let Some(tool) = said.failed().and_then(|why| why.strip_prefix("tool ").map(str::to_owned)) {
        return Err(StepError::File {
            text: format!("look at files on the host: it has no {tool}"),
            hint: Some("install coreutils, busybox or openssl there"),
        });
    }
    if !said.is_well() {
        return Err(said.ended(CALL));
    }
    parse(&said.stdout)
}

fn error(text: String, hint: Option<&'static str>) -> StepError {
    StepError::File { text, hint }
}

fn parse(bytes: &[u8]) -> Result<Vec<Listed>, StepError> {
    let unread = |line: &str| StepError::Unread { call: CALL, line: line.to_owned(), wanted: "an answer" };
    let text = std::str::from_utf8(bytes).map_err(|_| {
        error(
            "list the files: a name there is not UTF-8".to_owned(),
            Some("rename it on the host, or fetch the others by their names"),
        )
    })?;
    let mut fields = text.split('\0');
    let mut listed: Vec<Listed> = Vec::new();
    // What has each name, of all but folders.
    let mut named = HashMap::new();
    // What was asked for, and where that is.
    let mut root = (String::new(), String::new());
    while let Some(head) = fields.next().filter(|head| !head.is_empty()) {
        let (Some(path), Some(more)) = (fields.next(), fields.next()) else { return Err(unread(head)) };
        let (kind, size, mode, sum) = header(head).ok_or_else(|| unread(head))?;
        let what = match kind {
            "t" => {
                root = (path.to_owned(), more.to_owned());
                continue;
            }
            "f" => Listing::File { size, sum: TextId::parse(sum).map_err(|_| unread(head))? },
            "d" => Listing::Folder,
            "l" => Listing::Link { to: more.to_owned() },
            "a" => {
                let text = format!("fetch {}: there is no such file", root.0);
                return Err(error(text, Some("names are taken as they are: `*` finds nothing")));
            }
            "u" => {
                let text = format!("fetch {path}: permission denied");
                return Err(error(text, Some("--sudo reads as root")));
            }
            // Sockets and devices are nothing to fetch.
            "s" if path != root.1 => continue,
            "s" => return Err(error(format!("fetch {path}: it is neither a file nor a folder"), None)),
            _ => return Err(unread(head)),
        };
        let name = below(&root.0, &root.1, path).ok_or_else(|| {
            error(format!("fetch {path}: the host gives it a name that leads elsewhere"), None)
        })?;
        if let Some(first) = named.get(&name) {
            let text = format!("fetch {path}: {first} has the same name");
            return Err(error(text, Some("fetch them into different folders")));
        }
        if what != Listing::Folder {
            named.insert(name.clone(), path);
        }
        listed.push(Listed { what, mode, path: path.to_owned(), name });
    }
    Ok(listed)
}

fn header(head: &str) -> Option<(&str, u64, u32, &str)> {
    let mut words = head.split(' ');
    let (kind, size, mode, sum) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some((kind, size.parse().ok()?, u32::from_str_radix(mode, 8).ok()?, sum))
}

/// The name below the host's folder: the last part of what was asked for, and what lies in it. A host does not get to
/// choose any other place on this machine.
fn below(asked: &str, root: &str, path: &str) -> Option<String> {
    let base = asked.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let base = if matches!(base, "" | "." | "..") { "root" } else { base };
    let rest = path.strip_prefix(root)?;
    if !rest.is_empty() && !rest.starts_with('/') && !root.ends_with('/') {
        return None;
    }
    let mut name = base.to_owned();
    for part in rest.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return None;
        }
        name.push('/');
        name.push_str(part);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: &str, sum: &str, path: &str, more: &str) -> String {
        format!("{kind} 3 640 {sum}\0{path}\0{more}\0")
    }

    #[test]
    fn names_may_hold_anything_but_lead_nowhere_else() {
        let sum = TextId::of(b"abc").hex();
        let text = [
            record("t", "-", "/etc/app/", "/etc/app"),
            record("d", "-", "/etc/app", ""),
            record("f", &sum, "/etc/app/two\nlines", ""),
            record("l", "-", "/etc/app/link", "../elsewhere"),
        ]
        .concat();
        let listed = parse(text.as_bytes()).unwrap();
        let names: Vec<&str> = listed.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["app", "app/two\nlines", "app/link"]);
        assert_eq!(listed[2].what, Listing::Link { to: "../elsewhere".to_owned() });
        for evil in ["/etc/app/../../home/me/.ssh/authorized_keys", "/home/me", "/etc/apple"] {
            let text = record("t", "-", "/etc/app", "/etc/app") + &record("f", &sum, evil, "");
            assert!(parse(text.as_bytes()).is_err(), "{evil}");
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_named() {
        let said = |kind: &str| {
            let text = record("t", "-", "/x", "/x") + &record(kind, "-", "/x", "");
            parse(text.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(said("a"), "fetch /x: there is no such file");
        assert_eq!(said("u"), "fetch /x: permission denied");
        assert_eq!(said("s"), "fetch /x: it is neither a file nor a folder");
        assert!(parse(b"f 1 644").is_err());
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_hosts_folder(root in "/?[a-c./]{0,8}", path in "/?[a-c./]{0,12}") {
            if let Some(name) = below(&root, &root, &path) {
                prop_assert!(!name.starts_with('/'));
                prop_assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", name);
            }
        }
    }
}
