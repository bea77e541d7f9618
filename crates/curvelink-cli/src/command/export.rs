//! `curvelink export FILE --as dsse|sigstore|pae|tlog-proof -o OUT`

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink_envelope::{Trailer, export, file};

use crate::args::evidence::{ExportArgs, ExportForm};
use crate::exit::{Exit, OrExit, usage};
use crate::key::{Bare, Key};
use crate::source::Source;

const BY_THE_BATCH: &str =
    "the message was signed in a batch and has no signature of its own: use --as tlog-proof";
const BY_ITSELF: &str =
    "the message was signed by itself, in no batch: use --as dsse, sigstore or pae";

/// Wraps the signature that the message has; whether it holds is for `verify` to say, and for the
/// program that the export is for.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let message = file::load(&args.file)
        .with_context(|| args.file.display().to_string())
        .or_exit(Exit::Damaged)?;
    let trailer = Trailer::parse(message.last().map_or(&[], Vec::as_slice))
        .with_context(|| args.file.display().to_string())
        .or_exit(Exit::Damaged)?;
    if args.key.is_some() && args.form != ExportForm::TlogProof {
        return Err(usage("--key goes with --as tlog-proof alone"));
    }
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
            let signature = trailer.signatures().first().context(BY_THE_BATCH)?;
            write(&ending(&args.out, ".pae"), &export::pae(&trailer))?;
            write(&ending(&args.out, ".sig"), signature.as_octets())
        }
        ExportForm::TlogProof => tlog_proof(args, &trailer),
    }
}

/// The proof and its entry; and the signer's key, if it is that which made the proof.
fn tlog_proof(args: &ExportArgs, trailer: &Trailer) -> anyhow::Result<()> {
    let (proof, origin) = export::tlog_proof(trailer)
        .zip(export::tlog_origin(trailer))
        .context(BY_ITSELF)?;
    let key = match &args.key {
        Some(path) => {
            let key = Key::load(&Source::parse(path)?, Bare::Unknown)?;
            let key = key.into_verify().with_context(|| path.clone())?;
            // Of itself the name proves nothing; a key that it does not name can prove nothing.
            let is_named = origin.split('/').any(|part| part == key.id().to_string());
            let vkey = export::tlog_vkey(trailer, &key).filter(|_| is_named);
            Some(vkey.with_context(|| format!("{path}: the message is not signed by this key"))?)
        }
        None => None,
    };
    write(&ending(&args.out, ".tlog-proof"), proof.as_bytes())?;
    write(&ending(&args.out, ".entry"), trailer.statement_octets())?;
    match key {
        Some(key) => write(&ending(&args.out, ".vkey"), format!("{key}\n").as_bytes()),
        None => Ok(()),
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
