//! A host's sshd as the scenarios about its configuration see it, from outside.

use crate::harness::{Lab, secs};

/// Whether root and deploy can log in with OpenSSH's client: the first try counts, unless a host is as busy as that.
pub fn lets_in(lab: &Lab, host: &str) -> Result<(), String> {
    for user in ["root", "deploy"] {
        let tries = (0..10).map(|_| lab.call(&["ssh", &format!("{user}@{host}"), "id -un"]));
        let mut said = String::new();
        let is_in = tries.into_iter().any(|output| {
            said = String::from_utf8_lossy(&output.stderr).into_owned();
            output.status.success() && output.stdout == format!("{user}\n").into_bytes()
        });
        if !is_in {
            return Err(format!("{user} cannot log in to {host}: {said}"));
        }
    }
    Ok(())
}

/// The effective value of a keyword, in lower case, for a user, as the files say it.
pub fn effective(lab: &Lab, host: &str, user: &str, keyword: &str) -> String {
    // An empty /run/sshd is what sshd wants to see first, where it is not up.
    let script = format!("mkdir -p /run/sshd && /usr/sbin/sshd -T -C user={user},host=x,addr=10.77.0.1");
    let said = lab.sh(host, &script);
    let line = said.lines().find_map(|l| l.strip_prefix(&format!("{keyword} ")));
    line.unwrap_or_else(|| panic!("{keyword} is not in {said}")).to_owned()
}

/// The files below /etc/ssh with mode, owner and content.
pub fn files(lab: &Lab, host: &str) -> String {
    let script = "find . -printf '%m %U:%G %p\\n' | sort -k3; find . -type f -exec sha256sum {} + | sort -k2";
    lab.sh(host, &format!("cd /etc/ssh && {{ {script}; }}"))
}

/// The same with the times of the last change of content and of attributes, folders too, and what pipedown has there.
pub fn times(lab: &Lab, host: &str) -> String {
    lab.sh(host, "find /etc/ssh /etc/systemd/system /etc/init.d /var/lib/pipedown -printf '%p %m %T@ %C@\\n' 2>/dev/null | sort")
}

/// The sockets that the listener listens on: other ones after a reload.
pub fn sockets(lab: &Lab, host: &str) -> String {
    lab.sh(host, "ls -l /proc/$(cat /run/sshd.pid)/fd | sed -n 's/.*\\(socket:.*\\)/\\1/p' | sort")
}

/// How many requests a client that is idle for nine seconds gets, as OpenSSH's own client counts them.
pub fn keepalives(lab: &Lab, host: &str) -> usize {
    let output = lab.call(&["ssh", &format!("root@{host}"), "-v", "sleep 9"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{host}: {said}");
    said.matches("rtype keepalive@openssh.com").count()
}

/// Makes a host's sshd read its files.
pub fn reload(lab: &Lab, host: &str) {
    let before = sockets(lab, host);
    lab.sh(host, "if [ -d /run/systemd/system ]; then systemctl reload ssh; else /etc/init.d/ssh reload >/dev/null; fi");
    let condition = format!(
        "now=$(ls -l /proc/$(cat /run/sshd.pid)/fd | sed -n 's/.*\\(socket:.*\\)/\\1/p' | sort) && [ \"$now\" ] && [ \"$now\" != '{}' ]",
        before.trim_end()
    );
    lab.wait_until(host, &condition, secs(60));
}

/// The lab's inventory with `logins` for some hosts.
pub fn inventory(lab: &Lab, hosts: &[&str], logins: &str) -> String {
    let mut text = lab.inventory();
    for host in hosts {
        let section = format!("[hosts.{host}]\n");
        assert!(text.contains(&section), "{text}");
        text = text.replace(&section, &format!("{section}logins = [{logins}]\n"));
    }
    text
}
