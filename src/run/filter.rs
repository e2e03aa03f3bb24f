//! The filter: standard input, as it comes.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rustix::process::{self, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::background::{Background, Stream};
use super::recording::Recorder;
use super::{ExitStatus, Pipeline, complain, drv_reader, pipeline, service_logs};
use crate::settings::Settings;
use crate::state::{DerivationFacts, Request};

/// How often time is told to the state.
const TICK: Duration = Duration::from_millis(250);
/// Least time between two frames of a live view.
const FRAME: Duration = Duration::from_millis(100);
/// How often a live view is drawn where nothing happens, for its clocks.
const CLOCK: Duration = Duration::from_secs(1);
/// A line that is unfinished for this long is a prompt; an error that nothing follows is whole.
const SETTLE: Duration = Duration::from_millis(40);
/// At the end, `.drv` files that were asked for are waited for this long.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// What one read takes at most; fewer and larger reads cost less in a flood.
const CHUNK: usize = 512 << 10;
/// Chunks that were read and not handled yet.
const CHUNKS: usize = 1;

/// Bytes and when they came, or why no more can be read.
type Chunk = std::io::Result<(Vec<u8>, Instant)>;

/// Reads standard input to its end.
pub(super) fn filter(settings: &Settings, record: Option<&Path>) -> Result<ExitStatus> {
    if settings.stdin_is_terminal {
        anyhow::bail!(
            "standard input is a terminal; pipe a build into it: nix build --log-format internal-json |& nixmon"
        );
    }
    let recorder = record.map(Recorder::create).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(watch(settings, recorder))
}

async fn watch(settings: &Settings, mut recorder: Option<Recorder>) -> Result<ExitStatus> {
    let begun = Instant::now();
    let begun_at = SystemTime::now();
    let (mut chunks, spare) = spawn_reader();
    let (answers, mut facts) = mpsc::unbounded_channel();
    let requests = drv_reader::spawn(answers);
    let (mut pipeline, mut watch) = pipeline(|| Background::spawn(Stream::Stdout), Stream::Stdout, settings);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminations = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    let mut quits = signal(SignalKind::quit()).context("cannot listen for signals")?;
    let mut questions = signal(SignalKind::user_defined1()).context("cannot listen for signals")?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let mut infos = signal(SignalKind::info()).context("cannot listen for signals")?;
    // Nobody sends it: this system has none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let mut infos = Never;
    let mut resizes = signal(SignalKind::window_change()).context("cannot listen for signals")?;
    // Only a live view has something to put right before it stops.
    let mut stops =
        watch.is_live().then(|| signal(SignalKind::from_raw(Signal::TSTP.as_raw()))).transpose()?;
    let mut frame_at = tokio::time::Instant::now();
    let mut drawn = frame_at;
    let mut dirty = false;
    let mut interrupted = false;
    let mut unsettled = false;
    let mut record_warned = false;
    loop {
        tokio::select! {
            biased;
            _ = interrupts.recv() => {
                // Nix was interrupted too and has something to say; the second time the user does not want to hear it.
                pipeline.interrupt(begun.elapsed());
                if std::mem::replace(&mut interrupted, true) {
                    break;
                }
            }
            _ = terminations.recv() => {
                pipeline.interrupt(begun.elapsed());
                break;
            }
            _ = hangups.recv() => {
                pipeline.interrupt(begun.elapsed());
                break;
            }
            _ = quits.recv() => {
                pipeline.interrupt(begun.elapsed());
                break;
            }
            _ = questions.recv() => {
                report_now(&mut pipeline, begun.elapsed());
                dirty = true;
            }
            _ = infos.recv() => {
                report_now(&mut pipeline, begun.elapsed());
                dirty = true;
            }
            _ = resizes.recv() => dirty = true,
            Some(()) = async { stops.as_mut()?.recv().await } => {
                pipeline.leave();
                watch.settle();
                // If it cannot be sent we go on.
                let _ = process::kill_process(process::getpid(), Signal::STOP);
                dirty = true;
            }
            () = tokio::time::sleep_until(frame_at), if dirty && watch.is_live() => {
                drawn = tokio::time::Instant::now();
                frame_at = drawn + FRAME;
                let condition = watch.condition();
                // A terminal that is still busy with the last frame gets the next one but one.
                dirty = condition.busy;
                pipeline.frame(begun.elapsed(), condition);
            }
            chunk = chunks.recv() => {
                let Some(chunk) = chunk else { break };
                let (bytes, at) = match chunk.context("cannot read standard input") {
                    Ok(chunk) => chunk,
                    Err(error) if pipeline.has_read() => {
                        complain(&error);
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let at = at.saturating_duration_since(begun);
                if let Some(recorder) = &mut recorder {
                    recorder.bytes(&bytes, at);
                }
                pipeline.feed(&bytes, at);
                unsettled = true;
                dirty = true;
                // The reader goes on with the same buffer; if it has ended, nobody needs it.
                let _ = spare.send(bytes);
            }
            Some(answer) = facts.recv() => {
                take(&answer, &mut pipeline, recorder.as_mut(), begun.elapsed());
                dirty = true;
            }
            () = tokio::time::sleep(SETTLE), if unsettled => {
                unsettled = false;
                dirty = true;
                pipeline.settle(begun.elapsed());
            }
            _ = ticks.tick() => {
                pipeline.tick(begun.elapsed());
                dirty |= drawn.elapsed() >= CLOCK || watch.has_typed();
                if let Some(recorder) = &mut recorder {
                    recorder.flush();
                    if let Some(error) = recorder.broken()
                        && !std::mem::replace(&mut record_warned, true)
                    {
                        complain(&anyhow::anyhow!("the recording is incomplete: {error}"));
                    }
                }
            }
        }
        let paths: Vec<Arc<str>> = pipeline.requests().map(|Request::ReadDerivation(path)| path).collect();
        if !paths.is_empty() {
            // Without the thread nobody answers.
            let _ = requests.send(paths);
        }
    }
    drop(requests);
    let waiting = async {
        while let Some(answer) = facts.recv().await {
            take(&answer, &mut pipeline, recorder.as_mut(), begun.elapsed());
        }
    };
    // Late is as good as never.
    let _ = tokio::time::timeout(LAST_ANSWERS, waiting).await;
    let code =
        pipeline.end(None, begun.elapsed(), |state| service_logs::evidence(state, settings, Some(begun_at)));
    if let Some(recorder) = &mut recorder {
        recorder.flush();
    }
    Ok(ExitStatus::of(code))
}

/// Says how the run stands, also where the output is not for people.
fn report_now(pipeline: &mut Pipeline<Background>, at: Duration) {
    if let Some(line) = pipeline.report_now(at) {
        // Nobody is left to tell if this fails.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// A signal that this system does not have.
#[cfg(any(target_os = "linux", target_os = "android"))]
struct Never;

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Never {
    async fn recv(&mut self) -> Option<()> {
        std::future::pending().await
    }
}

fn take(
    answer: &[DerivationFacts],
    pipeline: &mut Pipeline<Background>,
    mut recorder: Option<&mut Recorder>,
    at: Duration,
) {
    for facts in answer {
        if let Some(recorder) = &mut recorder {
            recorder.derivation(facts, at);
        }
        pipeline.derivation(facts, at);
    }
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
                // A terminal that has gone, a directory. If the other side has ended, nobody needs to know.
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
