//! The key of an identity that the policy lists.

use curvelink::PublicKey;
use curvelink_zap::Policy;

use super::{NEXT, OLD, Rotation, Step, edit, named};
use crate::exit::usage;

pub(super) async fn run(rotation: &Rotation<'_>, step: Step) -> anyhow::Result<String> {
    match step {
        Step::Plan => plan(rotation).await,
        Step::Begin => begin(rotation).await,
        Step::Finish => finish(rotation).await,
        Step::Abort => abort(rotation).await,
    }
}

async fn plan(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let (name, current) = (rotation.name, rotation.current()?);
    Ok(match rotation.public(OLD)? {
        None => format!(
            "nothing is changed yet. To replace the key {} of {name}:\n\
             \n\
             1. curvelink key rotate {name} --begin\n   \
                makes the next key and lists it beside the old one; --as {name} uses it from then on\n\
             2. restart the programs that run as {name}, each when it suits; copy the new key to \
                those elsewhere\n\
             3. curvelink show\n   \
                tells who still uses the old one\n\
             4. curvelink key rotate {name} --finish\n   \
                takes the old one out of the policy and destroys it; who still uses it is cut\n\
             \n\
             Before step 4, `curvelink key rotate {name} --abort` leads back.",
            current.fingerprint()
        ),
        Some(old) => under_way(rotation, &old, &current).await?,
    })
}

async fn under_way(
    rotation: &Rotation<'_>,
    old: &PublicKey,
    new: &PublicKey,
) -> anyhow::Result<String> {
    let name = rotation.name;
    let behind = on_key(rotation, old).await?;
    let behind = match behind.len() {
        0 => "Nobody who is connected uses the old key.".to_owned(),
        count => format!("Connections that use the old key: {count}"),
    };
    Ok(format!(
        "old key  {}\nnew key  {}\n\n\
         Restart what runs as {name}; elsewhere, replace its key by keys/{name}.key_secret.\n\
         The new public key: '{}'\n\n{behind}\n\n\
         next: curvelink key rotate {name} --finish   (or --abort)",
        old.fingerprint(),
        new.fingerprint(),
        new.to_z85(),
    ))
}

async fn begin(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let name = rotation.name;
    // Once the old one is put aside, the next one is in its place or on its way there.
    let (old, new) = match rotation.public(OLD)? {
        Some(old) => {
            let new = rotation
                .public(NEXT)?
                .map_or_else(|| rotation.current(), Ok)?;
            (old, new)
        }
        None => (rotation.current()?, rotation.make_next()?),
    };
    change(rotation, &new, |text| edit::admit(text, name, &old, &new))?;
    let said = rotation.reload().await?;
    // Only now: from here on --as NAME uses it, and the hub knows it.
    if rotation.public(OLD)?.is_none() {
        rotation.copy("", OLD)?;
    }
    if rotation.public(NEXT)?.is_some() {
        rotation.rename(NEXT, "")?;
        // Two names of one file stay two when one is renamed to the other.
        rotation.forget(NEXT)?;
    }
    let text = under_way(rotation, &old, &new).await?;
    Ok(format!(
        "The policy lists two keys of {name}: {said}.\n\n{text}"
    ))
}

async fn finish(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let name = rotation.name;
    let Some(old) = rotation.public(OLD)? else {
        return Err(usage(format!(
            "no rotation is under way: curvelink key rotate {name} --begin"
        )));
    };
    if rotation.public(NEXT)?.is_some() {
        return Err(usage(format!(
            "--begin was cut short: repeat it, curvelink key rotate {name} --begin"
        )));
    }
    let new = rotation.current()?;
    rotation.leave(&on_key(rotation, &old).await?, "the old key")?;
    change(rotation, &new, |text| edit::dismiss(text, name, &old))?;
    let said = rotation.reload().await?;
    // Last: while it is there, all this can be repeated.
    rotation.forget(OLD)?;
    Ok(format!(
        "old key  {}  destroyed\nnew key  {}\n\nThe policy lists the new key of {name} only: {said}.",
        old.fingerprint(),
        new.fingerprint()
    ))
}

async fn abort(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let name = rotation.name;
    let (old, new) = match (rotation.public(OLD)?, rotation.public(NEXT)?) {
        (None, None) => return Ok("no rotation is under way: nothing is changed".to_owned()),
        (None, Some(next)) => (rotation.current()?, next),
        (Some(old), Some(next)) => (old, next),
        (Some(old), None) => (old, rotation.current()?),
    };
    rotation.leave(&on_key(rotation, &new).await?, "the new key")?;
    if rotation.public(OLD)?.is_some() && rotation.current()? != old {
        // The new one keeps a name: while it has, all this can be repeated.
        if rotation.public(NEXT)?.is_none() {
            rotation.copy("", NEXT)?;
        }
        rotation.rename(OLD, "")?;
    }
    rotation.forget(OLD)?;
    change(rotation, &old, |text| edit::dismiss(text, name, &new))?;
    let said = rotation.reload().await?;
    rotation.forget(NEXT)?;
    Ok(format!(
        "{name} keeps its key {}, and {} is destroyed: {said}.",
        old.fingerprint(),
        new.fingerprint()
    ))
}

/// Changes the policy, if the result is one that lists `key` as this identity's.
fn change(
    rotation: &Rotation<'_>,
    key: &PublicKey,
    edit: impl FnOnce(&str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let file = rotation.home.policy_path();
    let before = edit::read(&file)?;
    let name = file.display().to_string();
    Policy::from_toml(&before, &name)?;
    let text = edit(&before)?;
    let policy = Policy::from_toml(&text, &name)?;
    if !edit::is_admitted(&policy, rotation.name, key) {
        return Err(usage(format!(
            "{name} would not list a key of {}",
            rotation.name
        )));
    }
    if text == before {
        return Ok(());
    }
    edit::replace(&file, &text)
}

/// The connections that prove themselves by a key.
async fn on_key(rotation: &Rotation<'_>, key: &PublicKey) -> anyhow::Result<Vec<String>> {
    let fingerprint = key.fingerprint().to_string();
    let links = rotation.shown().await?.map(|shown| shown.sockets);
    let links = links.into_iter().flatten().flat_map(|socket| socket.links);
    let theirs = links.filter(|link| link.key.as_ref() == Some(&fingerprint));
    Ok(named(theirs.map(|link| link.address).collect()))
}
