//! `curvelink pull ENDPOINT`

use std::path::Path;

use curvelink::{Context, Pull};

use crate::args::socket::PullArgs;
use crate::home::Home;
use crate::link::{Link, PATIENCE, Security};
use crate::message::{self, Form};

pub(crate) async fn run(args: &PullArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find_any(dir)?;
    let security = Security::new(&args.security, args.bind, home.as_ref())?;
    let context = Context::new()?;
    let link = Link {
        endpoint: args.endpoint.clone(),
        bind: args.bind,
        security,
    };
    let mut linked = link.open::<Pull>(&context)?;
    if !args.bind {
        linked
            .established(1, args.patience.timeout.unwrap_or(PATIENCE))
            .await?;
    }
    for _ in 0..args.show.count.unwrap_or(u64::MAX) {
        let message = linked.recv(args.patience.timeout).await?;
        message::print(&message, Form::from(&args.show))?;
    }
    Ok(())
}
