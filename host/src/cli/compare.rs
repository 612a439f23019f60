//! `vtick compare`.

use std::path::PathBuf;

use super::{Done, read_record};

use vtick_shell::say::{print, println};

#[derive(clap::Args)]
pub(super) struct CompareArgs {
    /// The earlier record.
    before: PathBuf,
    /// The later record.
    after: PathBuf,
    /// Exit with status 1 if a total grew by more than this, if an interrupt takes more system calls, or if a
    /// measurement is missing.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_over: Option<f64>,
    /// Print Markdown.
    #[arg(long)]
    markdown: bool,
}

/// `2`, `2%` or `0.5 %`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse() {
        Ok(percent) if (0.0..=1e6).contains(&percent) => Ok(percent),
        _ => Err("a percentage such as 2% is expected".to_owned()),
    }
}

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<Done> {
    let comparison = vtick_report::compare(&read_record(&args.before)?, &read_record(&args.after)?)?;
    print!("{}", comparison.to_text(args.markdown));
    let over = args.fail_over.map(|limit| (limit, comparison.over(limit)));
    if let Some((limit, over)) = &over {
        match over.is_empty() {
            true => println!("\nnothing is over {limit} %"),
            false => println!("\nover {limit} %:"),
        }
        over.iter().for_each(|line| println!("- {line}"));
    }
    Ok(Done::Ran(over.is_none_or(|(_, over)| over.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_percentage_may_have_its_sign_and_is_nothing_else() {
        assert_eq!((percent("2%"), percent("0.5 %"), percent("3")), (Ok(2.0), Ok(0.5), Ok(3.0)));
        assert!(percent("two").is_err() && percent("-1").is_err() && percent("nan").is_err());
    }
}
