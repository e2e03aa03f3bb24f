//! The filter: standard input, as it comes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use super::background::{Background, Stream};
use super::session::{self, LAST_ANSWERS, Questions, SETTLE, Session, listen};
use super::signals::{Endings, survive};
use super::writer::Writer;
use super::{complain, drv_reader, history_file, pipeline};
use crate::exit_status::{ExitStatus, Failed};
use crate::history::{self, Beside, Builder, HistoryFile, Identity, Insights};
use crate::nix_commands as nix;
use crate::settings::Settings;
use nixmon_core::pipeline::Pipeline;
use nixmon_core::state::DerivationFacts;
use nixmon_log::input::Source;
use nixmon_runs as runs;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::recording::Recorder;

/// Maximum size of one read; fewer and larger reads cost less in a flood.
const CHUNK: usize = 512 << 10;
/// Maximum number of chunks that were read and not handled yet.
const CHUNKS: usize = 1;

/// Bytes with the time at which they came, or the reason why no more can be read.
type Chunk = std::io::Result<(Vec<u8>, Instant)>;

/// Reads standard input to its end.
pub(crate) fn filter(
    settings: &Settings,
    record: Option<&Path>,
    project: Option<PathBuf>,
    writer: Option<Writer>,
) -> Result<ExitStatus> {
    if settings.stdin_is_terminal {
        return Err(Failed::error(
            ExitStatus::Usage,
            "standard input is a terminal; pipe a build into it: nix build --log-format internal-json |& nixmon",
        ));
    }
    survive()?;
    let mut recorder = record.map(Recorder::create).transpose()?;
    if let Some(recorder) = &mut recorder {
        recorder.machine(&history::Context::of_machine().machine(), Duration::ZERO);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let writer = writer.filter(|_| settings.asks_writer);
    if let Some(writer) = &writer {
        writer.wait();
    }
    runtime.block_on(watch(settings, recorder, project, writer))
}

async fn watch(
    settings: &Settings,
    mut recorder: Option<Recorder>,
    project: Option<PathBuf>,
    watched: Option<Writer>,
) -> Result<ExitStatus> {
    let begun = Instant::now();
    let begun_at = SystemTime::now();
    let (mut chunks, spare) = spawn_reader();
    let (answers, mut facts) = mpsc::unbounded_channel();
    let requests = drv_reader::spawn(answers);
    let writer = || {
        let background = Background::spawn(Stream::Stdout);
        let backlog = background.backlog();
        (background, backlog)
    };
    let (mut pipeline, screen) = pipeline(writer, Stream::Stdout, &settings.output, settings.thresholds);
    let history_file = history_file(settings);
    let mut beside = beside(&history_file, &mut pipeline);
    let builder = Builder::new(&[], std::env::current_dir().unwrap_or_default(), project);
    let mut insights = Insights::beside(history::Context::here(&history_file).as_ref(), builder);
    if insights.is_some() {
        pipeline.expect_insights();
    }
    let mut session = Session::new(pipeline, screen, begun);
    let mut ticks = session::ticks();
    let mut endings = Endings::listen()?;
    let mut questions = Questions::listen()?;
    let mut resizes = listen(SignalKind::window_change())?;
    // Only a live view has to restore the terminal before it stops.
    let mut stops =
        session.is_live().then(|| listen(SignalKind::from_raw(Signal::TSTP.as_raw()))).transpose()?;
    let mut interrupted = false;
    // Whether everything was read that was written.
    let mut is_whole = false;
    let mut record_warned = false;
    let output = session.output();
    loop {
        let frame_at = session.frame_at();
        tokio::select! {
            biased;
            signal = endings.recv() => {
                session.interrupt();
                // Nix was interrupted, too, and its last words are read; a second signal ends the program at once.
                if signal != Signal::INT || std::mem::replace(&mut interrupted, true) {
                    session.abandon_output();
                    break;
                }
            }
            () = questions.recv() => session.report_now(),
            _ = resizes.recv() => session.changed(),
            Some(()) = async { stops.as_mut()?.recv().await } => session.sleep(),
            () = session::sleep_until(frame_at) => session.draw(false),
            // Before the input, which may always be ready.
            _ = ticks.tick() => {
                let (state, at) = (session.state(), session.now());
                if let Some(forecast) = beside.as_mut().and_then(|beside| beside.tick(state, at)) {
                    session.forecast(forecast);
                }
                let state = session.state();
                for known in insights.as_mut().map(|insights| insights.tick(state)).unwrap_or_default() {
                    if let Some(recorder) = &mut recorder {
                        recorder.inside(known.derivation.as_deref(), &known.insight.hints.to_json(), at);
                    }
                    session.insight(known.insight);
                }
                session.tick();
                if let Some(writer) = &watched {
                    writer.refresh();
                }
                if let Some(recorder) = &mut recorder {
                    recorder.flush();
                    if let Some(error) = recorder.broken()
                        && !std::mem::replace(&mut record_warned, true)
                    {
                        complain(&anyhow::anyhow!("the recording is incomplete: {error}"));
                    }
                }
            }
            // Apply back-pressure when a reader that asked for everything stalls.
            () = output.room(), if output.is_full() => {}
            chunk = chunks.recv(), if !output.is_full() => {
                let Some(chunk) = chunk else {
                    is_whole = true;
                    break;
                };
                let (bytes, at) = match chunk.context("cannot read standard input") {
                    Ok(chunk) => chunk,
                    Err(error) if session.has_read() => {
                        complain(&error);
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let at = session.moment(at);
                if let Some(recorder) = &mut recorder {
                    recorder.bytes(&bytes, at);
                }
                session.feed(Source::Main, &bytes, at);
                // The reader reuses the buffer, unless it has ended.
                let _ = spare.send(bytes);
            }
            Some(answer) = facts.recv() => take(&answer, &mut session, recorder.as_mut()),
            () = tokio::time::sleep(SETTLE), if session.is_unsettled() => session.settle(),
        }
        session.ask(&requests);
        session.yield_if_flooded().await;
    }
    // The reader ends when it has read what was asked for.
    drop(requests);
    let waiting = async {
        while let Some(answer) = facts.recv().await {
            take(&answer, &mut session, recorder.as_mut());
        }
    };
    // Later answers would not be shown any more.
    let _ = tokio::time::timeout(LAST_ANSWERS, waiting).await;
    tracing::debug!(interrupted, "standard input has ended");
    if let Some(beside) = &beside {
        let (lines, lost) = beside.news();
        session.notice(&lines);
        session.lost_history(lost);
    }
    let ended = match &watched {
        Some(writer) if is_whole => writer.end().await,
        _ => None,
    };
    let at = session.now();
    let (code, status) =
        session.end(ended, at, |state| runs::evidence(state, &settings.places, Some(begun_at)));
    if let Some(recorder) = &mut recorder {
        if let Some(status) = status {
            recorder.exit_status(status, at);
        }
        recorder.flush();
    }
    if let Some(lost) = beside.and_then(|beside| beside.finish(session.state(), at)) {
        complain(&anyhow::anyhow!(lost));
    }
    // A reader may take its time, until a signal asks for the end.
    tokio::select! {
        () = session.output_taken() => {}
        _ = endings.recv() => session.abandon_output(),
    }
    Ok(match code {
        // It was complained about.
        0 if session.output().has_failed() => ExitStatus::Failure,
        code => ExitStatus::Command(u8::try_from(code).unwrap_or(1)),
    })
}

/// Begins the history of a stream, of which only this machine is known.
fn beside(file: &HistoryFile, pipeline: &mut Pipeline) -> Option<Beside> {
    // The times of a log that comes from a file are not those of its builds.
    let is_file = rustix::fs::fstat(std::io::stdin())
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    let context = history::Context::here(file).filter(|_| !is_file)?;
    let cores = usize::try_from(context.cores).unwrap_or(0);
    let ask = Box::new(move || {
        let version = nix::detect(&["nix".into()])?;
        history::number_of_jobs(nix::max_jobs(version).as_deref(), cores)
    });
    let identity = Identity {
        id: format!("filter {}", std::process::id()),
        started_at: unix_ms(),
        nix: None,
        always: false,
    };
    Some(Beside::begin(file, pipeline, context, identity, Some(ask)))
}

fn take(answer: &[DerivationFacts], session: &mut Session, mut recorder: Option<&mut Recorder>) {
    let at = session.now();
    if let Some(recorder) = &mut recorder {
        answer.iter().for_each(|facts| recorder.derivation(facts, at));
    }
    session.derivations(answer, at);
}

/// Reads standard input on a thread of its own, so that bytes have the time at which they came. Buffers come back.
fn spawn_reader() -> (mpsc::Receiver<Chunk>, blocking::Sender<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let (spare, spares) = blocking::channel::<Vec<u8>>();
    thread::spawn(move || {
        // A pipe holds 64 KiB unless we ask for more; where that is refused, reads are smaller.
        let mut stdin = std::io::stdin().lock();
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, CHUNK);
        loop {
            let mut buffer = spares.try_recv().unwrap_or_default();
            buffer.resize(CHUNK, 0);
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => buffer.truncate(n),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                // A terminal that has gone, or a directory. If the loop has ended, the error does not matter.
                Err(error) => {
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            }
            if sender.blocking_send(Ok((buffer, Instant::now()))).is_err() {
                return;
            }
        }
    });
    (receiver, spare)
}
