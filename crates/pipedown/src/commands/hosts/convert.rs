//! `pipedown hosts --from FILE --to FORMAT`: an inventory of one kind as one of another.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use pipedown_plan::{Format, Notice, Source};

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
    let flag = args.from.as_deref().map(named).transpose()?;
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

/// `FILE,FORMAT` as `-i` has it: `FORMAT:FILE`. Formats have here the names of `--to` too.
///
/// # Errors
/// When there is no such file, and what stands behind the comma is no format.
fn named(from: &Path) -> Result<PathBuf, Stop> {
    let Some((text, (file, format))) = from.to_str().and_then(|text| Some((text, text.rsplit_once(',')?)))
    else {
        return Ok(from.to_owned());
    };
    let known = if format == "json" { Some(Format::AnsibleJson) } else { Format::named(format) };
    match known {
        Some(known) => Ok(PathBuf::from(format!("{}:{file}", known.name()))),
        None if from.exists() => Ok(from.to_owned()),
        None => {
            let place = text.len() - format.len()..text.len();
            let error =
                Source::new("--from", text).error(place, format!("`{format}` is no kind of inventory"));
            Err(error.suggest_among(format, Format::ALL.map(Format::name)).into())
        }
    }
}
