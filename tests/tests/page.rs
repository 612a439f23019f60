//! A report as a browser shows it: drawn without complaint, with every plot, in light and dark. Ignored by default: it
//! takes a Chromium, which root may install and which `cargo xtask browser` finds, and emulated hosts.

use std::path::PathBuf;

use vtick_tests::browser::{Browser, Page, Scheme};
use vtick_tests::xtask;

/// Where a screenshot is left for a person to look at.
fn screenshot(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
#[ignore = "boots emulated hosts and opens a browser"]
fn a_report_is_drawn_with_all_its_plots_in_light_and_dark() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let scenarios = [
        "vtimer-spin",
        "vtimer-wfi",
        "vtimer-mmio",
        "mmio-read",
        "periodic-10khz",
        "periodic-saturated",
        "--interrupts",
        "300",
    ];
    let chips = ["--irqchip", "user,bare,vgicv3", "--kernel", "debian:6.1.0-50", "--kernel", "debian:6.12"];
    let bench = xtask(&[&["bench", "--output", &place("record.json")], &scenarios[..], &chips[..]].concat());
    assert_eq!(bench.status, Some(0), "{}", bench.all());
    let records = [place("record-6.1.0-50.json"), place("record-6.12.json")];
    let browser = Browser::obtain();
    for (kind, records) in [("one-kernel", &records[..1]), ("two-kernels", &records[..])] {
        let arguments = records.iter().map(String::as_str).chain(["--html"]);
        let page = place("report.html");
        let ran = xtask(&["report"].into_iter().chain(arguments).chain([page.as_str()]).collect::<Vec<_>>());
        assert_eq!(ran.status, Some(0), "{}", ran.all());
        let html = std::fs::read_to_string(&page).unwrap();
        for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            let shot = screenshot(&format!("report-{kind}-{name}.png"));
            let page = browser.show(&html, scheme, Some(&shot));
            assert_eq!(page.faults(), Vec::<String>::new(), "{kind}, {name}: {}", shot.display());
            has_all(&page, records.len());
            assert_eq!(page.answer("dark"), f64::from(scheme == Scheme::Dark), "{kind}, {name}");
            let bright = page.answer("luminance of the page");
            assert!(if scheme == Scheme::Dark { bright < 0.1 } else { bright > 0.8 }, "{kind}, {name}: {bright}");
            assert!(std::fs::metadata(&shot).is_ok_and(|file| file.len() > 10_000), "{}", shot.display());
        }
    }
}

/// That a report of the scenarios above, on three interrupt controllers, shows each of them.
fn has_all(page: &Page, kernels: usize) {
    // One of the scenarios is an operation, without hops.
    let (interrupts, scenarios) = (5.0, 6.0);
    for (plots, due) in [
        ("plots of distribution", scenarios),
        ("plots of timeline", scenarios),
        ("plots of waterfall", interrupts),
        ("plots of saturation", 1.0),
        ("plots of trends", if kernels > 1 { 2.0 } else { 0.0 }),
    ] {
        assert_eq!(page.answer(plots), due, "{plots}, of {page:?}");
    }
    assert!(page.answer("marks") > 100.0, "{page:?}");
    // At a glance, and the ledger: each with a row for each measurement.
    assert!(page.answer("rows of tables") > kernels as f64 * scenarios * 3.0 * 2.0, "{page:?}");
}

#[test]
#[ignore = "opens a browser"]
fn a_page_that_is_broken_is_found_out() {
    let browser = Browser::obtain();
    let head = "<!doctype html><html><head><title>t</title></head><body style=\"color: #000; background: #fff\">";
    let faults = |inside: &str| {
        let plot = format!("<svg class=\"trends\" width=\"200\" height=\"100\" viewBox=\"0 0 200 100\">{inside}</svg>");
        browser.show(&format!("{head}{plot}</body></html>"), Scheme::Light, None).faults()
    };
    let mark = r#"<rect x="10" y="10" width="50" height="50"/>"#;
    assert_eq!(faults(mark), Vec::<String>::new());
    for (inside, due) in [
        ("", "plots without marks"),
        (r#"<rect x="10" y="10" width="-5" height="5"/><rect x="1" y="1" width="9" height="9"/>"#, "negative value"),
        (r#"<rect x="NaN" y="10" width="5" height="5"/>"#, "NaN"),
        (r#"<rect x="190" y="10" width="50" height="5"/>"#, "marks outside their plot"),
        (&format!(r#"{mark}<text x="190" y="50">beyond the edge</text>"#), "words outside their plot"),
        (&format!(r#"{mark}<text x="9" y="50">one</text><text x="12" y="52">two</text>"#), "words upon words"),
        (&format!("{mark}</svg><p style=\"width: 2000px\">wide</p><svg>{mark}"), "wider than the window"),
        (&format!("{mark}</svg><script>missing()</script><svg>{mark}"), "missing is not defined"),
    ] {
        let found = faults(inside).join("\n");
        assert!(found.contains(due), "{due} was due for {inside}\n{found}");
    }
}
