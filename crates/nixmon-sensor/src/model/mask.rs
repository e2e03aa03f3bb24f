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

/// Bytes of an argument that are looked at, far more than are shown.
const MAX_ARGUMENT: usize = 8 << 10;

/// Parts of names whose values are secrets, wherever they stand in the name.
const TELLING: [&str; 13] = [
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
    "signature",
];
/// Words of a name, between its separators, whose values are secrets.
const TELLING_WORDS: [&str; 13] =
    ["pass", "pwd", "pat", "key", "auth", "cred", "creds", "pw", "otp", "mfa", "jwt", "sas", "sig"];
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
    let mut line = quoted(name);
    let mut masker = Masker { program, hides_next: Hide::Nothing, is_named: false };
    for argument in arguments {
        if line.chars().count() > MAX_COMMAND {
            break;
        }
        line.push(' ');
        let end = argument.floor_char_boundary(MAX_ARGUMENT);
        line.push_str(&quoted(&masker.argument(argument.get(..end).unwrap_or_default())));
    }
    let line = sanitize(&line);
    match line.char_indices().nth(MAX_COMMAND) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line.into_owned(),
    }
}

/// Returns a word without what looks like a secret in it.
pub(super) fn word(text: &str) -> String {
    Masker { program: "", hides_next: Hide::Nothing, is_named: false }.single(text)
}

/// Returns whether an option takes a secret as its value, which is the next word.
pub(super) fn takes_secret(option: &str) -> bool {
    option.starts_with("--") && !option.contains('=') && is_telling(option)
}

/// Quotes a word that a shell would split.
fn quoted(text: &str) -> String {
    let is_plain =
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "'\"\\;&|<>()`*".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The part of a command line after an option that takes a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hide {
    Nothing,
    /// The next word, unless it is a long option.
    Word,
    /// The part of the next word behind its colon.
    BehindColon,
    /// The next word is a header.
    Header,
}

struct Masker<'a> {
    program: &'a str,
    hides_next: Hide,
    /// The option before takes a name and a value.
    is_named: bool,
}

impl Masker<'_> {
    fn argument(&mut self, argument: &str) -> String {
        let is_text = argument.contains(char::is_whitespace);
        let name = argument.split('=').next().unwrap_or_default();
        if !is_text
            || self.hides_next != Hide::Nothing
            || is_telling(name) && !name.contains(char::is_whitespace)
        {
            return self.single(argument);
        }
        // A line for a shell has words of its own.
        let mut masked = String::new();
        for part in argument.split_inclusive(char::is_whitespace) {
            let text = part.trim_end_matches(char::is_whitespace);
            let bare = text.trim_matches(['"', '\'', '{', ',']);
            masked.push_str(&if text.is_empty() { String::new() } else { self.single(text) });
            // A header, a field of JSON or YAML: all that follows.
            if bare.strip_suffix(':').is_some_and(|name| is_telling(name.trim_matches(['"', '\'']))) {
                return format!("{masked} {MASK}");
            }
            if bare.eq_ignore_ascii_case("bearer") {
                self.hides_next = Hide::Word;
            }
            masked.push_str(part.get(text.len()..).unwrap_or_default());
        }
        masked
    }

    fn single(&mut self, word: &str) -> String {
        match std::mem::replace(&mut self.hides_next, Hide::Nothing) {
            Hide::Word if !word.starts_with("--") => return MASK.to_owned(),
            Hide::BehindColon if !word.contains("://") => {
                if let Some((user, _)) = word.split_once(':') {
                    return format!("{user}:{MASK}");
                }
            }
            Hide::Header => {
                if let Some((name, value)) =
                    word.split_once(':').filter(|(name, value)| !value.is_empty() && is_telling(name))
                {
                    let space = if value.starts_with(' ') { " " } else { "" };
                    return format!("{name}:{space}{MASK}");
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
        if let Some(masked) = assignment(word) {
            return masked;
        }
        match word {
            "--option" | "--argstr" => self.is_named = true,
            "-u" | "--user" | "--proxy-user" => self.hides_next = Hide::BehindColon,
            "-H" | "--header" => self.hides_next = Hide::Header,
            "-p" if !OTHER_P.contains(&self.program) => self.hides_next = Hide::Word,
            _ if word.starts_with("-p") && word.len() > 2 && !OTHER_P.contains(&self.program) => {
                return format!("-p{MASK}");
            }
            _ if takes_secret(word) => self.hides_next = Hide::Word,
            _ => {}
        }
        shapes(&addresses(word))
    }
}

/// Masks the rest of a word behind the first name in it whose values are secrets: `TOKEN=abc`, `--build-arg=TOKEN=abc`,
/// `server=x;password=abc`, `{"token":"abc"}`; `None` if there is none.
fn assignment(word: &str) -> Option<String> {
    const AROUND: &str = ",;=\"'{}[]() ";
    // Names in an address are masked one by one.
    let before = word.find("://").unwrap_or(word.len());
    let head = word.get(..before)?;
    for (at, mark) in head.match_indices(['=', ':']) {
        let name = head.get(..at)?;
        // A colon is behind the name of a field only where that is quoted.
        if mark == ":" && !name.ends_with('"') {
            continue;
        }
        let name = name.trim_end_matches('"');
        let name = name.rsplit(|c| AROUND.contains(c)).next()?;
        let end = at + 1;
        if mark == "=" && matches!(name, "--user" | "--proxy-user") && before == word.len() {
            let (user, _) = word.get(end..)?.split_once(':')?;
            return Some(format!("{name}={user}:{MASK}"));
        }
        if end < word.len() && !name.contains('?') && is_telling(name) {
            return Some(format!("{}{MASK}", word.get(..end)?));
        }
    }
    None
}

/// Returns whether values of this name are secrets.
fn is_telling(name: &str) -> bool {
    let plain = name.trim_start_matches('-').to_ascii_lowercase();
    let words = || plain.split(['-', '_', '.', ':', '/', '@']);
    if words().next_back().is_some_and(|last| PLACES.contains(&last)) {
        return false;
    }
    let joined: String = plain.chars().filter(|c| !"-_.".contains(*c)).collect();
    if joined.ends_with("publickey") || joined.ends_with("pubkey") {
        return false;
    }
    if joined.ends_with("key")
        || TELLING.iter().any(|part| joined.contains(part))
        || words().any(|word| TELLING_WORDS.contains(&word))
    {
        return true;
    }
    // `-DPAT=`, `-Ppw=`: a variable behind the letter of an option.
    let variable = name.strip_prefix('-').filter(|rest| rest.starts_with(['D', 'P', 'e']));
    variable.and_then(|rest| rest.get(1..)).is_some_and(|name| !name.is_empty() && is_telling(name))
}

/// Masks the passwords in addresses.
fn addresses(word: &str) -> String {
    match word.matches("://").count() {
        0 => without_scheme(word),
        1 => address(word),
        _ => word.split_inclusive([',', ';', '|']).map(address).collect(),
    }
}

/// Masks the password of `user:password@host`.
fn without_scheme(word: &str) -> String {
    let masked = || {
        let (login, host) = word.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let is_login = !user.is_empty() && !user.contains(['@', '/', '=']) && !password.is_empty();
        (is_login && !host.is_empty()).then(|| format!("{user}:{MASK}@{host}"))
    };
    masked().unwrap_or_else(|| word.to_owned())
}

/// Masks the password in an address, and values of its query.
fn address(word: &str) -> String {
    let Some((before, rest)) = word.split_once("://") else { return word.to_owned() };
    let mut end = rest.find(['/', '?', '#', ';']).unwrap_or(rest.len());
    // A password may have a slash, other than a port.
    if let Some((_, port)) = rest.get(..end).and_then(|authority| authority.split_once(':'))
        && !port.bytes().all(|byte| byte.is_ascii_digit())
        && let Some(at) = rest.rfind('@').filter(|at| *at > end)
    {
        end = at + rest.get(at..).and_then(|host| host.find(['/', '?', '#', ';'])).unwrap_or(rest.len() - at);
    }
    let (authority, path) = rest.split_at(end);
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
    for part in path.split_inclusive(['?', '&', ';', '#']) {
        let (body, end) = match part.strip_suffix(['?', '&', ';', '#']) {
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
    use proptest::prelude::*;

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
            ("-c|A_TOKEN=abc make --password x", "-c A_TOKEN=…"),
            ("-c|cd x; A_TOKEN=abc make --password x", "-c 'cd x; A_TOKEN=… make --password …'"),
            ("x=ghp_0123456789abcdefghij", "x=ghp_…"),
            ("a,glpat-0123456789ab,b", "a,glpat-…,b"),
            ("--token|-abc|--verbose", "--token … --verbose"),
            ("--password=a b c", "--password=…"),
            ("--user=me:pw", "--user=me:…"),
            ("-H|X-Api-Key:abc", "-H X-Api-Key:…"),
            ("--remote_header=x-api-key=abc", "--remote_header=x-api-key=…"),
            ("--build-arg=NPM_TOKEN=a,b", "--build-arg=NPM_TOKEN=…"),
            ("--set=a=1,db.password=x", "--set=a=1,db.password=…"),
            ("Server=x;Password=y;z", "'Server=x;Password=…'"),
            ("-DPAT=abc|-Ppw=abc|-DsigningKey=abc", "-DPAT=… -Ppw=… -DsigningKey=…"),
            ("--otp|123456", "--otp …"),
            (r#"{"a":1,"token":"abc"}"#, r#"'{"a":1,"token":…'"#),
            (r#"{"token": "abc", "b": 1}"#, r#"'{"token": …'"#),
            (r#"X=curl -H "Authorization: Bearer abc" y"#, r#"'X=curl -H "Authorization: …'"#),
            ("X=a Bearer abc", "'X=a Bearer …'"),
            ("me:pw@registry:5000/x", "me:…@registry:5000/x"),
            ("postgres://me:p/w@host/db", "postgres://me:…@host/db"),
            ("jdbc:sqlserver://host;user=a;password=b", "'jdbc:sqlserver://host;user=a;password=…'"),
            ("https://a:b@h/x,https://c:d@h2/y", "https://a:…@h/x,https://c:…@h2/y"),
            ("https://h/x?X-Amz-Signature=ab&y=1", "'https://h/x?X-Amz-Signature=…&y=1'"),
            ("DATABASE_URL=redis://:pw@h", "DATABASE_URL=redis://:…@h"),
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
            "git@github.com:o/r",
            "https://host:8443/x@y",
            "react@npm:preact@10",
            "//pkg:target",
            "--trusted-public-key=x",
            "-Dkeystore.path=/x",
            "CFLAGS=-O2|-Wl,-z,now",
            "--config=a=b,c=d",
            "-C|opt-level=3",
        ] {
            check("cargo", line, &line.replace('|', " "));
        }
        check("gcc", "-pthread|-pipe", "-pthread -pipe");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Any words make a plain line, and a secret is in none, whatever is around it.
        #[test]
        fn no_secret_is_shown(
            before in prop::collection::vec(".{0,20}", 0..4),
            way in 0_usize..9,
            after in prop::collection::vec(any::<String>(), 0..4),
        ) {
            let secret = "hunter2-Xyz";
            let forms = [
                vec![format!("--token={secret}")],
                vec!["--password".to_owned(), secret.to_owned()],
                vec![format!("DEPLOY_TOKEN={secret}")],
                vec![format!("https://me:{secret}@host/x")],
                vec![format!("--arg=x=1,secret={secret}")],
                vec![format!("make API_KEY={secret} all")],
                vec![format!("-Dpw={secret}")],
                vec![format!("{{\"token\": \"{secret}\"}}")],
                vec![format!("--define=URL=ftp://me:{secret}@host")],
            ];
            // An option before would take the first word as its value, a name of an option say.
            let before = before.into_iter().filter(|word| !word.contains(['-', '/', ':']));
            let words: Vec<String> = before.chain(forms[way].clone()).chain(after).collect();
            let rules = super::super::programs::Rules::default();
            for program in ["make", "npm", "cargo", "nix", "pip"] {
                let line = command_line(program, program, &words);
                prop_assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
                prop_assert!(!line.contains(secret), "{line:?}");
                let mut whole = vec![program.to_owned()];
                whole.extend(words.clone());
                let label = rules.command(&whole, None).label();
                prop_assert!(!label.contains(secret), "{label:?}");
            }
        }
    }

    #[test]
    fn lines_are_short_and_plain() {
        let line = command_line("make", "make", &["a\x1b[31mb\nc".to_owned(), "x".repeat(5000)]);
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert_eq!(line.chars().count(), MAX_COMMAND + 1);
        assert_eq!(command_line("make", "make", &["a b".to_owned(), String::new()]), "make 'a b' ''");
    }
}
