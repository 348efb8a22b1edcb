//! Keys in files of all kinds: `.pub`, known_hosts, authorized_keys, output of ssh-keyscan.

use std::path::Path;

use data_encoding::BASE64;

use super::{HostKey, Place};

/// A public key that stands in a file, with what stands around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// Where.
    pub place: Place,
    /// The key.
    pub key: HostKey,
    /// What stands before the key: markers and host names, or options; empty if nothing does.
    pub before: String,
    /// What stands after it.
    pub comment: String,
}

/// Reads the keys of a file, whatever its kind: a line is one if a key's type and, as the next word, a key of that type
/// stand in it. `file` is used for places only.
pub fn read_keys(file: &Path, bytes: &[u8]) -> Vec<ListedKey> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().zip(1..);
    lines.filter_map(|(raw, line)| listed(Place { file: file.to_owned(), line }, raw)).collect()
}

fn listed(place: Place, raw: &str) -> Option<ListedKey> {
    let text = raw.trim();
    if text.starts_with('#') {
        return None;
    }
    let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    words.windows(2).enumerate().find_map(|(at, pair)| {
        let [kind, encoded] = pair else { return None };
        let key = HostKey::from_blob(BASE64.decode(encoded.as_bytes()).ok()?)?;
        (key.algorithm() == *kind).then(|| ListedKey {
            place: place.clone(),
            key,
            before: words.get(..at).unwrap_or_default().join(" "),
            comment: words.get(at.saturating_add(2)..).unwrap_or_default().join(" "),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_wherever_they_stand() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBs";
        let text = format!(
            "# web1:22 SSH-2.0-OpenSSH_9.2p1\nweb1 {key}\n@revoked * {key} old one\nbad line\n# x {key}\n{key} me@here\r\n"
        );
        let found = read_keys(Path::new("f"), text.as_bytes());
        let shown: Vec<_> =
            found.iter().map(|k| format!("{} [{}] [{}]", k.place, k.before, k.comment)).collect();
        assert_eq!(shown, ["f:2 [web1] []", "f:3 [@revoked *] [old one]", "f:6 [] [me@here]"]);
    }
}
