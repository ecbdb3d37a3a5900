//! How much memory a file may take while it is read.

use anyhow::{Context, Result};

/// Whatever a file claims: twice its own size, and a little more so that small ones have room.
const TIMES: usize = 2;
const AND: usize = 1 << 20;

/// Bytes that may still be taken. Everything that grows with what a file says is charged before it is allocated.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

impl Budget {
    /// For a file of this length.
    pub fn new(length: usize) -> Budget {
        Budget { left: length.saturating_mul(TIMES).saturating_add(AND) }
    }

    pub fn charge(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).context("what it holds is many times larger than the file")?;
        Ok(())
    }
}
