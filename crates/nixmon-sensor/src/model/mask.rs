//! Command lines without their secrets.
//!
//! A command line is shown to whoever reads the events, and build tools are given tokens in arguments. Masked are values of
//! options and variables with a telling name, passwords in addresses, headers, and words that look like the tokens of known
//! services. A word too many that is masked costs a reader little; a secret in a journal costs more.

use nixmon_log::escapes::sanitize;

/// Stands for a secret.
const MASK: &str = "…";
/// Characters of a command line that are kept.
const MAX_COMMAND: usize = 600;

/// Parts of names whose values are secrets, wherever they stand in the name.
const TELLING: [&str; 12] = [
    "token",
    "passw",
    "passphrase",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
    "bearer",
    "cookie",
    "authkey",
];
/// Words of a name, between its separators, whose values are secrets.
const TELLING_WORDS: [&str; 8] = ["pass", "pwd", "pat", "key", "auth", "cred", "creds", "pw"];
/// Last words of names whose values say where a secret is.
const PLACES: [&str; 9] = ["file", "files", "stdin", "env", "fd", "path", "store", "dir", "name"];
/// Beginnings of the tokens of known services, and how many characters follow at least.
const SHAPES: [(&str, usize); 16] = [
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("glpat-", 10),
    ("npm_", 20),
    ("pypi-", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("sk-", 20),
    ("hf_", 16),
    ("AKIA", 16),
    ("dop_v1_", 16),
    ("eyJ", 30),
];
/// Programs whose `-p` is no password.
const OTHER_P: [&str; 27] = [
    "cargo",
    "rustc",
    "make",
    "gmake",
    "cmake",
    "ninja",
    "meson",
    "gcc",
    "g++",
    "cc",
    "c++",
    "clang",
    "clang++",
    "ld",
    "go",
    "npm",
    "pnpm",
    "yarn",
    "tsc",
    "webpack",
    "mvn",
    "gradle",
    "bazel",
    "ghc",
    "dune",
    "nix",
    "nix-build",
];

/// Returns a command as one line: its program by name, no secrets, no control characters, at most 600 characters.
pub fn command_line(program: &str, name: &str, arguments: &[String]) -> String {
    let mut line = word(name);
    let mut masker = Masker { program, hides_next: Hide::Nothing, is_named: false };
    for argument in arguments {
        if line.chars().count() > MAX_COMMAND {
            break;
        }
        line.push(' ');
        line.push_str(&word(&masker.argument(argument)));
    }
    let line = sanitize(&line);
    match line.char_indices().nth(MAX_COMMAND) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line.into_owned(),
    }
}

/// Quotes a word that a shell would split.
fn word(text: &str) -> String {
    let is_plain =
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "'\"\\;&|<>()`*".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The part of a command line after an option that takes a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hide {
    Nothing,
    /// The next word, unless it is an option.
    Word,
    /// The part of the next word behind its colon.
    BehindColon,
}

struct Masker<'a> {
    program: &'a str,
    hides_next: Hide,
    /// The option before takes a name and a value.
    is_named: bool,
}

impl Masker<'_> {
    fn argument(&mut self, argument: &str) -> String {
        // A line for a shell has words of its own.
        if argument.contains(char::is_whitespace) && self.hides_next != Hide::Word {
            let masked = header(argument);
            let parts = masked.split_inclusive(char::is_whitespace).map(|part| {
                let text = part.trim_end_matches(char::is_whitespace);
                let space = part.get(text.len()..).unwrap_or_default();
                if text.is_empty() { part.to_owned() } else { format!("{}{space}", self.single(text)) }
            });
            return parts.collect();
        }
        self.single(argument)
    }

    fn single(&mut self, word: &str) -> String {
        let hides = std::mem::replace(&mut self.hides_next, Hide::Nothing);
        match hides {
            Hide::Word if !word.starts_with('-') => return MASK.to_owned(),
            Hide::BehindColon => {
                if let Some((user, _)) = word.split_once(':').filter(|_| !word.contains("://")) {
                    return format!("{user}:{MASK}");
                }
            }
            _ => {}
        }
        if std::mem::take(&mut self.is_named) {
            // `--option NAME VALUE`.
            if is_telling(word) {
                self.hides_next = Hide::Word;
            }
            return word.to_owned();
        }
        if word == "--option" || word == "--argstr" {
            self.is_named = true;
            return word.to_owned();
        }
        if let Some((name, value)) = word.split_once('=') {
            // An address has its names in its query.
            let is_name = !name.contains("://") && !name.contains('?');
            if is_name && !value.is_empty() && is_telling(name) {
                return format!("{name}={MASK}");
            }
        } else if word.starts_with("--") && is_telling(word) {
            self.hides_next = Hide::Word;
            return word.to_owned();
        }
        match word {
            "-u" | "--user" => self.hides_next = Hide::BehindColon,
            "-p" if !OTHER_P.contains(&self.program) => self.hides_next = Hide::Word,
            _ if word.starts_with("-p") && word.len() > 2 && !OTHER_P.contains(&self.program) => {
                return format!("-p{MASK}");
            }
            _ => {}
        }
        shapes(&address(word))
    }
}

/// Returns whether values of this name are secrets.
fn is_telling(name: &str) -> bool {
    let plain = name.trim_start_matches('-').to_ascii_lowercase();
    let words = || plain.split(['-', '_', '.', ':', '/', '@']);
    if words().next_back().is_some_and(|last| PLACES.contains(&last)) {
        return false;
    }
    let joined: String = plain.chars().filter(|c| !"-_.".contains(*c)).collect();
    TELLING.iter().any(|part| joined.contains(part)) || words().any(|word| TELLING_WORDS.contains(&word))
}

/// Masks the value of a header with a secret, as in `Authorization: Bearer abc`.
fn header(text: &str) -> String {
    match text.split_once(": ") {
        Some((name, _)) if !name.contains(char::is_whitespace) && is_telling(name) => {
            format!("{name}: {MASK}")
        }
        _ => text.to_owned(),
    }
}

/// Masks the password in an address, and values of its query.
fn address(word: &str) -> String {
    let Some((before, rest)) = word.split_once("://") else { return word.to_owned() };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next().unwrap_or_default();
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
            // A user's name alone is a token on the web; elsewhere it is a user.
            None if scheme.contains("http") => format!("{MASK}@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    let mut masked = String::new();
    for part in path.split_inclusive(['?', '&']) {
        let (body, end) = match part.strip_suffix(['?', '&']) {
            Some(body) => (body, part.get(body.len()..).unwrap_or_default()),
            None => (part, ""),
        };
        match body.split_once('=') {
            Some((name, _)) if is_telling(name) => masked.push_str(&format!("{name}={MASK}")),
            _ => masked.push_str(body),
        }
        masked.push_str(end);
    }
    format!("{before}://{authority}{masked}")
}

/// Masks what looks like a token of a known service.
fn shapes(word: &str) -> String {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    for (prefix, least) in SHAPES {
        let mut from = 0;
        while let Some(at) = word.get(from..).and_then(|rest| rest.find(prefix)).map(|at| at + from) {
            let (before, rest) = word.split_at(at);
            let after = rest.get(prefix.len()..).unwrap_or_default();
            let length = after.find(|c: char| !is_of_token(c)).unwrap_or(after.len());
            let is_begin = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
            // Names of files and crates have no such long parts without a digit.
            let body = after.get(..length).unwrap_or_default();
            if is_begin
                && length >= least
                && body.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase())
            {
                let rest = after.get(length..).unwrap_or_default();
                return shapes(&format!("{before}{prefix}{MASK}{rest}"));
            }
            from = at + prefix.len();
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(program: &str, line: &str, expected: &str) {
        let arguments: Vec<String> =
            line.split('|').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        assert_eq!(command_line(program, program, &arguments), format!("{program} {expected}"), "{line}");
    }

    #[test]
    fn secrets_are_masked() {
        for (line, expected) in [
            ("--token=abc", "--token=…"),
            ("--token|abc|publish", "--token … publish"),
            ("--password|x|y", "--password … y"),
            ("--password=", "--password="),
            ("--registry-password=a=b", "--registry-password=…"),
            ("GITHUB_TOKEN=abc|all", "GITHUB_TOKEN=… all"),
            ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=…"),
            ("-DAPI_KEY=abc", "-DAPI_KEY=…"),
            ("DB_PASS=abc", "DB_PASS=…"),
            ("--build-arg|NPM_TOKEN=abc", "--build-arg NPM_TOKEN=…"),
            ("https://me:pw@host/x", "https://me:…@host/x"),
            ("https://abcdef@host/x", "https://…@host/x"),
            ("--index=https://me:pw@host/x?a=b", "--index=https://me:…@host/x?a=b"),
            ("https://host/x?token=abc&y=1", "'https://host/x?token=…&y=1'"),
            ("--option|access-tokens|github.com=abc", "--option access-tokens …"),
            ("//registry/:_authToken=abc", "//registry/:_authToken=…"),
            ("-u|me:pw", "-u me:…"),
            ("-H|Authorization: Bearer abc", "-H 'Authorization: …'"),
            ("-c|A_TOKEN=abc make --password x", "-c 'A_TOKEN=… make --password …'"),
            ("x=ghp_0123456789abcdefghij", "x=ghp_…"),
            ("a,glpat-0123456789ab,b", "a,glpat-…,b"),
        ] {
            check("npm", line, expected);
        }
        check("sshpass", "-psecret|-p|other", "-p… -p …");
    }

    #[test]
    fn the_rest_is_shown() {
        for line in [
            "build|--release|-p|nixmon-core",
            "--password-stdin|x",
            "--secret-key-file|x",
            "CC=gcc|-j8",
            "ssh://git@host/x",
            "https://host/x?page=2",
            "run|build",
            "--keep-going|x",
            "--option|sandbox|false",
            "task-runner",
            "sk-learn-contrib-examples-of-models",
        ] {
            check("cargo", line, &line.replace('|', " "));
        }
        check("gcc", "-pthread|-pipe", "-pthread -pipe");
    }

    #[test]
    fn lines_are_short_and_plain() {
        let line = command_line("make", "make", &["a\x1b[31mb\nc".to_owned(), "x".repeat(5000)]);
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert_eq!(line.chars().count(), MAX_COMMAND + 1);
        assert_eq!(command_line("make", "make", &["a b".to_owned(), String::new()]), "make 'a b' ''");
    }
}
