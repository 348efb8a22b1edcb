//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

use super::value::Place;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner and root could have written a file: what it says may not be meant.
    #[error("read {}: its owner or its permissions (mode {mode:04o}) let others write it", file.display())]
    Unsafe {
        /// The file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A line cannot be meant so.
    #[error("read {place}: {text}")]
    Line {
        /// Which line.
        place: Place,
        /// What is wrong with it.
        text: String,
    },
    /// A value cannot be used for this host.
    #[error("take {keyword} for {host} from {place}: {text}")]
    Value {
        /// The host.
        host: String,
        /// The keyword.
        keyword: &'static str,
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        text: String,
    },
    /// A name or user that a shell could misread; ssh refuses it as well.
    #[error("take {text:?} as {what}: it has characters that a shell could misread")]
    Name {
        /// The name.
        text: String,
        /// `a host name` or `a user name`.
        what: &'static str,
    },
    /// The way to a host leads through itself.
    #[error("find the way to {host}: ProxyJump goes in a circle: {}", way.join(" -> "))]
    Circle {
        /// The host.
        host: String,
        /// The way, as far as it was followed.
        way: Vec<String>,
    },
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "name another file with -F, or none with `-F none`",
            Self::Unsafe { .. } => {
                "chmod go-w it, and see that it belongs to you or to root; ssh refuses it as well"
            }
            Self::Line { .. } => "correct the line (ssh_config(5)), or leave the file out with `-F none`",
            Self::Value { .. } => {
                "correct the line (ssh_config(5)); `pipedown hosts HOST --effective` shows where values come from"
            }
            Self::Name { .. } => "give another name in the inventory and the real one as `address`",
            Self::Circle { .. } => {
                "say `ProxyJump none` for the first host on the way, above the line that sends it through itself"
            }
        }
    }
}
