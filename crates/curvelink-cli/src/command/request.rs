//! `curvelink req ENDPOINT [FILE]`

use std::path::Path;

use curvelink::{Context, Req};

use crate::args::socket::ReqArgs;
use crate::exit::{Exit, OrExit};
use crate::home::Home;
use crate::link::{Link, PATIENCE, Security};
use crate::message::{self, Cut, Form, Input};
use crate::source::share_no_stdin;

pub(crate) async fn run(args: &ReqArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    share_no_stdin([args.security.key.as_deref(), args.input.file.to_str()])?;
    let home = Home::find_any(dir)?;
    let security = Security::new(&args.security, args.bind, home.as_ref())?;
    let context = Context::new()?;
    let link = Link {
        endpoint: args.endpoint.clone(),
        bind: args.bind,
        security,
    };
    let mut linked = link.open::<Req>(&context)?;
    let patience = args.patience.timeout.unwrap_or(PATIENCE);
    linked.established(1, patience).await?;
    let mut input = Input::open(&args.input.file, Cut::from(&args.input.cut))?;
    while let Some(request) = input.next().await? {
        linked.socket.send(request).await.or_exit(Exit::Refused)?;
        let reply = linked.recv(Some(patience)).await?;
        message::print(&reply, Form::new(args.json, args.raw))?;
    }
    Ok(())
}
