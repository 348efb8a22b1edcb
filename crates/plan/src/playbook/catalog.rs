//! Where playbooks are found: a path, the folder `playbooks`, this program.

use std::path::{Path, PathBuf};

use super::{Origin, Playbook};
use crate::diagnostic::{Source, nearest, quoted};
use crate::inventory::Notice;
use crate::{PlanError, files};

/// The shipped playbooks; users read them as examples.
const BUILT_IN: [(&str, &str); 10] = [
    ("graceful-shutdown", include_str!("../../../../playbooks/graceful-shutdown.toml")),
    ("graceful-reboot", include_str!("../../../../playbooks/graceful-reboot.toml")),
    ("rolling-reboot", include_str!("../../../../playbooks/rolling-reboot.toml")),
    ("nologin-on", include_str!("../../../../playbooks/nologin-on.toml")),
    ("nologin-off", include_str!("../../../../playbooks/nologin-off.toml")),
    ("announce", include_str!("../../../../playbooks/announce.toml")),
    ("keepalive-rollout", include_str!("../../../../playbooks/keepalive-rollout.toml")),
    ("sshd-settings", include_str!("../../../../playbooks/sshd-settings.toml")),
    ("sshd-loglevel", include_str!("../../../../playbooks/sshd-loglevel.toml")),
    ("sshd-hardening", include_str!("../../../../playbooks/sshd-hardening.toml")),
];

/// The places where playbooks are looked for.
#[derive(Debug, Clone)]
pub struct Catalog {
    current: PathBuf,
    uid: u32,
}

/// A playbook that was found, and what there is to say about it.
#[derive(Debug)]
pub struct Found {
    /// The playbook; its origin is to be printed.
    pub playbook: Playbook,
    /// To be printed before it.
    pub notices: Vec<Notice>,
}

impl Catalog {
    /// Looks below the current folder, for the user of that id.
    pub fn new(current: &Path, uid: u32) -> Self {
        Self { current: current.to_path_buf(), uid }
    }

    /// Finds a playbook: a path (with a `/` or ending in `.toml`), a name in `./playbooks` unless others
    /// can write there, a built-in one.
    ///
    /// # Errors
    /// When there is none of that name, or it is not valid.
    pub fn find(&self, name: &str) -> Result<Found, PlanError> {
        if name.contains('/') || name.ends_with(".toml") {
            let path = self.current.join(name).components().collect::<PathBuf>();
            let notices = files::exposed(&path, self.uid)
                .map(|why| Notice(format!("{} can be changed by others: {why}", path.display())))
                .into_iter()
                .collect();
            return Ok(Found { playbook: from_file(&path)?, notices });
        }
        let mut notices = Vec::new();
        for path in files::playbooks(&self.current) {
            if path.file_stem().is_some_and(|stem| stem == name) {
                match self.exposed(&path) {
                    None => return Ok(Found { playbook: from_file(&path)?, notices }),
                    Some(why) => notices.push(skipped(&path, &why)),
                }
            }
        }
        if let Some(playbook) = built_in(name) {
            return Ok(Found { playbook: playbook?, notices });
        }
        Err(self.unknown(name))
    }

    /// All playbooks that [`Self::find`] finds by name, each valid or with what is wrong with it.
    pub fn list(&self) -> (Vec<Result<Playbook, PlanError>>, Vec<Notice>) {
        let mut listed = Vec::new();
        let mut notices = Vec::new();
        let mut seen = Vec::new();
        for path in files::playbooks(&self.current) {
            match self.exposed(&path) {
                Some(why) => notices.push(skipped(&path, &why)),
                None => {
                    seen.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
                    listed.push(from_file(&path));
                }
            }
        }
        let hidden = |name: &str| seen.iter().any(|seen| seen == name);
        listed
            .extend(BUILT_IN.iter().filter(|(name, _)| !hidden(name)).filter_map(|(name, _)| built_in(name)));
        (listed, notices)
    }

    /// A file of the folder is as safe as the folder, and that as safe as where it is.
    fn exposed(&self, path: &Path) -> Option<String> {
        files::exposed(path, self.uid).or_else(|| files::exposed(path.parent()?, self.uid))
    }

    fn unknown(&self, name: &str) -> PlanError {
        let local: Vec<String> = files::playbooks(&self.current)
            .iter()
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        let known: Vec<&str> =
            BUILT_IN.iter().map(|(name, _)| *name).chain(local.iter().map(String::as_str)).collect();
        let near = nearest(name, &known);
        Source::new("PLAYBOOK", name)
            .error(0..name.len(), format!("there is no playbook `{name}`"))
            .suggest(match near.as_slice() {
                [] => format!("there are {}; a path needs a `/` or the ending .toml", quoted(&known)),
                near => format!("did you mean {}?", quoted(near)),
            })
            .into()
    }
}

fn skipped(path: &Path, why: &str) -> Notice {
    Notice(format!("skipped {}, which can be changed by others: {why}", path.display()))
}

fn from_file(path: &Path) -> Result<Playbook, PlanError> {
    let source = files::read(path)?;
    let origin = Origin::File(source.name().to_owned());
    Ok(Playbook::parse(source, origin)?)
}

fn built_in(name: &str) -> Option<Result<Playbook, PlanError>> {
    let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    let source = Source::new(&format!("{name} (built in)"), text);
    Some(Playbook::parse(source, Origin::BuiltIn).map_err(PlanError::from))
}
