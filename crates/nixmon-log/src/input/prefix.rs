//! Prefixes that collectors of logs put before each line: a journal, a CI system, docker, a program that runs several.
//!
//! A prefix is known by its shape, and believed when a line of Nix's or of an activation stands behind it, or, where the
//! shape has a time in it, when several lines in a row have it. A shape that is believed is cut off from then on.
//!
//! Builders print such lines too, so nothing is believed behind bare lines of Nix that say that a build runs. `name> ` is what
//! Nix itself puts before the lines of builders: it is a machine's only in a stream without bare lines of Nix, and only if the
//! name has Nix's lines among its first.

use super::any_prefix::AnyPrefix;
use super::human::{self, HumanLine, OPENINGS};

/// Lines in a row with a time before them that make it a collector's.
const IN_A_ROW: u32 = 3;
/// Longest label of a program or machine.
const MAX_LABEL: usize = 64;
/// Labels that are remembered.
const MAX_LABELS: usize = 256;
/// Bare lines of anything else before the first `name> ` of a machine.
const MAX_BARE: u32 = 32;
/// Lines of anything else before the first of Nix's behind the same `name> `.
const MAX_OTHERS: u8 = 3;
/// Prefixes before one line: a time, a machine, and a step.
const MAX_DEPTH: usize = 3;

/// The shape of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A time, and what a journal writes behind it: `Jun 03 16:18:10 host ident[12]: `.
    Time,
    /// `#12 44.5 ` of docker.
    Docker,
    /// `┃ ` of nix-output-monitor.
    Box,
    /// `[host] `
    Brackets,
    /// `name | `
    Bar,
    /// `name: `
    Colon,
    /// `name> `
    Angle,
}

/// A name before `> `, of which it is not known yet to be a machine.
#[derive(Debug)]
struct Host {
    name: Box<str>,
    /// Lines that are not Nix's.
    others: u8,
}

/// A prefix that a line may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate<'t> {
    shape: Shape,
    label: Option<&'t str>,
    rest: &'t str,
}

/// Knows which prefixes the lines of a stream have.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    times: bool,
    docker: bool,
    /// Labels that are believed, with their shapes.
    labels: Vec<(Shape, Box<str>)>,
    /// The last lines in a row that began with a time.
    in_a_row: u32,
    /// Lines with and without a time before them.
    timed: u32,
    bare: u32,
    /// A bare line of Nix's says that a build runs.
    bare_build: bool,
    /// `name> ` may be a machine's no more: Nix has printed bare lines, or the stream began with many of something else.
    no_hosts: bool,
    hosts: Vec<Host>,
    /// Labels of colmena's are right-aligned; what is behind them is read elsewhere.
    aligned_labels: bool,
    /// Prefixes of other shapes.
    any: AnyPrefix,
}

/// Sender of a line behind a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// A program that passes on the output of another one: any error may be Nix's.
    Collector,
    /// A program whose own errors look like Nix's: `gcc: error: x`.
    Program,
    /// A builder, or a machine: see [`Prefixes::believes_host`].
    Builder,
}

impl Shape {
    fn sender(self) -> Sender {
        match self {
            Self::Colon => Sender::Program,
            Self::Angle => Sender::Builder,
            _ => Sender::Collector,
        }
    }
}

impl Prefixes {
    /// Returns the line without its prefixes, and the label of a machine or program if one of them is that.
    pub(super) fn split<'t>(&mut self, text: &'t str) -> (Option<&'t str>, &'t str) {
        let (mut label, mut rest) = (None, text);
        self.aligned_labels |= text.starts_with("     ") && text.trim_start().starts_with("| ")
            || ["[INFO ] ", "[ERROR] "].iter().any(|level| text.starts_with(level));
        if let Some(behind) = self.any.strip(text) {
            rest = behind;
        }
        for depth in 0..MAX_DEPTH {
            let candidate = candidate(rest);
            if depth == 0 {
                self.count(candidate.is_some_and(|candidate| candidate.shape == Shape::Time), text);
            }
            let believed = match candidate.filter(|candidate| self.believes(candidate)) {
                None if !self.no_hosts => angle(rest).filter(|candidate| self.believes_host(candidate)),
                believed => believed,
            };
            let Some(candidate) = believed else { break };
            rest = candidate.rest;
            label = candidate.label.or(label);
        }
        if rest.len() == text.len() {
            self.note_bare(text);
            let is_aligned = || self.aligned_labels || text.starts_with(' ') && is_aligned_label(text);
            let may_have_any = !self.bare_build && angle(text).is_none() && !is_aligned();
            if let Some(behind) = may_have_any.then(|| self.any.learn(text)).flatten() {
                rest = behind;
            }
        }
        (label, rest)
    }

    fn count(&mut self, is_timed: bool, text: &str) {
        if is_timed {
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.timed = self.timed.saturating_add(1);
        } else if !text.trim().is_empty() {
            self.in_a_row = 0;
            self.bare = self.bare.saturating_add(1);
        }
    }

    /// Returns whether most lines so far begin with a time. Other streams may quote lines of a journal.
    fn is_timed(&self) -> bool {
        self.bare <= 1 || self.timed > self.bare
    }

    fn note_bare(&mut self, text: &str) {
        if !self.no_hosts && angle(text).is_none() {
            // Where a name is believed, the others are machines as well, whatever is printed between them.
            let is_known = self.labels.iter().any(|(shape, _)| *shape == Shape::Angle);
            let is_of_nix = || is_like_nix(text) || OPENINGS.iter().any(|opening| text.starts_with(opening));
            self.no_hosts = !is_known && (self.bare > MAX_BARE || is_of_nix());
        }
        if text.starts_with("building '/") {
            self.bare_build = true;
        } else if self.bare_build && text.starts_with(['/', 't']) {
            let is_over = matches!(human::parse(text), HumanLine::StorePath(_) | HumanLine::ListHeader(_));
            self.bare_build = !is_over;
        }
    }

    /// Returns whether `name> ` stands for a machine.
    fn believes_host(&mut self, candidate: &Candidate<'_>) -> bool {
        let name = candidate.label.unwrap_or_default();
        if self.labels.iter().any(|(shape, known)| *shape == Shape::Angle && **known == *name) {
            return true;
        }
        let at = match self.hosts.iter().position(|host| *host.name == *name) {
            Some(at) => at,
            None if self.hosts.len() < MAX_LABELS => {
                self.hosts.push(Host { name: name.into(), others: 0 });
                self.hosts.len() - 1
            }
            None => return false,
        };
        let Some(host) = self.hosts.get_mut(at).filter(|host| host.others <= MAX_OTHERS) else {
            return false;
        };
        let inner = behind_others(candidate.rest);
        let believed = is_of_nix(inner, Sender::Builder) && !builds(inner, name);
        if believed {
            self.hosts.swap_remove(at);
            if self.labels.len() < MAX_LABELS {
                self.labels.push((Shape::Angle, name.into()));
            }
        } else if is_phase(inner) {
            host.others = u8::MAX;
        } else if !is_like_nix(inner) {
            host.others = host.others.saturating_add(1);
        }
        believed
    }

    fn believes(&mut self, candidate: &Candidate<'_>) -> bool {
        let Candidate { shape, label, rest } = *candidate;
        let label = label.unwrap_or_default();
        let known = match shape {
            Shape::Time => self.times,
            Shape::Docker => self.docker,
            Shape::Box => true,
            Shape::Brackets | Shape::Bar | Shape::Colon | Shape::Angle => {
                self.labels.iter().any(|(known, name)| *known == shape && **name == *label)
            }
        };
        if known {
            return true;
        }
        if self.bare_build
            || shape == Shape::Bar && self.aligned_labels
            || shape == Shape::Time && !self.is_timed()
        {
            return false;
        }
        let inner = behind_others(rest);
        let is_entry = || matches!(human::parse(inner), HumanLine::ListEntry(_));
        let believed = is_of_nix(inner, shape.sender())
            || shape == Shape::Time && (self.in_a_row >= IN_A_ROW || is_entry());
        if believed {
            match shape {
                Shape::Time => self.times = true,
                Shape::Docker => self.docker = true,
                Shape::Box => {}
                _ if self.labels.len() < MAX_LABELS => self.labels.push((shape, label.into())),
                _ => {}
            }
        }
        believed
    }
}

/// `  web | text`, as colmena prints it.
fn is_aligned_label(text: &str) -> bool {
    let name = text.trim_start().split_once("| ").map(|(name, _)| name.trim_end());
    name.is_some_and(|name| !name.contains(' '))
}

/// Returns the text behind all prefixes that it may have.
fn behind_others(text: &str) -> &str {
    let mut rest = text;
    for _ in 1..MAX_DEPTH {
        match candidate(rest).filter(|candidate| candidate.shape != Shape::Colon) {
            Some(candidate) => rest = candidate.rest,
            None => break,
        }
    }
    rest
}

/// Returns whether only Nix, or an activation, has such a line.
pub(super) fn is_of_nix(text: &str, sender: Sender) -> bool {
    if OPENINGS.iter().any(|opening| text.starts_with(opening)) {
        return true;
    }
    match human::parse(text) {
        HumanLine::Building { .. } | HumanLine::Copying { .. } | HumanLine::ListHeader(_) => true,
        HumanLine::Error => {
            ["error: builder for '/", "error: Cannot build '/", "error: build of '/", "builder for '/"]
                .iter()
                .any(|start| text.starts_with(start))
                || sender == Sender::Collector && text.starts_with("error:")
                || sender == Sender::Program && is_of_evaluation(text)
        }
        HumanLine::Warning(text) => sender != Sender::Builder && text.starts_with("Git tree '/"),
        _ => false,
    }
}

/// Returns whether a line begins an error of Nix's language, which no compiler words so.
fn is_of_evaluation(text: &str) -> bool {
    let Some(text) = text.strip_prefix("error: ") else { return false };
    text.starts_with("attribute '") && text.ends_with("' missing")
        || text.starts_with("flake '") && text.contains("' does not provide attribute ")
        || ["undefined variable '", "infinite recursion encountered", "path '/nix/store/"]
            .iter()
            .any(|start| text.starts_with(start))
}

/// Returns whether a line may be Nix's, or is empty.
fn is_like_nix(text: &str) -> bool {
    text.trim().is_empty() || !matches!(human::parse(text), HumanLine::Other | HumanLine::BuildLog { .. })
}

/// Returns whether a line says that the derivation of this name is built: then the name is a builder's.
fn builds(text: &str, name: &str) -> bool {
    let HumanLine::Building { .. } = human::parse(text) else { return false };
    text.split_once(".drv'")
        .is_some_and(|(path, _)| path.strip_suffix(name).is_some_and(|before| before.ends_with('-')))
}

/// Returns whether a line begins a phase of a builder, as nixpkgs' `stdenv` prints it.
fn is_phase(text: &str) -> bool {
    const PHASES: [&str; 10] = [
        "Running phase: ",
        "@nix {",
        "Sourcing ",
        "unpacking source",
        "patching sources",
        "configuring",
        "building",
        "installing",
        "fixing up",
        "checking",
    ];
    let rest = PHASES.iter().find_map(|phase| text.strip_prefix(phase));
    rest.is_some_and(|rest| !rest.starts_with(" '/"))
}

/// `name> text`
fn angle(text: &str) -> Option<Candidate<'_>> {
    let is_of_label = |b: u8| b.is_ascii_alphanumeric() || b"-_.@/".contains(&b);
    let end = text.bytes().take(MAX_LABEL + 1).position(|b| !is_of_label(b))?;
    let (label, rest) = text.split_at(end);
    let rest = rest.strip_prefix('>')?;
    labelled(Shape::Angle, label, rest.strip_prefix(' ').or(rest.is_empty().then_some(""))?)
}

fn candidate(text: &str) -> Option<Candidate<'_>> {
    /// A label, or a month and a day, and what ends them.
    const HEAD: usize = MAX_LABEL + 32;
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    // Nearly all lines of builders have none, and this is asked of each.
    if first == b' ' || first == b'\t' {
        return None;
    }
    let head = bytes.get(..bytes.len().min(HEAD))?;
    if first.is_ascii_alphabetic() && memchr::memchr3(b':', b'|', b'\t', head).is_none() {
        return None;
    }
    if first == b'#' {
        return docker(text);
    }
    if let Some(rest) = text.strip_prefix('┃') {
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        return Some(Candidate { shape: Shape::Box, label: None, rest });
    }
    if let Some(rest) = time(text).or_else(|| time_of_job(text)).or_else(|| seconds(text)) {
        return Some(Candidate { shape: Shape::Time, label: None, rest });
    }
    // Lines that are Nix's own as they are: `error: …`, `warning: …`.
    if matches!(first, b'[' | b'(') {
        let (label, rest) = text.get(1..)?.split_once(if first == b'[' { ']' } else { ')' })?;
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        // Some align what follows.
        let label = label.trim_end();
        return labelled(Shape::Brackets, label, rest.strip_prefix(' ').or(rest.is_empty().then_some(""))?);
    }
    let end = text.find([' ', '\t', ':', '|'])?;
    let (label, after) = text.split_at(end);
    if let Some(rest) = after.strip_prefix(": ").or((after == ":").then_some("")) {
        // `ident[12]: ` of a logger.
        let label =
            label.strip_suffix(']').and_then(|label| label.rsplit_once('[')).map_or(label, |(name, _)| name);
        let is_nix = matches!(label, "error" | "warning" | "trace" | "note");
        return if is_nix { None } else { labelled(Shape::Colon, label, rest) };
    }
    if let Some(rest) = after.strip_prefix('\t') {
        return labelled(Shape::Bar, label, rest);
    }
    let bar = after.trim_start_matches([' ', '\t']);
    let rest = bar.strip_prefix("| ").or((bar == "|").then_some(""))?;
    labelled(Shape::Bar, label, rest)
}

fn labelled<'t>(shape: Shape, label: &'t str, rest: &'t str) -> Option<Candidate<'t>> {
    let is_name = label.len() <= MAX_LABEL
        && label.bytes().any(|b| b.is_ascii_alphabetic())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@/".contains(&b));
    is_name.then_some(Candidate { shape, label: Some(label), rest })
}

/// `#12 44.53 text`
fn docker(text: &str) -> Option<Candidate<'_>> {
    let (step, rest) = text.strip_prefix('#')?.split_once(' ')?;
    let (seconds, rest) = rest.split_once(' ').or(Some((rest, "")))?;
    let (whole, part) = seconds.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    [step, whole, part].into_iter().all(is_number).then_some(Candidate {
        shape: Shape::Docker,
        label: None,
        rest,
    })
}

/// Returns what follows a time at the beginning, and the host and the process that a journal names behind it.
fn time(text: &str) -> Option<&str> {
    /// Words before the time of day: a month and a day, a day of the week, a date, in any language.
    const BEFORE: usize = 28;
    let head = text.as_bytes().get(..text.len().min(BEFORE + 8))?;
    memchr::memchr(b':', head)?;
    let at = head.windows(8).position(|w| {
        w.iter().enumerate().all(|(at, b)| if at == 2 || at == 5 { *b == b':' } else { b.is_ascii_digit() })
    })?;
    let before = text.get(..at)?;
    let before = before.strip_prefix('[').unwrap_or(before);
    let is_bracketed = before.len() < at;
    let is_date = before.bytes().any(|b| b.is_ascii_digit())
        && before.split_whitespace().count() <= 4
        && before.chars().all(|c| c.is_alphanumeric() || " .,-".contains(c))
        && before.ends_with([' ', 'T']);
    if !(before.is_empty() || is_date) {
        return None;
    }
    let rest = text.get(at + 8..)?;
    // Fractions of seconds and the zone.
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || ".,".contains(c));
    let rest = rest.strip_prefix('Z').unwrap_or_else(|| {
        let zone = rest
            .strip_prefix(['+', '-'])
            .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
        zone.unwrap_or(rest)
    });
    let rest = if is_bracketed { rest.strip_prefix(']')? } else { rest };
    let rest = match rest.strip_prefix([' ', '\t']) {
        Some(rest) => rest,
        None if rest.is_empty() => rest,
        None => return None,
    };
    Some(gitlab_stream(rest).or_else(|| journal(rest)).unwrap_or(rest))
}

/// `job\tstep\t2026-03-25T17:19:51Z text`, as GitHub's command line tool prints a job's log.
fn time_of_job(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('\t')?;
    let (_, rest) = rest.split_once('\t')?;
    time(rest)
}

/// `1748967490.123456 host ident[12]: text`, `[ 1234.567890] text`: seconds since the epoch or the boot.
fn seconds(text: &str) -> Option<&str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_seconds = |text: &str| {
        text.trim_start().split_once('.').is_some_and(|(whole, part)| is_number(whole) && is_number(part))
    };
    if let Some((seconds, rest)) = text.strip_prefix('[').and_then(|text| text.split_once("] ")) {
        return is_seconds(seconds).then(|| journal(rest).unwrap_or(rest));
    }
    let (seconds, rest) = text.split_once(' ')?;
    (seconds.len() > 10 && is_seconds(seconds)).then(|| journal(rest).unwrap_or(rest))
}

/// GitLab's number and kind of a stream: `00O text`, `01E+text`.
fn gitlab_stream(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let is_stream = bytes.len() >= 3
        && bytes[..2].iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
        && matches!(bytes[2], b'O' | b'E');
    let rest = is_stream.then(|| text.get(3..))??;
    rest.strip_prefix([' ', '+']).or(rest.is_empty().then_some(""))
}

/// `host ident[12]: text`, `ident[12]: text`
fn journal(text: &str) -> Option<&str> {
    let (head, rest) = text.split_once(": ").or_else(|| Some((text.strip_suffix(':')?, "")))?;
    // The zone of `journalctl --output=short-full`: `CET host ident[12]: text`.
    let is_zone = |word: &str| word.len() >= 3 && word.bytes().all(|b| b.is_ascii_uppercase());
    let head = head
        .split_once(' ')
        .filter(|(zone, rest)| is_zone(zone) && rest.contains(' '))
        .map_or(head, |(_, rest)| rest);
    let mut words = head.split(' ');
    let (first, second) = (words.next()?, words.next());
    if words.next().is_some() || first.is_empty() {
        return None;
    }
    let ident = second.unwrap_or(first);
    let has_pid =
        ident.strip_suffix(']').and_then(|ident| ident.rsplit_once('[')).is_some_and(|(name, pid)| {
            !name.is_empty() && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())
        });
    has_pid.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[(&str, Option<&str>, &str)]) {
        let mut prefixes = Prefixes::default();
        for (line, label, rest) in lines {
            assert_eq!(prefixes.split(line), (*label, *rest), "{line}");
        }
    }

    const BUILDING: &str = "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...";

    #[test]
    fn prefixes_are_believed_where_nix_stands_behind_them() {
        for prefix in [
            "Jun 03 16:18:10 host nixos-upgrade-start[1234]: ",
            "mars 11 16:01:02 host hm-activate-u[206]: ",
            "2026-03-25T17:19:51.1234567Z ",
            "2026-03-25T17:19:51.123456Z 00O ",
            "2026-03-25T17:19:51+0100 host nix[12]: ",
            "2026-03-25 17:19:51,123 ",
            "[17:19:51] ",
            "17:19:51 ",
            "1748967490.123456 host nix[12]: ",
            "Wed 2026-03-25 17:19:51 CET host nix[12]: ",
            "[ 1234.567890] host nix[12]: ",
            "build\tNix build\t2026-03-25T17:19:51.1234567Z ",
            "#12 44.53 ",
            "┃ ",
        ] {
            let lines =
                [format!("{prefix}{BUILDING}"), format!("{prefix}       indented"), prefix.to_owned()];
            check(&[
                (lines[0].as_str(), None, BUILDING),
                (lines[1].as_str(), None, "       indented"),
                (lines[2].as_str(), None, ""),
            ]);
        }
        for (prefix, label) in [
            ("[web] ", "web"),
            ("web-1  | ", "web-1"),
            ("deploy: ", "deploy"),
            ("(db) ", "db"),
            ("[db  ] ", "db"),
            ("db\t", "db"),
            ("nix[12]: ", "nix"),
        ] {
            let lines = [format!("{prefix}{BUILDING}"), format!("{prefix}error: x")];
            check(&[
                (lines[0].as_str(), Some(label), BUILDING),
                (lines[1].as_str(), Some(label), "error: x"),
            ]);
        }
    }

    #[test]
    fn machines_before_an_angle_bracket() {
        let web = format!("web> {BUILDING}");
        let web = web.as_str();
        // From Nix's first line on, and what follows.
        check(&[
            ("web> welcome", None, "web> welcome"),
            ("web> warning: Git tree '/x' is dirty", None, "web> warning: Git tree '/x' is dirty"),
            (web, Some("web"), BUILDING),
            ("web> error: x", Some("web"), "error: x"),
            ("web> lib> compiling", Some("web"), "lib> compiling"),
            ("db> activating the configuration...", Some("db"), "activating the configuration..."),
            ("web>", Some("web"), ""),
            ("done", None, "done"),
            (web, Some("web"), BUILDING),
        ]);
        check(&[("$ make deploy", None, "$ make deploy"), (web, Some("web"), BUILDING)]);
        let (a, timed) = (("17:19:51 a", None, "17:19:51 a"), format!("17:19:52 {web}"));
        check(&[a, a, (&timed, Some("web"), BUILDING)]);
        let list = "these 2 derivations will be built:";
        check(&[(&format!("db.example.org> {list}"), Some("db.example.org"), list)]);
        // Builders: behind Nix's bare lines, behind phases, after many lines, and where the name is the derivation's.
        check(&[(list, None, list), (web, None, web)]);
        check(&[
            ("copying path '/nix/store/x' from 'y'...", None, "copying path '/nix/store/x' from 'y'..."),
            (web, None, web),
        ]);
        check(&[
            ("web> Running phase: buildPhase", None, "web> Running phase: buildPhase"),
            (web, None, web),
        ]);
        check(&[("web> unpacking sources", None, "web> unpacking sources"), (web, None, web)]);
        let other = ("web> a", None, "web> a");
        check(&[other, other, other, other, (web, None, web)]);
        let lib = format!("lib> {BUILDING}");
        check(&[(&lib, None, &lib)]);
        let error = "web> error: no";
        check(&[(error, None, error)]);
    }

    #[test]
    fn several_prefixes() {
        let line = format!("2026-03-25T17:19:51Z [web] {BUILDING}");
        check(&[(line.as_str(), Some("web"), BUILDING)]);
        let line = format!("17:19:51 web.1 | {BUILDING}");
        check(&[(line.as_str(), Some("web.1"), BUILDING)]);
    }

    #[test]
    fn lines_of_others_stay_as_they_are() {
        for line in [
            "gcc: error: no input files",
            "[3/12] Compiling x",
            "[INFO] Scanning for projects",
            "warning: Git tree '/x' is dirty",
            "error: attribute 'a' missing",
            "make: *** [Makefile:3: x] Error 1",
            "at 12:30:00 it was over",
            "lib> building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...",
            "# a comment",
            "#12 is fixed",
        ] {
            check(&[(line, None, line); 1]);
        }
        // Words of Nix behind a time are no name of a program.
        check(&[
            ("17:19:51 a", None, "17:19:51 a"),
            ("17:19:51 b", None, "17:19:51 b"),
            ("17:19:51 evaluation warning: x", None, "evaluation warning: x"),
        ]);
        // Two lines with a time may be anybody's.
        check(&[
            ("17:19:51 a", None, "17:19:51 a"),
            ("17:19:52 b", None, "17:19:52 b"),
            ("17:19:53 c", None, "c"),
        ]);
        // A builder's own nested Nix.
        let nested = format!("machine: {BUILDING}");
        check(&[(BUILDING, None, BUILDING), (nested.as_str(), None, nested.as_str())]);
    }
}
