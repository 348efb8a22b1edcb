//! What would change, as a unified diff.

use similar::TextDiff;

use super::{SshdCandidate, SshdChange, SshdSeen};

impl SshdCandidate {
    /// The unified diff of all files, with three lines around each change; empty if nothing changes.
    pub fn diff(&self, seen: &SshdSeen) -> String {
        self.changes.iter().map(|change| of_file(seen, change)).collect()
    }
}

fn of_file(seen: &SshdSeen, change: &SshdChange) -> String {
    let old = seen.files.iter().find(|file| file.path == change.path).map(|file| file.text.as_str());
    let new = change.text.as_deref();
    let name = |text: Option<&str>| if text.is_some() { change.path.as_str() } else { "/dev/null" };
    TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default())
        .unified_diff()
        .context_radius(3)
        .header(name(old), name(new))
        .to_string()
}
