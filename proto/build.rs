//! Compiles the schemas in pure Rust (no protoc needed) into types and gRPC stubs.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Asked at run time: a build folder that was copied must not read the schemas of the place it comes from.
    let root = std::env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&root);
    let files = [
        "common",
        "daemon",
        "chassis",
        "vault",
        "management",
        "config",
        "routing",
        "forwarding",
        "periodic",
        "replication",
        "readiness",
    ]
    .map(|name| format!("holdfast/v1/{name}.proto"));
    println!("cargo:rerun-if-changed={}", root.join("holdfast").display());
    let descriptors = protox::compile(&files, [root])?;
    tonic_prost_build::configure()
        // One definition gives the wire format and the JSON that operators' tools read.
        .message_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default)]")
        .enum_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .compile_fds(descriptors)?;
    Ok(())
}
