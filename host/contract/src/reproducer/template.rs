//! C files with places left open, and text in lines.

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

/// Text in lines of at most `width` columns, as far as words allow: the first begins with `first`, the others with `rest`.
pub(super) fn wrapped(text: &str, width: usize, first: &str, rest: &str) -> Vec<String> {
    let (mut lines, mut line, mut is_begun) = (Vec::new(), first.to_owned(), false);
    for word in text.split_whitespace() {
        if is_begun && line.len() + 1 + word.len() > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    lines.push(line);
    lines
}
