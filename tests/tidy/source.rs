//! Divides Rust source into what the checks read: code without comments and literals, comments, tokens, paths, `impl`
//! blocks.

/// Code with comments and literals blanked out, and comments with all else blanked out. Lines stay where they are.
pub struct Split {
    pub code: String,
    pub comments: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// Tells code, comments and literals apart.
pub fn split(text: &str) -> Split {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = vec![Part::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let (part, end) = part_at(&chars, at);
        parts[at..end].fill(part);
        at = end;
    }
    let keep = |wanted: Part| -> String {
        let kept = chars.iter().zip(&parts);
        kept.map(|(c, part)| if *part == wanted || *c == '\n' { *c } else { ' ' }).collect()
    };
    Split { code: keep(Part::Code), comments: keep(Part::Comment) }
}

/// What begins at `at`, and where it ends.
fn part_at(chars: &[char], at: usize) -> (Part, usize) {
    let find = |from: usize, end: &[char]| {
        let found = (from..chars.len()).find(|start| chars[*start..].starts_with(end));
        found.map_or(chars.len(), |start| start + end.len())
    };
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let follows_word = at > 0 && is_word(&chars[at - 1]);
    match chars[at] {
        '/' if chars[at..].starts_with(&['/', '/']) => (Part::Comment, find(at, &['\n']) - 1),
        '/' if chars[at..].starts_with(&['/', '*']) => (Part::Comment, find(at, &['*', '/'])),
        '"' => (Part::Literal, string_end(chars, at + 1)),
        'r' if !follows_word || chars[at - 1] == 'b' => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            if chars.get(at + 1 + hashes) != Some(&'"') {
                return (Part::Code, at + 1);
            }
            let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            (Part::Literal, find(at + 2 + hashes, &end))
        }
        // A lifetime has no second quote.
        '\'' if chars.get(at + 1) == Some(&'\\') => (Part::Literal, find(at + 3, &['\''])),
        '\'' if chars.get(at + 2) == Some(&'\'') => (Part::Literal, at + 3),
        _ => (Part::Code, at + 1),
    }
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Words, `::` and single signs of code.
pub fn tokens(code: &str) -> Vec<String> {
    let chars: Vec<char> = code.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let word = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
        let length = if word > 0 {
            word
        } else if chars[at..].starts_with(&[':', ':']) {
            2
        } else {
            1
        };
        if !chars[at].is_whitespace() {
            tokens.push(chars[at..at + length].iter().collect());
        }
        at += length;
    }
    tokens
}

pub fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// A path in code.
#[derive(Clone, Debug)]
pub struct PathUse {
    pub segments: Vec<String>,
    /// The name that a `use` gives it.
    pub alias: Option<String>,
    /// True for `pub use`.
    pub is_reexport: bool,
}

/// All paths of two or more segments, and everything that is imported.
pub fn paths(tokens: &[String]) -> Vec<PathUse> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let token = tokens[at].as_str();
        let before = if at > 0 { tokens[at - 1].as_str() } else { "" };
        let starts_path = is_word(token) && tokens.get(at + 1).is_some_and(|next| next == "::");
        if token == "use" {
            let is_reexport = before == "pub" || before == ")";
            at = import(tokens, at + 1, &[], is_reexport, &mut found);
        } else if starts_path && before != "::" && before != "." {
            let mut segments = vec![token.to_owned()];
            while tokens.get(at + 1).is_some_and(|next| next == "::") && tokens.get(at + 2).is_some_and(|t| is_word(t))
            {
                segments.push(tokens[at + 2].clone());
                at += 2;
            }
            found.push(PathUse { segments, alias: None, is_reexport: false });
            at += 1;
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one tree of a `use` from `at` on; returns where it ends.
fn import(tokens: &[String], mut at: usize, prefix: &[String], is_reexport: bool, found: &mut Vec<PathUse>) -> usize {
    let mut segments = prefix.to_vec();
    while at < tokens.len() {
        match tokens[at].as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = if tokens[at] == "," { at + 1 } else { import(tokens, at, &segments, is_reexport, found) };
                }
                return at + 1;
            }
            word if is_word(word) && word != "as" => {
                if word != "self" || segments.is_empty() {
                    segments.push(word.to_owned());
                }
                at += 1;
            }
            other => {
                let alias = if other == "as" { tokens.get(at + 1).cloned() } else { segments.last().cloned() };
                found.push(PathUse { segments, alias, is_reexport });
                return if other == "as" {
                    at + 2
                } else if other == "*" {
                    at + 1
                } else {
                    at
                };
            }
        }
    }
    at
}

/// An inherent `impl` block.
#[derive(Debug)]
pub struct Impl {
    pub of: String,
    pub methods: Vec<String>,
    /// Methods called on `self`, `Self` or the type by name.
    pub calls: Vec<String>,
}

/// All inherent `impl` blocks.
pub fn impls(tokens: &[String]) -> Vec<Impl> {
    let mut found = Vec::new();
    for start in (0..tokens.len()).filter(|at| tokens[*at] == "impl") {
        let mut depth = 0;
        let mut head = Vec::new();
        let mut at = start + 1;
        while at < tokens.len() && tokens[at] != "{" && tokens[at] != ";" {
            match tokens[at].as_str() {
                "<" => depth += 1,
                ">" if tokens[at - 1] != "-" => depth -= 1,
                word if depth == 0 => head.push(word),
                _ => {}
            }
            at += 1;
        }
        let name = head.iter().take_while(|word| **word != "where").last();
        let is_block = start == 0 || ["}", ";", "]"].contains(&tokens[start - 1].as_str());
        if let Some(name) = name.filter(|name| is_block && is_word(name) && !head.contains(&"for")) {
            found.push(block((*name).to_owned(), tokens, at));
        }
    }
    found
}

fn block(of: String, tokens: &[String], open: usize) -> Impl {
    let mut found = Impl { of, methods: Vec::new(), calls: Vec::new() };
    let mut depth = 0;
    for at in open..tokens.len() {
        let is = |offset: usize, text: &str| tokens.get(at + offset).is_some_and(|token| token == text);
        match tokens[at].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "fn" if depth == 1 => found.methods.push(tokens[at + 1].clone()),
            "self" if is(1, ".") && is(3, "(") => found.calls.push(tokens[at + 2].clone()),
            word if (word == "Self" || word == found.of) && is(1, "::") => found.calls.push(tokens[at + 2].clone()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}
