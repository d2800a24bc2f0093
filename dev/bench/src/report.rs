//! Results as files.

use std::path::Path;

use serde::Serialize;

use crate::Outcome;

/// Writes `value` to `dir/name`, making `dir`.
pub(crate) fn write(dir: &Path, name: &str, value: &impl Serialize) -> Outcome<()> {
    let path = dir.join(name);
    let named = |e: std::io::Error| format!("{}: {e}", path.display());
    std::fs::create_dir_all(dir).map_err(named)?;
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    std::fs::write(&path, text).map_err(named)?;
    println!("\nwritten: {}", path.display());
    Ok(())
}
