//! `pipedown hosts SET --effective`: who logs in where, and which file says so.

use pipedown_model::{ExitCode, HostName};
use pipedown_plan::Inventory;
use pipedown_report::EffectiveRow;
use pipedown_ssh::{EffectiveSetting, Origin, Request, Settings};

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{targets, terminal};

/// Every value of every host, with where it comes from.
pub fn run(around: &Surroundings, set: &str) -> Result<ExitCode, Stop> {
    let inventory = around.inventory_if_any()?;
    let targets = around.targets()?;
    let usual = around.home().map_or_else(Settings::default, Settings::for_home);
    let mut rows = Vec::new();
    for request in targets::chosen(inventory.as_deref(), set, &mut around.outside())? {
        let settings = targets.settings(&request, &usual)?;
        rows.extend(
            settings.into_iter().map(|setting| effective_row(inventory.as_deref(), &request, setting)),
        );
    }
    let text = if around.global.json {
        crate::commands::json_lines(&rows)?
    } else {
        pipedown_report::effective(&rows)
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

fn effective_row(
    inventory: Option<&Inventory>,
    request: &Request,
    setting: EffectiveSetting,
) -> EffectiveRow {
    let EffectiveSetting { keyword, value, origin, note } = setting;
    EffectiveRow {
        host: request.name.clone(),
        keyword: keyword.to_owned(),
        value,
        from: match origin {
            Origin::File(place) => place.to_string(),
            Origin::Given => inventory_line(inventory, &request.name, keyword),
            Origin::Default => "default".to_owned(),
        },
        note: note.map(str::to_owned),
    }
}

/// The line of the inventory that gives a value.
pub fn inventory_line(inventory: Option<&Inventory>, host: &str, keyword: &str) -> String {
    let key = match keyword {
        "HostName" => "address",
        "Port" => "port",
        "User" => "user",
        "IdentityFile" => "identity_file",
        _ => "known_hosts",
    };
    let line = inventory.and_then(|inventory| {
        let host = inventory.host(&HostName::new(host).ok()?)?;
        Some(format!("{}:{}", inventory.path(), host.line_of(key)?))
    });
    line.unwrap_or_else(|| "inventory".to_owned())
}
