//! The programs whose families are builds, and the command lines of theirs that are none.

use std::collections::BTreeSet;

use super::mask;
use super::tables::{
    JAVA_MAINS, LAUNCHERS, NOT_BUILDS, PROGRAMS, SCRIPTS, SERVERS, SERVING, TRANSPARENT, VALUES,
};

/// The part that a program plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It builds: the root of a family, unless it is in one already.
    Build,
    /// Nothing that it starts is a build: a server, a question, a run that nixmon watches itself.
    NotBuild,
    /// Anything else. Programs below it are looked at.
    Other,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The name in the list of programs: `gcc` for `x86_64-linux-gnu-gcc-14`. Of another program its own name.
    pub program: String,
    /// The name by which it was called.
    pub name: String,
    /// Its arguments; of a script those of the script.
    pub arguments: Vec<String>,
}

/// A command line that is no build, or that a build is below: words as in `cargo metadata` or `make -n`.
///
/// The first word is a program, or `*` for all. Words that begin with `-` are options, of which all must be there; a `*` at
/// their end stands for any rest. The others are the first words that are no options, in order, where `*` means the same; `!word`
/// means that the first is any other, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    program: String,
    options: Vec<String>,
    verbs: Vec<String>,
}

/// A pattern that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a program and at least one argument, as in \"cargo metadata\" or \"make -n\"")]
pub struct PatternError;

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let mut words = text.split_ascii_whitespace().map(str::to_owned);
        let program = words.next().ok_or(PatternError)?;
        let (options, verbs): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with('-'));
        if options.is_empty() && verbs.is_empty() {
            return Err(PatternError);
        }
        Ok(Self { program, options, verbs })
    }
}

impl Pattern {
    fn matches(&self, command: &Command) -> bool {
        let is_program = self.program == "*" || self.program == command.program;
        is_program
            && self.options.iter().all(|option| has_option(command, option))
            && match self.verbs.first().and_then(|verb| verb.strip_prefix('!')) {
                Some(verb) => command.verbs().next() != Some(verb),
                None => {
                    let mut verbs = command.verbs();
                    self.verbs.iter().all(|verb| {
                        let found = verbs.next();
                        match verb.strip_suffix('*') {
                            Some(beginning) => found.is_some_and(|word| word.starts_with(beginning)),
                            None => found == Some(verb),
                        }
                    })
                }
            }
    }
}

fn has_option(command: &Command, option: &str) -> bool {
    // Flags of make may stand together, up to one with a value, as in `-nkj8`.
    const WITH_VALUE: &str = "CEfIjlOoW";
    let letter = option
        .strip_prefix('-')
        .filter(|rest| rest.len() == 1 && matches!(&*command.program, "make" | "gmake"));
    // Behind `--` are arguments of another program.
    command.arguments.iter().take_while(|argument| *argument != "--").any(|argument| {
        if let Some(beginning) = option.strip_suffix('*') {
            return argument.starts_with(beginning);
        }
        let is_cluster = |letter| {
            argument.strip_prefix('-').is_some_and(|rest| {
                let flags = rest.split(|flag| WITH_VALUE.contains(flag)).next().unwrap_or_default();
                !rest.starts_with('-') && flags.contains(letter)
            })
        };
        argument.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            || letter.is_some_and(is_cluster)
    })
}

impl Command {
    /// Returns the arguments that are no options, no variables, nor the values of options that are known to have one. What could
    /// be a secret is none of them.
    fn verbs(&self) -> impl Iterator<Item = &str> {
        let mut skips = 0;
        self.arguments.iter().take_while(|argument| *argument != "--").map(String::as_str).filter(
            move |argument| {
                if skips > 0 {
                    skips -= 1;
                    return false;
                }
                if argument.starts_with('-') {
                    let known = VALUES
                        .iter()
                        .find(|(program, options, _)| *program == self.program && options.contains(argument));
                    let is_secret = mask::takes_secret(argument);
                    skips = known.map_or(usize::from(is_secret), |(_, _, n_values)| *n_values);
                    return false;
                }
                // A toolchain of rustup, a variable.
                !argument.starts_with('+') && !is_variable(argument)
            },
        )
    }

    /// Returns a short name for builds of this kind: `cargo check`, `npm run build`, `gcc`.
    pub fn label(&self) -> String {
        let mut label = self.program.clone();
        if !has_verbs(&self.program) {
            return label;
        }
        let mut verbs = self.verbs().take_while(|verb| is_word(verb));
        let first = verbs.next();
        let names_second = matches!(
            (&*self.program, first),
            ("npm" | "pnpm" | "yarn", Some("run" | "run-script")) | ("nix", Some("flake" | "profile"))
        );
        for verb in first.into_iter().chain(verbs.next().filter(|_| names_second)) {
            label.push(' ');
            label.push_str(verb);
        }
        label
    }
}

/// Returns whether a word assigns a value to a variable, as for make.
fn is_variable(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains(['/', '#', '?', '^']))
}

/// Returns whether a word can be part of a label: a command or a target, no address, no text.
fn is_word(word: &str) -> bool {
    const LONGEST: usize = 60;
    word.len() <= LONGEST
        && !word.contains("://")
        && !word.contains(|c: char| c.is_whitespace() || c.is_control())
        && mask::word(word) == word
}

/// Returns whether the first argument of a program says what it does, rather than to what.
fn has_verbs(program: &str) -> bool {
    !matches!(
        program,
        "gcc"
            | "g++"
            | "cc"
            | "c++"
            | "clang"
            | "clang++"
            | "ld"
            | "rustc"
            | "ghc"
            | "tsc"
            | "nix-build"
            | "cmake"
    )
}

/// The programs that build, and the exceptions.
#[derive(Clone, Debug)]
pub struct Rules {
    programs: BTreeSet<String>,
    not_builds: Vec<Pattern>,
    /// Those of the user.
    own_not_builds: Vec<Pattern>,
    transparent: Vec<Pattern>,
}

impl Default for Rules {
    fn default() -> Self {
        let patterns = |table: &[&str]| table.iter().filter_map(|text| text.parse().ok()).collect();
        Self {
            programs: PROGRAMS.iter().map(|&name| name.to_owned()).collect(),
            not_builds: patterns(NOT_BUILDS),
            own_not_builds: Vec::new(),
            transparent: patterns(TRANSPARENT),
        }
    }
}

impl Rules {
    /// Makes rules for other programs than the usual ones. The usual exceptions hold as well.
    pub fn with_programs(self, programs: impl IntoIterator<Item = String>) -> Self {
        Self { programs: programs.into_iter().collect(), ..self }
    }

    /// Adds command lines that are no builds.
    pub fn with_exceptions(mut self, patterns: impl IntoIterator<Item = Pattern>) -> Self {
        self.own_not_builds.extend(patterns);
        self
    }

    /// Returns the programs that build, in the order of their names.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().map(String::as_str)
    }

    /// Returns the program of a process from its arguments and the path of its executable. Of an interpreter, the script is the
    /// program.
    pub fn command(&self, arguments: &[String], executable: Option<&str>) -> Command {
        let mut words: Vec<String> = arguments.to_vec();
        while words.last().is_some_and(String::is_empty) {
            words.pop();
        }
        // A process that sets its title, as npm does, has one long word.
        if let [title] = &*words
            && title.contains(' ')
            && executable != Some(title)
        {
            words = title.split_whitespace().map(str::to_owned).collect();
        }
        let first = words.first().cloned();
        // env, a shell and a script that is run by another interpreter.
        const MOST: usize = 4;
        for _ in 0..MOST {
            let Some(word) = words.first() else { break };
            let name = base(word).to_owned();
            if let Some(program) = self.listed(&name) {
                words.remove(0);
                return Command { program, name, arguments: words };
            }
            // Cargo executes `cargo-nextest nextest run` in its own place.
            if let Some(plugin) = name.strip_prefix("cargo-").filter(|_| self.programs.contains("cargo")) {
                let verb = plugin.to_owned();
                words.remove(0);
                if words.first() != Some(&verb) {
                    words.insert(0, verb);
                }
                return Command { program: "cargo".to_owned(), name: "cargo".to_owned(), arguments: words };
            }
            if name == "java"
                && let Some((at, tool)) = java_main(&words)
                && self.programs.contains(tool)
            {
                words.drain(..=at);
                return Command { program: tool.to_owned(), name: tool.to_owned(), arguments: words };
            }
            match script(&name, words.get(1..).unwrap_or_default()) {
                Some(at) if at + 1 < words.len() => drop(words.drain(..=at)),
                _ => break,
            }
        }
        // The name that the caller chose may be any, but `nix-daemon` and `nix-shell` are names of the program `nix`.
        let is_applet = |name: &str| {
            let called = first.as_deref().map_or("", base);
            called.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
        };
        let file = executable.map(base).filter(|name| !is_applet(name));
        if let Some((name, program)) = file.and_then(|name| Some((name, self.listed(name)?))) {
            let name = name.to_owned();
            return Command { program, name, arguments: arguments.get(1..).unwrap_or_default().to_vec() };
        }
        let name = first.as_deref().map_or_else(|| base(executable.unwrap_or_default()), base).to_owned();
        Command { program: name.clone(), name, arguments: arguments.get(1..).unwrap_or_default().to_vec() }
    }

    /// Returns the name in the list for a name of a file.
    fn listed(&self, name: &str) -> Option<String> {
        let find = |name: &str| self.programs.get(name).cloned();
        let alias = match name {
            "gradlew" => "gradle",
            "mvnw" | "mvnd" => "mvn",
            "bazelisk" => "bazel",
            "GNUmake" => "make",
            "npm-cli" => "npm",
            _ => name,
        };
        find(alias)
            // `gcc-14`, `pip3.12`.
            .or_else(|| {
                find(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-'))
            })
            // `x86_64-linux-gnu-gcc-14`.
            .or_else(|| {
                const COMPILERS: [&str; 7] = ["gcc", "g++", "cc", "c++", "clang", "clang++", "ld"];
                let name =
                    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
                let (target, tool) = name.rsplit_once('-')?;
                (COMPILERS.contains(&tool) && target.contains('-')).then(|| find(tool))?
            })
    }

    /// Returns the part that a command plays.
    pub fn class(&self, command: &Command) -> Class {
        let words = &command.arguments;
        let has = |part: &str| words.iter().any(|word| word.contains(part));
        let is_server = SERVERS.contains(&&*command.program)
            // `bazel(project)` is the name of bazel's server.
            || command.name.starts_with("bazel(")
            || (command.program == "sccache" && (words.is_empty() || has("--start-server")))
            || (command.program == "java"
                && ["GradleDaemon", "KotlinCompileDaemon", "GradleWorkerMain", "MavenDaemon"].iter().any(|name| has(name)))
            || (command.program.starts_with("nix") && has("__build-remote"))
            || (command.program == "nix-store" && has("--serve"));
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(command));
        if is_server || matches(&self.own_not_builds) {
            return Class::NotBuild;
        }
        // Before the others: options behind the name of another program are that program's.
        if matches(&self.transparent) {
            return Class::Other;
        }
        if matches(&self.not_builds) || serves(command) {
            return Class::NotBuild;
        }
        if !self.programs.contains(&command.program) {
            return Class::Other;
        }
        Class::Build
    }
}

/// Returns whether a script of `package.json` is run that serves or watches until it is ended, by the usual names of such scripts.
fn serves(command: &Command) -> bool {
    if !matches!(&*command.program, "npm" | "pnpm" | "yarn") {
        return false;
    }
    let script = command.verbs().find(|verb| !matches!(*verb, "run" | "run-script"));
    let first = script.and_then(|script| script.split([':', '-']).next());
    first.is_some_and(|word| SERVING.contains(&word))
}

/// Returns the name of a program's file, without what wrappers and languages add to it.
fn base(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    // A login shell's name.
    let name = name.strip_prefix('-').unwrap_or(name);
    // nixpkgs' wrapProgram, also if it was applied twice.
    let name = match name.strip_prefix('.') {
        Some(hidden) if hidden.ends_with("-wrapped") => hidden.trim_end_matches("-wrapped"),
        _ => name.trim_end_matches("_ (deleted)"),
    };
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    // No script of the name of a program that is none: a `deploy.py` is not the program `deploy`.
    ["js", "cjs", "mjs", "py"]
        .iter()
        .find_map(|extension| name.strip_suffix(extension)?.strip_suffix('.'))
        .filter(|name| !PROGRAMS.contains(name) || SCRIPTS.contains(name))
        .unwrap_or(name)
}

/// Returns the place of a Java program's main class or archive, and the tool that it is of.
fn java_main(words: &[String]) -> Option<(usize, &'static str)> {
    words.iter().enumerate().skip(1).find_map(|(at, word)| {
        let is_archive = words.get(at - 1).is_some_and(|before| before == "-jar");
        let name = if is_archive { base(word) } else { word };
        JAVA_MAINS.iter().find(|(main, _)| *main == name).map(|(_, tool)| (at, *tool))
    })
}

/// Returns where the script is among the words behind the name of an interpreter, counted from the interpreter.
fn script(interpreter: &str, words: &[String]) -> Option<usize> {
    let plain = interpreter.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let at = match plain {
        "env" => words.iter().position(|word| !word.starts_with('-') && !word.contains('='))?,
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "fish" | "busybox" => {
            // A line for the shell is no script.
            let is_line =
                |word: &&String| word.starts_with('-') && !word.starts_with("--") && word.contains('c');
            if words.iter().take_while(|word| word.starts_with('-')).any(|word| is_line(&word)) {
                return None;
            }
            words.iter().position(|word| !word.starts_with('-'))?
        }
        "python" | "pypy" | "node" | "nodejs" | "bun" | "deno" | "perl" | "ruby" => {
            let with_value: &[&str] = match plain {
                "python" | "pypy" => &["-W", "-X", "--check-hash-based-pycs"],
                "node" | "nodejs" => {
                    &["-r", "--require", "--import", "--loader", "--env-file", "-C", "--conditions"]
                }
                "perl" => &["-I", "-M"],
                "ruby" => &["-I", "-r", "-C"],
                _ => &[],
            };
            let mut at = 0;
            loop {
                match words.get(at)?.as_str() {
                    "-m" => break at + 1,
                    "-c" | "-e" | "-p" | "--eval" | "--print" => return None,
                    word if with_value.contains(&word) => at += 2,
                    word if word.starts_with('-') => at += 1,
                    _ => break at,
                }
            }
        }
        _ if LAUNCHERS.contains(&plain) => 0,
        // A dynamic linker that is called by its name, and emulators, which the system puts before the program.
        _ if ["ld-linux", "ld-musl", "qemu-"].iter().any(|name| interpreter.starts_with(name)) => {
            const WITH_VALUE: [&str; 8] =
                ["--library-path", "--preload", "--argv0", "--audit", "--inhibit-rpath", "-L", "-E", "-0"];
            let mut at = 0;
            while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
                at += if WITH_VALUE.contains(&&**word) { 2 } else { 1 };
            }
            at
        }
        _ => return None,
    };
    words.get(at).is_some_and(|word| !word.starts_with('-')).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split('|').map(str::to_owned).collect()
    }

    #[track_caller]
    fn check(line: &str, executable: &str, expected: (&str, &str, Class)) {
        let rules = Rules::default();
        let executable = Some(executable).filter(|path| !path.is_empty());
        let command = rules.command(&words(line), executable);
        let found = (&*command.program, &*command.label(), rules.class(&command));
        assert_eq!(found, expected, "{line}: {command:?}");
    }

    #[test]
    fn programs_by_any_name() {
        use Class::{Build, NotBuild, Other};
        for (line, executable, expected) in [
            ("cargo|build|--release", "/usr/bin/cargo", ("cargo", "cargo build", Build)),
            ("cargo|+nightly|check", "/root/.cargo/bin/rustup", ("cargo", "cargo check", Build)),
            ("/usr/bin/make|-j8", "/usr/bin/make", ("make", "make", Build)),
            ("gcc|-c|a.c", "/usr/bin/x86_64-linux-gnu-gcc-14", ("gcc", "gcc", Build)),
            ("anything", "/usr/bin/aarch64-linux-gnu-g++-14", ("g++", "g++", Build)),
            ("clang++-18|a.cc", "", ("clang++", "clang++", Build)),
            ("node|/usr/bin/npm|run|build", "/usr/bin/node", ("npm", "npm run build", Build)),
            ("/usr/bin/env|node|/usr/bin/npm|run|build", "/usr/bin/env", ("npm", "npm run build", Build)),
            ("npm run build|||", "/usr/bin/node", ("npm", "npm run build", Build)),
            ("node|/x/node_modules/.bin/tsc|-p|.", "/usr/bin/node", ("tsc", "tsc", Build)),
            ("node|/x/yarn.js|build", "/usr/bin/node", ("yarn", "yarn build", Build)),
            ("python3|-m|pip|install|x", "/usr/bin/python3.12", ("pip", "pip install", Build)),
            ("/usr/bin/python3|/usr/bin/meson|compile", "", ("meson", "meson compile", Build)),
            ("/bin/sh|./gradlew|build", "/usr/bin/dash", ("gradle", "gradle build", Build)),
            (
                "/nix/store/x/bin/.nixos-rebuild-wrapped|switch",
                "",
                ("nixos-rebuild", "nixos-rebuild switch", Build),
            ),
            ("/path with spaces/make", "/path with spaces/make", ("make", "make", Build)),
            ("nix|--option|sandbox|false|build|.#x", "", ("nix", "nix build", Build)),
            ("nix|flake|check|.", "", ("nix", "nix flake check", Build)),
            ("python3|-W|ignore|-m|pip|wheel|.", "/usr/bin/python3.12", ("pip", "pip wheel", Build)),
            ("node|--require|./x|/usr/lib/npm/bin/npm-cli.js|ci", "", ("npm", "npm ci", Build)),
            ("node|.yarn/releases/yarn-3.6.1.cjs|build", "", ("yarn", "yarn build", Build)),
            ("python3|/src/meson/meson.py|setup|b", "", ("meson", "meson setup", Build)),
            // The program that another one executes in its own place.
            ("/x/bin/cargo-nextest|nextest|run", "", ("cargo", "cargo nextest", Build)),
            ("cargo-zigbuild|--release", "", ("cargo", "cargo zigbuild", Build)),
            (
                "/usr/bin/java|-Xmx64m|-classpath|/p/gradle/wrapper/gradle-wrapper.jar|org.gradle.wrapper.GradleWrapperMain|build",
                "/usr/bin/java",
                ("gradle", "gradle build", Build),
            ),
            ("java|-jar|/p/gradle/wrapper/gradle-wrapper.jar|check", "", ("gradle", "gradle check", Build)),
            (
                "java|-classpath|x.jar|-Dmaven.home=/m|org.codehaus.plexus.classworlds.launcher.Launcher|-q|package",
                "",
                ("mvn", "mvn package", Build),
            ),
            ("java|-jar|server.jar|org.gradle.launcher.GradleMain2", "", ("java", "java server.jar", Other)),
            (
                "/lib64/ld-linux-x86-64.so.2|--library-path|/x/lib|/x/bin/nix|build",
                "/usr/lib/ld-linux-x86-64.so.2",
                ("nix", "nix build", Build),
            ),
            ("/usr/bin/qemu-aarch64-static|/usr/bin/make|all", "", ("make", "make all", Build)),
            ("ccache|gcc|-c|a.c", "/usr/bin/ccache", ("gcc", "gcc", Build)),
            ("ccache|--show-stats", "/usr/bin/ccache", ("ccache", "ccache", Other)),
            // No script is a program because of its name alone.
            ("/bin/sh|./deploy.sh|production", "/usr/bin/dash", ("sh", "sh ./deploy.sh", Other)),
            ("python3|make.py", "", ("python3", "python3 make.py", Other)),
            ("node|go.js", "", ("node", "node go.js", Other)),
            // What is no word of a command is not shown in its name.
            ("make|TOKEN=abc|all", "", ("make", "make all", Build)),
            ("cargo|--token|abc|publish", "", ("cargo", "cargo publish", Build)),
            ("pip|https://me:pw@host/x", "", ("pip", "pip", Build)),
            ("make|ghp_0123456789abcdefghij", "", ("make", "make", Build)),
            // A shell is not what it is told to run.
            ("sh|-c|make -j8", "/usr/bin/dash", ("sh", "sh", Other)),
            ("-bash", "/usr/bin/bash", ("bash", "bash", Other)),
            ("vim|make", "/usr/bin/vim", ("vim", "vim make", Other)),
            ("makefile-lint", "", ("makefile-lint", "makefile-lint", Other)),
            ("sleep|5", "/usr/bin/sleep", ("sleep", "sleep 5", Other)),
            ("", "", ("", "", Other)),
            ("nix-daemon", "", ("nix-daemon", "nix-daemon", NotBuild)),
            ("/usr/bin/nix-daemon|--daemon", "/usr/bin/nix", ("nix-daemon", "nix-daemon", NotBuild)),
            ("nix-daemon|4711", "/nix/store/x-nix-2.30/bin/nix", ("nix-daemon", "nix-daemon 4711", NotBuild)),
            ("nix-shell|-p|x", "/usr/bin/nix", ("nix-shell", "nix-shell x", Other)),
            ("nix-build|x.nix", "/usr/bin/nix", ("nix-build", "nix-build", Build)),
            ("build|.#x", "/usr/bin/nix", ("nix", "nix .#x", Build)),
        ] {
            check(line, executable, expected);
        }
    }

    #[test]
    fn command_lines_that_are_no_builds() {
        use Class::{Build, NotBuild, Other};
        let rules = Rules::default();
        for (line, expected) in [
            ("rustc --version", NotBuild),
            ("rustc -vV", NotBuild),
            ("cargo metadata --format-version 1", NotBuild),
            ("cargo --config x=y metadata", NotBuild),
            ("cargo build --message-format=json", Build),
            ("cargo run -- --version", Build),
            ("cargo watch -x check", Other),
            ("make -n", NotBuild),
            ("make --dry-run all", NotBuild),
            ("make -kn", NotBuild),
            ("make -nj8", NotBuild),
            ("make -wsn", NotBuild),
            ("make -j8 -k", Build),
            ("make -Cnext", Build),
            ("make -fn.mk", Build),
            ("make X=-n", Build),
            ("make install", Build),
            ("nix eval .#x", NotBuild),
            ("nix --extra-experimental-features flakes eval .#x", NotBuild),
            ("nix flake show", NotBuild),
            ("nix flake check", Build),
            ("nix develop -c make", Other),
            ("nix build", Build),
            ("npm run build", Build),
            ("npm run dev", NotBuild),
            ("npm run dev:server", NotBuild),
            ("npm run-script watch-css", NotBuild),
            ("npm run developer-docs", Build),
            ("npm start", NotBuild),
            ("npm test", Build),
            ("npm -v", NotBuild),
            ("npm login", NotBuild),
            ("yarn run serve", NotBuild),
            ("npm ci", Build),
            ("vite", NotBuild),
            ("vite build", Build),
            ("vite dev", NotBuild),
            ("tsc --watch", NotBuild),
            ("uv run pytest", Other),
            ("go test ./...", Build),
            ("go env", NotBuild),
            ("ninja -t clean", NotBuild),
            ("ninja -C out", Build),
            ("cmake -E copy a b", NotBuild),
            ("cmake --build out", Build),
            ("sccache", NotBuild),
            ("sccache gcc -c a.c", Build),
            ("sccache --show-stats", Other),
            ("cargo-watch watch -x check", Other),
            ("cargo-fmt fmt", NotBuild),
            ("cargo add serde", NotBuild),
            ("nix build --dry-run .#x", NotBuild),
            ("nix flake update", NotBuild),
            ("nix print-dev-env", Other),
            ("nixos-rebuild dry-build", NotBuild),
            ("vite build --watch", NotBuild),
            ("uv tool run ruff", Other),
            ("java -cp x org.gradle.launcher.daemon.bootstrap.GradleDaemon 8", NotBuild),
            ("rust-analyzer", NotBuild),
            ("nixmon run -- make", NotBuild),
            ("nix-daemon --daemon", NotBuild),
            ("nix __build-remote 3", NotBuild),
        ] {
            let command = rules.command(&words(&line.replace(' ', "|")), None);
            assert_eq!(rules.class(&command), expected, "{line}");
        }
    }

    #[test]
    fn own_programs_and_exceptions() {
        let rules = Rules::default()
            .with_programs(["zig", "cargo", "gulp"].map(str::to_owned))
            .with_exceptions(["cargo clippy".parse().unwrap(), "zig --watch* fetch".parse().unwrap()]);
        for (line, expected) in [
            ("zig build", Class::Build),
            ("zig fetch --watch-all", Class::NotBuild),
            ("zig fetch", Class::Build),
            ("cargo clippy --all", Class::NotBuild),
            ("cargo metadata", Class::NotBuild),
            ("make", Class::Other),
            ("node node_modules/gulp/bin/gulp.js dist", Class::Build),
            ("node cargo.js", Class::Other),
        ] {
            let command = rules.command(&words(&line.replace(' ', "|")), None);
            assert_eq!(rules.class(&command), expected, "{line}");
        }
        assert_eq!("cargo".parse::<Pattern>(), Err(PatternError));
        assert_eq!("".parse::<Pattern>(), Err(PatternError));
    }

    #[test]
    fn tables_are_patterns() {
        let rules = Rules::default();
        assert_eq!(rules.not_builds.len(), NOT_BUILDS.len());
        assert_eq!(rules.transparent.len(), TRANSPARENT.len());
        for pattern in rules.not_builds.iter().chain(&rules.transparent) {
            let known = pattern.program == "*" || rules.programs.contains(&pattern.program);
            assert!(known, "{pattern:?}");
        }
    }
}
