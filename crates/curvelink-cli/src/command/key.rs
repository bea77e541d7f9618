//! `curvelink key gen | pub | show | convert`

use anyhow::Context;
use serde::Serialize;

use crate::args::key::{BareArgs, ConvertArgs, GenArgs, KeyCommand, PubArgs, ShowArgs};
use crate::key::{Bare, Form, Key};
use crate::output;
use crate::secret_file;
use crate::source::Source;

pub(crate) fn run(command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Gen(args) => generate(&args),
        KeyCommand::Pub(args) => public(&args),
        KeyCommand::Show(args) => show(&args),
        KeyCommand::Convert(args) => convert(&args),
        // It talks to a hub: see `rotate`.
        KeyCommand::Rotate(_) => Ok(()),
    }
}

fn generate(args: &GenArgs) -> anyhow::Result<()> {
    let key = Key::generate(args.sign)?;
    let text = args
        .to
        .unwrap_or_else(|| Form::usual(&key))
        .write(&key, None)?;
    let Some(path) = &args.out else {
        return secret_file::print(&text);
    };
    secret_file::create(path, &text)?;
    let public = key.to_public();
    let public = Form::usual(&public).write(&public, None)?;
    output::line(public.trim_end())?;
    Ok(())
}

fn public(args: &PubArgs) -> anyhow::Result<()> {
    let source = Source::parse(&args.input.key)?;
    let key = Key::load(&source, Bare::Secret)?.to_public();
    if args.json {
        output::json(&Shown::of(&key)?)?;
    } else {
        let text = args
            .to
            .unwrap_or_else(|| Form::usual(&key))
            .write(&key, None)?;
        output::line(text.trim_end())?;
    }
    Ok(())
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let key = Key::load(&Source::parse(&args.input.key)?, args.bare.means())?;
    let shown = Shown::of(&key)?;
    output::either(args.json, &shown, || shown.text())?;
    Ok(())
}

fn convert(args: &ConvertArgs) -> anyhow::Result<()> {
    let mut key = Key::load(&Source::parse(&args.input.key)?, args.bare.means())?;
    if args.bare.public {
        key = key.to_public();
    }
    let text = args.to.write(&key, None)?;
    match (&args.out, key.is_secret()) {
        (Some(path), true) => secret_file::create(path, &text),
        (Some(path), false) => secret_file::create_public(path, &text),
        (None, true) => secret_file::print(&text),
        (None, false) => Ok(output::line(text.trim_end())?),
    }
}

impl BareArgs {
    const fn means(&self) -> Bare {
        match (self.public, self.secret, self.seed) {
            (true, ..) => Bare::Public,
            (_, true, _) => Bare::Secret,
            (.., true) => Bare::SecretSeed,
            _ => Bare::Unknown,
        }
    }
}

/// What may be told of a key.
#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    z85: Option<String>,
    hex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pem: Option<String>,
    fingerprint: String,
    secret: bool,
}

impl Shown {
    fn of(key: &Key) -> anyhow::Result<Self> {
        let public = key.to_public();
        let form = |form: Form| {
            let text = form.write(&public, None).ok()?;
            Some(text.trim_end().to_owned())
        };
        Ok(Self {
            kind: key.kind(),
            z85: form(Form::Z85),
            hex: form(Form::Hex).context("a public key has a form in hex")?,
            pem: form(Form::Pem),
            fingerprint: key.fingerprint(),
            secret: key.is_secret(),
        })
    }

    fn text(&self) -> String {
        let secret = if self.secret {
            " (the secret is not shown)"
        } else {
            ""
        };
        let z85 = self.z85.as_ref().map(|key| format!("public key   {key}\n"));
        let z85 = z85.unwrap_or_default();
        format!(
            "kind         {}{secret}\n{z85}public hex   {}\nfingerprint  {}",
            self.kind, self.hex, self.fingerprint
        )
    }
}
