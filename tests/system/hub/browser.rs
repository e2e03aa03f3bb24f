//! Pages in a real browser: chromium by way of chromedriver, and axe-core for accessibility.
//!
//! Screenshots are left in `hub-screenshots` in the target directory, to be looked at.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::{Home, hostile, tools};
use crate::common::require::{require, skip};

/// Flags of a browser that nobody sees.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// A chromedriver, which ends with the test.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a test in a browser, or says that it is skipped.
fn browse<T: Future<Output = ()>>(has_scripts: bool, test: impl FnOnce(Client) -> T) {
    let (Some(chromium), Some(chromedriver)) = (require("chromium"), require("chromedriver")) else { return };
    let mut process = Command::new(chromedriver)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let _driver = Driver(process);
    let port = loop {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "chromedriver does not start");
        if let Some((_, port)) =
            line.trim_end().trim_end_matches('.').rsplit_once("started successfully on port ")
        {
            break port.to_owned();
        }
    };
    std::thread::spawn(move || stdout.lines().for_each(drop));
    let mut options = json!({ "binary": chromium, "args": FLAGS });
    if !has_scripts {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    let mut capabilities = Capabilities::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        let session = client.clone();
        test(client).await;
        session.close().await.unwrap();
    });
}

async fn js(client: &Client, script: &str) -> Value {
    client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// Waits until a script returns true.
async fn until(client: &Client, script: &str) {
    let begin = Instant::now();
    while js(client, &format!("return Boolean({script})")).await != Value::Bool(true) {
        if begin.elapsed() > Duration::from_secs(180) {
            shot(client, "never").await;
            panic!("never: {script}; {}", js(client, "return document.body.innerText").await);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn size(client: &Client, width: u32, height: u32) {
    // The window of a headless browser has no frame, but a smallest width of 500 px: narrower ones are emulated.
    cdp(
        client,
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
    )
    .await;
}

async fn theme(client: &Client, theme: &str) {
    let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
    cdp(client, "Emulation.setEmulatedMedia", features).await;
}

/// A command of the browser's own protocol.
#[derive(Debug)]
struct Cdp(Value);

impl fantoccini::wd::WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}

async fn cdp(client: &Client, command: &str, params: Value) {
    client.issue_cmd(Cdp(json!({ "cmd": command, "params": params }))).await.unwrap();
}

async fn shot(client: &Client, name: &str) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("hub-screenshots");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(format!("{name}.png")), client.screenshot().await.unwrap()).unwrap();
}

/// Returns the violations that axe finds on the page.
async fn violations(client: &Client, axe: &str) -> Vec<String> {
    js(client, axe).await;
    let script = "const done = arguments[0]; axe.run().then((result) => done(result.violations.map((one) => \
                  one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary).join(' | '))))";
    let found = client.execute_async(script, vec![]).await.unwrap();
    serde_json::from_value(found).unwrap()
}

/// A home with runs of several kinds, of which one is in progress until the file `stop` is there.
fn furnished() -> (Home, Child) {
    let home = Home::new();
    home.record("good", "echo fine");
    home.record("colors", "for c in 0 1 2 3 4 5 6 7; do printf '\\033[3%sm fg %s \\033[0m \\033[9%sm bright \\033[0m \\033[4%sm bg \\033[0m\\n' $c $c $c $c; done; \
        printf '\\033[1mbold\\033[0m \\033[2mfaint\\033[0m \\033[7minverse\\033[0m\\n'");
    home.record("a-rather-long-name-of-a-run-that-does-not-fit", "echo 'error: broken'; exit 1");
    let switch = "echo 'building the system configuration...'; echo 'activating the configuration...'; echo 'setting up /etc...'; \
        echo 'restarting the following units: nginx.service, php.service'; echo 'warning: the following units failed: nginx.service'; exit 4";
    home.record("switch", switch);
    let mut command = home.nixmon(&[
        "run",
        "--name",
        "busy",
        "--",
        "/bin/sh",
        "-c",
        "echo begun; while [ ! -e stop ]; do sleep 0.1; done",
    ]);
    let busy = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (home, busy)
}

#[test]
fn pages_are_for_everyone() {
    let axe = tools().join("node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(&axe) else {
        return skip("no axe-core below hub-tools in the target directory; tests/hub/install fetches it");
    };
    let (home, mut busy) = furnished();
    let hub = home.hub();
    let base = format!("http://{}", hub.address);
    browse(true, |client| async move {
        let pages = [
            ("board", "/", "document.querySelectorAll('.card').length >= 5"),
            ("run", "/runs/switch", "document.querySelector('.units')"),
            ("busy", "/runs/busy", "document.querySelector('[aria-current=step]')"),
            ("log", "/runs/colors/log", "document.querySelectorAll('.row .c2').length"),
            ("unit", "/runs/switch/units/nginx.service", "document.querySelector('pre')"),
            ("instructions", "/instructions", "document.querySelector('pre')"),
            ("absent", "/runs/99", "document.querySelector('h1')"),
        ];
        for (name, path, is_there) in pages {
            for mode in ["light", "dark"] {
                theme(&client, mode).await;
                for (width, height) in [(1200, 900), (320, 700)] {
                    size(&client, width, height).await;
                    client.goto(&format!("{base}{path}")).await.unwrap();
                    until(&client, is_there).await;
                    shot(&client, &format!("{name}-{mode}-{width}")).await;
                    let found = violations(&client, &axe).await;
                    assert_eq!(found, [""; 0], "{name}, {mode}, {width} px");
                    let wide = js(&client, "return document.documentElement.scrollWidth").await;
                    assert!(
                        wide.as_u64().unwrap() <= u64::from(width),
                        "{name} is {wide} px wide on {width}"
                    );
                    // The theme is really another one.
                    let page =
                        js(&client, "return getComputedStyle(document.documentElement).backgroundColor")
                            .await;
                    assert_eq!(page.as_str().unwrap().contains("246"), mode == "light", "{page}");
                }
            }
        }
        // By keyboard: to the first run, and into it.
        size(&client, 1200, 900).await;
        client.goto(&base).await.unwrap();
        until(&client, "document.querySelectorAll('.card').length >= 5").await;
        let body = client.find(Locator::Css("body")).await.unwrap();
        body.send_keys("j").await.unwrap();
        until(&client, "document.activeElement.closest('.card')").await;
        // The choice of a theme stays.
        theme(&client, "light").await;
        js(&client, "document.getElementById('theme').click()").await;
        client.refresh().await.unwrap();
        until(&client, "document.documentElement.dataset.theme === 'dark'").await;
    });
    std::fs::write(home.path().join("stop"), "").unwrap();
    busy.wait().unwrap();
}

#[test]
fn pages_are_live() {
    let (home, mut busy) = furnished();
    let mut hub = home.hub();
    let base = format!("http://{}", hub.address);
    let address = hub.address;
    browse(true, |client| async move {
        client.goto(&base).await.unwrap();
        until(&client, "document.getElementById('connection').textContent === 'Live'").await;
        js(&client, "window.same = true").await;
        home.record("later", "echo fine");
        until(&client, "document.body.innerText.includes('later')").await;
        assert_eq!(js(&client, "return window.same").await, true, "the page was not loaded again");
        // A page in the background holds no connection: a browser has six for a host.
        let seen = |how: &str| {
            format!(
                "Object.defineProperty(document, 'visibilityState', {{ value: '{how}', configurable: true }}); \
                 document.dispatchEvent(new Event('visibilitychange'))"
            )
        };
        js(&client, &seen("hidden")).await;
        super::until("the end of the stream", || {
            hub.get("/metrics").body.contains("nixmon_hub_streams 0\n").then_some(())
        });
        home.record("meanwhile", "echo fine");
        js(&client, &seen("visible")).await;
        until(&client, "document.body.innerText.includes('meanwhile')").await;
        // A run of which the end comes while it is looked at.
        client.goto(&format!("{base}/runs/busy")).await.unwrap();
        until(&client, "document.querySelector('.badge').textContent === 'running'").await;
        // The hub is killed, which the page says, and comes back.
        hub.process.kill().unwrap();
        hub.process.wait().unwrap();
        until(&client, "document.getElementById('connection').textContent.startsWith('Reconnecting')").await;
        hub = home.hub_at(&address.to_string(), &[]);
        std::fs::write(home.path().join("stop"), "").unwrap();
        until(&client, "document.querySelector('.badge').textContent === 'succeeded'").await;
        until(&client, "document.title.startsWith('✓')").await;
        drop(hub);
    });
    busy.wait().unwrap();
}

/// Lines of the flood that the viewer of logs is tried with.
const LINES: u64 = 300_000;

/// Returns a script that tells whether the line is in view.
fn in_view(n: u64) -> String {
    format!(
        "(() => {{ const one = document.getElementById('L{n}')?.getBoundingClientRect(); const all = \
         document.querySelector('.scroll').getBoundingClientRect(); return one && one.top >= all.top - 1 && one.bottom <= all.bottom + 1; }})()"
    )
}

#[test]
fn a_huge_log_is_looked_at() {
    let home = Home::new();
    let flood = format!("seq -f 'line %.0f of the flood' 1 {LINES}; echo the end");
    home.record("flood", &flood);
    let hub = home.hub();
    let log = format!("http://{}/runs/flood/log", hub.address);
    browse(true, |client| async move {
        size(&client, 1200, 800).await;
        // A line in the middle, by its address, while the hub still reads the recording.
        let begin = Instant::now();
        client.goto(&format!("{log}#L150000-L150003")).await.unwrap();
        until(&client, &in_view(150_000)).await;
        until(
            &client,
            "document.getElementById('L150000').parentElement.textContent.includes('line 150000 of')",
        )
        .await;
        eprintln!("line 150000 of {LINES} in view after {:?}", begin.elapsed());
        until(&client, "document.querySelectorAll('.row.chosen').length === 4").await;
        shot(&client, "flood").await;
        // Few rows are there, whatever the length.
        let n_rows = js(&client, "return document.querySelectorAll('.row').length").await.as_u64().unwrap();
        assert!(n_rows < 100, "{n_rows}");
        // By the scroll bar, and a little with the wheel: one line is not skipped.
        js(&client, "document.querySelector('.scroll').scrollTop = 0").await;
        until(&client, &in_view(1)).await;
        js(&client, "document.querySelector('.scroll').scrollBy(0, 200)").await;
        until(&client, &in_view(11)).await;
        until(&client, &format!("!{}", in_view(1))).await;
        js(
            &client,
            "[...document.querySelectorAll('button')].find((one) => one.textContent === 'End').click()",
        )
        .await;
        until(&client, &in_view(LINES + 1)).await;
        // Search over all of it.
        let input = client.find(Locator::Css("input[type=search]")).await.unwrap();
        js(
            &client,
            "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Top').click()",
        )
        .await;
        input.send_keys("line 27777\u{e007}").await.unwrap();
        until(&client, "document.querySelector('.found').textContent === '1 of 11'").await;
        until(&client, &in_view(27_777)).await;
        until(&client, "document.querySelector('.row.now mark')?.textContent === 'line 27777'").await;
        input.send_keys("\u{e007}").await.unwrap();
        until(&client, &in_view(277_770)).await;
        input.send_keys("\u{e008}\u{e007}\u{e008}").await.unwrap();
        until(&client, &in_view(27_777)).await;
        // Toggles.
        for toggle in ["Wrap", "Times"] {
            js(&client, &format!("[...document.querySelectorAll('button')].find((one) => one.textContent === '{toggle}').click()")).await;
        }
        until(&client, &in_view(27_777)).await;
        until(&client, "/^\\d+:\\d\\d\\.\\d{3}$/.test(document.querySelector('.row .at').textContent)").await;
        // In the wrapped log, whose position is not the scroll bar's.
        js(
            &client,
            "[...document.querySelectorAll('button')].find((one) => one.textContent === 'End').click()",
        )
        .await;
        until(&client, &in_view(LINES + 1)).await;
        js(&client, "document.querySelector('.scroll').scrollTop = 0").await;
        until(&client, &in_view(1)).await;
        // A click chooses a line.
        js(&client, "document.getElementById('L2').click()").await;
        until(&client, "location.hash === '#L2'").await;
    });
}

#[test]
fn sections_of_a_log_are_folded() {
    let home = Home::new();
    let mut text = String::new();
    for (id, name) in [(1, "first-1.0"), (2, "second-1.0")] {
        let path = format!("/nix/store/{id:032}-{name}.drv");
        let mut record = |record: Value| text.push_str(&format!("@nix {record}\n"));
        record(
            json!({"action": "start", "id": id, "level": 3, "parent": 0, "text": "", "type": 105, "fields": [path, "", 1, 1]}),
        );
        record(json!({"action": "result", "id": id, "type": 104, "fields": ["buildPhase"]}));
        (1..=20).for_each(|n| {
            record(json!({"action": "result", "id": id, "type": 101, "fields": [format!("{name} {n}")]}))
        });
        record(json!({"action": "stop", "id": id}));
    }
    std::fs::write(home.path().join("records"), text).unwrap();
    home.record("sections", "cat records >&2");
    let hub = home.hub();
    let log = format!("http://{}/runs/sections/log", hub.address);
    browse(true, |client| async move {
        size(&client, 1200, 1200).await;
        client.goto(&log).await.unwrap();
        until(&client, "document.querySelectorAll('.fold').length === 2").await;
        let titles =
            js(&client, "return [...document.querySelectorAll('.fold')].map((one) => one.innerText).join()")
                .await;
        let titles = titles.as_str().unwrap();
        assert!(
            titles.contains("first-1.0 · buildPhase") && titles.contains("second-1.0 · buildPhase"),
            "{titles}"
        );
        js(
            &client,
            "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Fold all').click()",
        )
        .await;
        until(&client, "document.querySelectorAll('.row').length === 2").await;
        until(&client, "document.querySelectorAll('[aria-expanded=false]').length === 2").await;
        // By keyboard, and the focus stays.
        js(&client, "document.querySelector('.fold button').focus()").await;
        client.active_element().await.unwrap().send_keys("\u{e007}").await.unwrap();
        until(&client, "document.activeElement.getAttribute('aria-expanded') === 'true'").await;
        until(&client, "document.querySelectorAll('.row').length === 22").await;
        // The address of a line opens its section.
        js(&client, "location.hash = '#L25'").await;
        until(&client, &in_view(25)).await;
        until(&client, "document.getElementById('L25').parentElement.textContent.includes('second-1.0 5')")
            .await;
        // The log of one derivation has its own numbers.
        client.goto(&format!("{log}?derivation=second-1.0#L5")).await.unwrap();
        until(&client, "document.querySelector('.row.chosen .text')?.textContent === 'second-1.0 5'").await;
    });
}

#[test]
fn a_log_is_followed_until_the_reader_looks_elsewhere() {
    let home = Home::new();
    let script = "i=0; while [ ! -e stop ]; do i=$((i+1)); echo \"line $i\"; sleep 0.02; done; echo last";
    let mut command = home.nixmon(&["run", "--name", "count", "--", "/bin/sh", "-c", script]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let hub = home.hub();
    super::until("lines", || {
        (hub.get("/api/v1/runs/count/log?from=100").body.contains("line 100")).then_some(())
    });
    let log = format!("http://{}/runs/count/log", hub.address);
    browse(true, |client| async move {
        size(&client, 1200, 800).await;
        client.goto(&log).await.unwrap();
        let is_following = "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Follow').getAttribute('aria-pressed') === 'true'";
        let last =
            "Math.max(...[...document.querySelectorAll('.row .ln')].map((one) => Number(one.textContent)))";
        until(&client, is_following).await;
        let first = js(&client, &format!("return {last}")).await.as_u64().unwrap();
        until(&client, &format!("{last} > {first} + 20")).await;
        // Scrolled up: it stays, and says what is new.
        js(&client, "document.querySelector('.scroll').scrollTop = 200").await;
        until(&client, &format!("!({is_following})")).await;
        until(&client, &in_view(12)).await;
        until(
            &client,
            "/^\\d+ new lines? ↓$/.test(document.querySelector('.new:not([hidden])')?.textContent)",
        )
        .await;
        until(&client, &in_view(12)).await;
        shot(&client, "new-lines").await;
        js(&client, "document.querySelector('.new').click()").await;
        until(&client, is_following).await;
        until(&client, "document.querySelector('.new').hidden").await;
        // Hovered: the same, until the pointer leaves.
        js(&client, "document.querySelector('.scroll').dispatchEvent(new MouseEvent('mouseenter'))").await;
        until(&client, "!document.querySelector('.new').hidden").await;
        js(&client, "document.querySelector('.scroll').dispatchEvent(new MouseEvent('mouseleave'))").await;
        until(&client, "document.querySelector('.new').hidden").await;
        std::fs::write(home.path().join("stop"), "").unwrap();
        until(
            &client,
            "[...document.querySelectorAll('.row .text')].some((one) => one.textContent === 'last')",
        )
        .await;
    });
    assert!(run.wait().unwrap().success());
}

#[test]
fn pages_are_whole_without_scripts() {
    let (home, mut busy) = furnished();
    let hub = home.hub();
    let base = format!("http://{}", hub.address);
    browse(false, |client| async move {
        let text = async |path: &str| {
            client.goto(&format!("{base}{path}")).await.unwrap();
            client.find(Locator::Css("main")).await.unwrap().text().await.unwrap()
        };
        let board = text("/").await;
        for expected in ["Failed", "In progress", "busy", "running", "good", "succeeded"] {
            assert!(board.contains(expected), "{expected} is not in:\n{board}");
        }
        client.find(Locator::LinkText("switch")).await.unwrap().click().await.unwrap();
        let run = client.find(Locator::Css("main")).await.unwrap().text().await.unwrap();
        assert!(run.contains("nginx.service") && run.contains("Activating"), "{run}");
        let log = text("/runs/colors/log").await;
        assert!(log.contains("fg 3") && log.contains("bright"), "{log}");
        let part = text("/runs/colors/log?from=2&count=2").await;
        assert!(!part.contains("fg 0") && part.contains("fg 1") && part.contains("fg 2"), "{part}");
        client.find(Locator::LinkText("Later lines")).await.unwrap().click().await.unwrap();
        let later = client.find(Locator::Css("main")).await.unwrap().text().await.unwrap();
        assert!(later.contains("fg 3") && !later.contains("fg 2"), "{later}");
        shot(&client, "without-scripts").await;
    });
    std::fs::write(home.path().join("stop"), "").unwrap();
    busy.wait().unwrap();
}

#[test]
fn hostile_text_does_nothing_in_a_browser() {
    let home = Home::new();
    let file = home.path().join("hostile");
    let texts = hostile();
    std::fs::write(&file, texts.join("\n") + "\n").unwrap();
    home.record(
        "hostile",
        &format!("cat {}; exit 1 # <img src=x onerror=\"document.title='owned'\">", file.display()),
    );
    let hub = home.hub();
    let base = format!("http://{}", hub.address);
    browse(true, |client| async move {
        size(&client, 1200, 3000).await;
        for (path, is_there) in [
            ("/", "document.querySelector('.card')"),
            ("/runs/hostile", "document.querySelector('#report pre')"),
            (
                "/runs/hostile/log",
                "[...document.querySelectorAll('.row .text')].some((one) => one.textContent.includes('desrever'))",
            ),
        ] {
            client.goto(&format!("{base}{path}")).await.unwrap();
            until(&client, is_there).await;
            // Search marks parts of lines, another way into the page.
            if path.ends_with("/log") {
                let input = client.find(Locator::Css("input[type=search]")).await.unwrap();
                input.send_keys("document\u{e007}").await.unwrap();
                until(&client, "document.querySelector('.row mark')").await;
            }
            let title = client.title().await.unwrap();
            assert!(!title.contains("owned"), "{title}");
            let foreign = js(
                &client,
                "return document.querySelectorAll('main img, main script, main iframe, main h1 ~ h1, main [onload], main [onerror], main \
                 a[href^=javascript]').length",
            )
            .await;
            assert_eq!(foreign, 0, "{path}");
            // No script or style of a page was refused by its own policy.
            let log = client.issue_cmd(BrowserLog).await.unwrap();
            let bad: Vec<&str> = log
                .as_array()
                .unwrap()
                .iter()
                .filter(|entry| entry["level"] == "SEVERE")
                .map(|entry| entry["message"].as_str().unwrap())
                .collect();
            assert_eq!(bad, [""; 0], "{path}");
        }
    });
}

/// Reads the messages of the browser's console.
#[derive(Debug)]
struct BrowserLog;

impl fantoccini::wd::WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
