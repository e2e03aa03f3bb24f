//! The filter: standard input, as it comes.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::drv_reader::Answer;
use super::recording::Recorder;
use super::{ExitStatus, Pipeline, complain, drv_reader, frontend, service_logs};
use crate::settings::Settings;
use crate::state::Request;

/// How often time is told to the state.
const TICK: Duration = Duration::from_millis(250);
/// A line that is unfinished for this long is a prompt; an error that nothing follows is whole.
const SETTLE: Duration = Duration::from_millis(40);
/// At the end, `.drv` files that were asked for are waited for this long.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// What one read takes at most; fewer and larger reads cost less in a flood.
const CHUNK: usize = 256 << 10;
/// Chunks that were read and not handled yet.
const CHUNKS: usize = 4;

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
    let (answers, mut facts) = mpsc::unbounded_channel::<Answer>();
    let requests = drv_reader::spawn(answers);
    let mut asked = 0_usize;
    let mut pipeline = Pipeline::new(frontend(Background::spawn(), &settings.output, settings.thresholds));
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminations = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut questions = signal(SignalKind::user_defined1()).context("cannot listen for signals")?;
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
            _ = questions.recv() => pipeline.report_now(begun.elapsed()),
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
                // The reader goes on with the same buffer; if it has ended, nobody needs it.
                let _ = spare.send(bytes);
            }
            Some(answer) = facts.recv() => {
                asked = asked.saturating_sub(answer.n_asked);
                take(&answer, &mut pipeline, recorder.as_mut(), begun.elapsed());
            }
            () = tokio::time::sleep(SETTLE), if unsettled => {
                unsettled = false;
                pipeline.settle(begun.elapsed());
            }
            _ = ticks.tick() => {
                pipeline.tick(begun.elapsed());
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
        let paths: Vec<String> = pipeline.requests().map(|Request::ReadDerivation(path)| path).collect();
        let n_paths = paths.len();
        if n_paths > 0 && requests.send(paths).is_ok() {
            asked += n_paths;
        }
    }
    let waiting = async {
        while asked > 0 {
            let Some(answer) = facts.recv().await else { break };
            asked = asked.saturating_sub(answer.n_asked);
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

fn take(
    answer: &Answer,
    pipeline: &mut Pipeline<Background>,
    mut recorder: Option<&mut Recorder>,
    at: Duration,
) {
    for facts in &answer.facts {
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

/// Standard output on a thread of its own: a terminal that stands still must not keep us from reading, since Nix would
/// wait for us.
#[derive(Debug)]
struct Background {
    sender: Option<blocking::SyncSender<Vec<u8>>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Writes that may wait for a reader who is slow; of condensed lines there are never so many.
const WRITES: usize = 1024;

impl Background {
    fn spawn() -> Self {
        let (sender, writes) = blocking::sync_channel::<Vec<u8>>(WRITES);
        let thread = thread::spawn(move || {
            let mut stdout = std::io::stdout().lock();
            for bytes in writes {
                // The reader has gone: whatever else there is to say, nobody hears it.
                if stdout.write_all(&bytes).and_then(|()| stdout.flush()).is_err() {
                    return;
                }
            }
        });
        Self { sender: Some(sender), thread: Some(thread) }
    }
}

impl Write for Background {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        sender.send(bytes.to_vec()).map_err(|_| gone())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but that it is done.
            let _ = thread.join();
        }
    }
}
