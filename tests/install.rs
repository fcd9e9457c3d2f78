//! `make install` and `make uninstall`: the installed tree, and programs that find libomen only through it, by
//! pkg-config and CMake, in C99 and C++17, shared and static.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod programs;

use programs::{
    COMMAND_LINE, PREFIX, ROOT, TARGET, compile, installed, link, make_install, other_library, runs, succeeds,
};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const SHARED_BYTES_MAX: u64 = 2_250_000;
const PACKAGES_MAX: usize = 25;

// The tree

/// Major version, or 0.x: what a break changes.
fn compatible_version() -> String {
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    if major == "0" { format!("0.{minor}") } else { major.to_owned() }
}

#[test]
fn library_has_its_soname_and_the_links_to_it() {
    let lib = installed().join("lib");
    let (soname, file) = (format!("libomen.so.{}", compatible_version()), format!("libomen.so.{VERSION}"));
    let link_to = |name: &str| fs::read_link(lib.join(name)).unwrap();
    assert_eq!(link_to("libomen.so"), Path::new(&soname));
    assert_eq!(link_to(&soname), Path::new(&file));
    let dynamic = succeeds(Command::new("readelf").arg("-d").arg(lib.join(&file)));
    assert!(dynamic.contains(&format!("Library soname: [{soname}]")), "{dynamic}");
    assert!(lib.join("libomen.a").is_file());
}

#[test]
fn library_is_small_and_exports_only_its_own() {
    let library = installed().join("lib/libomen.so");
    let bytes = fs::metadata(&library).unwrap().len();
    assert!(bytes <= SHARED_BYTES_MAX, "{bytes} bytes");
    let listed = succeeds(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    let strangers: Vec<&str> = listed.lines().filter(|line| !line.contains(" T omen_")).collect();
    assert!(strangers.is_empty() && listed.lines().count() >= 25, "{strangers:?} of\n{listed}");
}

#[test]
fn destdir_is_in_no_file() {
    let tree = installed();
    for file in [
        "lib/pkgconfig/omen.pc",
        "share/cmake/omen/omen-config.cmake",
        "share/cmake/omen/omen-config-version.cmake",
        "share/omen/installed",
    ] {
        let text = fs::read_to_string(tree.join(file)).unwrap();
        assert!(!text.contains(TARGET) && !text.contains("@prefix@") && !text.is_empty(), "{file}:\n{text}");
    }
}

#[test]
fn a_prefix_that_is_not_absolute_is_refused() {
    let output = make_install().arg("PREFIX=here").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("PREFIX is not absolute: here"), "{said}");
}

#[test]
fn library_depends_on_few_packages() {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(ROOT).args(["tree", "--locked", "-e", "normal,build", "--prefix", "none", "--no-dedupe"]);
    let tree = succeeds(&mut command);
    let mut packages: Vec<&str> = tree.lines().filter(|line| !line.is_empty() && !line.starts_with("omen ")).collect();
    packages.sort_unstable();
    packages.dedup();
    let found = packages.len();
    assert!((5..=PACKAGES_MAX).contains(&found), "{found} packages: {packages:?}");
}

/// What the metadata in Cargo.toml tells cargo-c to install besides the library is there, and `make install` installs it.
#[test]
fn cargo_c_installs_the_same_files() {
    let manifest = fs::read_to_string(format!("{ROOT}/Cargo.toml")).unwrap();
    let metadata = manifest.split("[package.metadata.capi").skip(1).collect::<String>();
    let mut named: Vec<PathBuf> = Vec::new();
    for pattern in metadata.split("from = \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let (folder, name) = pattern.rsplit_once('/').unwrap();
        let files = fs::read_dir(format!("{ROOT}/{folder}")).unwrap().map(|entry| entry.unwrap().path());
        let fits = |file: &PathBuf| file.to_str().unwrap().ends_with(name.trim_start_matches('*'));
        named.extend(files.filter(fits));
    }
    assert_eq!(named.len(), 4, "{named:?}");
    for file in named {
        let name = file.file_name().unwrap();
        let places = ["include", "share/cmake/omen"].map(|folder| installed().join(folder).join(name));
        let same = |place: &PathBuf| fs::read(place).is_ok_and(|bytes| bytes == fs::read(&file).unwrap());
        assert!(places.iter().any(same), "{} is not installed", file.display());
    }
}

/// Where cargo-c is, it is run: what it lays out is what `make install` does, under the same SONAME.
#[test]
fn cargo_c_lays_out_the_same_tree() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(ROOT).arg("cinstall");
    if !cargo.arg("--version").output().unwrap().status.success() {
        // libtest does not capture what is written to stderr itself.
        writeln!(std::io::stderr(), "NOT RUN: cargo cinstall, as cargo-c is missing: cargo install cargo-c").unwrap();
        return;
    }
    let destdir = tempfile::tempdir().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(ROOT).args(["cinstall", "--locked", "--release", "--prefix", PREFIX, "--destdir"]);
    cargo.arg(destdir.path()).arg("--target-dir").arg(Path::new(TARGET).join("cargo-c"));
    succeeds(cargo.arg("--libdir").arg(format!("{PREFIX}/lib")));
    let tree = destdir.path().join(&PREFIX[1..]);
    let ours: Vec<PathBuf> = files_under(installed()).into_iter().filter(|path| is_of_the_library(path)).collect();
    assert_eq!(files_under(&tree), ours);
    let names = |root: &Path| succeeds(Command::new("readelf").arg("-d").arg(root.join("lib/libomen.so")));
    let soname = format!("Library soname: [libomen.so.{}]", compatible_version());
    assert!([names(&tree), names(installed())].iter().all(|dynamic| dynamic.contains(&soname)));
    for file in ["include/omen.h", "include/omen.hpp", "share/cmake/omen/omen-config.cmake"] {
        assert!(fs::read(tree.join(file)).unwrap() == fs::read(installed().join(file)).unwrap(), "{file}");
    }
}

/// False for what only `make install` installs: the command line and the list of files.
fn is_of_the_library(path: &Path) -> bool {
    path.starts_with("lib") || path.starts_with("include") || path.starts_with("share/cmake")
}

/// The paths of all files and links below `root`, relative to it.
fn files_under(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                found.push(entry.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

// The command line

/// What `make install` installs with the program.
const COMPLETIONS: [&str; 3] = [
    "share/bash-completion/completions/omen",
    "share/zsh/site-functions/_omen",
    "share/fish/vendor_completions.d/omen.fish",
];

#[test]
fn the_command_line_is_installed_with_man_pages_and_completions() {
    let tree = installed();
    let others: Vec<PathBuf> = files_under(tree).into_iter().filter(|path| !is_of_the_library(path)).collect();
    if COMMAND_LINE.is_none() {
        assert_eq!(others, [Path::new("share/omen/installed")]);
        return;
    }
    let program = tree.join("bin/omen");
    let said = succeeds(Command::new(&program).arg("--version"));
    assert_eq!(said, format!("omen {VERSION}\n"));
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
    for name in COMPLETIONS {
        let script = fs::read_to_string(tree.join(name)).unwrap();
        assert!(script.contains("estimate") && script.contains("first-id"), "{name}");
    }
    let help = succeeds(Command::new(&program).arg("--help"));
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Long descriptions go on in lines that are indented further.
    let names = commands.lines().filter(|line| !line.starts_with("   "));
    let commands: Vec<&str> = names.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(commands.contains(&"verify"), "{commands:?}");
    let commands = commands.iter().filter(|name| **name != "help");
    for name in commands.map(|command| format!("omen-{command}.1")).chain(["omen.1".to_owned()]) {
        let page = fs::read_to_string(tree.join("share/man/man1").join(&name));
        assert!(page.is_ok_and(|page| page.contains(".TH omen")), "{name}");
    }
}

/// Everything below `root`, directories included, with the bytes of files and the targets of links.
fn everything_under(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let bytes = match fs::read_link(&path) {
                Ok(target) => target.into_os_string().into_encoded_bytes(),
                Err(_) if path.is_dir() => {
                    folders.push(path.clone());
                    Vec::new()
                }
                Err(_) => fs::read(&path).unwrap(),
            };
            found.insert(path, bytes);
        }
    }
    found
}

fn make_uninstall() -> Command {
    let mut command = Command::new("make");
    command.current_dir(ROOT).arg("uninstall");
    command
}

#[test]
fn uninstall_removes_what_install_put_there_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let places =
        [format!("DESTDIR={}", scratch.path().display()), format!("PREFIX={PREFIX}"), format!("LIBDIR={PREFIX}/lib64")];
    // What others have there: neighbours of our files, an empty directory, a link.
    let prefix = scratch.path().join(&PREFIX[1..]);
    for file in ["bin/other", "lib64/libother.so.1", "share/man/man1/omen-other.1", "share/cmake/omen/other.cmake"] {
        fs::create_dir_all(prefix.join(file).parent().unwrap()).unwrap();
        fs::write(prefix.join(file), file).unwrap();
    }
    fs::create_dir_all(prefix.join("share/zsh/site-functions")).unwrap();
    std::os::unix::fs::symlink("libother.so.1", prefix.join("lib64/libother.so")).unwrap();
    let before = everything_under(scratch.path());
    // Twice: the second time all directories are there.
    for _ in 0..2 {
        succeeds(make_install().args(&places));
        assert!(prefix.join("lib64/libomen.so").exists() && prefix.join("lib64/pkgconfig/omen.pc").exists());
        assert!(everything_under(scratch.path()).len() > before.len() + 10);
    }
    succeeds(make_uninstall().args(&places));
    assert!(everything_under(scratch.path()) == before);
    let output = make_uninstall().args(&places).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("nothing to uninstall"), "{said}");
    assert!(everything_under(scratch.path()) == before);
}

/// Without CLI, `make install` builds the program with its features. The cargo here notes how it was called, and builds by
/// copying what was built before: a release build of the program takes minutes.
#[test]
fn make_install_builds_the_command_line_with_its_features() {
    let Some(program) = COMMAND_LINE else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (bin, target) = (scratch.path().join("bin"), scratch.path().join("target"));
    fs::create_dir_all(target.join("release")).unwrap();
    fs::create_dir(&bin).unwrap();
    let built = Path::new(TARGET).join("shipped/release");
    installed();
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {0}/called\ncp {1}/libomen.so {1}/libomen.a {2} {3}/release\n",
        scratch.path().display(),
        built.display(),
        program,
        target.display()
    );
    fs::write(bin.join("cargo"), script).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let install = |cli: &str| {
        let destdir = scratch.path().join(format!("tree{cli}"));
        let mut command = make_install();
        command.env("PATH", &path).env("CARGO_TARGET_DIR", &target).env_remove("CLI");
        command.arg(format!("PREFIX={PREFIX}")).arg(format!("DESTDIR={}", destdir.display()));
        succeeds(command.arg(format!("CLI={cli}")));
        (fs::read_to_string(scratch.path().join("called")).unwrap(), files_under(&destdir.join(&PREFIX[1..])))
    };
    let (called, files) = install("");
    assert_eq!(called, "build --release --quiet --lib --bin omen --features cli,parquet\n");
    assert!(files == files_under(installed()));
    let (called, files) = install("no");
    assert_eq!(called, "build --release --quiet --lib\n");
    let others: Vec<&PathBuf> = files.iter().filter(|path| !is_of_the_library(path)).collect();
    assert_eq!(others, [Path::new("share/omen/installed")]);
}

// Programs

/// A source of each language, with its compiler and standard.
const SOURCES: [(&str, &str, &str); 2] = [("c/quickstart.c", "gcc", "c99"), ("cpp/quickstart.cpp", "g++", "c++17")];

/// Runs a program, which must print examples/expected.txt; it is linked to libomen.so only if it is to be shared.
fn tells_the_story(program: &Path, shared: bool) {
    let dynamic = succeeds(Command::new("readelf").arg("-d").arg(program));
    assert_eq!(dynamic.contains(&format!("[libomen.so.{}]", compatible_version())), shared, "{dynamic}");
    let scratch = tempfile::tempdir().unwrap();
    let said = runs(Command::new(program).arg(scratch.path().join("store")));
    assert_eq!(said, fs::read_to_string(format!("{ROOT}/examples/expected.txt")).unwrap());
}

#[test]
fn pkg_config_tells_how_to_compile() {
    let tree = installed();
    let pkg_config = |options: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.args(options).arg("omen").env("PKG_CONFIG_PATH", tree.join("lib/pkgconfig"));
        let destdir = tree.to_str().unwrap().strip_suffix(PREFIX).unwrap();
        succeeds(command.env("PKG_CONFIG_SYSROOT_DIR", destdir)).trim().to_owned()
    };
    assert_eq!(pkg_config(&["--modversion"]), VERSION);
    for (source, compiler, standard) in SOURCES {
        for shared in [true, false] {
            let scratch = tempfile::tempdir().unwrap();
            let program = scratch.path().join("program");
            let flags = if shared {
                let rpath = format!(" -Wl,-rpath,{}", tree.join("lib").display());
                pkg_config(&["--cflags", "--libs"]) + &rpath
            } else {
                pkg_config(&["--static", "--cflags", "--libs"]) + " -static"
            };
            let mut command = Command::new(compiler);
            command
                .arg(format!("-std={standard}"))
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
                .arg(&program);
            succeeds(command.arg(format!("{ROOT}/examples/{source}")).args(flags.split_whitespace()));
            tells_the_story(&program, shared);
        }
    }
}

#[test]
fn cmake_finds_the_package() {
    let scratch = tempfile::tempdir().unwrap();
    let wanted = compatible_version();
    succeeds(&mut configure(scratch.path(), &wanted));
    succeeds(Command::new("cmake").arg("--build").arg(scratch.path()));
    for language in ["c", "cpp"] {
        for (library, shared) in [("omen", true), ("static", false)] {
            tells_the_story(&scratch.path().join(format!("{language}_{library}")), shared);
        }
    }
}

#[test]
fn cmake_refuses_another_version_and_names_the_one_there_is() {
    for wanted in ["99.0", "0.0.1", &format!("{}.99", compatible_version())] {
        let scratch = tempfile::tempdir().unwrap();
        let output = configure(scratch.path(), wanted).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("version: {VERSION}")), "{wanted}: {said}");
    }
}

/// CMake over tests/outside, which wants a version of libomen.
fn configure(build: &Path, wanted: &str) -> Command {
    let mut command = Command::new("cmake");
    command.arg("-S").arg(format!("{ROOT}/tests/outside")).arg("-B").arg(build);
    command.arg(format!("-DWANTED={wanted}")).arg(format!("-DEXAMPLES={ROOT}/examples"));
    command.arg(format!("-DCMAKE_PREFIX_PATH={}", installed().display()));
    command
}

/// The commands of docs/install.md, one after the other: the first where libomen is, the others beside the files that the
/// document shows.
#[test]
fn the_commands_of_the_document_work() {
    let prefix = tempfile::tempdir().unwrap();
    let beside = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(format!("{ROOT}/docs/install.md")).unwrap();
    let text = text.replace("/opt/omen", prefix.path().to_str().unwrap());
    let mut script = String::from("set -eu\n");
    for block in text.split("```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').unwrap();
        if language == "sh" {
            let folder = if code.starts_with("make ") { ROOT } else { beside.path().to_str().unwrap() };
            script += &format!("cd {folder}\n{code}");
        } else {
            let name = code.lines().next().unwrap().trim_matches(['/', '*', '#', ' ']);
            fs::write(beside.path().join(name), code).unwrap();
        }
    }
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env("CARGO_TARGET_DIR", Path::new(TARGET).join("shipped"));
    command.env("CLI", COMMAND_LINE.unwrap_or("no"));
    let said = succeeds(command.env_remove("LD_LIBRARY_PATH"));
    let told = format!("libomen {VERSION}\n");
    assert!(said.matches(&told).count() == 2 && said.ends_with("2 vectors of 2 floats\n"), "{said}");
}

// Versions

#[test]
fn versions_of_the_header_are_those_of_the_library() {
    let source = Path::new(ROOT).join("tests/c/versions.c");
    for (compiler, standard) in [("gcc", "c99"), ("g++", "c++17")] {
        let scratch = tempfile::tempdir().unwrap();
        let program = link(compile(compiler, standard, &source), &installed().join("lib"), true, scratch.path());
        let said = runs(&mut Command::new(program));
        assert!(said.contains(&format!("header {VERSION}, ")), "{said}");
    }
}

/// A program asks the loader for the SONAME of the library it was linked with, and starts with no other.
#[test]
fn a_library_of_another_soname_is_refused_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    fs::copy(installed().join("lib/libomen.so"), scratch.path().join("libomen.so")).unwrap();
    let source = Path::new(ROOT).join("tests/c/versions.c");
    let program = link(compile("gcc", "c99", &source), scratch.path(), true, scratch.path());
    let output = Command::new(program).env_remove("LD_LIBRARY_PATH").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let named = format!("libomen.so.{}: cannot open shared object file", compatible_version());
    assert!(!output.status.success() && said.contains(&named), "{said}");
}

#[test]
fn omen_hpp_refuses_an_older_and_a_newer_library_by_name() {
    let number = |text: &str| text.parse::<u32>().unwrap();
    let (major, minor) = (number(env!("CARGO_PKG_VERSION_MAJOR")), number(env!("CARGO_PKG_VERSION_MINOR")));
    let before = if minor > 0 { format!("{major}.{}.9", minor - 1) } else { format!("{}.9.9", major - 1) };
    let after = format!("{}.0.0", major + 1);
    let abi = number(&abi_of_the_header());
    for (version, abi, verdict) in [
        (before.as_str(), abi, "old"),
        (VERSION, abi - 1, "old"),
        (VERSION, abi + 1, "new"),
        (after.as_str(), abi, "new"),
    ] {
        let said = opened_with(version, abi);
        let expected = format!(
            "OMEN_UNSUPPORTED: libomen {version} (ABI {abi}) is too {verdict} for this program, compiled with omen.h {VERSION}"
        );
        assert!(said.starts_with(&expected), "{said}");
    }
    let (start, patch) = VERSION.rsplit_once('.').unwrap();
    let said = opened_with(&format!("{start}.{}", number(patch) + 1), abi);
    assert_eq!(said, "OMEN_?: this is the other library\n", "a newer patch is as good");
}

/// The number that include/omen.h defines.
fn abi_of_the_header() -> String {
    let header = fs::read_to_string(format!("{ROOT}/include/omen.h")).unwrap();
    header.lines().find_map(|line| line.strip_prefix("#define OMEN_ABI_VERSION ")).unwrap().to_owned()
}

/// What a program compiled with omen.hpp says when the loader finds a library that calls itself so.
fn opened_with(version: &str, abi: u32) -> String {
    let scratch = other_library(version, abi);
    let mut program = compile("g++", "c++17", &Path::new(ROOT).join("tests/cpp/refused.cpp"));
    // It lacks most functions, as an old library lacks some.
    program.args(["-Wl,-z,lazy", "-Wl,--unresolved-symbols=ignore-all"]);
    runs(Command::new(link(program, scratch.path(), true, scratch.path())).arg(scratch.path()))
}
