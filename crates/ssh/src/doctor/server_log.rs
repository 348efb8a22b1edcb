//! The server's log, read over another login and filtered by our own source port.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use super::causes::{Cause, Diagnosis, diagnose, message};
use super::checkup::Layer;
use super::modes;
use super::words::shown;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::exec::Chunk;
use crate::target::Target;

const READ_LOG: &str = include_str!("read_log.sh");
/// More of an answer is not looked at.
const KEPT: usize = 256 * 1024;
/// How many lines are shown when the cause is not among them.
const LINES: usize = 6;
/// The script waits up to 5 s for the log.
const LIMIT: Duration = Duration::from_secs(30);

/// Another login through which the server's log is read.
#[derive(Debug, Clone)]
pub struct LogVia {
    /// Whom to log in as, and where.
    pub target: Target,
    /// The log file there; the journal and the usual files if `None`.
    pub file: Option<PathBuf>,
}

/// Adds to a refused layer what the server's log has about the connection from our `port`.
pub(super) async fn explain(
    connector: &Connector,
    via: &LogVia,
    port: u16,
    user: &str,
    layer: Layer,
) -> Layer {
    let connection = match connector.connect(&via.target).await {
        Ok(connection) => connection,
        Err(error) => {
            return layer.seen(shown(&format!("the server's log cannot be read: failed to {error}")));
        }
    };
    let layer = match timeout(LIMIT, read(&connection, via, port)).await {
        Ok(Ok(lines)) => told(&connection, &lines, port, user, layer).await,
        Ok(Err(why)) => layer.seen(format!("the server's log cannot be read: {why}")),
        Err(_) => layer.seen("the server's log cannot be read: no answer"),
    };
    connection.close().await;
    layer
}

async fn read(connection: &Connection, via: &LogVia, port: u16) -> Result<Vec<String>, String> {
    let file = via.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let script = format!("port={port}\nfile={}\n{READ_LOG}", quoted(&file));
    let (output, status) = run(connection, &script).await?;
    if status == Some(3) {
        let what = if file.is_empty() { "the journal and /var/log".to_owned() } else { shown(&file) };
        return Err(format!("{} may not read {what}", shown(connection.user())));
    }
    Ok(output.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// Runs a script for sh, whatever the login shell is.
async fn run(connection: &Connection, script: &str) -> Result<(String, Option<u32>), String> {
    let mut exec = connection.exec("exec sh").await.map_err(|error| shown(&error.to_string()))?;
    exec.stdin.write_all(script.as_bytes()).await.map_err(|error| shown(&error.to_string()))?;
    exec.stdin.eof();
    let (mut output, mut status) = (Vec::new(), None);
    while let Some(chunk) = exec.output.next().await {
        match chunk {
            Chunk::Stdout(bytes) => output.extend(bytes.iter().take(KEPT.saturating_sub(output.len()))),
            Chunk::Exit(code) => status = Some(code),
            _ => {}
        }
    }
    Ok((String::from_utf8_lossy(&output).into_owned(), status))
}

/// For sh: nothing is special between single quotes but the quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

async fn told(connection: &Connection, lines: &[String], port: u16, user: &str, layer: Layer) -> Layer {
    match diagnose(lines) {
        Diagnosis::Found(cause) => {
            let hint = cause.hint.replace("USER", &shown(user));
            let chain = chain(connection, &cause, user).await;
            let layer = layer.first(format!("the server's log: {}", cause.what)).seen(format!("its line: \"{}\"", cause.line));
            match chain {
                Some((links, mend)) => layer.seen_all(links).hint(mend.unwrap_or(hint)),
                None => layer.hint(hint),
            }
        }
        Diagnosis::Hidden => layer
            .seen("the server's log has our connection, and not the cause")
            .seen_all(lines.iter().rev().take(LINES).rev().map(|line| format!("its line: \"{}\"", message(line))))
            .hint(
                "LogLevel INFO hides why a key is refused: the key is not in authorized_keys, or an option before it refuses it; \
                 set LogLevel VERBOSE (or DEBUG) in the server's sshd_config, reload sshd, and ask again",
            ),
        Diagnosis::Silent => layer.seen(format!(
            "the server's log has nothing about our port {port}: it is elsewhere (--log-file), or our address is translated on \
             the way"
        )),
    }
}

/// The owners and modes from the root down to what StrictModes refused.
async fn chain(connection: &Connection, cause: &Cause, user: &str) -> Option<(Vec<String>, Option<String>)> {
    let path = cause.path.as_ref()?;
    let paths: Vec<String> = modes::chain(path).iter().map(|path| quoted(path)).collect();
    let script = format!("LC_ALL=C; export LC_ALL; ls -ld -- {}\n", paths.join(" "));
    let (listing, _) = timeout(LIMIT, run(connection, &script)).await.ok()?.ok()?;
    // `ls` sorts by name: a folder comes before what is in it.
    Some(modes::judge(&listing, user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_for_sh() {
        assert_eq!(quoted("a'b $(c)"), r"'a'\''b $(c)'");
    }
}
