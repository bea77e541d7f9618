//! placeholder
use crate::args::hub::DemoArgs;
pub(crate) async fn run(_args: &DemoArgs) -> anyhow::Result<()> {
    Ok(())
}
