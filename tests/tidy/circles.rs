//! Which file of a module uses which, by paths and by the methods of a type whose `impl` blocks are in several files.

use crate::source::{self, Impl, PathUse};
use std::collections::{BTreeMap, BTreeSet};

/// A file with its module path: `["store", "open"]` for `src/store/open.rs`.
struct Unit {
    name: String,
    module: Vec<String>,
    code: String,
    paths: Vec<PathUse>,
    impls: Vec<Impl>,
}

/// All files, and what is used: (user, used) → names.
pub struct Uses {
    units: Vec<Unit>,
    edges: BTreeMap<(usize, usize), BTreeSet<String>>,
}

impl Uses {
    /// `files`: path below `src`, and text.
    pub fn new(files: &[(String, String)]) -> Uses {
        let units = files.iter().map(|(name, text)| unit(name, text)).collect();
        let mut uses = Uses { units, edges: BTreeMap::new() };
        (0..uses.units.len()).for_each(|user| uses.add_paths(user));
        uses.add_methods();
        uses
    }

    /// Files that use each other in a circle, a group a line, with the names that close it.
    pub fn circles(&self) -> Vec<String> {
        let count = self.units.len();
        let reached: Vec<BTreeSet<usize>> = (0..count).map(|from| self.reached(from)).collect();
        let mut groups: BTreeSet<Vec<usize>> = BTreeSet::new();
        for from in 0..count {
            let group: Vec<usize> =
                (0..count).filter(|to| reached[from].contains(to) && reached[*to].contains(&from)).collect();
            if group.len() > 1 {
                groups.insert(group);
            }
        }
        groups.iter().map(|group| self.describe(group)).collect()
    }

    fn reached(&self, from: usize) -> BTreeSet<usize> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(user) = open.pop() {
            for (_, used) in self.edges.keys().filter(|(other, _)| *other == user) {
                if reached.insert(*used) {
                    open.push(*used);
                }
            }
        }
        reached
    }

    fn describe(&self, group: &[usize]) -> String {
        let inside = self.edges.iter().filter(|((user, used), _)| group.contains(user) && group.contains(used));
        let lines = inside.map(|((user, used), names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("  {} -> {}: {}", self.units[*user].name, self.units[*used].name, names.join(", "))
        });
        format!("circle:\n{}", lines.collect::<Vec<_>>().join("\n"))
    }

    /// A file uses another of its room by a path. Types and constants of an enclosing module are the room's vocabulary and
    /// do not count, its functions do; a `pub use` of what lies below does not count.
    fn add_paths(&mut self, user: usize) {
        let mut found = Vec::new();
        for path in &self.units[user].paths {
            let Some((used, item)) = self.resolve(user, &path.segments, 0) else { continue };
            let (own, other) = (&self.units[user], &self.units[used]);
            if used == user || room(&own.module) != room(&other.module) {
                continue;
            }
            let is_above = own.module.starts_with(&other.module);
            let is_below = other.module.starts_with(&own.module);
            let is_function =
                other.code.contains(&format!("fn {item}(")) || other.code.contains(&format!("fn {item}<"));
            if (is_above && !is_function) || (is_below && path.is_reexport) {
                continue;
            }
            found.push((used, item));
        }
        for (used, item) in found {
            self.edges.entry((user, used)).or_default().insert(item);
        }
    }

    /// The file that defines what a path names, and the name.
    fn resolve(&self, user: usize, segments: &[String], depth: u32) -> Option<(usize, String)> {
        if depth > 8 || segments.is_empty() {
            return None;
        }
        let module = &self.units[user].module;
        let rest = &segments[1..];
        let whole = match segments[0].as_str() {
            "crate" => [crate_root(module), rest].concat(),
            "self" => [module.as_slice(), rest].concat(),
            "super" => {
                let ups = segments.iter().take_while(|segment| *segment == "super").count();
                [&module[..module.len().saturating_sub(ups)], &segments[ups..]].concat()
            }
            first if self.find(&[module.as_slice(), &[first.to_owned()]].concat()).is_some() => {
                [module.as_slice(), segments].concat()
            }
            first => {
                let import = self.import(user, first)?;
                let is_itself = import.segments == segments;
                return if is_itself {
                    None
                } else {
                    self.resolve(user, &[&import.segments, rest].concat(), depth + 1)
                };
            }
        };
        let length = (0..=whole.len()).rev().find(|length| self.find(&whole[..*length]).is_some())?;
        let used = self.find(&whole[..length])?;
        let Some(item) = whole.get(length) else { return Some((used, "(module)".to_owned())) };
        match self.import(used, item) {
            Some(import) if used != user => {
                let segments = [&import.segments, &whole[length + 1..]].concat();
                self.resolve(used, &segments, depth + 1).or_else(|| Some((used, item.clone())))
            }
            _ => Some((used, item.clone())),
        }
    }

    fn find(&self, module: &[String]) -> Option<usize> {
        self.units.iter().position(|unit| unit.module == module)
    }

    fn import(&self, user: usize, name: &str) -> Option<&PathUse> {
        self.units[user].paths.iter().find(|path| path.alias.as_deref() == Some(name))
    }

    /// A file calls a method that only another file's `impl` block of the same type defines.
    fn add_methods(&mut self) {
        let mut found = Vec::new();
        for (user, unit) in self.units.iter().enumerate() {
            for block in &unit.impls {
                let own: Vec<&str> = self.methods(user, &block.of);
                for call in block.calls.iter().filter(|call| !own.contains(&call.as_str())) {
                    let others = (0..self.units.len()).filter(|used| *used != user);
                    let used = others.filter(|used| self.methods(*used, &block.of).contains(&call.as_str()));
                    found.extend(used.map(|used| ((user, used), format!("{}::{call}", block.of))));
                }
            }
        }
        for (edge, name) in found {
            self.edges.entry(edge).or_default().insert(name);
        }
    }

    fn methods(&self, unit: usize, of: &str) -> Vec<&str> {
        let blocks = self.units[unit].impls.iter().filter(|block| block.of == of);
        blocks.flat_map(|block| &block.methods).map(String::as_str).collect()
    }
}

fn unit(name: &str, text: &str) -> Unit {
    let code = source::split(text).code;
    let tokens = source::tokens(&code);
    let stem = name.strip_suffix(".rs").unwrap();
    let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].contains(&module.last().unwrap().as_str()) {
        module.pop();
    }
    let (paths, impls) = (source::paths(&tokens), source::impls(&tokens));
    Unit { name: name.to_owned(), module, code, paths, impls }
}

/// The module path of the crate's root: programs are crates of their own.
fn crate_root(module: &[String]) -> &[String] {
    let is_program = module.first().is_some_and(|first| first == "bin");
    &module[..if is_program { 2 } else { 0 }]
}

/// The top-level module, or the program.
fn room(module: &[String]) -> Option<&String> {
    module.get(crate_root(module).len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::Uses;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Uses::new(&files).circles()
    }

    #[test]
    fn siblings_that_use_each_other_are_a_circle() {
        let circle = [
            ("a/mod.rs", "mod b;\nmod c;"),
            ("a/b.rs", "use super::c::run;"),
            ("a/c.rs", "fn run() { super::b::go() }"),
        ];
        assert_eq!(circles(&circle).len(), 1);
        let line = [
            ("a/mod.rs", "mod b;\nmod c;"),
            ("a/b.rs", "use super::c::run;"),
            ("a/c.rs", "fn run() {} // super::b::go"),
        ];
        assert!(circles(&line).is_empty());
        let imported =
            [("a/mod.rs", "use b::B; use c::C;"), ("a/b.rs", "use super::C;"), ("a/c.rs", "use crate::a::{self, B};")];
        assert_eq!(circles(&imported).len(), 1);
    }

    #[test]
    fn types_of_the_enclosing_module_are_no_circle_and_its_functions_are() {
        let types = [("a/mod.rs", "mod b;\npub struct A;\nfn f() { b::go() }"), ("a/b.rs", "use super::A;")];
        assert!(circles(&types).is_empty());
        let functions = [("a/mod.rs", "mod b;\nfn help() {}\nfn f() { b::go() }"), ("a/b.rs", "use super::help;")];
        assert_eq!(circles(&functions).len(), 1);
        let exported = [("a/mod.rs", "mod b;\npub use b::go;\nfn help() {}"), ("a/b.rs", "use super::help;")];
        assert!(circles(&exported).is_empty());
    }

    #[test]
    fn methods_of_a_type_in_several_files_that_call_each_other_are_a_circle() {
        let back =
            [("a/b.rs", "impl T { fn b(&self) { self.c() } }"), ("a/c.rs", "impl T { fn c(&self) { self.b(); } }")];
        assert_eq!(circles(&back).len(), 1);
        let down = [
            ("a/b.rs", "impl T { fn b(&self) { self.c() } }"),
            ("a/c.rs", "impl<'a> T<'a> { fn c(&self) { b(\"self.b()\") } }"),
        ];
        assert!(circles(&down).is_empty());
    }
}
