//! What a playbook wants of sshd's configuration, and what sshd_config(5) knows.

mod criteria;
mod keywords;
mod network;
mod step;
mod value;
mod version;
mod words;

pub use criteria::{check_sshd_criteria, sshd_criteria_need};
pub use keywords::{SshdKeyword, SshdNarrows, nearest_sshd_keyword, sshd_keyword, sshd_keywords, sshd_notes};
pub use network::{SshdNetwork, SshdNetworkError};
pub use step::{SshdMatch, SshdSetting, SshdStep, SshdUnset};
pub use value::{SshdValue, sshd_seconds};
pub use version::SshdVersion;
pub use words::sshd_words;
