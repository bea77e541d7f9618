//! `curvelink policy check | explain | diff | password`

use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use curvelink::{OsEntropy, Password, PeerAddress, PublicKey, SocketType};
use curvelink_zap::{
    Effect, PasswordHash, Policy, Question, Who, changes, explain, lints, parse_time,
};
use serde_json::json;

use crate::args::evidence::{ExplainArgs, PolicyCommand};
use crate::exit::{Exit, failure, usage};
use crate::source::Source;
use crate::{output, secret_file};

pub(crate) fn run(command: &PolicyCommand) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Check { file, strict, json } => check(file, *strict, *json),
        PolicyCommand::Explain(args) => explain_to(args),
        PolicyCommand::Diff { old, new, json } => diff(old, new, *json),
        PolicyCommand::Password { from } => password(from),
    }
}

fn check(file: &Path, is_strict: bool, as_json: bool) -> anyhow::Result<()> {
    let policy = Policy::from_file(file)?;
    let lints = lints(&policy, SystemTime::now());
    let names: Vec<&str> = policy
        .identities()
        .map(|identity| &*identity.name)
        .collect();
    let fails = is_strict && !lints.is_empty();
    if as_json {
        output::json(&json!({
            "ok": !fails,
            "sha256": output::hex(policy.digest()),
            "identities": names,
            "notes": lints,
        }))?;
    } else {
        for lint in &lints {
            output::line(&format!("note: {lint}"))?;
        }
        if !fails {
            output::line(&format!("ok: {}: {}", file.display(), names.join(", ")))?;
        }
    }
    if fails {
        let line = "the policy is valid and --strict takes no notes: mend what they say";
        return Err(failure(Exit::VerificationFailed, line));
    }
    Ok(())
}

fn explain_to(args: &ExplainArgs) -> anyhow::Result<()> {
    let policy = Policy::from_file(&args.file)?;
    let key = PublicKey::from_z85(&args.who).or_else(|_| PublicKey::from_hex(&args.who));
    let who = match (&key, args.who.strip_prefix("user:")) {
        (Ok(key), _) => Who::Key(key),
        (Err(_), Some(user)) => Who::User(user),
        (Err(_), None) => Who::Name(&args.who),
    };
    let at = args.at.as_deref().map(moment).transpose()?;
    let explanation = explain(
        &policy,
        &Question {
            from: args.from.as_deref().map(address).transpose()?,
            domain: args.domain.as_deref(),
            endpoint: args.endpoint.as_deref(),
            pattern: args.pattern.as_deref().map(pattern).transpose()?,
            routing_id: args.routing_id.as_deref().map(str::as_bytes),
            publish: args.publish.as_deref().map(str::as_bytes),
            subscribe: args.subscribe.as_deref().map(str::as_bytes),
            ..Question::new(who, at.unwrap_or_else(SystemTime::now))
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

fn moment(text: &str) -> anyhow::Result<SystemTime> {
    parse_time(text).ok_or_else(|| usage("--at takes a time as in 2026-11-01T00:00:00Z"))
}

fn address(text: &str) -> anyhow::Result<PeerAddress> {
    if let Some(uid) = text.strip_prefix("ipc:uid=") {
        let uid = uid
            .parse()
            .map_err(|_| usage("--from ipc:uid= takes a number"))?;
        let (gid, pid) = (uid, None);
        return Ok(PeerAddress::Ipc { uid, gid, pid });
    }
    let ip: IpAddr = text
        .parse()
        .map_err(|_| usage("--from takes an IP address, or ipc:uid=N"))?;
    Ok(PeerAddress::Tcp((ip, 0).into()))
}

fn pattern(text: &str) -> anyhow::Result<SocketType> {
    SocketType::from_name(text.as_bytes())
        .ok_or_else(|| usage("--pattern takes a type as in PUSH or DEALER"))
}

fn diff(old: &Path, new: &Path, as_json: bool) -> anyhow::Result<()> {
    let (old, new) = (Policy::from_file(old)?, Policy::from_file(new)?);
    let changes = changes(&old, &new);
    if as_json {
        let [old, new] = [&old, &new].map(|policy| output::hex(policy.digest()));
        output::json(&json!({
            "equal": changes.is_empty(),
            "old": { "sha256": old },
            "new": { "sha256": new },
            "changes": changes,
        }))?;
    } else {
        for change in &changes {
            output::line(&change.to_string())?;
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let count = |effect| changes.iter().filter(|it| it.effect == effect).count();
    Err(failure(
        Exit::VerificationFailed,
        format!(
            "the policies differ: {} gained, {} lost",
            count(Effect::Gains),
            count(Effect::Loses)
        ),
    ))
}

fn password(from: &str) -> anyhow::Result<()> {
    let source = Source::parse(from)?;
    if source == Source::Stdin && io::stdin().is_terminal() {
        return Err(usage(
            "a terminal shows what is typed: pipe the password in, or give --from FILE, env:NAME, \
             fd:N or cred:NAME",
        ));
    }
    let secret = source.read()?;
    if let Some(problem) = secret.exposed {
        return Err(usage(format!("{} {problem}", source.name())));
    }
    let text = secret.text.strip_suffix('\n').unwrap_or(&secret.text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if !(1..=255).contains(&text.len()) {
        return Err(usage("a PLAIN password has 1 to 255 octets: give another"));
    }
    let hash = PasswordHash::new(&Password::new(text), &mut OsEntropy)?;
    secret_file::print(&format!("{hash}\n"))
}
