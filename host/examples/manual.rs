//! Writes the manual pages of `vtick` and what shells complete of its command line: `cargo xtask dist` wants them. An
//! example, so that the runner itself holds neither.
//!
//! usage: manual FOLDER

use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::Shell;

/// The shells that Debian's users have.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: manual FOLDER");
        return ExitCode::from(2);
    };
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write to {}: {error}", folder.display());
            ExitCode::from(2)
        }
    }
}

fn write(folder: &std::path::Path) -> std::io::Result<()> {
    let (pages, completions) = (folder.join("man/man1"), folder.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(vtick::cli::command(), pages)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut vtick::cli::command(), "vtick", &completions)?;
    }
    Ok(())
}
