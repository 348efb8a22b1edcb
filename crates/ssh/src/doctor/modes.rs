//! The chain of owners and modes that StrictModes judges.

use super::words::shown;

/// A file or folder, as `ls -ldn` shows it.
struct Link<'a> {
    mode: &'a str,
    owner: &'a str,
    path: &'a str,
}

impl<'a> Link<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let path = line.find('/').and_then(|at| line.get(at..))?;
        let mut fields = line.split_whitespace();
        let mode = fields.next().filter(|mode| mode.len() >= 10)?;
        let owner = fields.nth(1)?;
        Some(Self { mode, owner, path })
    }

    fn writable(&self, at: usize) -> bool {
        self.mode.as_bytes().get(at) == Some(&b'w')
    }
}

/// What the chain shows: one line for each link, and what to do about the one that sshd met first.
pub(super) fn judge(listing: &str, user: &str) -> (Vec<String>, Option<String>) {
    let links: Vec<Link<'_>> = listing.lines().filter_map(Link::parse).collect();
    let mut lines = Vec::new();
    let mut hint = None;
    for link in &links {
        let (group, others) = (link.writable(5), link.writable(8));
        let what = match (group, others) {
            (_, true) => ", which others can write",
            (true, false) => ", which its group can write",
            (false, false) => "",
        };
        lines.push(shown(&format!("{} {} {}{what}", link.mode, link.owner, link.path)));
        // The last one that is wrong is the one that sshd met first: it goes up from the file.
        if link.mode.contains('t') {
            hint = Some(format!("on the host: keep the keys elsewhere than below {}", shown(link.path)));
        } else if group || others {
            hint = Some(format!("on the host: chmod go-w {}", shown(link.path)));
        } else if link.owner != "root" && link.owner != user {
            hint = Some(format!("on the host: chown {} {} (or root)", shown(user), shown(link.path)));
        }
    }
    (lines, hint)
}

/// The path and every folder above it.
pub(super) fn chain(path: &str) -> Vec<String> {
    let mut chain: Vec<String> =
        std::path::Path::new(path).ancestors().map(|p| p.display().to_string()).collect();
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_link_is_named() {
        let listing = "drwxr-xr-x 1 root root 4096 Nov  1 10:00 /\n\
                       drwxrwxr-x 2 alice users 4096 Nov  1 10:00 /home/alice\n";
        let (lines, hint) = judge(listing, "alice");
        assert_eq!(lines, ["drwxr-xr-x root /", "drwxrwxr-x alice /home/alice, which its group can write"]);
        assert_eq!(hint.as_deref(), Some("on the host: chmod go-w /home/alice"));
        let (_, hint) = judge("-rw------- 1 bob bob 0 Nov 1 10:00 /home/alice/.ssh/authorized_keys", "alice");
        assert_eq!(
            hint.as_deref(),
            Some("on the host: chown alice /home/alice/.ssh/authorized_keys (or root)")
        );
        let (_, hint) = judge("drwxrwxrwt 9 root root 0 Nov 1 10:00 /tmp", "alice");
        assert_eq!(hint.as_deref(), Some("on the host: keep the keys elsewhere than below /tmp"));
        assert_eq!(judge("rubbish\n", "alice"), (Vec::new(), None));
    }

    #[test]
    fn a_path_has_its_folders_above_it() {
        assert_eq!(chain("/home/a/.ssh"), ["/", "/home", "/home/a", "/home/a/.ssh"]);
    }
}
