//! Reads Rust source as far as the rules need it: code without comments and strings, the paths that it names, and which lines
//! belong to tests. It is a reader of well-formatted code, not a parser: it never refuses a file.

/// A source file, line numbers kept.
pub struct Source {
    /// The code, with the inside of comments, strings and character literals blanked. As many lines as the file.
    code: String,
    /// For each line, whether a comment touches it.
    commented: Vec<bool>,
}

/// A token with its line, counted from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

/// A path that the code names, such as `crate::log::Log`: each leaf of a `use` tree is a path of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub line: usize,
    pub segments: Vec<String>,
    /// The inline modules around it, outermost first.
    pub inside: Vec<String>,
}

impl Source {
    pub fn read(text: &str) -> Source {
        let mut reader = Reader::new(text);
        while reader.step() {}
        Source {
            code: reader.code,
            commented: reader.commented,
        }
    }

    /// The same file with every item under `#[cfg(test)]` blanked.
    pub fn without_tests(&self) -> Source {
        let mut code = self.code.clone();
        let mut from = 0;
        while let Some(start) = code[from..].find("#[cfg(test)]").map(|at| at + from) {
            let end = end_of_item(&code, start + "#[cfg(test)]".len());
            let blank: String = code[start..end]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' })
                .collect();
            code.replace_range(start..end, &blank);
            from = start + blank.len();
        }
        Source {
            code,
            commented: self.commented.clone(),
        }
    }

    /// Whether a comment touches this line or the one before it.
    pub fn is_explained(&self, line: usize) -> bool {
        self.commented[line] || (line > 0 && self.commented[line - 1])
    }

    pub fn tokens(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        for (line, text) in self.code.lines().enumerate() {
            let mut rest = text.trim_start();
            while let Some(first) = rest.chars().next() {
                let length = match first {
                    _ if rest.starts_with("::") => 2,
                    c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                    c => c.len_utf8(),
                };
                let text = rest[..length].to_owned();
                tokens.push(Token { line, text });
                rest = rest[length..].trim_start();
            }
        }
        tokens
    }

    /// Every path of two segments or more, and every leaf of a `use` tree.
    pub fn paths(&self) -> Vec<Path> {
        let tokens = self.tokens();
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let (mut paths, mut modules, mut depth) = (Vec::new(), Vec::<(String, usize)>::new(), 0);
        let mut at = 0;
        while at < tokens.len() {
            match word(at) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1_usize.min(depth);
                    modules.retain(|(_, opened)| *opened <= depth);
                }
                "mod" if word(at + 2) == "{" => modules.push((word(at + 1).to_owned(), depth + 1)),
                text if starts_path(text) && word(at + 1) == "::" => {
                    let mut leaves = Vec::new();
                    at = read_tree(&tokens, at, &[], &mut leaves);
                    let inside: Vec<String> = modules.iter().map(|(name, _)| name.clone()).collect();
                    paths.extend(leaves.into_iter().map(|(line, segments)| Path {
                        line,
                        segments,
                        inside: inside.clone(),
                    }));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        paths
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_path(text: &str) -> bool {
    text.chars().next().is_some_and(|c| is_word(c) && !c.is_ascii_digit())
}

/// Reads one path or use tree at `at`, adds its leaves under `prefix`, and gives the place after it.
fn read_tree(tokens: &[Token], mut at: usize, prefix: &[String], leaves: &mut Vec<(usize, Vec<String>)>) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens[at.min(tokens.len() - 1)].line;
    let mut segments = prefix.to_vec();
    loop {
        match word(at) {
            "{" => {
                at += 1;
                while at < tokens.len() && word(at) != "}" {
                    let next = read_tree(tokens, at, &segments, leaves);
                    // Each turn moves on, whatever stands there: an alias, a comma, a stray token.
                    at = next.max(at + 1);
                    while !matches!(word(at), "," | "}" | "") {
                        at += 1;
                    }
                    at += usize::from(word(at) == ",");
                }
                return at + 1;
            }
            text if starts_path(text) || text == "*" => segments.push(text.to_owned()),
            _ => break,
        }
        at += 1;
        if word(at) != "::" {
            break;
        }
        at += 1;
    }
    leaves.push((line, segments));
    at
}

/// The end of the item that starts at `from`: its closing brace, or the semicolon of an item without a body.
fn end_of_item(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return from + offset + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return from + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// Blanks comments and literals, one lexical element a step.
struct Reader<'a> {
    rest: &'a str,
    code: String,
    commented: Vec<bool>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Reader<'a> {
        Reader {
            rest: text,
            code: String::with_capacity(text.len()),
            commented: vec![false; text.lines().count() + 1],
        }
    }

    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        match first {
            '/' if self.rest.starts_with("//") => {
                let length = self.rest.find('\n').unwrap_or(self.rest.len());
                self.comment(length);
            }
            '/' if self.rest.starts_with("/*") => self.comment(block_comment_len(self.rest)),
            '"' => self.blank(string_len(self.rest)),
            'r' | 'b' | 'c' if !self.code.ends_with(is_word) => match prefixed_string_len(self.rest) {
                Some(length) => self.blank(length),
                None => self.keep(first.len_utf8()),
            },
            '\'' => match char_len(self.rest) {
                Some(length) => self.blank(length),
                None => self.keep(1),
            },
            _ => self.keep(first.len_utf8()),
        }
        true
    }

    fn keep(&mut self, length: usize) {
        self.code.push_str(&self.rest[..length]);
        self.rest = &self.rest[length..];
    }

    fn blank(&mut self, length: usize) {
        let blank = self.rest[..length].chars().map(|c| if c == '\n' { c } else { ' ' });
        self.code.extend(blank);
        self.rest = &self.rest[length..];
    }

    fn comment(&mut self, length: usize) {
        let first = self.code.matches('\n').count();
        let lines = self.rest[..length].matches('\n').count();
        self.commented[first..=first + lines].fill(true);
        self.blank(length);
    }
}

fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `c"…"`, `br#"…"#`; nothing for a plain word that starts with these letters.
fn prefixed_string_len(text: &str) -> Option<usize> {
    let letters = text.find(|c| !matches!(c, 'r' | 'b' | 'c'))?;
    let hashes = text[letters..].find(|c| c != '#')?;
    let open = letters + hashes;
    if letters > 2 || !text[open..].starts_with('"') {
        return None;
    }
    if !text[..letters].contains('r') {
        return (hashes == 0).then(|| open + string_len(&text[open..]));
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let end = text[open + 1..].find(&close).map(|at| open + 1 + at + close.len());
    Some(end.unwrap_or(text.len()))
}

/// The length of a character literal, or nothing where the quote opens a lifetime.
fn char_len(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        let (after, _) = chars.next()?;
        return text[after + 1..].find('\'').map(|at| after + at + 2);
    }
    let (at, close) = chars.next()?;
    (close == '\'').then_some(at + 1)
}
