//! `curvelink audit diff`

use std::path::Path;

use serde_json::json;

use super::{note, told};
use crate::args::audit::AuditDiffArgs;
use crate::output;

pub(super) fn run(args: &AuditDiffArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let reader = args.journal.open(dir)?;
    let [old, new] = [&args.old, &args.new].map(|path| note(path));
    let diff = reader
        .diff(&old?.to_string(), &new?.to_string())
        .map_err(told)?;
    let (old, new) = (diff.old.head, diff.new.head);
    let proof: Vec<String> = diff.proof.iter().map(ToString::to_string).collect();
    let shown = json!({
        "origin": diff.old.origin, "proof": proof,
        "old": { "size": old.size, "root": old.root.to_string() },
        "new": { "size": new.size, "root": new.root.to_string() },
    });
    output::either(args.json, &shown, || {
        format!(
            "ok: {} entries were added to {}, and none of those was changed ({} hashes show it)",
            new.size - old.size,
            old.size,
            proof.len()
        )
    })?;
    Ok(())
}
