//! The whole, against files; and against ssh itself.

mod differential;
mod files;
mod generator;
mod hosts;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ConfigError, ConfigSource, Local, Request, SshConfig};

/// A home with files in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(home.path().join("etc")).unwrap();
        std::fs::create_dir_all(home.path().join(".ssh")).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn local(&self) -> Local {
        Local {
            home: Some(self.path().to_owned()),
            user: "ops".to_owned(),
            uid: rustix::process::getuid().as_raw(),
            own_group: None,
            host: "ctl.example.org".to_owned(),
            shell: PathBuf::from("/bin/sh"),
            system: self.path().join("etc"),
            variables: BTreeMap::from([("SITE".to_owned(), "paris".to_owned())]),
            home_of: |name| (name == "bob").then(|| PathBuf::from("/home/bob")),
        }
    }

    fn usual(&self) -> Result<SshConfig, ConfigError> {
        SshConfig::read(&ConfigSource::Usual, self.local())
    }

    /// What is printed, without where the home is.
    fn shown(&self, text: &str) -> String {
        text.replace(&self.path().display().to_string(), "HOME")
    }
}

/// Reads one text as the user's configuration.
fn config(text: &str) -> Result<SshConfig, ConfigError> {
    let home = Home::new();
    home.write(".ssh/config", text);
    home.usual()
}

fn target(text: &str, host: &str) -> crate::Target {
    config(text).unwrap().target(&Request::new(host)).unwrap()
}
