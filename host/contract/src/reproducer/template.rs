//! C files with places left open.

/// Functions and statements that stand only in programs which need them: lines between `//if NAME` and `//end`.
pub(super) struct Parts<'a> {
    pub(super) set: Vec<&'a str>,
    pub(super) put: Vec<(&'a str, String)>,
}

impl Parts<'_> {
    pub(super) fn write(&self, template: &str) -> String {
        let mut text = String::new();
        let mut left_out = Vec::new();
        for line in template.lines() {
            match line.trim().strip_prefix("//if ") {
                Some(names) => left_out.push(!names.split('|').any(|name| self.set.contains(&name.trim()))),
                None if line.trim() == "//end" => drop(left_out.pop()),
                None if left_out.contains(&true) => {}
                None => {
                    let mut line = line.to_owned();
                    for (name, value) in &self.put {
                        line = line.replace(&format!("@{name}@"), value);
                    }
                    text += &line;
                    text.push('\n');
                }
            }
        }
        text
    }
}
