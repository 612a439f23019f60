//! Where the runner runs a guest (arm64 Linux), it embeds the guest's image: `VTICK_GUEST` names it. `cargo xtask` sets
//! that. Without it, as in `cargo test --workspace` on an arm64 machine, the image is empty: command line and unit tests
//! need none.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=VTICK_GUEST");
    if let Ok(path) = std::env::var("VTICK_GUEST") {
        println!("cargo:rerun-if-changed={path}");
        return;
    }
    let none = Path::new(&std::env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("no-guest");
    std::fs::write(&none, "").expect("OUT_DIR can be written");
    println!("cargo:rustc-env=VTICK_GUEST={}", none.display());
}
