//! `curvelink reload`

use std::path::Path;

use super::show::duration;
use crate::args::operate::ReloadArgs;
use crate::control::{Answer, Reloaded, Request, ask};
use crate::exit::usage;
use crate::home::Home;
use crate::output;

pub(crate) async fn run(args: &ReloadArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find(dir)?;
    match reload(&home).await? {
        Some(reloaded) => Ok(output::either(args.json, &reloaded, || text(&reloaded))?),
        None => Err(usage(
            "no hub runs in this folder: start it with `curvelink up`",
        )),
    }
}

/// Has the folder's hub read its files again; `None` where none runs.
///
/// # Errors
/// The hub's own, where a file is wrong: then it goes on as before.
pub(crate) async fn reload(home: &Home) -> anyhow::Result<Option<Reloaded>> {
    match ask(&home.path("run"), Request::Reload {}).await? {
        None => Ok(None),
        Some(Answer::Reloaded(reloaded)) => Ok(Some(reloaded)),
        Some(Answer::Refused { error }) => Err(usage(format!("nothing was changed: {error}"))),
        Some(Answer::Shown(_)) => Err(usage("the hub answers something else")),
    }
}

fn text(reloaded: &Reloaded) -> String {
    let mut lines = vec![match reloaded.unchanged {
        true => format!("unchanged for {}", duration(reloaded.age)),
        false => "reloaded".to_owned(),
    }];
    for (what, names) in [
        ("gained", &reloaded.gained),
        ("lost", &reloaded.lost),
        ("cut", &reloaded.cut),
    ] {
        if !names.is_empty() {
            lines.push(format!("  {what:<8} {}", names.join(", ")));
        }
    }
    if reloaded.envelope {
        lines.push(format!("  {:<8} changed", "envelope"));
    }
    lines.push(format!("  {:<8} {}", "key", reloaded.keys.current));
    if let Some(next) = &reloaded.keys.next {
        lines.push(format!("  {:<8} {next}", "next key"));
    }
    lines.join("\n")
}
