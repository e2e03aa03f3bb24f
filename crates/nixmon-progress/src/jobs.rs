//! The number of jobs that a command line and its environment ask for.

/// Returns the jobs of a command.
///
/// The command line wins over the environment, as it does for the tools. `None` is returned where nothing is said, for a
/// `-j` without a number, which asks for no limit, and for programs that are not known.
pub fn jobs<'a>(argv: &[&str], env: impl Fn(&str) -> Option<&'a str>) -> Option<u32> {
    let (program, args) = argv.split_first()?;
    let program = program.rsplit('/').next().unwrap_or(program);
    match program {
        "make" | "gmake" => {
            option(args, &["-j", "--jobs"]).unwrap_or_else(|| env("MAKEFLAGS").and_then(makeflags))
        }
        // ninja takes no variable, but CMake passes its own on.
        "ninja" | "samu" | "ninja-build" => option(args, &["-j"]).flatten(),
        "cmake" => cmake(args, &env),
        "meson" => option(args, &["-j", "--jobs", "--num-processes"]).flatten(),
        "ctest" => option(args, &["-j", "--parallel"])
            .unwrap_or_else(|| env("CTEST_PARALLEL_LEVEL").and_then(|value| value.trim().parse().ok())),
        "cargo" => option(args, &["-j", "--jobs"])
            .unwrap_or_else(|| env("CARGO_BUILD_JOBS").and_then(|value| value.trim().parse().ok())),
        "bazel" | "bazelisk" => option(args, &["-j", "--jobs"]).flatten(),
        "go" => option(args, &["-p"]).flatten(),
        "nix" | "nix-build" | "nix-store" => option(args, &["-j", "--max-jobs"]).flatten(),
        _ => None,
    }
    .filter(|jobs| *jobs > 0)
}

/// Finds an option with a number: `-j4`, `-j 4`, `--jobs=4`. The outer `None` says that it is not there, the inner one
/// that it has no number.
#[expect(clippy::option_option, reason = "absent, present without a number, and a number differ")]
fn option(args: &[&str], names: &[&str]) -> Option<Option<u32>> {
    // cargo and cmake hand on what follows.
    let args = args.iter().take_while(|arg| **arg != "--");
    let mut args = args.copied().peekable();
    let mut found = None;
    while let Some(arg) = args.next() {
        for name in names {
            let Some(rest) = arg.strip_prefix(name) else { continue };
            if rest.is_empty() {
                // The last one counts, as for the tools.
                found = Some(args.peek().and_then(|next| next.parse().ok()));
            } else if let Ok(number) = rest.trim_start_matches('=').parse() {
                found = Some(Some(number));
            }
        }
    }
    found
}

/// Reads `cmake --build DIR -j4 -- -j8`.
fn cmake<'a>(args: &[&str], env: &impl Fn(&str) -> Option<&'a str>) -> Option<u32> {
    if !args.contains(&"--build") {
        return None;
    }
    let native = args.iter().position(|arg| *arg == "--").and_then(|at| args.get(at + 1..)).unwrap_or(&[]);
    option(native, &["-j", "--jobs"]).or_else(|| option(args, &["-j", "--parallel"])).unwrap_or_else(|| {
        let level = env("CMAKE_BUILD_PARALLEL_LEVEL").and_then(|value| value.trim().parse().ok());
        level.or_else(|| env("MAKEFLAGS").and_then(makeflags))
    })
}

/// Reads `-j4`, ` -j4 --jobserver-auth=3,4` or `kj4`, which is how make writes the variable for its children.
fn makeflags(value: &str) -> Option<u32> {
    let words: Vec<&str> = value.split_ascii_whitespace().take_while(|word| *word != "--").collect();
    if let Some(found) = option(&words, &["-j", "--jobs"]) {
        return found;
    }
    // Letters without a dash come first.
    let first = words.first().filter(|word| !word.starts_with('-') && !word.contains('='))?;
    first.split_once('j')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], Option<u32>);
        let cases: [Case; 26] = [
            ("make -j4", &[], Some(4)),
            ("make -j 4 all", &[], Some(4)),
            ("make --jobs=3", &[], Some(3)),
            ("make -j2 -j6", &[], Some(6)),
            ("make -j", &[], None),
            ("make -j all", &[("MAKEFLAGS", "-j9")], None),
            ("make", &[("MAKEFLAGS", "-j8")], Some(8)),
            ("make", &[("MAKEFLAGS", "kj8 --jobserver-auth=3,4")], Some(8)),
            ("make", &[("MAKEFLAGS", "s -j3 --jobserver-auth=3,4")], Some(3)),
            ("make -j2", &[("MAKEFLAGS", "-j8")], Some(2)),
            ("make", &[], None),
            ("/usr/bin/make -C x -j5", &[], Some(5)),
            ("ninja -j7", &[], Some(7)),
            ("ninja", &[("MAKEFLAGS", "-j8")], None),
            ("cmake --build b -j8", &[], Some(8)),
            ("cmake --build b --parallel 6", &[], Some(6)),
            ("cmake --build b -- -j3", &[], Some(3)),
            ("cmake --build b", &[("CMAKE_BUILD_PARALLEL_LEVEL", "5")], Some(5)),
            ("cmake --build b", &[("MAKEFLAGS", "-j2")], Some(2)),
            ("cmake -S . -B b -j8", &[], None),
            ("cargo build -j2", &[], Some(2)),
            ("cargo build --jobs 3", &[("CARGO_BUILD_JOBS", "9")], Some(3)),
            ("cargo build", &[("CARGO_BUILD_JOBS", "9")], Some(9)),
            ("cargo test -- -j2", &[], None),
            ("go build -p 2 ./...", &[], Some(2)),
            ("frobnicate -j4", &[], None),
        ];
        for (command, env, expected) in cases {
            let argv: Vec<&str> = command.split(' ').collect();
            let get = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            assert_eq!(jobs(&argv, get), expected, "{command} {env:?}");
        }
    }
}
