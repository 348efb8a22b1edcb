//! `pipedown hosts --from FILE --to FORMAT`: an inventory of one kind as one of another.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pipedown_plan::{Format, Notice};

use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// Conversion.
#[derive(Debug, Args)]
#[command(next_help_heading = "To convert an inventory")]
pub struct ConvertArgs {
    /// Read this inventory (FILE, FILE,FORMAT) and print it in another format; what is lost is told
    #[arg(long, value_name = "FILE[,FORMAT]")]
    from: Option<PathBuf>,
    /// The format to print
    #[arg(long, value_enum, requires = "from", default_value_t = To::Toml)]
    to: To,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// pipedown's own
    Toml,
    /// what Ansible takes from scripts
    Json,
    AnsibleIni,
    AnsibleYaml,
    /// groups.d/*.cfg
    Clustershell,
    SshConfig,
}

impl ConvertArgs {
    /// Whether an inventory is to be converted.
    pub fn is_asked_for(&self) -> bool {
        self.from.is_some()
    }
}

/// The inventory in the other format.
///
/// # Errors
/// When it cannot be read, or a name does not fit into the format.
pub fn run(around: &Surroundings, args: &ConvertArgs) -> Result<String, Stop> {
    let flag = args.from.as_ref().map(|from| named(from.clone()));
    let inventory = around.inventory_of(flag)??;
    let format = match args.to {
        To::Toml => Format::Toml,
        To::Json => Format::AnsibleJson,
        To::AnsibleIni => Format::AnsibleIni,
        To::AnsibleYaml => Format::AnsibleYaml,
        To::Clustershell => Format::ClusterShell,
        To::SshConfig => Format::SshConfig,
    };
    let (text, notices) = inventory.write(format)?;
    for Notice(text) in notices {
        around.note(&format!("note: {}", pipedown_report::printable(&text)));
    }
    Ok(text)
}

/// `FILE,FORMAT` as `-i` has it: `FORMAT:FILE`.
fn named(from: PathBuf) -> PathBuf {
    let parts = from.to_str().and_then(|text| text.rsplit_once(','));
    match parts.and_then(|(file, format)| Some((file, Format::named(format)?))) {
        Some((file, format)) => PathBuf::from(format!("{}:{file}", format.name())),
        None => from,
    }
}
