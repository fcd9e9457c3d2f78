//! Rules of the source tree: layers, circles, modules with unsafe code, lengths, headers, names. The layers are read
//! from docs/architecture.md.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;

struct Room {
    layer: u32,
    may_be_unsafe: bool,
}

/// Module → layer, from the table of docs/architecture.md.
fn rooms() -> BTreeMap<String, Room> {
    let text = std::fs::read_to_string(format!("{ROOT}/docs/architecture.md")).unwrap();
    let mut rooms = BTreeMap::new();
    let table = text.split("| layer |").nth(1).unwrap().lines().skip(2).take_while(|line| line.starts_with('|'));
    for line in table {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let layer = cells[0].parse().unwrap();
        let name = cells[1].trim_matches('`').to_owned();
        rooms.insert(name, Room { layer, may_be_unsafe: cells[3] == "yes" });
    }
    assert!(rooms.len() >= 15, "the layer table of docs/architecture.md was not found");
    rooms
}

/// All files below a folder, but for build output and hidden ones.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    const SKIPPED: [&str; 4] = ["target", "node_modules", "__pycache__", "build"];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with('.') || SKIPPED.contains(&name) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    walk(&Path::new(ROOT).join("src"), &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found.sort();
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Paths below `src` and what is in the files, without their tests.
fn named_sources() -> Vec<(String, String)> {
    let name = |path: &Path| path.strip_prefix(Path::new(ROOT).join("src")).unwrap().to_str().unwrap().to_owned();
    sources().iter().map(|(path, text)| (name(path), without_tests(text).to_owned())).collect()
}

/// The top-level module a file belongs to; none for lib.rs.
fn module_of(path: &Path) -> Option<String> {
    let relative = path.strip_prefix(Path::new(ROOT).join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then(|| name.to_owned())
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn modules_import_downward_only() {
    let rooms = rooms();
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        let own = rooms.get(&module).unwrap_or_else(|| panic!("{module} is not in the layer table"));
        for (number, line) in without_tests(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for used in used_modules(line) {
                let Some(other) = rooms.get(&used) else { continue };
                let is_allowed = used == module || other.layer < own.layer;
                if !is_allowed {
                    faults.push(format!("{}:{}: {module} uses {used}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_of_a_room_do_not_use_each_other_in_a_circle() {
    let circles = circles::Uses::new(&named_sources()).circles();
    assert!(circles.is_empty(), "{} circles\n{}", circles.len(), circles.join("\n"));
}

#[test]
fn type_names_are_defined_once() {
    let twice = names::types_defined_twice(&named_sources());
    assert!(twice.is_empty(), "{} names\n{}", twice.len(), twice.join("\n"));
}

/// Every file that a comment or a page names, such as `tests/faults.rs`.
#[test]
fn paths_named_in_comments_and_pages_exist() {
    let root = Path::new(ROOT);
    let mut files = Vec::new();
    walk(root, &mut files);
    let file_name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let file_names: BTreeSet<String> = files.iter().map(file_name).collect();
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: BTreeSet<String> = entries.filter(|path| path.is_dir()).map(|path| file_name(&path)).collect();
    folders.remove("target");
    let (mut faults, mut found) = (Vec::new(), 0);
    for path in &files {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let prose = match extension {
            "rs" | "c" | "h" | "hpp" | "cpp" => source::split(&text).comments,
            "md" => text,
            _ => continue,
        };
        for (number, line) in prose.lines().enumerate().filter(|(_, line)| !line.contains("://")) {
            for named in names::named_paths(line, &folders) {
                found += 1;
                if !names::leads_somewhere(root, path, named, &file_names) {
                    let shown = path.strip_prefix(root).unwrap().display();
                    faults.push(format!("{shown}:{}: {named}", number + 1));
                }
            }
        }
    }
    assert!(found > 100, "only {found} paths were found");
    assert!(faults.is_empty(), "{} of {found} paths\n{}", faults.len(), faults.join("\n"));
}

/// The page lists each top-level module; the page or the head of a room's mod.rs names each file of the room.
#[test]
fn every_module_is_in_the_table_and_every_file_is_named() {
    let (rooms, page) = (rooms(), std::fs::read_to_string(format!("{ROOT}/docs/architecture.md")).unwrap());
    let mut faults = Vec::new();
    for (path, text) in &sources() {
        if module_of(path).is_some_and(|module| !rooms.contains_key(&module)) {
            faults.push(format!("{}: not in the table of docs/architecture.md", path.display()));
        }
        if path.ends_with("mod.rs") {
            let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            let words: BTreeSet<&str> = [head.as_str(), &page].iter().flat_map(|text| words(text)).collect();
            let missing = declared_modules(without_tests(text)).filter(|module| !words.contains(module));
            faults.extend(missing.map(|module| format!("{}: {module} is not in its head", path.display())));
        }
    }
    assert!(faults.is_empty(), "{} modules\n{}", faults.len(), faults.join("\n"));
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Files that a module declares.
fn declared_modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_suffix(';')?.rsplit_once("mod ")).map(|(_, name)| name)
}

/// Modules named behind `crate::` in a line, also in `crate::{a, b::c}`.
fn used_modules(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + 7..];
        match rest.strip_prefix('{') {
            Some(list) => used.extend(list.split(',').map(|item| word(item.trim()))),
            None => used.push(word(rest)),
        }
    }
    used
}

#[test]
fn unsafe_stays_in_its_three_rooms_and_says_why() {
    let rooms = rooms();
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            let opens = code.contains("unsafe {") || code.contains("unsafe impl");
            if !opens {
                continue;
            }
            let is_room = module_of(&path).is_some_and(|module| rooms[&module].may_be_unsafe);
            let says_why = lines[index.saturating_sub(6)..=index].iter().any(|line| line.contains("SAFETY:"));
            if !is_room || !says_why {
                faults.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_have_a_header_and_functions_and_files_a_bounded_length() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            faults.push(format!("{}: no //! header", path.display()));
        }
        let code = without_tests(&text);
        let lines = code.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines", path.display()));
        }
        for (name, lines) in functions(code) {
            if lines > FUNCTION_LINES_MAX {
                faults.push(format!("{}: {name} has {lines} lines", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Names and lengths of functions, from `fn` to the brace that closes at its indentation (rustfmt keeps it so).
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(at) = trimmed.find("fn ").filter(|at| *at == 0 || trimmed[..*at].ends_with(' ')) else { continue };
        if trimmed.starts_with("//") || trimmed.ends_with(';') {
            continue;
        }
        let indent = &line[..line.len() - trimmed.len()];
        let closing = format!("{indent}}}");
        let length = lines[start..].iter().position(|line| *line == closing).map_or(1, |length| length + 1);
        let name = trimmed[at + 3..].split(['(', '<']).next().unwrap().to_owned();
        found.push((name, length));
    }
    found
}

#[test]
fn every_source_file_is_part_of_the_crate() {
    let all: Vec<(PathBuf, String)> = sources();
    for (path, _) in &all {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = if stem == "mod" {
            path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
        } else {
            stem.to_owned()
        };
        let declared = |text: &String| text.contains(&format!("mod {name};"));
        assert!(
            ["lib", "main"].contains(&name.as_str()) || all.iter().any(|(_, text)| declared(text)),
            "{} is dead",
            path.display()
        );
    }
}

/// Every page: those at the root, under docs and of the bindings.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "bindings/python", "bindings/mojo"].map(|folder| Path::new(ROOT).join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    assert!(pages.len() >= 15, "{pages:?}");
    pages
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for path in documents() {
        let name = path.strip_prefix(ROOT).unwrap().display();
        let text = std::fs::read_to_string(&path).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let is_local = !target.is_empty() && !target.contains("://");
            assert!(!is_local || path.parent().unwrap().join(target).exists(), "{name}: {target} is missing");
        }
    }
}

/// Trap 30, docs ahead of code: each figure of the README's table stands in docs/performance.md, which `make bench` prints
/// (trap 25: with n, dim, ids and sync mode).
#[test]
fn trap_30_the_figures_of_the_readme_were_measured() {
    let read = |name: &str| std::fs::read_to_string(format!("{ROOT}/{name}")).unwrap().replace(',', "");
    let (readme, measured) = (read("README.md"), read("docs/performance.md"));
    let table = readme.split("## Measured").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut figures = 0;
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        for cell in line.trim_matches('|').split('|').skip(1) {
            let words = cell.split([' ', ',']).filter(|word| word.parse::<f64>().is_ok());
            for figure in words {
                assert!(measured.contains(figure), "{figure} of \"{line}\" is not in docs/performance.md");
                figures += 1;
            }
        }
    }
    assert!(figures > 10, "the table of the README was not found: {figures} figures");
}
