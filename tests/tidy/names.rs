//! Names: of types, and of files in comments and pages.

use crate::source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Types that are defined more than once, with the files. Associated types, which are indented, share their names with
/// traits.
pub fn types_defined_twice(files: &[(String, String)]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, text) in files {
        for line in source::split(text).code.lines() {
            let tokens = source::tokens(line);
            let is_indented = line.starts_with(' ');
            let kind = tokens.iter().position(|token| {
                ["struct", "enum", "union", "trait"].contains(&token.as_str()) || token == "type" && !is_indented
            });
            let Some(defined) = kind.and_then(|kind| tokens.get(kind + 1)) else { continue };
            if defined.starts_with(char::is_uppercase) {
                places.entry(defined.clone()).or_default().push(name);
            }
        }
    }
    let twice = places.into_iter().filter(|(_, files)| files.len() > 1);
    twice.map(|(name, files)| format!("{name}: {}", files.join(", "))).collect()
}

const SOURCES: [&str; 16] =
    ["rs", "md", "py", "pyi", "c", "h", "cpp", "hpp", "mojo", "toml", "sh", "yml", "in", "txt", "bvecs", "ivecs"];

/// Paths in `text`: words with a slash whose first part is a folder of the repository, or names of Rust and Markdown files.
pub fn named_paths<'a>(text: &'a str, folders: &BTreeSet<String>) -> Vec<&'a str> {
    let is_part = |c: char| c.is_alphanumeric() || "_-./*<>{}$~@".contains(c);
    let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_matches(['.', '/', '-', '*']));
    let is_path = |word: &&str| {
        let is_pattern = word.contains(['*', '<', '{', '$', '~', '@']) || word.contains("..");
        let first = word.split('/').next().unwrap();
        let extension = word.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_source = SOURCES.contains(&extension);
        let is_in_folder = word.contains('/') && folders.contains(first) && (is_source || !word.contains('.'));
        !is_pattern && (is_in_folder || (is_source && word.contains('/')) || ["rs", "md"].contains(&extension))
    };
    words.filter(is_path).collect()
}

/// True if `path`, named in `file`, leads to a file: from the root, from the folder of `file`, from `src` or `tests`; a
/// bare file name, and a header that is installed in `include`, may lie anywhere.
pub fn leads_somewhere(root: &Path, file: &Path, path: &str, file_names: &BTreeSet<String>) -> bool {
    let starts = [root.to_owned(), file.parent().unwrap().to_owned(), root.join("src"), root.join("tests")];
    starts.iter().any(|start| start.join(path).exists())
        || file_names.contains(path.strip_prefix("include/").unwrap_or(path))
}
