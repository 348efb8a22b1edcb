//! Files that go to hosts, and files that come from them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::TextId;

/// Files to be copied to a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CopyStep {
    /// What is to be there: a JSON list of [`FileWanted`], in the plan's texts once for all hosts.
    pub manifest: TextId,
    /// Mode of every file, in octal; without one, that of the file which it replaces, or the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Owner of everything, `USER:GROUP`; without one, that of the file which it replaces, or who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether missing folders on the way are made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parents: bool,
    /// Whether it is done as root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
}

/// One thing that is to be on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWanted {
    /// Where: absolute, or from where the login begins.
    pub path: String,
    /// What.
    #[serde(flatten)]
    pub what: FileKind,
}

/// What a path is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FileKind {
    /// A file with the content of one of the controller's.
    File {
        /// The controller's file, absolute.
        source: PathBuf,
        /// Bytes.
        size: u64,
        /// Its content's hash.
        sha256: TextId,
        /// Permission bits.
        mode: u32,
    },
    /// A folder.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, as it stands in it.
        to: String,
    },
}

/// Files to be fetched from a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FetchStep {
    /// Which: absolute, or from where the login begins.
    pub paths: Vec<String>,
    /// The controller's folder in which each host has one of its own, absolute.
    pub into: PathBuf,
    /// Whether folders are fetched with all that is in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recursive: bool,
    /// Whether they are read as root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
}

/// Bytes as people read them: `512 B`, `1.5 KiB`, `64.0 MiB`.
pub fn amount(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = "KiB";
    for next in UNITS.into_iter().skip(1) {
        // What would be shown as 1024.0 is one of the next.
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_one_digit_behind_the_point() {
        let shown = [0, 1023, 1024, 1536, 1_048_575, 1_048_576, 64 << 20, 5_u64 << 40].map(amount);
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.0 MiB", "64.0 MiB", "5.0 TiB"]
        );
        assert!(amount(u64::MAX).ends_with("PiB"));
    }

    #[test]
    fn a_manifest_reads_back() {
        let file = FileWanted {
            path: "/etc/motd".to_owned(),
            what: FileKind::File {
                source: "/tmp/motd".into(),
                size: 3,
                sha256: TextId::of(b"abc"),
                mode: 0o644,
            },
        };
        let text = serde_json::to_string(&[&file]).unwrap();
        assert!(
            text.starts_with(r#"[{"path":"/etc/motd","kind":"file","source":"/tmp/motd","size":3,"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Vec<FileWanted>>(&text).unwrap(), [file]);
    }
}
