//! Where the runner runs a guest (arm64 Linux), it embeds the guest's image: `VTICK_GUEST` names it.

fn main() {
    println!("cargo:rerun-if-env-changed=VTICK_GUEST");
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    if target("ARCH") != "aarch64" || target("OS") != "linux" {
        return;
    }
    match std::env::var("VTICK_GUEST") {
        Ok(path) => println!("cargo:rerun-if-changed={path}"),
        Err(_) => {
            println!("cargo:error=VTICK_GUEST does not name the guest image to embed: build with `cargo xtask build`");
        }
    }
}
