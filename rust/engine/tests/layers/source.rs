//! Reads Rust sources as far as the tests of this folder need it: tokens with
//! their lines, the paths that a file names, and the lengths of its functions.
//!
//! Comments, strings and characters are no code. What only tests compile (an
//! item under `#[cfg(test)]`) is left out of the paths: tests may import from
//! every layer.

/// A piece of code: an identifier, a number or a punctuation mark (`::` is one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1 on.
    pub(crate) line: usize,
}

/// A path that code names, in a `use` or where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The inline modules that it stands in, outermost first.
    pub(crate) within: Vec<String>,
    /// Its segments, without aliases; a glob ends with `*`.
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From its name to its closing brace.
    pub(crate) lines: usize,
}

/// Splits code into tokens.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let source: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < source.len() {
        let end = skipped(&source, at).unwrap_or(at);
        if end > at {
            line += source[at..end].iter().filter(|it| **it == '\n').count();
            at = end;
            continue;
        }
        let first = source[at];
        let length = if first.is_alphanumeric() || first == '_' {
            let word = source[at..].iter();
            word.take_while(|it| it.is_alphanumeric() || **it == '_')
                .count()
        } else if first == ':' && source.get(at + 1) == Some(&':') {
            2
        } else {
            1
        };
        if !first.is_whitespace() {
            let text = source[at..at + length].iter().collect();
            found.push(Token { text, line });
        } else if first == '\n' {
            line += 1;
        }
        at += length;
    }
    found
}

/// The end of the comment, string or character that begins at `at`, if one does.
fn skipped(source: &[char], at: usize) -> Option<usize> {
    let next = |ahead: usize| source.get(at + ahead).copied();
    let in_word = at > 0 && (source[at - 1].is_alphanumeric() || source[at - 1] == '_');
    match (source[at], next(1)) {
        ('/', Some('/')) => Some(find(source, at, |it| it == '\n')),
        ('/', Some('*')) => Some(block_comment(source, at)),
        ('"', _) => Some(string(source, at + 1)),
        ('b' | 'c', Some('"')) if !in_word => Some(string(source, at + 2)),
        ('r', Some('"' | '#')) if !in_word => raw_string(source, at + 1),
        ('b' | 'c', Some('r')) if !in_word && matches!(next(2), Some('"' | '#')) => {
            raw_string(source, at + 2)
        }
        ('\'', Some('\\')) => Some(find(source, at + 3, |it| it == '\'') + 1),
        ('\'', Some(_)) if next(2) == Some('\'') => Some(at + 3),
        _ => None,
    }
}

fn find(source: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    let mut rest = source.iter().skip(from);
    let found = rest.position(|it| wanted(*it));
    found.map_or(source.len(), |ahead| from + ahead)
}

fn block_comment(source: &[char], at: usize) -> usize {
    let (mut at, mut depth) = (at, 0);
    while at < source.len() {
        match (source[at], source.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The end of a string whose first character after the quote is at `at`.
fn string(source: &[char], mut at: usize) -> usize {
    while at < source.len() && source[at] != '"' {
        at += if source[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of a raw string whose marks begin at `at`; `None` for `r#name`.
fn raw_string(source: &[char], at: usize) -> Option<usize> {
    let marks = source[at..].iter().take_while(|it| **it == '#').count();
    if source.get(at + marks) != Some(&'"') {
        return None;
    }
    let mut end = at + marks + 1;
    while end < source.len() {
        end = find(source, end, |it| it == '"') + 1;
        let closing = source.iter().skip(end).take_while(|it| **it == '#');
        if closing.count() >= marks {
            break;
        }
    }
    Some(end + marks)
}

/// The end (exclusive) of the bracket that opens at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// All paths of more than one segment that code outside of tests names.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Named> {
    let mut reader = Reader {
        tokens,
        found: Vec::new(),
    };
    reader.read(0, tokens.len(), &[]);
    reader.found
}

/// The code without what only tests compile.
pub(crate) fn code_of(tokens: &[Token]) -> Vec<Token> {
    let reader = Reader {
        tokens,
        found: Vec::new(),
    };
    let (mut code, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if reader.is_for_tests(at) {
            at = reader.item_end(closing(tokens, at + 1));
        } else {
            code.push(tokens[at].clone());
            at += 1;
        }
    }
    code
}

struct Reader<'a> {
    tokens: &'a [Token],
    found: Vec<Named>,
}

impl Reader<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn is_word(&self, at: usize) -> bool {
        let first = self.text(at).chars().next();
        first.is_some_and(|it| it.is_alphabetic() || it == '_')
    }

    fn read(&mut self, mut at: usize, end: usize, within: &[String]) {
        while at < end {
            if self.is_for_tests(at) {
                at = self.item_end(closing(self.tokens, at + 1));
            } else if self.text(at) == "mod" && self.text(at + 2) == "{" {
                let (name, close) = (self.text(at + 1).to_owned(), closing(self.tokens, at + 2));
                self.read(at + 3, close - 1, &[within, &[name]].concat());
                at = close;
            } else if self.text(at) == "use" && !matches!(self.text(at.wrapping_sub(1)), "." | "::")
            {
                at = self.tree(at + 1, &[], within);
            } else if self.is_word(at) && self.text(at + 1) == "::" && self.is_word(at + 2) {
                at = self.path(at, within);
            } else {
                at += 1;
            }
        }
    }

    /// Whether `#[cfg(test)]` begins here.
    fn is_for_tests(&self, at: usize) -> bool {
        let expected = ["#", "[", "cfg", "(", "test", ")", "]"];
        expected
            .iter()
            .enumerate()
            .all(|(ahead, text)| self.text(at + ahead) == *text)
    }

    /// The end of the item that begins at `at`, with its further attributes.
    fn item_end(&self, mut at: usize) -> usize {
        while at < self.tokens.len() {
            match self.text(at) {
                "#" => at = closing(self.tokens, at + 1),
                "(" | "[" => at = closing(self.tokens, at),
                "{" => {
                    let end = closing(self.tokens, at);
                    // The braces of `use a::{b, c};` do not end it.
                    return if self.text(end) == ";" { end + 1 } else { end };
                }
                ";" => return at + 1,
                // The last of several, such as a field or an arm.
                "}" | "," => return at,
                _ => at += 1,
            }
        }
        at
    }

    /// A path in code, from its first segment on. A path that goes on from a
    /// value or a type is none.
    fn path(&mut self, start: usize, within: &[String]) -> usize {
        let mut segments = vec![self.text(start).to_owned()];
        let mut at = start + 1;
        while self.text(at) == "::" && self.is_word(at + 1) {
            segments.push(self.text(at + 1).to_owned());
            at += 2;
        }
        let before = self.text(start.wrapping_sub(1));
        let two_before = self.text(start.wrapping_sub(2));
        if !(before == "::" || before == "." && two_before != ".") {
            self.push(segments, self.tokens[start].line, within);
        }
        at
    }

    /// A tree of a `use`; returns what follows it.
    fn tree(&mut self, mut at: usize, prefix: &[String], within: &[String]) -> usize {
        let mut segments = prefix.to_vec();
        if self.text(at) == "::" {
            at += 1;
        }
        loop {
            if self.text(at) == "{" {
                at += 1;
                while self.text(at) != "}" && at < self.tokens.len() {
                    at = self.tree(at, &segments, within);
                    if self.text(at) == "," {
                        at += 1;
                    }
                }
                return at + 1;
            }
            let line = self.tokens.get(at).map_or(0, |token| token.line);
            let name = self.text(at).to_owned();
            if name != "self" || segments.is_empty() {
                segments.push(name);
            }
            at += 1;
            if self.text(at) == "::" {
                at += 1;
                continue;
            }
            if self.text(at) == "as" {
                at += 2;
            }
            self.push(segments, line, within);
            return at;
        }
    }

    fn push(&mut self, segments: Vec<String>, line: usize, within: &[String]) {
        let within = within.to_vec();
        self.found.push(Named {
            within,
            segments,
            line,
        });
    }
}

/// All functions that have a body, in tests too.
pub(crate) fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(name) = tokens.get(at + 1) else {
            break;
        };
        let is_name = name
            .text
            .starts_with(|it: char| it.is_alphabetic() || it == '_');
        if token.text != "fn" || !is_name {
            continue;
        }
        let mut body = at + 2;
        while body < tokens.len() && !matches!(tokens[body].text.as_str(), "{" | ";") {
            body = match tokens[body].text.as_str() {
                "(" | "[" => closing(tokens, body),
                _ => body + 1,
            };
        }
        if tokens.get(body).is_some_and(|it| it.text == "{") {
            let end = closing(tokens, body);
            found.push(Function {
                name: name.text.clone(),
                line: name.line,
                lines: tokens[end - 1].line - name.line + 1,
            });
        }
    }
    found
}

/// A struct with named fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) fields: usize,
}

/// All structs that have named fields.
pub(crate) fn structs(tokens: &[Token]) -> Vec<Struct> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|at| text(*at) == "struct") {
        let mut body = at + 2;
        while !matches!(text(body), "{" | ";" | "") {
            body = match text(body) {
                "(" | "[" => closing(tokens, body),
                _ => body + 1,
            };
        }
        if text(body) != "{" {
            continue;
        }
        let (mut fields, mut inside) = (0, body + 1);
        let end = closing(tokens, body) - 1;
        while inside < end {
            inside = match text(inside) {
                "(" | "[" | "{" => closing(tokens, inside),
                // A path in a type has `::` instead.
                ":" => {
                    fields += 1;
                    inside + 1
                }
                _ => inside + 1,
            };
        }
        found.push(Struct {
            name: text(at + 1).to_owned(),
            line: tokens[at].line,
            fields,
        });
    }
    found
}
