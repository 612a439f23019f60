//! The `vtick` command.

fn main() -> std::process::ExitCode {
    vtick::cli::main()
}
