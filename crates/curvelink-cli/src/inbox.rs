//! Where a subscriber saves what it has verified.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink::Message;
use curvelink_envelope::file;

/// A folder of saved messages, `000001.cle` and so on.
#[derive(Debug)]
pub(crate) struct Inbox {
    folder: PathBuf,
    next: u64,
}

impl Inbox {
    /// Opens the folder, or makes it; numbering goes on after what is in it.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot open {}", folder.display());
        fs::create_dir_all(folder).with_context(cannot)?;
        let mut last = 0_u64;
        for entry in fs::read_dir(folder).with_context(cannot)? {
            let name = entry.with_context(cannot)?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.split('.').next()?.parse().ok());
            last = last.max(number.unwrap_or_default());
        }
        Ok(Self {
            folder: folder.to_owned(),
            next: last.saturating_add(1),
        })
    }

    /// Saves a message that was verified; the path of its `.cle` file.
    pub(crate) fn save(&mut self, message: &Message) -> anyhow::Result<PathBuf> {
        let frames: Vec<&[u8]> = message.iter().map(|frame| &**frame).collect();
        let path = file::save(&self.folder, &format!("{:06}", self.next), &frames)
            .with_context(|| format!("cannot save to {}", self.folder.display()))?;
        self.next = self.next.saturating_add(1);
        Ok(path)
    }
}
