//! `curvelink policy check | explain`

use std::path::Path;

use curvelink::PublicKey;
use curvelink_zap::{Policy, Question, Who, explain, lints};
use serde_json::json;

use crate::args::evidence::{ExplainArgs, PolicyCommand};
use crate::exit::{Exit, failure};
use crate::output;

pub(crate) fn run(command: &PolicyCommand) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Check { file, json } => check(file, *json),
        PolicyCommand::Explain(args) => explain_to(args),
    }
}

fn check(file: &Path, as_json: bool) -> anyhow::Result<()> {
    let policy = Policy::from_file(file)?;
    let lints = lints(&policy);
    let names: Vec<&str> = policy
        .identities()
        .map(|identity| &*identity.name)
        .collect();
    if as_json {
        output::json(&json!({ "ok": true, "identities": names, "notes": lints }))?;
        return Ok(());
    }
    for lint in &lints {
        output::line(&format!("note: {lint}"))?;
    }
    output::line(&format!("ok: {}: {}", file.display(), names.join(", ")))?;
    Ok(())
}

fn explain_to(args: &ExplainArgs) -> anyhow::Result<()> {
    let policy = Policy::from_file(&args.file)?;
    let key = PublicKey::from_z85(&args.who).or_else(|_| PublicKey::from_hex(&args.who));
    let explanation = explain(
        &policy,
        &Question {
            who: match (&key, args.who.strip_prefix("user:")) {
                (Ok(key), _) => Who::Key(key),
                (Err(_), Some(user)) => Who::User(user),
                (Err(_), None) => Who::Name(&args.who),
            },
            domain: args.domain.as_deref(),
            publish: args.publish.as_deref().map(str::as_bytes),
            subscribe: args.subscribe.as_deref().map(str::as_bytes),
        },
    );
    output::either(args.json, &explanation, || explanation.to_string())?;
    if explanation.allowed {
        Ok(())
    } else {
        Err(failure(
            Exit::Refused,
            "the policy refuses this: the answers say by which line",
        ))
    }
}
