//! Output that is either there and whole, or not there.

use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder that is being filled beside its later place.
pub struct Staged {
    out: PathBuf,
    part: PathBuf,
}

impl Staged {
    /// Begins `out`, which must not exist, or be empty.
    pub fn create(out: &Path) -> anyhow::Result<Self> {
        let taken = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
        ensure!(
            !taken && !out.is_file(),
            "{} is there already: choose another name",
            out.display()
        );
        let name = out.file_name().context("the output needs a name")?.to_string_lossy();
        let part = out.with_file_name(format!(".{name}.part"));
        if part.exists() {
            fs::remove_dir_all(&part).with_context(|| part.display().to_string())?;
        }
        fs::create_dir_all(&part).with_context(|| part.display().to_string())?;
        Ok(Self { out: out.to_owned(), part })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.part
    }

    /// Moves everything to its place.
    pub fn finish(self) -> anyhow::Result<()> {
        if self.out.is_dir() {
            fs::remove_dir(&self.out).with_context(|| self.out.display().to_string())?;
        }
        fs::rename(&self.part, &self.out).with_context(|| self.out.display().to_string())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After `finish` it is not there any more; after a failure nobody needs it.
        fs::remove_dir_all(&self.part).ok();
    }
}
