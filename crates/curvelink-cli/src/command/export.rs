//! `curvelink export FILE --as dsse|sigstore|pae -o OUT`

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink_envelope::{Trailer, export, file};

use crate::args::evidence::{ExportArgs, ExportForm};
use crate::exit::{Exit, OrExit};

const BY_THE_BATCH: &str = "the message was signed by the batch: it has no signature of its own";

/// Wraps the signature that the message has; whether it holds is for `verify` to say, and for the
/// program that the export is for.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let message = file::load(&args.file)
        .with_context(|| args.file.display().to_string())
        .or_exit(Exit::Damaged)?;
    let trailer = Trailer::parse(message.last().map_or(&[], Vec::as_slice))
        .with_context(|| args.file.display().to_string())
        .or_exit(Exit::Damaged)?;
    match args.form {
        ExportForm::Dsse => {
            let envelope = export::dsse_json(&trailer).context(BY_THE_BATCH)?;
            write(&args.out, envelope.as_bytes())
        }
        ExportForm::Sigstore => {
            let bundle = export::sigstore_bundle_json(&trailer).context(BY_THE_BATCH)?;
            write(&args.out, bundle.as_bytes())
        }
        ExportForm::Pae => {
            write(&ending(&args.out, ".pae"), &export::pae(&trailer))?;
            let signature = trailer.signatures().first().context(BY_THE_BATCH)?;
            write(&ending(&args.out, ".sig"), signature.as_octets())
        }
    }
}

fn write(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    fs::write(path, octets).with_context(|| format!("cannot write {}", path.display()))
}

fn ending(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(ending);
    name.into()
}
