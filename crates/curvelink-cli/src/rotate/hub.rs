//! The hub's own key.

use curvelink::PublicKey;

use super::{NEXT, Rotation, Step, edit, named};
use crate::exit::usage;
use crate::home::CONFIG;

pub(super) async fn run(rotation: &Rotation<'_>, step: Step) -> anyhow::Result<String> {
    match step {
        Step::Plan => plan(rotation).await,
        Step::Begin => begin(rotation).await,
        Step::Finish => finish(rotation).await,
        Step::Abort => abort(rotation).await,
    }
}

async fn plan(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let old = rotation.current()?;
    Ok(match rotation.public(NEXT)? {
        None => format!(
            "nothing is changed yet. To replace the hub's key {old}:\n\
             \n\
             1. curvelink key rotate hub --begin\n   \
                makes the next key; the hub answers to both, and this folder's clients pin both\n\
             2. give the new public key, which step 1 prints, to everybody who connects from \
                elsewhere:\n   \
                they pin it instead of the old one, each when it suits\n\
             3. curvelink show\n   \
                tells who still uses the old one\n\
             4. curvelink key rotate hub --finish\n   \
                the hub answers to the new key only, and the old one is destroyed\n\
             \n\
             Before step 4, `curvelink key rotate hub --abort` leads back.",
            old = old.fingerprint()
        ),
        Some(next) => under_way(rotation, &old, &next).await?,
    })
}

/// What is to be done, once there are two keys.
async fn under_way(
    rotation: &Rotation<'_>,
    old: &PublicKey,
    next: &PublicKey,
) -> anyhow::Result<String> {
    let mut text = format!(
        "old key  {}\nnew key  {}\n\n\
         Whoever connects from elsewhere pins the new key from now on:\n  \
           server_key = \"{z85}\"\n  \
           --server-key '{z85}'\n",
        old.fingerprint(),
        next.fingerprint(),
        z85 = next.to_z85(),
    );
    let behind = behind(rotation, old).await?;
    match (&behind, behind.as_ref().map(Vec::len)) {
        (None, _) => text.push_str("\nNo hub runs in this folder.\n"),
        (_, Some(0)) => text.push_str("\nNobody who is connected uses the old key.\n"),
        (Some(names), _) => {
            text.push_str(&format!("\nStill on the old key: {}\n", names.join(", ")));
        }
    }
    text.push_str("\nnext: curvelink key rotate hub --finish   (or --abort)");
    Ok(text)
}

async fn begin(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let old = rotation.current()?;
    let next = rotation.make_next()?;
    refuse_finished(rotation, &next)?;
    pin(rotation, &old, Some(&next))?;
    let said = rotation.reload().await?;
    let text = under_way(rotation, &old, &next).await?;
    Ok(format!("The hub answers to two keys: {said}.\n\n{text}"))
}

async fn finish(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let Some(next) = rotation.public(NEXT)? else {
        return Err(usage(
            "no rotation is under way: curvelink key rotate hub --begin",
        ));
    };
    let old = rotation.current()?;
    let behind = behind(rotation, &old).await?.unwrap_or_default();
    rotation.leave(&behind, "the old key")?;
    pin(rotation, &next, None)?;
    // The old one is gone with this: it protects nothing any more, since CURVE keeps no traffic
    // readable by it, and a copy of it could only be stolen.
    rotation.rename(NEXT, "")?;
    let said = rotation.reload().await?;
    Ok(format!(
        "old key  {}  destroyed\nnew key  {}\n\nThe hub answers to the new key only: {said}.",
        old.fingerprint(),
        next.fingerprint()
    ))
}

async fn abort(rotation: &Rotation<'_>) -> anyhow::Result<String> {
    let Some(next) = rotation.public(NEXT)? else {
        return Ok("no rotation is under way: nothing is changed".to_owned());
    };
    refuse_finished(rotation, &next)?;
    let old = rotation.current()?;
    let ahead = behind(rotation, &next).await?.unwrap_or_default();
    rotation.leave(&ahead, "the new key")?;
    pin(rotation, &old, None)?;
    rotation.forget(NEXT)?;
    let said = rotation.reload().await?;
    Ok(format!(
        "The hub keeps its key {}, and {} is destroyed: {said}.",
        old.fingerprint(),
        next.fingerprint()
    ))
}

/// A `--finish` that was cut short is not taken back: clients may know the new key only.
fn refuse_finished(rotation: &Rotation<'_>, next: &PublicKey) -> anyhow::Result<()> {
    if rotation.home.hub_key()? == *next {
        return Err(usage(
            "--finish was begun: repeat it, curvelink key rotate hub --finish",
        ));
    }
    Ok(())
}

/// Writes the keys that clients of the folder pin.
fn pin(
    rotation: &Rotation<'_>,
    current: &PublicKey,
    next: Option<&PublicKey>,
) -> anyhow::Result<()> {
    let path = rotation.home.path(CONFIG);
    let before = edit::read(&path)?;
    let text = edit::pin(&before, current, next)?;
    if text == before {
        return Ok(());
    }
    edit::replace(&path, &text)
}

/// Who is connected by the key of the two; `None` where no hub runs.
async fn behind(rotation: &Rotation<'_>, key: &PublicKey) -> anyhow::Result<Option<Vec<String>>> {
    let Some(shown) = rotation.shown().await? else {
        return Ok(None);
    };
    let fingerprint = key.fingerprint().to_string();
    let links = shown.sockets.into_iter().flat_map(|socket| socket.links);
    let theirs = links.filter(|link| link.server_key.as_ref() == Some(&fingerprint));
    let names = theirs.map(|link| link.name.unwrap_or(link.address));
    Ok(Some(named(names.collect())))
}
