//! `curvelink push ENDPOINT [FILE]`

use std::path::Path;

use curvelink::{Context, Push};

use crate::args::socket::PushArgs;
use crate::exit::{Exit, OrExit};
use crate::home::Home;
use crate::link::{Link, PATIENCE, Security};
use crate::message::{Cut, Input};
use crate::output;
use crate::source::share_no_stdin;

pub(crate) async fn run(args: &PushArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    share_no_stdin([args.security.key.as_deref(), args.input.file.to_str()])?;
    let home = Home::find_any(dir)?;
    let security = Security::new(&args.security, args.bind, home.as_ref())?;
    let context = Context::new()?;
    let link = Link {
        endpoint: args.endpoint.clone(),
        bind: args.bind,
        security,
    };
    let mut linked = link.open::<Push>(&context)?;
    linked
        .established(args.wait, args.patience.timeout.unwrap_or(PATIENCE))
        .await?;
    let mut input = Input::open(&args.input.file, Cut::from(&args.input.cut))?;
    let mut sent = 0_u64;
    while let Some(message) = input.next().await? {
        linked.socket.send(message).await.or_exit(Exit::Refused)?;
        sent += 1;
    }
    drop(linked);
    context.shutdown().await;
    output::line(&format!(
        "sent {sent} message{}",
        if sent == 1 { "" } else { "s" }
    ))?;
    Ok(())
}
