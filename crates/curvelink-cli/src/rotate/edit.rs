//! Changes to settings and policy as one would make them by hand: what is not changed stays as it
//! was written, comments and all.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use curvelink::PublicKey;
use curvelink_zap::{OwnedFile, Policy};
use serde::Deserialize;
use toml::Spanned;

use crate::exit::usage;
use crate::home::Config;

const BY_HAND: &str = "is not written as `curvelink init` writes it: change it by hand";
const MAX_FILE: usize = 1 << 20;

/// The hub's keys as the settings have them.
#[derive(Deserialize)]
struct Settings {
    hub: HubKeys,
}

#[derive(Deserialize)]
struct HubKeys {
    public_key: Spanned<String>,
    next_public_key: Option<Spanned<String>>,
}

/// Sets the keys that clients pin; gives the new text.
pub(super) fn pin(
    text: &str,
    current: &PublicKey,
    next: Option<&PublicKey>,
) -> anyhow::Result<String> {
    let keys = toml::from_str::<Settings>(text)
        .map_err(|_| usage(BY_HAND))?
        .hub;
    let mut changed = text.to_owned();
    // From the end to the beginning: what was found before stays where it is.
    let mut changes = vec![(keys.public_key.span(), format!("{:?}", current.to_z85()))];
    match (&keys.next_public_key, next) {
        (Some(old), Some(next)) => changes.push((old.span(), format!("{:?}", next.to_z85()))),
        (Some(old), None) => changes.push((line_of(text, &old.span()), String::new())),
        (None, Some(next)) => {
            let end = line_of(text, &keys.public_key.span()).end;
            let line = format!(
                "next_public_key = {:?}  # or to the owner of this one\n",
                next.to_z85()
            );
            let line = if text[..end].ends_with('\n') {
                line
            } else {
                format!("\n{line}")
            };
            changes.push((end..end, line));
        }
        (None, None) => {}
    }
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    for (span, new) in changes {
        changed.replace_range(span, &new);
    }
    let read = Config::parse(&changed).map_err(|_| usage(BY_HAND))?;
    let wanted = (Some(*current), next.copied());
    let found = (
        PublicKey::from_z85(&read.hub.public_key).ok(),
        read.hub
            .next_public_key
            .and_then(|key| PublicKey::from_z85(&key).ok()),
    );
    if found == wanted {
        Ok(changed)
    } else {
        Err(usage(BY_HAND))
    }
}

/// The line, or lines, that a value stands on.
fn line_of(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |at| span.end + at + 1);
    start..end
}

/// The keys of identities as the policy has them, each entry a text or a table.
#[derive(Deserialize)]
struct Identities {
    identities: BTreeMap<String, Curve>,
}

#[derive(Deserialize)]
struct Curve {
    curve: Option<Vec<Spanned<toml::Value>>>,
}

/// Adds a key to an identity's list, behind another of it; gives the new text.
pub(super) fn admit(
    text: &str,
    name: &str,
    behind: &PublicKey,
    key: &PublicKey,
) -> anyhow::Result<String> {
    let entries = entries(text, name)?;
    if position(&entries, key).is_some() {
        return Ok(text.to_owned());
    }
    let at = position(&entries, behind).ok_or_else(|| {
        usage(format!(
            "{name} has another key in the policy: does this folder's key belong to it?"
        ))
    })?;
    let mut changed = text.to_owned();
    changed.insert_str(entries[at].span().end, &format!(", {:?}", key.to_z85()));
    Ok(changed)
}

/// Takes a key out of an identity's list; gives the new text.
pub(super) fn dismiss(text: &str, name: &str, key: &PublicKey) -> anyhow::Result<String> {
    let entries = entries(text, name)?;
    let Some(at) = position(&entries, key) else {
        return Ok(text.to_owned());
    };
    let span = entries[at].span();
    let before = at.checked_sub(1).and_then(|at| entries.get(at));
    let range = match (before, entries.get(at + 1)) {
        // What is said behind it on its line was said of the one before, or of both.
        (Some(before), _) => before.span().end..span.end,
        (None, Some(after)) => span.start..after.span().start,
        (None, None) => {
            return Err(usage(format!("{name} has no other key in the policy")));
        }
    };
    let mut changed = text.to_owned();
    changed.replace_range(range, "");
    Ok(changed)
}

fn entries(text: &str, name: &str) -> anyhow::Result<Vec<Spanned<toml::Value>>> {
    let mut all = toml::from_str::<Identities>(text).map_err(|_| usage(BY_HAND))?;
    let identity = all.identities.remove(name);
    identity
        .and_then(|identity| identity.curve)
        .ok_or_else(|| usage(format!("the policy lists no CURVE key of {name}")))
}

fn position(entries: &[Spanned<toml::Value>], key: &PublicKey) -> Option<usize> {
    entries.iter().position(|entry| {
        let value = entry.get_ref();
        let text = value.as_str().or_else(|| value.get("key")?.as_str());
        let listed = text.and_then(|text| {
            PublicKey::from_z85(text)
                .or_else(|_| PublicKey::from_hex(text))
                .ok()
        });
        listed.as_ref() == Some(key)
    })
}

/// Whether the policy lists the key as this identity's.
pub(super) fn is_admitted(policy: &Policy, name: &str, key: &PublicKey) -> bool {
    let owner = policy.identity_of_key(key);
    owner.is_some_and(|identity| &*identity.name == name)
}

/// Reads a file that nobody else can change, and that is itself there: no link.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let read = || {
        let file = OwnedFile::open(path)?;
        file.check_not_a_link()?;
        file.check_writers()?;
        file.read(MAX_FILE)
    };
    let octets = read().map_err(|problem| usage(format!("{}: {problem}", path.display())))?;
    let text = std::str::from_utf8(&octets).map_err(|_| usage("is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Puts another text in a file's place, at once and whole, with the same owner and mode.
pub(super) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    // Left behind by a run that was cut short.
    let _ = fs::remove_file(new);
    let written = write_beside(path, new, text).and_then(|()| fs::rename(new, path));
    if written.is_err() {
        let _ = fs::remove_file(new);
    }
    written.with_context(|| format!("cannot write {}", path.display()))?;
    sync_folder(path)
}

fn write_beside(path: &Path, new: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(new)?;
    file.write_all(text.as_bytes())?;
    keep_owner_and_mode(&file, &fs::symlink_metadata(path)?)?;
    file.sync_all()
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, before: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
        fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    file.set_permissions(before.permissions())
}

#[cfg(not(unix))]
fn keep_owner_and_mode(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Has the system write down what was renamed.
pub(super) fn sync_folder(path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(octet: u8) -> PublicKey {
        let secret = curvelink::SecretKey::from_octets(&[octet; 32]).unwrap();
        secret.public()
    }

    fn settings() -> String {
        let new = crate::home::NewConfig {
            ingest: "tcp://127.0.0.1:1",
            feed: "tcp://127.0.0.1:2",
            public_key: &key(1).to_z85(),
            domain: "d",
            audience: "a",
        };
        new.to_string()
    }

    #[test]
    fn pinning_a_second_key_adds_one_line_and_taking_it_back_removes_it() {
        let text = settings();
        let both = pin(&text, &key(1), Some(&key(2))).unwrap();
        assert_eq!(both.lines().count(), text.lines().count() + 1);
        assert_eq!(pin(&both, &key(1), Some(&key(2))).unwrap(), both);
        assert_eq!(pin(&both, &key(1), None).unwrap(), text);
        let new = pin(&both, &key(2), None).unwrap();
        assert_eq!(new, text.replace(&key(1).to_z85(), &key(2).to_z85()));
    }

    #[test]
    fn settings_in_another_form_are_left_to_their_author() {
        let inline = format!(
            "version = 1\nhub = {{ ingest = \"tcp://a:1\", feed = \"tcp://a:2\", public_key = {:?}, \
             domain = \"d\", policy = \"p\" }}\n[envelope]\nsign = \"each\"\naudience = \"a\"\n\
             max_skew = 1\n",
            key(1).to_z85()
        );
        assert!(Config::parse(&inline).is_ok());
        for text in ["", "version = 1", &inline] {
            let error = pin(text, &key(1), Some(&key(2))).unwrap_err();
            assert!(error.to_string().contains("by hand"), "{error}");
        }
    }

    fn policy(list: &str) -> String {
        format!(
            "version = 1\n# before\n[identities.x]\ncurve = {list} # behind\n\
             domains = [\"d\"]\n[identities.y]\ncurve = [{:?}]\n",
            key(9).to_z85()
        )
    }

    #[test]
    fn a_key_comes_and_goes_and_everything_else_stays() {
        let [one, two, three] = [1, 2, 3].map(|octet| format!("{:?}", key(octet).to_z85()));
        for (list, with, without) in [
            (
                format!("[{one}]"),
                format!("[{one}, {two}]"),
                format!("[{two}]"),
            ),
            (
                format!("[\n  {one}, # mine\n  {three},\n]"),
                format!("[\n  {one}, {two}, # mine\n  {three},\n]"),
                format!("[\n  {two}, # mine\n  {three},\n]"),
            ),
            (
                format!("[{three}, {one},]"),
                format!("[{three}, {one}, {two},]"),
                format!("[{three}, {two},]"),
            ),
        ] {
            let added = admit(&policy(&list), "x", &key(1), &key(2)).unwrap();
            assert_eq!(added, policy(&with));
            let read = Policy::from_toml(&added, "zap.toml").unwrap();
            assert!(is_admitted(&read, "x", &key(1)) && is_admitted(&read, "x", &key(2)));
            assert!(!is_admitted(&read, "y", &key(2)));
            assert_eq!(dismiss(&added, "x", &key(1)).unwrap(), policy(&without));
            assert_eq!(dismiss(&added, "x", &key(2)).unwrap(), policy(&list));
        }
    }

    #[test]
    fn what_is_not_there_is_not_edited() {
        let text = policy(&format!("[{:?}]", key(1).to_z85()));
        assert!(admit(&text, "z", &key(1), &key(2)).is_err());
        assert!(admit(&text, "x", &key(3), &key(2)).is_err());
        assert!(dismiss(&text, "x", &key(1)).is_err(), "the last one");
        assert_eq!(dismiss(&text, "x", &key(7)).unwrap(), text);
    }
}
