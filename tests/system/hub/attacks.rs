//! Requests of others: pages of other sites, other names, too many, too large, too slow.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::{Home, until};

#[test]
fn pages_of_other_sites_get_nothing() {
    let home = Home::new();
    home.record("secret", "echo secret");
    let hub = home.hub();
    let own = hub.address;
    for (headers, expected) in [
        (vec!["Host: evil.example".to_owned()], 421),
        (vec![format!("Host: {own}.evil.example")], 421),
        (vec![format!("Host: {own}"), format!("Host: {own}")], 400),
        (vec!["Origin: http://evil.example".to_owned()], 403),
        (vec!["Origin: null".to_owned()], 403),
        (vec!["Origin: http://localhost:1".to_owned()], 403),
        (vec!["Sec-Fetch-Site: cross-site".to_owned(), "Sec-Fetch-Mode: no-cors".to_owned()], 403),
        (vec![format!("Origin: http://{own}")], 200),
        (vec!["Host: localhost:7766".to_owned()], 200),
        (vec!["Sec-Fetch-Site: cross-site".to_owned(), "Sec-Fetch-Mode: navigate".to_owned()], 200),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = hub.send("GET", "/api/v1/runs", &headers);
        // Two names in one request are refused by us or by the HTTP library.
        let is_expected = answer.status == expected || (expected == 400 && answer.status == 421);
        assert!(is_expected, "{headers:?}: {answer:?}");
        assert!(expected == 200 || !answer.body.contains("secret"), "{headers:?}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[test]
fn only_looking_is_possible() {
    let home = Home::new();
    let run = home.record("x", "echo x");
    let hub = home.hub();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/", "/api/v1/runs", &format!("/api/v1/runs/{run}")] {
            let answer = hub.send(method, path, &[]);
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method} {path}");
        }
    }
    let answer = hub.send("HEAD", "/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(hub.send("GET", "/", &["Content-Length: 1000000000"]).status, 413);
    assert_eq!(hub.send("GET", "/", &["Transfer-Encoding: chunked"]).status, 413);
    assert_eq!(hub.get(&format!("/?limit=1&x={}", "y".repeat(5000))).status, 414);
    assert!(matches!(hub.send("GET", "/", &[&format!("X: {}", "y".repeat(20_000))]).status, 400 | 431));
}

#[test]
fn names_lead_nowhere_else() {
    let home = Home::new();
    home.record("x", "echo x");
    std::fs::write(home.path().join("state/nixmon/secret"), "secret").unwrap();
    let hub = home.hub();
    for path in [
        "/runs/..%2F..%2Fsecret",
        "/runs/%2e%2e%2f%2e%2e%2fsecret/log",
        "/runs/../../secret",
        "/api/v1/runs/..%2f1",
        "/api/v1/runs/1%2F..%2F..%2Fsecret/log/raw",
        "/api/v1/runs/1/log?derivation=..%2F..%2Fsecret",
        "/api/v1/runs/1/log/raw?derivation=%2Fetc%2Fpasswd",
        "/api/v1/runs/1/units/..%2F..%2F..%2Fetc%2Fpasswd/log",
        "/assets/..%2Fmod.rs",
        "/assets/%2Fetc%2Fpasswd",
        "/assets/style.css%00",
        "/runs/%00",
        "/runs/%ff%fe",
        "/runs/01",
        "/runs/-1",
        "/runs/99999999999999999999999999",
        "//runs//1",
    ] {
        let answer = hub.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(!answer.body.contains("root:") && !answer.body.contains(">secret<"), "{path}: {answer:?}");
    }
}

#[test]
fn too_many_requests_are_refused_and_others_served_later() {
    let home = Home::new();
    let hub = home.hub();
    // More than a burst on one connection, faster than they come back.
    let request = format!("GET /assets/icon.svg HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address);
    let last = format!("GET /assets/icon.svg HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", hub.address);
    let refused = until("a refusal", || {
        let mut stream = hub.open("");
        let mut writer = stream.get_ref().try_clone().unwrap();
        let flood = request.repeat(2000) + &last;
        let writing = std::thread::spawn(move || writer.write_all(flood.as_bytes()));
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let _ = writing.join();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.contains("HTTP/1.1 429 ").then_some(text)
    });
    assert!(refused.contains("retry-after: ") && refused.contains("\"kind\":\"too-many\""), "{refused}");
    until("requests come back", || (hub.get("/healthz").status == 200).then_some(()));
}

#[test]
fn slow_clients_are_let_go() {
    let home = Home::new();
    let hub = home.hub();
    let begin = Instant::now();
    let mut slow: Vec<_> = (0..50).map(|_| hub.open("GET / HTTP/1.1\r\nHost: loc")).collect();
    assert_eq!(hub.get("/healthz").status, 200);
    for stream in &mut slow {
        // Closed by the hub; a read of a connection that stays open would time out.
        let _ = stream.get_mut().write_all(b"a");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(50), "{took:?}");
}

#[test]
fn hubs_that_others_reach_need_a_token_and_tls() {
    let home = Home::new();
    for (args, expected) in [
        (&["--listen", "0.0.0.0:0"][..], "needs a token"),
        (&["--listen", "0.0.0.0:0", "--insecure"], "needs a token"),
        (&["--listen", "[::]:0"], "needs a token"),
        (&["--host", "builds.example"], "builds.example can be reached"),
    ] {
        let ran = home.ran(&[&["hub"], args].concat());
        ran.check(2, &[expected]);
    }
    let token = home.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let file = token.to_str().unwrap();
    home.ran(&["hub", "--listen", "0.0.0.0:0", "--token-file", file]).check(2, &["no TLS", "--insecure"]);
    home.record("secret", "echo secret");
    let hub = home.hub_at("127.0.0.1:0", &["--token-file", file, "--host", "builds.example"]);
    let answer = hub.get("/api/v1/runs");
    assert_eq!(
        (answer.status, answer.header("www-authenticate").starts_with("Basic ")),
        (401, true),
        "{answer:?}"
    );
    assert!(!answer.body.contains("secret"));
    // What a browser sends for the password, what a program sends, by both names.
    for authorization in ["Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==", "Bearer 0123456789abcdef"] {
        let header = format!("Authorization: {authorization}");
        assert_eq!(hub.send("GET", "/api/v1/runs", &[&header]).status, 200, "{authorization}");
        assert_eq!(hub.send("GET", "/", &[&header, "Host: builds.example"]).status, 200);
    }
    // Guesses are few.
    let statuses: Vec<u16> =
        (0..15).map(|n| hub.send("GET", "/", &[&format!("Authorization: Bearer guess{n}")]).status).collect();
    assert!(statuses[..5].iter().all(|status| *status == 401) && statuses[14] == 429, "{statuses:?}");
}
