//! Descriptions of steps and commands: the verb, the file, the target and the stage.

use crate::{
    form::{Kind, Sighting},
    unit::Stage,
};

/// A description of a step, as CMake and Meson write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step<'l> {
    pub(crate) stage: Stage,
    /// The object, library or program.
    pub(crate) output: &'l str,
    /// The target that it belongs to, where the path says so.
    pub(crate) package: Option<&'l str>,
    /// True if the description begins with a verb of a known generator.
    pub(crate) is_known: bool,
}

/// Verbs of CMake (3.25 Source/cmMakefileTargetGenerator.cxx, cmNinjaNormalTargetGenerator.cxx, cmNinjaTargetGenerator.cxx)
/// and Meson (1.0.1 mesonbuild/backend/ninjabackend.py).
const VERBS: [(&str, Stage); 22] = [
    ("Building C object ", Stage::Compile),
    ("Building CXX object ", Stage::Compile),
    ("Building Fortran object ", Stage::Compile),
    ("Building ASM object ", Stage::Compile),
    ("Building CUDA object ", Stage::Compile),
    ("Building OBJC object ", Stage::Compile),
    ("Building OBJCXX object ", Stage::Compile),
    ("Building Swift object ", Stage::Compile),
    ("Compiling C object ", Stage::Compile),
    ("Compiling C++ object ", Stage::Compile),
    ("Compiling Rust source ", Stage::Compile),
    ("Compiling D object ", Stage::Compile),
    ("Scanning ", Stage::Compile),
    ("Linking target ", Stage::Link),
    ("Linking static target ", Stage::Link),
    ("Generating ", Stage::Compile),
    ("Automatic MOC ", Stage::Compile),
    ("Automatic RCC ", Stage::Compile),
    ("Install the project...", Stage::Install),
    ("Running tests...", Stage::Test),
    ("Completed ", Stage::Compile),
    ("Performing ", Stage::Compile),
];

/// Endings of CMake's `Linking C static library `.
const LINKS: [&str; 5] =
    ["static library ", "shared library ", "executable ", "shared module ", "device code "];

/// Reads a description. One that no generator writes is a compilation of what its last word names, if that is a file.
pub(crate) fn describe(text: &str) -> Step<'_> {
    for (verb, stage) in VERBS {
        if let Some(rest) = text.strip_prefix(verb) {
            return Step { stage, output: rest, package: target_of(rest), is_known: true };
        }
    }
    if let Some(rest) = text.strip_prefix("Linking ") {
        let output = LINKS.iter().find_map(|kind| rest.split_once(kind)).map_or(rest, |(_, output)| output);
        return Step { stage: Stage::Link, output, package: target_of(output), is_known: true };
    }
    if let Some(sighting) = command(text) {
        return Step {
            stage: sighting.stage,
            output: sighting.item.unwrap_or(text),
            package: None,
            is_known: true,
        };
    }
    let last = text.rsplit(' ').next().unwrap_or(text);
    Step {
        stage: Stage::Compile,
        output: if last.contains('.') { last } else { text },
        package: None,
        is_known: false,
    }
}

/// Returns the target in an object's path: `src/CMakeFiles/TARGET.dir/a.cc.o`, `src/libTARGET.a.p/a.c.o`.
pub(crate) fn target_of(path: &str) -> Option<&str> {
    if let Some((_, rest)) = path.split_once("CMakeFiles/") {
        return rest.split_once(".dir/").map(|(target, _)| target);
    }
    let (target, _) = path.split_once(".p/")?;
    Some(target.rsplit('/').next().unwrap_or(target))
}

/// Returns the source that an object was made from, as far as its path says: `src/CMakeFiles/x.dir/a/b.cc.o` is
/// `src/a/b.cc`, and Meson's `src/libx.a.p/b.c.o` is `b.c`.
pub(crate) fn source_of(object: &str) -> String {
    let without = |path: &str| {
        let path = path.strip_suffix(".o").or_else(|| path.strip_suffix(".obj")).unwrap_or(path);
        path.to_owned()
    };
    if let Some((before, rest)) = object.split_once("CMakeFiles/")
        && let Some((_, inside)) = rest.split_once(".dir/")
    {
        // CMake writes `__` for `..` in the object's path.
        return without(&format!("{before}{}", inside.replace("__/", "../")));
    }
    if let Some((_, inside)) = object.split_once(".p/") {
        return without(inside);
    }
    without(object)
}

/// Extensions of sources that a compiler gets.
const SOURCES: [&str; 24] = [
    "c", "cc", "cpp", "cxx", "c++", "C", "m", "mm", "S", "s", "asm", "f", "f90", "F90", "f77", "rs", "d",
    "go", "cu", "hs", "java", "vala", "adb", "swift",
];

/// Returns whether a path is a source that compilers take.
pub(crate) fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(stem, extension)| !stem.is_empty() && SOURCES.contains(&extension))
}

/// Reads a command that make printed before it ran it.
///
/// A recipe may do other things first: `cd src && cc -c a.c`, `sleep 1; cc -c a.c`, `CFLAGS=-O2 cc -c a.c`.
pub(crate) fn recipe(line: &str) -> Option<Sighting<'_>> {
    if let Some(sighting) = command(line) {
        return Some(sighting);
    }
    let mut rest = line;
    loop {
        let end = rest.find([';', '&']).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at_checked(end)?;
        if let Some(sighting) = command(without_assignments(piece)) {
            return Some(sighting);
        }
        // Behind a quote a separator may be text, and what a shell says is no command.
        if piece.contains(['"', '\'', '`', '#']) || piece.trim_start().starts_with("echo ") {
            return None;
        }
        rest = behind.trim_start_matches([';', '&', ' ']);
        if rest.is_empty() {
            return None;
        }
    }
}

/// Cuts off `env`, a parenthesis and assignments in front of a command.
fn without_assignments(piece: &str) -> &str {
    let mut rest = piece.trim_start_matches([' ', '(']).trim_end_matches([' ', ')']);
    while let Some((word, behind)) = rest.split_once(' ') {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if word != "env" && !word.split_once('=').is_some_and(|(name, _)| is_name(name)) {
            break;
        }
        rest = behind.trim_start();
    }
    rest
}

/// Programs that compile, without a path, a version or a target.
const COMPILERS: [&str; 17] = [
    "gcc", "g++", "cc", "c++", "clang", "clang++", "cpp", "gfortran", "icc", "icx", "nvcc", "ccache",
    "sccache", "distcc", "emcc", "em++", "tcc",
];

/// Reads a command of a compiler, an archiver or a linker.
fn command(line: &str) -> Option<Sighting<'_>> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next()?;
    let name = program(first);
    let is_libtool = matches!(name, "sh" | "bash")
        && words.next().is_some_and(|word| word.ends_with("/libtool") || word == "libtool");
    if is_libtool {
        // `libtool --mode=compile gcc …`: libtool's own words come first.
        return compile_or_link(line.split_ascii_whitespace().skip(2));
    }
    if name == "libtool" {
        return compile_or_link(line.split_ascii_whitespace().skip(1));
    }
    match name {
        "ar" | "gcc-ar" | "llvm-ar" => {
            let archive = line.split_ascii_whitespace().find(|word| word.ends_with(".a"))?;
            Some(Sighting::new(Kind::Begins, Stage::Link).item(archive))
        }
        "ld" | "ld.gold" | "ld.lld" | "ld.bfd" => {
            let output = line.split_ascii_whitespace().skip_while(|word| *word != "-o").nth(1)?;
            Some(Sighting::new(Kind::Begins, Stage::Link).item(output))
        }
        _ if COMPILERS.contains(&name) => compile_or_link(line.split_ascii_whitespace().skip(1)),
        _ => None,
    }
}

/// Cuts a path, a target's prefix and a version off a program: `/usr/bin/x86_64-linux-gnu-gcc-12` is `gcc`.
fn program(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    let name = match name.rsplit_once('-') {
        Some((before, version)) if version.bytes().all(|b| b.is_ascii_digit() || b == b'.') => before,
        _ => name,
    };
    if COMPILERS.contains(&name) {
        return name;
    }
    match name.rsplit_once('-') {
        Some((_, last)) if COMPILERS.contains(&last) || matches!(last, "ar" | "ld") => last,
        _ => name,
    }
}

/// Returns whether a word is the name of a compiler.
pub(crate) fn is_compiler(word: &str) -> bool {
    COMPILERS.contains(&program(word))
}

/// Reads the words of a compiler: with `-c` it compiles its last source, with `-o` alone it links.
fn compile_or_link<'l>(words: impl Iterator<Item = &'l str>) -> Option<Sighting<'l>> {
    let (mut compiles, mut output, mut source, mut takes_output) = (false, None, None, false);
    for word in words {
        if takes_output {
            output = Some(word);
            takes_output = false;
            continue;
        }
        match word {
            "-c" => compiles = true,
            "-o" => takes_output = true,
            // Preprocessing and dependency files are no steps.
            "-E" | "-M" | "-MM" | "--version" | "-dumpversion" => return None,
            ";" | "&&" | "||" | "|" => break,
            _ if word.starts_with("--mode=") && word != "--mode=compile" && word != "--mode=link" => {
                return None;
            }
            // automake's `test -f 'a.c' || echo './'` ends in a quote: `a.c.
            _ if !word.starts_with('-') && is_source(word) => source = Some(word.trim_start_matches('`')),
            _ => {}
        }
    }
    if compiles {
        return Some(Sighting::new(Kind::Begins, Stage::Compile).item(source?));
    }
    match (source, output) {
        (Some(source), _) => Some(Sighting::new(Kind::Begins, Stage::Compile).item(source)),
        (None, Some(output)) => Some(Sighting::new(Kind::Begins, Stage::Link).item(output)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions() {
        let cases = [
            (
                "Building CXX object src/CMakeFiles/driver.dir/main.cc.o",
                Stage::Compile,
                "src/CMakeFiles/driver.dir/main.cc.o",
                Some("driver"),
            ),
            ("Linking CXX static library src/libx.a", Stage::Link, "src/libx.a", None),
            ("Linking target tests/data", Stage::Link, "tests/data", None),
            ("Compiling C object src/libx.a.p/a.c.o", Stage::Compile, "src/libx.a.p/a.c.o", Some("libx.a")),
            ("gcc -O2 -c -o a.o a.c", Stage::Compile, "a.c", None),
        ];
        for (text, stage, output, package) in cases {
            let step = describe(text);
            assert_eq!(
                (step.stage, step.output, step.package, step.is_known),
                (stage, output, package, true),
                "{text}"
            );
        }
        assert!(!describe("almost there").is_known);
    }

    #[test]
    fn commands() {
        let cases = [
            ("gcc -O3 -c -o tree.o tree.c", Some((Stage::Compile, "tree.c"))),
            ("cc -O2 -shared a.c b.c -fPIC -o liba.so", Some((Stage::Compile, "b.c"))),
            ("/usr/bin/x86_64-linux-gnu-g++-12 -c a.cc", Some((Stage::Compile, "a.cc"))),
            (
                "/bin/bash ../libtool --tag=CC --mode=compile gcc -c -o a.lo a.c",
                Some((Stage::Compile, "a.c")),
            ),
            ("/bin/sh ./libtool --mode=link gcc -o liba.la a.lo", Some((Stage::Link, "liba.la"))),
            ("/bin/sh ./libtool --mode=install install -c liba.la /usr/lib", None),
            ("ar rcs liblz4.a lz4.o", Some((Stage::Link, "liblz4.a"))),
            ("gcc -o tree tree.o list.o", Some((Stage::Link, "tree"))),
            ("gcc --version", None),
            ("cc me on this mail", None),
            ("/bin/sh -c 'make all'", None),
            ("cd src && gcc -c b.c", Some((Stage::Compile, "b.c"))),
            ("sleep 1; cc -c a.c -o a.o", Some((Stage::Compile, "a.c"))),
            ("(cd x; LC_ALL=C A=1 gcc -c c.c)", Some((Stage::Compile, "c.c"))),
            ("mkdir -p out && ar rcs out/libx.a a.o", Some((Stage::Link, "out/libx.a"))),
            ("cd src && echo 'later; cc -c a.c'", None),
            ("cd src && echo later && cc -c a.c", None),
            ("cd src # && cc -c a.c", None),
            ("sleep well", None),
            ("set out & go; cc the others", None),
        ];
        for (line, expected) in cases {
            let found = recipe(line).map(|s| (s.stage, s.item.unwrap()));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn sources_of_objects() {
        let cases = [
            ("src/CMakeFiles/x.dir/a/b.cc.o", "src/a/b.cc"),
            ("CMakeFiles/x.dir/__/b.c.o", "../b.c"),
            ("src/libx.a.p/b.c.o", "b.c"),
            ("a.o", "a"),
        ];
        for (object, source) in cases {
            assert_eq!(source_of(object), source);
        }
    }
}
