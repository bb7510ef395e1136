//! Writes the seeds to `fuzz/seeds/<target>/`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for seed in holdfast_fuzz::seeds() {
        let folder = folder.join(seed.target.name());
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(seed.name), seed.bytes)?;
    }
    Ok(())
}
