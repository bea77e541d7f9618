//! Without Unix sockets a hub cannot be asked anything: restart it to have its files read again.

use std::path::Path;

use tokio::sync::mpsc;

use super::{Answer, Order, Request};

/// Hears nobody.
#[derive(Debug)]
pub(crate) struct Control;

impl Control {
    pub(crate) fn open(_: &Path) -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn serve(&self, _: mpsc::Sender<Order>) {
        std::future::pending().await
    }
}

pub(crate) async fn ask(_: &Path, _: Request) -> anyhow::Result<Option<Answer>> {
    Ok(None)
}
