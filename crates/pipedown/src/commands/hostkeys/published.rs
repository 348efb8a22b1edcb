//! Keys that somebody has published: lists in files and on the web, and what consoles print.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pipedown_ssh::{KnownHosts, read_keys};
use serde_json::Value;

use super::collect::read;
use crate::stop::Stop;

/// The whole of a download.
const LIMIT: Duration = Duration::from_secs(60);
/// A list of 100,000 hosts with three keys each.
const MOST_BYTES: u64 = 128 * 1024 * 1024;

/// Reads a list: known_hosts lines, as ssh-keyscan and `hostkeys scan` print them, or JSON of `hostkeys scan --json`.
pub async fn list(source: &str) -> Result<KnownHosts, Stop> {
    let text = if source.contains("://") { download(source).await? } else { read(Path::new(source))? };
    let lines = if is_json(&text) { lines_of_json(source, &text)? } else { text };
    let mut list = KnownHosts::default();
    list.add(Path::new(source), &lines);
    if read_keys(Path::new(source), lines.as_bytes()).is_empty() {
        return Err(Stop::bad_input(format!("{source} holds no host key"))
            .hint("known_hosts lines, or what `pipedown hostkeys scan --json` prints"));
    }
    Ok(list)
}

/// Over TLS only: what anybody on the way may change vouches for nothing.
async fn download(url: &str) -> Result<String, Stop> {
    if !url.starts_with("https://") {
        return Err(Stop::usage(format!(
            "{url}: a list vouches for keys only if it comes over https, or from a file"
        )));
    }
    let url = url.to_owned();
    let getting =
        tokio::task::spawn_blocking(move || get(&url).map_err(|e| Stop::failed(format!("get {url}: {e}"))));
    getting.await.map_err(|e| Stop::failed(format!("get the list: {e}")))?
}

fn get(url: &str) -> Result<String, ureq::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = ureq::tls::RootCerts::PlatformVerifier;
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config =
        ureq::Agent::config_builder().tls_config(tls).https_only(true).timeout_global(Some(LIMIT)).build();
    let mut answer = ureq::Agent::new_with_config(config).get(url).call()?;
    answer.body_mut().with_config().limit(MOST_BYTES).read_to_string()
}

/// An object, or an array of some: known_hosts lines may begin with a bracket as well.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') || text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'))
}

/// The known_hosts lines in what `hostkeys scan --json` has printed.
fn lines_of_json(source: &str, text: &str) -> Result<String, Stop> {
    let mut lines = String::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|e| Stop::bad_input(format!("{source} is no JSON: {e}")))?;
        let rows = match &value {
            Value::Array(rows) => rows.iter().collect(),
            row => vec![row],
        };
        let keys = rows.into_iter().filter_map(|row| row.get("keys")?.as_array()).flatten();
        for line in keys.filter_map(|key| key.get("line")?.as_str()) {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// The SHA-256 fingerprints in a text, and those of keys in it: `ssh-keygen -l` lines, cloud-init's blocks between
/// `BEGIN` and `END SSH HOST KEY FINGERPRINTS` or `KEYS`, whatever stands before them on the line.
pub fn fingerprints(text: &str) -> Vec<String> {
    let keys = read_keys(Path::new("-"), text.as_bytes());
    let mut found: Vec<String> = keys.iter().map(|listed| listed.key.fingerprint()).collect();
    for word in text.split(|c: char| c.is_whitespace() || "()|,;\"'".contains(c)) {
        let is_digest = |digest: &str| {
            digest.len() == 43 && digest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        };
        if word.strip_prefix("SHA256:").is_some_and(is_digest) && !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBs";
    const FINGERPRINT: &str = "SHA256:rvfWuezNQiIeC7MtLurWLN8WhLPeaQpGwNcPqJ/oDBk";

    #[test]
    fn consoles_print_fingerprints_and_keys() {
        let cloud_init = format!(
            "[   12.5] cloud-init[812]: ci-info: no authorized SSH keys\n<14>Nov 22 12:00:00 web1 ec2: #####\n\
             <14>Nov 22 web1 ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----\n\
             <14>Nov 22 web1 ec2: 256 {FINGERPRINT} root@web1 (ED25519)\n\
             <14>Nov 22 web1 ec2: -----END SSH HOST KEY FINGERPRINTS-----\n"
        );
        assert_eq!(fingerprints(&cloud_init), [FINGERPRINT]);
        let keys = format!(
            "-----BEGIN SSH HOST KEY KEYS-----\n{KEY} root@web1\n-----END SSH HOST KEY KEYS-----\r\n"
        );
        assert_eq!(fingerprints(&keys), [FINGERPRINT]);
        assert_eq!(fingerprints(&(cloud_init + &keys)), [FINGERPRINT]);
        assert!(fingerprints("SHA256:short MD5:aa:bb\n").is_empty());
    }

    #[test]
    fn lists_of_json_are_lines_again() {
        assert!(is_json(" {\"host\"") && is_json("[ {}]") && !is_json("[web1]:2222 ssh-ed25519"));
        let line = format!("web1 {KEY}");
        let json = format!(
            "{{\"host\":\"web1\",\"keys\":[{{\"line\":\"{line}\"}}]}}\n{{\"host\":\"web2\",\"status\":\"refused\"}}\n"
        );
        assert_eq!(lines_of_json("x", &json).unwrap(), format!("{line}\n"));
        assert!(lines_of_json("x", "{").is_err());
    }

    #[tokio::test]
    async fn only_tls_vouches() {
        let stop = list("http://example.org/known_hosts").await.unwrap_err();
        assert!(stop.render(false).contains("only if it comes over https"), "{}", stop.render(false));
    }
}
