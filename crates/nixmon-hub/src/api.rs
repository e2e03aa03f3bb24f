//! Answers of the API about runs and their logs.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nixmon_core::render::Style;
use nixmon_core::wire::Summary;
use nixmon_log::escapes::sanitize;
use nixmon_runs::QueryError;
use nixmon_runs::query::{LogRequest, Logs, Look};
use tokio_stream::wrappers::ReceiverStream;

use crate::answers::{
    LogAnswer, LogLine, LogSection, Part, RunAnswer, RunsAnswer, SearchAnswer, SectionsAnswer,
};
use crate::board::{self, MAX_RUNS};
use crate::detail::Build;
use crate::failure::Failure;
use crate::hub::{Asked, Hub};
use crate::log::{Key, Kind, Log, Needle, View};
use crate::mirror::Hold;
use crate::play::Play;

/// Number of runs in an answer, unless asked for otherwise.
const RUNS: i64 = 200;
/// Largest number of lines in one answer.
pub(crate) const MAX_LINES: i64 = 5000;
/// Longest wait for a part of a log that is still being read.
const REACH: Duration = Duration::from_secs(15);
/// Longest wait for the detail of a run.
const DETAIL: Duration = Duration::from_secs(3);
/// Condensed lines in the answer about a run.
const CONDENSED: usize = 500;
/// Bytes of the log of a unit, the last ones.
const MAX_UNIT_LOG: usize = 1 << 20;
/// Bytes of a raw log that are sent at once.
const CHUNK: usize = 64 << 10;
/// Names in the title of a section.
const TITLE_NAMES: usize = 3;

/// Returns the runs on the board.
pub(crate) fn runs(hub: &Hub, asked: &Asked) -> Result<RunsAnswer, Failure> {
    let most = i64::try_from(MAX_RUNS).unwrap_or(i64::MAX);
    let limit = usize::try_from(asked.params.number("limit", RUNS, 1..=most)?).unwrap_or(0);
    let board = hub.poller.board();
    let runs: Vec<_> = board.entries.iter().take(limit).map(|entry| (**entry).clone()).collect();
    Ok(RunsAnswer {
        older: board.n_older + (board.entries.len() - runs.len()),
        runs,
        looked_at: board.looked_at,
        error: board.error.clone(),
    })
}

/// Returns a run.
pub(crate) async fn run(hub: &Hub, asked: &Asked) -> Result<RunAnswer, Failure> {
    let source = hub.source(asked).await?;
    let (dir, look, mut play) = source.play(asked.part("run")).await?;
    let detail = play.first_detail(DETAIL).await;
    let id = dir.id();
    let (summary, lines) = source
        .blocking(move |_, runs| {
            let summary = dir.summary()?.and_then(|summary| serde_json::from_value::<Summary>(summary).ok());
            let lines = runs.follow(&dir, Some(0))?.next(runs, nixmon_runs::clock::unix_ms())?.lines;
            Ok((summary, lines))
        })
        .await?;
    let left_out = lines.len().saturating_sub(CONDENSED);
    let lines = lines.into_iter().skip(left_out).map(|line| sanitize(&line.text).into_owned()).collect();
    let Look { facts, status, .. } = look;
    Ok(RunAnswer {
        host: source.host_name(),
        run: id.0,
        status: board::clean(status),
        directory: sanitize(&facts.map(|facts| facts.directory).unwrap_or_default()).into_owned(),
        detail: (*detail).clone(),
        summary,
        lines,
        log_lines: play.log.progress().n_lines,
    })
}

/// A part of a log that a request is about.
pub(crate) struct LogPart {
    /// The host; `None` for this machine.
    pub(crate) host: Option<String>,
    pub(crate) run: u64,
    pub(crate) log: Log,
    pub(crate) view: View,
    /// Path of the derivation of the view.
    pub(crate) derivation: Option<String>,
    /// Keeps the recording from being given up while this part is read.
    pub(crate) play: Play,
    /// Keeps the copy of a host's run followed.
    pub(crate) hold: Option<Hold>,
}

/// Finds the log that a request is about: of a run, or of one of its derivations.
pub(crate) async fn log_of(hub: &Hub, asked: &Asked) -> Result<LogPart, Failure> {
    let source = hub.source(asked).await?;
    let (dir, _, play) = source.play(asked.part("run")).await?;
    let host = source.host_name();
    let hold = source.hold(&dir);
    let log = play.log.clone();
    let run = dir.id().0;
    let Some(wanted) = asked.params.text("derivation") else {
        return Ok(LogPart { host, run, log, view: View::Whole, derivation: None, play, hold });
    };
    let mut progress = log.watch();
    let found = async {
        loop {
            let is_current = progress.borrow_and_update().is_current;
            let view = log.view_of(wanted);
            // Words about a failure may be all that there is: then Nix may have kept more.
            let first = view.and_then(|view| log.range(view, 0, 1).ok()?.pop());
            let has_lines = first.is_some_and(|line| line.kind == Kind::Text);
            if has_lines || is_current || progress.changed().await.is_err() {
                return view;
            }
        }
    };
    let view = tokio::time::timeout(REACH, found).await.ok().flatten();
    let is_wanted = |build: &&Build| {
        build.derivation == wanted
            || build.name == wanted
            || build.derivation.rsplit('/').next() == Some(wanted)
    };
    // Nix may have kept what the recording lacks.
    let detail = play.detail();
    let lacking =
        detail.builds.iter().find(is_wanted).filter(|build| build.log_lines == 0 && build.has_ended());
    if let Some(path) = lacking.map(|build| build.derivation.clone()) {
        let permit = work(hub)?;
        let kept = Arc::clone(&source.kept);
        let wanted = path.clone();
        let log = source.blocking(move |program, runs| {
            let _permit = permit;
            kept.get(program, runs, dir.id(), &wanted)
        });
        let log = log.await?;
        if log.n_lines(View::Of(1)) > 0 {
            return Ok(LogPart { host, run, log, view: View::Of(1), derivation: Some(path), play, hold });
        }
    }
    let view = view.ok_or_else(|| {
        Failure::not_found(format!("run {run} has no lines of a derivation {} so far", sanitize(wanted)))
    })?;
    let derivation = match view {
        View::Of(number) => log.sources().into_iter().find(|(n, ..)| *n == number).map(|(_, path, ..)| path),
        View::Whole => None,
    };
    Ok(LogPart { host, run, log, view, derivation, play, hold })
}

/// Returns lines of a log.
pub(crate) async fn log(hub: &Hub, asked: &Asked) -> Result<LogAnswer, Failure> {
    let from = asked.params.number("from", 1, -(1 << 40)..=1 << 40)?;
    let count = asked.params.number("count", 500, 1..=MAX_LINES)?.unsigned_abs();
    let of = log_of(hub, asked).await?;
    let needed = match of.view {
        View::Whole if from > 0 => from.unsigned_abs().saturating_add(count - 1),
        _ => u64::MAX,
    };
    of.log.reach(needed, REACH).await;
    lines(of, from, count).await
}

/// Reads lines; a negative number of the first counts from the end.
pub(crate) async fn lines(of: LogPart, from: i64, count: u64) -> Result<LogAnswer, Failure> {
    let LogPart { host, run, log, view, derivation, play: _play, hold: _hold } = of;
    // The extent comes first: a log that is complete has no more lines than those read afterwards.
    let progress = log.progress();
    let total = log.n_lines(view);
    let first = match from {
        1.. => from.unsigned_abs() - 1,
        _ => total.saturating_sub(from.unsigned_abs()),
    };
    let reader = log.clone();
    let read = tokio::task::spawn_blocking(move || reader.range(view, first, count)).await;
    let read = read.map_err(|_| Failure::unavailable("the log could not be read"))??;
    let mut lines = Vec::with_capacity(read.len());
    for (n, line) in (first + 1..).zip(read) {
        let (derivation, phase) = log.names(line.key);
        let given = |text: String| (!text.is_empty()).then_some(text);
        lines.push(LogLine {
            n,
            at_ms: line.at_ms,
            derivation: given(derivation),
            phase: given(phase),
            kind: line.kind,
            text: line.text,
            is_cut: line.is_cut,
            parts: line.parts.into_iter().map(|(text, style)| Part { text, style }).collect(),
        });
    }
    let next = lines.last().map(|line| line.n + 1).filter(|next| *next <= total);
    Ok(LogAnswer {
        host,
        run,
        derivation,
        total,
        is_complete: progress.is_complete,
        error: progress.error,
        lines,
        next,
    })
}

/// Returns the sections of a log.
pub(crate) async fn sections(hub: &Hub, asked: &Asked) -> Result<SectionsAnswer, Failure> {
    let of = log_of(hub, asked).await?;
    // Those of the lines so far: a viewer asks again.
    let progress = of.log.reach(1, REACH).await;
    let total = of.log.n_lines(of.view);
    let sections = of.log.sections(of.view);
    let ends = sections.iter().skip(1).map(|section| section.first).chain([total]);
    let sections = sections.iter().zip(ends).map(|(section, end)| LogSection {
        first: section.first + 1,
        // A line may have come between the two looks.
        lines: end.saturating_sub(section.first),
        title: title(&of.log, &section.keys, of.view),
    });
    Ok(SectionsAnswer {
        host: of.host,
        run: of.run,
        total,
        is_complete: progress.is_complete,
        sections: sections.collect(),
        derivation: of.derivation,
    })
}

fn title(log: &Log, keys: &[Key], view: View) -> String {
    let mut names: Vec<String> = Vec::new();
    for key in keys {
        let (derivation, phase) = log.names(*key);
        let name = match (derivation.is_empty() || view != View::Whole, phase.is_empty()) {
            (true, true) => "output".to_owned(),
            (true, false) => phase,
            (false, true) => derivation,
            (false, false) => format!("{derivation} · {phase}"),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len() > TITLE_NAMES;
    names.truncate(TITLE_NAMES);
    names.join(", ") + if more { ", …" } else { "" }
}

/// Searches a log.
pub(crate) async fn search(hub: &Hub, asked: &Asked) -> Result<SearchAnswer, Failure> {
    let is_regex = asked.params.switch("regex", false)?;
    let needle =
        Needle::new(asked.params.text("q").unwrap_or_default(), is_regex).map_err(Failure::bad_request)?;
    let of = log_of(hub, asked).await?;
    let progress = of.log.reach(u64::MAX, REACH).await;
    let permit = work(hub)?;
    let (log, view) = (of.log, of.view);
    let found = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        needle.search(&log, view)
    });
    let found = found.await.map_err(|_| Failure::unavailable("the log could not be searched"))??;
    Ok(SearchAnswer {
        host: of.host,
        run: of.run,
        derivation: of.derivation,
        lines: found.lines,
        total: found.total,
        searched: found.searched,
        is_current: progress.is_current,
        is_complete: progress.is_complete,
    })
}

/// Begins long work, or refuses it.
pub(crate) fn work(hub: &Hub) -> Result<tokio::sync::OwnedSemaphorePermit, Failure> {
    hub.limits.work().ok_or_else(|| Failure::too_many("too many searches at once; try again in a second", 1))
}

/// Returns the whole text of a log so far, as a file.
pub(crate) async fn raw(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let of = log_of(hub, asked).await?;
    let permit = hub.limits.stream().ok_or_else(|| Failure::too_many("too many downloads at once", 5))?;
    let file = match &of.derivation {
        Some(path) => format!("run-{}-{}.log", of.run, file_name(path)),
        None => format!("run-{}.log", of.run),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(2);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let LogPart { log, view, play: _play, hold: _hold, .. } = of;
        let mut at = 0;
        loop {
            // The extent comes first: what is current then is read to its end.
            let progress = log.progress();
            let (piece, n) = match view {
                View::Whole => {
                    let piece = log.text(at, CHUNK);
                    let n = piece.as_ref().map_or(0, |piece| piece.len() as u64);
                    (piece, n)
                }
                View::Of(_) => {
                    let n = log.n_lines(view).saturating_sub(at).min(512);
                    (log.raw(view, at, n), n)
                }
            };
            at += n;
            let piece = match (progress.error, n) {
                (Some(error), 0) => Err(std::io::Error::other(error)),
                (None, 0) if progress.is_current => return,
                (None, 0) if sender.is_closed() => return,
                (None, 0) => {
                    // The recording is still being read.
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
                _ => piece,
            };
            let is_error = piece.is_err();
            // A client that has gone needs no more. One that gets an error sees a download that breaks off.
            if sender.blocking_send(piece).is_err() || is_error {
                return;
            }
        }
    });
    let mut response = text(Body::from_stream(ReceiverStream::new(receiver)));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{file}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// Makes a part of a file's name of a store path: letters, digits and a few signs, of which none ends a quote or a directory.
fn file_name(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.'))
        .take(120)
        .collect()
}

/// Makes an answer of text.
pub(crate) fn text(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

/// Returns the lines about a unit, and the end of its own log.
pub(crate) async fn unit(hub: &Hub, asked: &Asked) -> Result<String, Failure> {
    let source = hub.source(asked).await?;
    let permit = work(hub)?;
    let (run, unit) = (asked.part("run").to_owned(), asked.part("unit").to_owned());
    source
        .blocking(move |program, runs| {
            let _permit = permit;
            let dir = runs.find(Some(&run))?;
            let logs = Logs { runs, places: program.places(), style: Style::default(), note: &|_| {} };
            let kept = Kept::default();
            let request = LogRequest { unit: Some(unit), ..LogRequest::default() };
            logs.write(&dir, &request, Box::new(kept.clone()))?;
            let bytes = std::mem::take(&mut *kept.0.lock().unwrap_or_else(PoisonError::into_inner));
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().map(|line| format!("{}\n", sanitize(line))).collect::<String>())
        })
        .await
}

/// Bytes in memory, of which the last ones are kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        if kept.len() > 2 * MAX_UNIT_LOG {
            let cut = kept.len() - MAX_UNIT_LOG;
            kept.drain(..cut);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Checks that the hub works: a look at the store, by the way that all news takes, and a look at the newest run.
pub(crate) async fn health(hub: &Hub) -> Result<Response, Failure> {
    let limit = Duration::from_secs(5);
    match tokio::time::timeout(limit, hub.fleet.engine.check()).await {
        Ok(checked) => checked?,
        Err(_) => return Err(Failure::unavailable("the hub's database does not answer")),
    }
    let Some(board) = hub.poller.fresh(limit).await else {
        return Err(Failure::unavailable("the board is not updated any more"));
    };
    if let Some(error) = &board.error {
        return Err(Failure::unavailable(error.clone()));
    }
    if let Some(newest) = board.entries.iter().map(|entry| entry.run).max() {
        let reference = newest.to_string();
        let look = hub.own.blocking(move |_, runs| {
            let dir = runs.find(Some(&reference));
            // It may have been removed since.
            match dir {
                Ok(dir) => match runs.look(&dir, nixmon_runs::clock::unix_ms()) {
                    Ok(_) => Ok(()),
                    Err(QueryError::Store(error)) if error.kind() != nixmon_runs::ErrorKind::Io => Ok(()),
                    Err(error) => Err(error),
                },
                Err(error) if error.kind() == nixmon_runs::ErrorKind::UnknownRun => Ok(()),
                Err(error) => Err(error),
            }
        });
        look.await?;
    }
    Ok((StatusCode::OK, text(Body::from("ok\n"))).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_harmless() {
        assert_eq!(file_name("/nix/store/abc-hello-2.12.drv"), "abc-hello-2.12.drv");
        assert_eq!(file_name("../../etc/pass\"wd\r\nX: y"), "passwdXy");
        assert_eq!(file_name("é/…"), "");
    }
}
