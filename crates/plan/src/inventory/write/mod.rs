//! Prints an inventory in any format, and says what that format cannot hold.

mod ansible_ini;
mod ansible_json;
mod ansible_yaml;
mod clustershell;
mod ssh_config;
mod toml;
mod values;

use std::path::Path;

use super::compare::differences;
use super::{Beside, Format, Inventory, Notice};
use crate::diagnostic::{InputError, Source};

impl Inventory {
    /// Prints the inventory in a format. What the format cannot hold is told: the text is read again, and compared.
    ///
    /// # Errors
    /// When the text is no inventory of that format, because a name does not fit into it.
    pub fn write(&self, format: Format) -> Result<(String, Vec<Notice>), InputError> {
        let text = match format {
            Format::Toml => toml::write(self),
            Format::AnsibleIni => ansible_ini::write(self),
            Format::AnsibleYaml => ansible_yaml::write(self),
            Format::AnsibleJson => ansible_json::write(self),
            Format::ClusterShell => clustershell::write(self),
            Format::SshConfig => ssh_config::write(self),
        };
        let source = Source::new(&format!("{} of {}", format.name(), self.path()), &text);
        let again = Self::read(&source, format, &Beside { folder: Path::new("/"), home: None, vars: &[] })?;
        Ok((text, differences(self, &again)))
    }
}
