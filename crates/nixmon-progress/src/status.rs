//! ninja's status line in other forms: from a given `NINJA_STATUS`, or learned from the numbers in it.

use crate::form::number;

/// Most numbers of a status that are looked at.
const N_NUMBERS: usize = 6;
/// Lines of the same shape whose numbers must agree before a learned form is believed.
const N_AGREEING: u8 = 2;
/// Longest status.
const STATUS_LEN: usize = 64;

/// Done, total or percent of a status line, and the description behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status<'l> {
    pub(crate) done: Option<u64>,
    pub(crate) total: Option<u64>,
    pub(crate) percent: Option<u64>,
    pub(crate) text: &'l str,
}

/// A piece of `NINJA_STATUS`, see "NINJA_STATUS" in ninja's manual.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Done,
    Total,
    Percent,
    /// Edges that remain.
    Remaining,
    /// A number of no interest.
    Other,
}

/// A status of a given form.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
}

impl Format {
    /// Reads the variable. Returns nothing if neither a count nor a percent is in it.
    pub(crate) fn new(variable: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = variable.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                literal.push(char);
                continue;
            }
            let piece = match chars.next()? {
                '%' => {
                    literal.push('%');
                    continue;
                }
                'f' => Piece::Done,
                't' => Piece::Total,
                'p' => Piece::Percent,
                'u' => Piece::Remaining,
                's' | 'r' | 'o' | 'c' | 'e' | 'w' | 'W' | 'E' | 'P' => Piece::Other,
                _ => return None,
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
        }
        let literal = literal.trim_end();
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        let says = |piece: &Piece| pieces.contains(piece);
        let is_useful =
            says(&Piece::Percent) || says(&Piece::Total) && (says(&Piece::Done) || says(&Piece::Remaining));
        is_useful.then_some(Self { pieces })
    }

    pub(crate) fn read<'l>(&self, line: &'l str) -> Option<Status<'l>> {
        let mut rest = line;
        let mut status = Status { done: None, total: None, percent: None, text: "" };
        let mut remaining = None;
        for piece in &self.pieces {
            if let Piece::Literal(literal) = piece {
                // A line's first blanks were cut off.
                rest = rest.strip_prefix(literal.as_str()).or_else(|| {
                    (rest.len() == line.len()).then(|| rest.strip_prefix(literal.trim_start())).flatten()
                })?;
                continue;
            }
            let body = rest.trim_start_matches(' ');
            let len = body.len() - body.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
            let (digits, after) = body.split_at_checked(len)?;
            let whole = digits.split('.').next().and_then(number)?;
            match piece {
                Piece::Done => status.done = Some(whole),
                Piece::Total => status.total = Some(whole),
                Piece::Percent => {
                    status.percent = Some(whole);
                    rest = after.strip_prefix('%')?;
                    continue;
                }
                Piece::Remaining => remaining = Some(whole),
                Piece::Literal(_) | Piece::Other => {}
            }
            rest = after;
        }
        if let (None, Some(total), Some(remaining)) = (status.done, status.total, remaining) {
            status.done = total.checked_sub(remaining);
        }
        status.text = rest.trim_start();
        Some(status)
    }
}

/// Learns which numbers before a description count, from lines of one shape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learner {
    shape: String,
    last: Vec<u64>,
    /// Number of times that each pair of numbers agreed with a count, by position of done and total.
    agreeing: u8,
    roles: Option<(Role, usize)>,
}

/// The way in which a number of the status stands for what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It grows by one: `%f`.
    Done(usize),
    /// It falls by one: `%u`.
    Remaining(usize),
}

impl Learner {
    /// Looks at a status before a known description, and reads it once its form is known.
    pub(crate) fn read(&mut self, prefix: &str) -> Option<(u64, u64)> {
        if prefix.is_empty() || prefix.len() > STATUS_LEN {
            return None;
        }
        let (shape, numbers) = split(prefix)?;
        if shape != self.shape {
            *self = Self { shape, last: numbers, agreeing: 0, roles: None };
            return None;
        }
        // Other numbers may move by one, too, now and then: a role that still fits stays.
        match self.roles {
            Some(roles) if still_fits(roles, &self.last, &numbers) => {
                self.agreeing = self.agreeing.saturating_add(1)
            }
            Some(_) if self.agreeing > N_AGREEING => {}
            _ => {
                self.roles = roles(&self.last, &numbers);
                self.agreeing = u8::from(self.roles.is_some());
            }
        }
        self.last = numbers;
        let (role, total) = self.roles.filter(|_| self.agreeing >= N_AGREEING)?;
        let total = *self.last.get(total)?;
        let done = match role {
            Role::Done(at) => *self.last.get(at)?,
            Role::Remaining(at) => total.checked_sub(*self.last.get(at)?)?,
        };
        (done <= total).then_some((done, total))
    }
}

/// Returns whether the numbers of a line moved on as their roles say.
fn still_fits((role, total): (Role, usize), before: &[u64], now: &[u64]) -> bool {
    let pair = |at: usize| before.get(at).copied().zip(now.get(at).copied());
    let moved = match role {
        Role::Done(at) => pair(at).is_some_and(|(before, now)| now == before + 1),
        Role::Remaining(at) => pair(at).is_some_and(|(before, now)| now + 1 == before),
    };
    moved && pair(total).is_some_and(|(before, now)| before == now)
}

/// Finds a number that moved by one and a larger one that stayed.
fn roles(before: &[u64], now: &[u64]) -> Option<(Role, usize)> {
    let at =
        |moved: fn(u64, u64) -> bool| before.iter().zip(now).position(|(before, now)| moved(*before, *now));
    let total_above = |least: u64| {
        before
            .iter()
            .zip(now)
            .enumerate()
            .filter(|(_, (before, now))| before == now && **now >= least && **now > 1)
            .max_by_key(|(_, (_, now))| **now)
            .map(|(at, _)| at)
    };
    if let Some(done) = at(|before, now| now == before + 1) {
        return total_above(*now.get(done)?).map(|total| (Role::Done(done), total));
    }
    let left = at(|before, now| now + 1 == before)?;
    total_above(*now.get(left)?).map(|total| (Role::Remaining(left), total))
}

/// Splits a status into its shape, with `#` for each number, and its numbers.
fn split(prefix: &str) -> Option<(String, Vec<u64>)> {
    let mut shape = String::with_capacity(prefix.len());
    let mut numbers = Vec::new();
    let mut digits = String::new();
    for char in prefix.chars().chain(['\n']) {
        if char.is_ascii_digit() {
            digits.push(char);
            continue;
        }
        if !digits.is_empty() {
            numbers.push(number(&digits)?);
            digits.clear();
            shape.push('#');
        }
        // Numbers are padded to one width or grow: the blanks say nothing.
        if char != ' ' && char != '\n' {
            shape.push(char);
        }
    }
    (numbers.len() >= 2 && numbers.len() <= N_NUMBERS).then_some((shape, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_forms() {
        let cases = [
            ("[%f/%t] ", "[3/10] CC a.o", Some((Some(3), Some(10), None, "CC a.o"))),
            ("[%p %f/%t %es] ", "[  1% 1/51 0.097s] CC a.o", Some((Some(1), Some(51), Some(1), "CC a.o"))),
            (
                "(%u left, %r running) %s-%t ",
                "(50 left, 2 running) 2-51 CC a.o",
                Some((Some(1), Some(51), None, "CC a.o")),
            ),
            ("[%f/%t] ", "nothing", None),
        ];
        for (variable, line, expected) in cases {
            let status = Format::new(variable).unwrap().read(line);
            assert_eq!(status.map(|s| (s.done, s.total, s.percent, s.text)), expected, "{variable}");
        }
        assert!(Format::new("building: ").is_none());
        assert!(Format::new("%x").is_none());
    }

    #[test]
    fn learned_forms() {
        let mut learner = Learner::default();
        let lines = ["(50 left, 2 running) 2-51", "(49 left, 2 running) 4-51", "(48 left, 2 running) 5-51"];
        let read: Vec<_> = lines.iter().map(|line| learner.read(line)).collect();
        assert_eq!(read, [None, None, Some((3, 51))]);
        // Numbers that do not count teach nothing.
        let mut learner = Learner::default();
        for line in ["10:00:01 7", "10:00:07 3", "10:01:00 9"] {
            assert_eq!(learner.read(line), None);
        }
    }
}
