//! `pipedown playbooks [NAME]`.

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_plan::{Notice, WindowNeed};
use pipedown_report::PlaybookRow;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{compiling, terminal};

/// Lists the playbooks: those in ./playbooks and the shipped ones. With a name, prints that playbook: copy it, change it,
/// run the file.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct PlaybooksArgs {
    /// Print this one
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

const HELP: &str = "\
Those in ./playbooks and the shipped ones. To make one of your own:

  pipedown playbooks graceful-shutdown > ./playbooks/ours.toml
  pipedown plan ours -l @login --at 18:00";

pub fn run(around: &Surroundings, args: &PlaybooksArgs) -> Result<ExitCode, Stop> {
    let catalog = compiling::catalog()?;
    let text = match &args.name {
        Some(name) => {
            let found = catalog.find(name)?;
            around.note(&format!("playbook: {} ({})", found.playbook.name(), found.playbook.origin()));
            found.playbook.text().to_owned()
        }
        None => {
            let (listed, notices) = catalog.list();
            for Notice(text) in notices {
                around.note(&format!("note: {text}"));
            }
            let mut rows = Vec::new();
            for playbook in listed {
                match playbook {
                    Ok(playbook) => rows.push(PlaybookRow {
                        name: playbook.name().to_owned(),
                        window: window_word(playbook.window()).to_owned(),
                        origin: playbook.origin().to_string(),
                        description: playbook.description().to_owned(),
                    }),
                    Err(e) => terminal::say(&Stop::from(e).render(around.colours(&std::io::stderr()))),
                }
            }
            if around.global.json {
                crate::commands::json_lines(&rows)?
            } else {
                pipedown_report::playbooks(&rows)
            }
        }
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

fn window_word(need: WindowNeed) -> &'static str {
    match need {
        WindowNeed::Required => "required",
        WindowNeed::Optional => "optional",
        WindowNeed::None => "none",
    }
}
