//! A page in headless Chromium: what it shows, and what it complains of.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::xtask;

/// The longest a browser may take for one page.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the page is asked, in its own browser. Answers are lines of `name value`, in an element that ends up in the dump.
const QUESTIONS: &str = include_str!("questions.html");

/// The colours that a page is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// As on paper.
    Light,
    /// For the night.
    Dark,
}

/// A browser that is on this machine.
pub struct Browser(PathBuf);

/// What a page showed.
#[derive(Debug)]
pub struct Page {
    answers: Vec<(String, f64)>,
    /// What the browser had to say: errors of markup, of scripts, of what could not be loaded.
    pub complaints: Vec<String>,
}

impl Browser {
    /// The machine's own, or one that root may install: never none, and a clear line why not.
    pub fn obtain() -> Browser {
        let ran = xtask(&["browser"]);
        assert_eq!(ran.status, Some(0), "no browser to show a page in: {}", ran.all());
        Browser(ran.stdout.trim().into())
    }

    /// Shows the page and asks it what is on it. What it looks like is left in `screenshot`, if that is wanted.
    pub fn show(&self, html: &str, scheme: Scheme, screenshot: Option<&Path>) -> Page {
        let folder = tempfile::tempdir().expect("a folder for a page");
        let place = folder.path().join("page.html");
        fs::write(&place, html.replace("</body>", &format!("{QUESTIONS}</body>"))).expect("a page can be written");
        let (dump, said) = self.run(folder.path(), scheme, &["--dump-dom"], &place);
        if let Some(screenshot) = screenshot {
            let plain = folder.path().join("plain.html");
            fs::write(&plain, html).expect("a page can be written");
            let shot = format!("--screenshot={}", screenshot.display());
            self.run(folder.path(), scheme, &["--hide-scrollbars", &shot], &plain);
        }
        let answers = dump.split_once("<pre id=\"answers\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let (answers, _) = answers.unwrap_or_else(|| panic!("the page did not answer\n{}", said.join("\n")));
        let answer = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let answers = answers.lines().map(|line| answer(line).unwrap_or_else(|| panic!("no answer: {line}"))).collect();
        let complaints =
            said.into_iter().filter(|line| line.contains(":CONSOLE:") || line.contains("CONSOLE(")).collect();
        Page { answers, complaints }
    }

    fn run(&self, folder: &Path, scheme: Scheme, options: &[&str], page: &Path) -> (String, Vec<String>) {
        // Blink's PreferredColorScheme: 0 is dark, 1 is light.
        let dark = if scheme == Scheme::Dark { 0 } else { 1 };
        let mut command = Command::new(&self.0);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"])
            .args(["--window-size=1200,9000", "--force-device-scale-factor=1"])
            .arg(format!("--blink-settings=preferredColorScheme={dark}"))
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .args(options)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the browser can be started");
        let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let started = Instant::now();
        let status = loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) => break Some(status),
                None if started.elapsed() > PATIENCE => break None,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        assert!(status.is_some_and(|status| status.success()), "the browser: {status:?}\n{err}");
        (out, err.lines().map(str::to_owned).collect())
    }
}

/// Reads to the end, aside: a pipe that nobody empties would stop the browser.
fn reader(from: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _what_there_is = from.map(|mut from| from.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Page {
    /// The answer to the question with this name.
    pub fn answer(&self, name: &str) -> f64 {
        let found = self.answers.iter().find(|(question, _)| question == name);
        found.unwrap_or_else(|| panic!("{name} was not asked: {:?}", self.answers)).1
    }

    /// What is wrong with the page, a line each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.complaints.clone();
        for name in [
            "plots without marks",
            "marks outside their plot",
            "words outside their plot",
            "words upon words",
            "wider than the window",
        ] {
            if self.answer(name) != 0.0 {
                faults.push(format!("{} {name}", self.answer(name)));
            }
        }
        // WCAG 2.2, 1.4.3: 4.5 to 1 for text.
        for name in ["contrast of text", "contrast of soft text"] {
            if self.answer(name) < 4.5 {
                faults.push(format!("{name}: {:.2}", self.answer(name)));
            }
        }
        faults
    }
}
