//! `nixmon hub` as a process, asked over HTTP.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod browser;
mod pages;
mod streams;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::ran::Ran;

/// A directory with a store of runs.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A command with the environment of this home.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        self.adopt(&mut command);
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Gives a command the places of this home.
    fn adopt(&self, command: &mut Command) {
        command
            .env("HOME", self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("LANG", "C.UTF-8");
    }

    fn nixmon(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nixmon"));
        command.args(args);
        command
    }

    fn ran(&self, args: &[&str]) -> Ran {
        Ran::of(self.nixmon(args).output().unwrap())
    }

    /// Records a run of a shell script, and returns its number.
    fn record(&self, name: &str, script: &str) -> u64 {
        self.ran(&["run", "--name", name, "--", "/bin/sh", "-c", script]);
        let status: Value = serde_json::from_str(&self.ran(&["status", name, "--json"]).out).unwrap();
        status["run"].as_u64().unwrap()
    }

    fn hub(&self) -> Hub {
        self.hub_at("127.0.0.1:0", &[])
    }

    fn hub_at(&self, address: &str, args: &[&str]) -> Hub {
        let mut command = self.nixmon(&["hub", "--listen", address]);
        command.args(args);
        start(command)
    }
}

/// Starts a hub, and waits until it serves.
fn start(mut command: Command) -> Hub {
    command.stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stderr = BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("http://").unwrap_or_else(|| panic!("{line}")).1;
    let address = address.trim_end_matches('/').parse().unwrap();
    // What it says later is read, so that it never waits for a reader.
    std::thread::spawn(move || stderr.lines().for_each(drop));
    Hub { process, address }
}

/// A hub, which is killed at the end.
struct Hub {
    process: Child,
    address: SocketAddr,
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Hub {
    /// Sends a head, and returns the connection.
    fn open(&self, head: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    /// Makes a request whose head is that of a usual client, with further headers.
    fn send(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let further: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let has_host = headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:"));
        let host = if has_host { String::new() } else { format!("Host: {}\r\n", self.address) };
        let mut stream =
            self.open(&format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{further}\r\n"));
        let (status, headers) = head(&mut stream);
        let mut body = Vec::new();
        stream.read_to_end(&mut body).unwrap();
        let is_chunked =
            headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if is_chunked { unchunked(&body) } else { body };
        Answer { status, headers, body: String::from_utf8(body).unwrap() }
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[])
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }
}

/// Reads the head of an answer.
fn head(stream: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {line:?}")).parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return (status, headers),
        }
    }
}

/// Puts the chunks of a body together.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        if size == 0 {
            break;
        }
        body = &body[end + 4 + size..];
    }
    whole
}

/// Waits until a condition holds.
#[track_caller]
fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Texts that would do something in a terminal, in HTML, in a script, in an event stream or in Markdown.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "<script>document.title='owned'</script>",
        "<img src=x onerror=\"document.title='owned'\">",
        "\"><svg onload=document.title='owned'>",
        "' onmouseover='document.title=1",
        "</pre></div><h1>forged</h1>",
        "<!-- -- --!> <![CDATA[ ]]>",
        "javascript:document.title='owned'",
        "&lt;b&gt; &amp;amp; &#x3c;script&#x3e;",
        "{{constructor.constructor('alert(1)')()}} ${7*7}",
        "data: forged\n\nevent: end\ndata: {}",
        "id: 999999",
        "[link](javascript:alert(1)) ![x](http://127.0.0.1:1/) ```",
        "`````",
        "\u{2028}\u{2029}line separators",
        "\u{202e}desrever\u{202c} \u{2066}isolated\u{2069} \u{200b}\u{feff}hidden",
        "\u{1b}]0;title\u{7}\u{1b}]52;c;cGFzdGU=\u{7}clipboard",
        "\u{1b}[2J\u{1b}[H\u{1b}[8mconcealed\u{1b}[0m",
        "\u{1b}]8;;http://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
        "\u{9b}31mC1 \u{90}dcs\u{9c}",
        "\u{1b}Pq#0;2;0;0;0\u{1b}\\sixel \u{1b}_apc\u{1b}\\",
        "\u{7}\u{8}\u{b}\u{c}\u{e}\u{f}\u{7f}",
        "over\rwritten",
        "\u{1b}[31munfinished \u{1b}[",
    ]
    .map(str::to_owned)
    .into();
    // Each control character in the middle of a word.
    texts.extend(
        (1..32)
            .chain(127..160)
            .filter(|code| *code != 10)
            .filter_map(char::from_u32)
            .map(|c| format!("co{c}ntrol")),
    );
    texts
}

/// Fails if a text has characters that control a terminal or deceive a reader.
#[track_caller]
fn check_inert(text: &str, what: &str) {
    let deceives = |c: char| matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}');
    let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || deceives(*c));
    assert_eq!(bad, None, "{what}: {text:?}");
}

/// The directory of tools that tests/hub/install fetches.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("hub-tools")
}
