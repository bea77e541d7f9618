//! `curvelink rep ENDPOINT`

use std::path::Path;

use curvelink::{Context, Message, Rep};

use crate::args::socket::RepArgs;
use crate::exit::{Exit, OrExit, usage};
use crate::home::Home;
use crate::link::{Link, PATIENCE, Security};
use crate::message::{self, Cut, Form, Input};
use crate::source::share_no_stdin;

pub(crate) async fn run(args: &RepArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    share_no_stdin([args.security.key.as_deref(), (!args.echo).then_some("-")])?;
    let home = Home::find_any(dir)?;
    let security = Security::new(&args.security, args.bind, home.as_ref())?;
    let context = Context::new()?;
    let link = Link {
        endpoint: args.endpoint.clone(),
        bind: args.bind,
        security,
    };
    let mut linked = link.open::<Rep>(&context)?;
    if !args.bind {
        linked
            .established(1, args.patience.timeout.unwrap_or(PATIENCE))
            .await?;
    }
    let mut answers = match args.echo {
        true => None,
        false => Some(Input::open(Path::new("-"), Cut::Lines)?),
    };
    for _ in 0..args.show.count.unwrap_or(u64::MAX) {
        let request = linked.recv(args.patience.timeout).await?;
        message::print(&request, Form::from(&args.show))?;
        let reply = match &mut answers {
            None => request.into_frames().into(),
            Some(lines) => next_line(lines).await?,
        };
        linked.socket.send(reply).await.or_exit(Exit::Refused)?;
    }
    drop(linked);
    context.shutdown().await;
    Ok(())
}

async fn next_line(lines: &mut Input) -> anyhow::Result<Message> {
    let line = lines.next().await?;
    line.ok_or_else(|| usage("standard input ended before the requests did: give more, or --echo"))
}
