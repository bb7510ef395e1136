//! Links with packed relative relocations (`DT_RELR`, since glibc 2.36): half a MiB less to read at the start, and to keep resident, in each process.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
