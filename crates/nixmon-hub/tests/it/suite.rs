//! One suite for all engines.

use nixmon_fleet::{
    Beat, CommandNews, CommandState, Document, Gap, Hello, HostName, KnownFile, OnDeadline, PROTOCOL, Piece,
    RunEnd, RunFile,
};

use nixmon_hub::engine::{
    Account, Asked, AuditEntry, BatchState, Engine, EngineError, Greeting, HostId, Kept, NewBatch,
    NewCommand, Pruned, Redeemed, Role, RunKey, Secret, Token,
};

fn name(text: &str) -> HostName {
    HostName::new(text).unwrap()
}

fn hello(host: &str, store: &str, instance: &str, began_at: u64) -> Hello {
    Hello {
        protocol: PROTOCOL,
        host: name(host),
        store: store.to_owned(),
        instance: instance.to_owned(),
        began_at,
        environment: Default::default(),
        actions: vec!["switch".to_owned()],
        runs: Vec::new(),
        is_single_run: false,
    }
}

fn piece(generation: u64, offset: u64, bytes: &[u8]) -> Piece {
    Piece { run: 1, file: RunFile::Input, generation, offset, bytes: bytes.to_owned() }
}

fn new_command(asked_at: u64) -> NewCommand {
    NewCommand {
        action: "switch".to_owned(),
        timeout_s: None,
        on_deadline: OnDeadline::Wait,
        asked_by: "admin".to_owned(),
        asked_at,
        expires_at: asked_at + 1000,
    }
}

async fn content(engine: &Engine, run: RunKey, generation: u64, from: u64) -> Vec<(u64, String)> {
    let pieces = engine.pieces(run, RunFile::Input, generation, from, 1 << 20).await.unwrap();
    pieces.into_iter().map(|(at, bytes)| (at, String::from_utf8(bytes).unwrap())).collect()
}

/// The suite. Hosts have names of their own, so it may run more than once on the same data.
pub(crate) async fn check(engine: &Engine, prefix: &str) {
    engine.check().await.unwrap();
    let identity = engine.identity().await.unwrap();
    assert_eq!((identity.len(), engine.identity().await.unwrap()), (32, identity.clone()));
    hosts(engine, &format!("{prefix}-hosts")).await;
    files(engine, &format!("{prefix}-files")).await;
    documents(engine, &format!("{prefix}-documents")).await;
    commands(engine, &format!("{prefix}-commands")).await;
    batches(engine, prefix).await;
    secrets(engine, &format!("{prefix}-secrets")).await;
    retention(engine, &format!("{prefix}-old")).await;
    many(engine, &format!("{prefix}-many")).await;
}

async fn hosts(engine: &Engine, host: &str) {
    let id = engine.add_host(&name(host), 5).await.unwrap();
    assert_eq!(engine.add_host(&name(host), 6).await.unwrap(), id);
    let first = engine.hosts(None).await.unwrap();
    assert!(first.items.iter().any(|host| host.id == id && host.seen_at.is_none() && host.created_at == 5));
    let beat = Beat { seq: 7, ..Beat::default() };
    let (a, b) = (Beat { seq: 6, ..beat.clone() }, beat.clone());
    engine.beats(vec![(id, a, 99_000), (id, b, 100_000), (HostId(i64::MAX), beat.clone(), 1)]).await.unwrap();
    let then = engine.hosts(Some(first.next)).await.unwrap();
    let found = then.items.iter().find(|host| host.id == id).unwrap();
    assert_eq!((&found.beat, found.seen_at), (&beat, Some(100_000)));
    assert!(!engine.hosts(Some(then.next)).await.unwrap().items.iter().any(|host| host.id == id));

    let greet = |instance: &'static str, store: &'static str, began_at, now| {
        let hello = hello(host, store, instance, began_at);
        async move { engine.greet(id, &hello, now).await.unwrap() }
    };
    assert_eq!(greet("a", "s1", 50, 100_000).await, Greeting::Welcome(id));
    assert_eq!(greet("b", "s1", 60, 100_001).await, Greeting::Welcome(id));
    assert_eq!(greet("a", "s1", 50, 100_002).await, Greeting::Outdated);
    // Once the newer process has not been seen for a while, its clock may have been wrong.
    assert_eq!(greet("c", "s1", 10, 130_000).await, Greeting::Welcome(id));

    let number = async |store: &str, origin| {
        let key = engine.run_of(id, store, origin, 1).await.unwrap();
        engine.runs(id, None, 99).await.unwrap().into_iter().find(|run| run.key == key).unwrap().number
    };
    assert_eq!((number("s1", 3).await, number("s1", 4).await, number("s1", 3).await), (3, 4, 3));
    greet("c", "s2", 10, 130_001).await;
    assert_eq!((number("s2", 1).await, number("s2", 2).await), (5, 6));
    greet("c", "s1", 10, 130_002).await;
    // A number that is taken is given to nobody else.
    assert_eq!((number("s1", 4).await, number("s1", 5).await), (4, 11));
    let known = engine.known(id, "s2", &[1, 2, 3]).await.unwrap();
    assert_eq!(known.iter().map(|known| known.run).collect::<Vec<_>>(), [1, 2]);
    let beyond = engine.run_of(HostId(i64::MAX), "s", 1, 1).await;
    assert!(matches!(beyond, Err(EngineError::Absent(_))), "{beyond:?}");

    assert!(engine.remove_host(&name(host)).await.unwrap());
    assert!(engine.host(&name(host)).await.unwrap().is_none());
    assert!(!engine.remove_host(&name(host)).await.unwrap());
}

async fn files(engine: &Engine, host: &str) {
    let id = engine.add_host(&name(host), 5).await.unwrap();
    let run = engine.run_of(id, "s", 1, 1).await.unwrap();
    let append = async |piece| {
        let KnownFile { generation, size, .. } = engine.append(run, piece).await.unwrap();
        (generation, size)
    };
    assert_eq!(append(piece(0, 0, b"abc")).await, (0, 3));
    assert_eq!(append(piece(0, 0, b"abc")).await, (0, 3), "twice");
    assert_eq!(append(piece(0, 1, b"bcdef")).await, (0, 6), "overlapping");
    assert_eq!(append(piece(0, 7, b"xyz")).await, (0, 6), "beyond the end");
    assert_eq!(append(piece(0, 6, b"")).await, (0, 6), "empty");
    assert_eq!(content(engine, run, 0, 0).await, [(0, "abc".to_owned()), (3, "def".to_owned())]);
    assert_eq!(content(engine, run, 0, 4).await, [(4, "ef".to_owned())]);
    assert_eq!(content(engine, run, 0, 6).await, []);
    assert_eq!(append(piece(1, 3, b"xyz")).await, (1, 0), "the beginning of a new one has to come first");
    assert_eq!(content(engine, run, 0, 0).await.len(), 2, "until then the older one stays");
    assert_eq!(append(piece(1, 0, b"new")).await, (1, 3));
    assert_eq!(append(piece(0, 6, b"old")).await, (1, 3));
    assert_eq!(content(engine, run, 0, 0).await, []);
    let gap =
        |from, to| Gap { run: 1, file: RunFile::Input, generation: 1, from, to, reason: "pruned".to_owned() };
    let keep_gap = async |gap| engine.keep_gap(run, &gap).await.unwrap().size;
    assert_eq!(keep_gap(gap(0, Some(2))).await, 3, "the hub has it");
    assert_eq!(keep_gap(gap(3, Some(10))).await, 10);
    assert_eq!(keep_gap(gap(3, Some(10))).await, 10, "twice");
    assert_eq!(append(piece(1, 10, b"end")).await, (1, 13));
    assert_eq!(keep_gap(gap(13, None)).await, 13);
    assert_eq!(content(engine, run, 1, 0).await, [(0, "new".to_owned()), (10, "end".to_owned())]);
    assert_eq!(content(engine, run, 1, 5).await, [(10, "end".to_owned())]);
    let gaps: Vec<_> = engine.gaps(run).await.unwrap().iter().map(|gap| (gap.from, gap.to)).collect();
    assert_eq!(gaps, [(3, Some(10)), (13, None)]);
    let nobody = engine.append(RunKey(i64::MAX), piece(0, 0, b"abc")).await;
    assert!(matches!(nobody, Err(EngineError::Absent(_))), "{nobody:?}");
    let end = |size| RunEnd {
        run: 1,
        files: vec![KnownFile { file: RunFile::Input, generation: 1, size }],
        reason: None,
    };
    let short = engine.end_run(run, &end(20)).await.unwrap();
    assert_eq!(short, [KnownFile { file: RunFile::Input, generation: 1, size: 13 }]);
    assert!(!engine.run(id, 1).await.unwrap().unwrap().is_complete);
    assert_eq!(engine.end_run(run, &end(13)).await.unwrap(), []);
    assert!(engine.run(id, 1).await.unwrap().unwrap().is_complete);
}

async fn documents(engine: &Engine, host: &str) {
    let id = engine.add_host(&name(host), 5).await.unwrap();
    let run = engine.run_of(id, "s", 1, 1).await.unwrap();
    let seen = engine.changed_runs(None).await.unwrap().next;
    let document = |version, text: &str| Document {
        run: 1,
        file: RunFile::Status,
        version,
        content: serde_json::json!({ "line": text }),
    };
    // Also with what a database has no place for.
    for (document, version, text) in
        [(document(4, "a\0b"), 4, "a\0b"), (document(3, "old"), 4, "a\0b"), (document(5, "ä"), 5, "ä")]
    {
        assert_eq!(engine.keep_document(run, &document).await.unwrap(), version);
        let kept = engine.documents(run).await.unwrap();
        assert_eq!(kept, [(RunFile::Status, version, serde_json::json!({ "line": text }))]);
    }
    let changed = engine.changed_runs(Some(seen)).await.unwrap();
    let changed: Vec<_> = changed.items.iter().filter(|changed| changed.key == run).collect();
    assert_eq!(changed[0].status, Some(serde_json::json!({ "line": "ä" })));
    engine.watch(run, 100).await.unwrap();
    engine.watch(run, 50).await.unwrap();
    assert!(engine.watched(99).await.unwrap().contains(&(id, "s".to_owned(), 1)));
    assert!(!engine.watched(100).await.unwrap().contains(&(id, "s".to_owned(), 1)));
    engine.sweep(200).await.unwrap();
}

async fn commands(engine: &Engine, host: &str) {
    let id = engine.add_host(&name(host), 5).await.unwrap();
    let Asked::Accepted(first) = engine.ask(id, new_command(10)).await.unwrap() else { panic!("busy") };
    assert_eq!((first.state, first.action.as_str()), (CommandState::Pending, "switch"));
    assert_eq!(engine.ask(id, new_command(11)).await.unwrap(), Asked::Busy(first.clone()));
    // Nobody came for it.
    let Asked::Accepted(second) = engine.ask(id, new_command(2000)).await.unwrap() else { panic!("busy") };
    let expired = engine.command(first.id).await.unwrap().unwrap();
    assert_eq!((expired.state, expired.ended_at), (CommandState::Failed, Some(2000)));
    assert_eq!(engine.send_commands(id, 2001).await.unwrap(), std::slice::from_ref(&second));
    // The host has got it, so it alone knows.
    assert_eq!(engine.expire_commands(9000).await.unwrap(), 0);
    let news = |state, run, exit_code| CommandNews { id: second.id, state, run, exit_code, message: None };
    let tell = async |news: CommandNews| {
        let standing = engine.command_news(id, "s", &news, 3000).await.unwrap();
        standing.map(|standing| (standing.state, standing.is_new))
    };
    assert_eq!(tell(news(CommandState::Executing, None, None)).await, Some((CommandState::Executing, true)));
    assert_eq!(
        tell(news(CommandState::Validating, None, None)).await,
        Some((CommandState::Executing, false))
    );
    let stopping = engine.stop_command(second.id, 3001).await.unwrap().unwrap();
    assert_eq!((stopping.state, stopping.is_stop_asked), (CommandState::Executing, true));
    assert_eq!(
        tell(news(CommandState::Executing, Some(4), None)).await,
        Some((CommandState::Executing, false))
    );
    assert_eq!(tell(news(CommandState::Failed, Some(4), Some(2))).await, Some((CommandState::Failed, true)));
    assert_eq!(tell(news(CommandState::Succeeded, None, Some(0))).await, Some((CommandState::Failed, false)));
    let ended = engine.command(second.id).await.unwrap().unwrap();
    assert_eq!(
        (ended.exit_code, ended.run, ended.ended_at),
        (Some(2), Some(1), Some(3000)),
        "the first run of its host"
    );
    // Another host has no word about it.
    let other = engine.add_host(&name(&format!("{host}-other")), 5).await.unwrap();
    let foreign = news(CommandState::Succeeded, None, None);
    assert_eq!(engine.command_news(other, "s", &foreign, 1).await.unwrap(), None);
    // One that nobody has got ends at once.
    let Asked::Accepted(third) = engine.ask(id, new_command(4000)).await.unwrap() else { panic!("busy") };
    assert_eq!(engine.stop_command(third.id, 4001).await.unwrap().unwrap().state, CommandState::Stopped);
    let ids: Vec<_> = engine.commands(id, 2).await.unwrap().iter().map(|command| command.id).collect();
    assert_eq!(ids, [third.id, second.id]);
    // A command whose time limit is to be ignored frees its host.
    let ignored = NewCommand { timeout_s: Some(5), on_deadline: OnDeadline::Ignore, ..new_command(5000) };
    let Asked::Accepted(ignored) = engine.ask(id, ignored).await.unwrap() else { panic!("busy") };
    let runs = CommandNews {
        id: ignored.id,
        state: CommandState::Executing,
        run: None,
        exit_code: None,
        message: None,
    };
    engine.command_news(id, "s", &runs, 5000).await.unwrap();
    assert!(matches!(engine.ask(id, new_command(9999)).await.unwrap(), Asked::Busy(_)));
    assert!(matches!(engine.ask(id, new_command(10_000)).await.unwrap(), Asked::Accepted(_)));
}

async fn batches(engine: &Engine, prefix: &str) {
    let mut hosts = Vec::new();
    for n in 0..4 {
        hosts.push(engine.add_host(&name(&format!("{prefix}-batch-{n}")), 5).await.unwrap());
    }
    let new = NewBatch { hosts: hosts.clone(), command: new_command(10), at_once: 2, max_failures: 0 };
    let id = engine.ask_batch(new.clone()).await.unwrap();
    assert_eq!(engine.advance(20, 1000).await.unwrap(), 2);
    assert_eq!(engine.advance(20, 1000).await.unwrap(), 0, "two at once");
    let end = async |at: usize, state| {
        let batch = engine.batch(id).await.unwrap().unwrap();
        let command = batch.hosts[at].command.unwrap();
        engine.send_commands(hosts[at], 21).await.unwrap();
        let news = CommandNews { id: command, state, run: None, exit_code: None, message: None };
        engine.command_news(hosts[at], "s", &news, 22).await.unwrap();
    };
    end(0, CommandState::Succeeded).await;
    assert_eq!(engine.advance(23, 1000).await.unwrap(), 1);
    end(1, CommandState::Failed).await;
    assert_eq!(engine.advance(24, 1000).await.unwrap(), 0, "a failure stops it");
    let batch = engine.batch(id).await.unwrap().unwrap();
    assert_eq!((batch.state, batch.hosts[3].command), (BatchState::Stopped, None));
    assert!(engine.batches(5).await.unwrap().contains(&id));
    assert!(!engine.stop_batch(id).await.unwrap());
    let next =
        engine.ask_batch(NewBatch { max_failures: 9, hosts: hosts[3..].to_vec(), ..new }).await.unwrap();
    engine.advance(30, 1000).await.unwrap();
    engine.expire_commands(5000).await.unwrap();
    engine.advance(5001, 1000).await.unwrap();
    assert_eq!(engine.batch(next).await.unwrap().unwrap().state, BatchState::Done);
}

async fn secrets(engine: &Engine, host: &str) {
    let (code, token) = (Secret::random().unwrap(), Secret::random().unwrap());
    assert_ne!(code, token);
    engine.add_code(code.hash(), &name(host), "admin", 10, 20).await.unwrap();
    let redeem = async |code: &Secret, host: &str, token: &Secret, now| {
        engine.redeem(code.hash(), &name(host), token.hash(), now).await.unwrap()
    };
    assert_eq!(redeem(&code, "another", &token, 11).await, Redeemed::Refused);
    assert_eq!(redeem(&code, host, &token, 20).await, Redeemed::Refused, "too late");
    let Redeemed::Host(id) = redeem(&code, host, &token, 11).await else { panic!("refused") };
    assert_eq!(redeem(&code, host, &token, 12).await, Redeemed::Host(id), "for the same token");
    assert_eq!(redeem(&code, host, &Secret::random().unwrap(), 12).await, Redeemed::Refused);
    assert_eq!(redeem(&token, host, &token, 12).await, Redeemed::Refused);
    assert_eq!(engine.host_of_token(token.hash()).await.unwrap(), Some((id, name(host))));
    assert_eq!(engine.host_of_token(code.hash()).await.unwrap(), None);
    assert_eq!(engine.revoke_tokens(id, 13).await.unwrap(), 1);
    assert_eq!(engine.host_of_token(token.hash()).await.unwrap(), None);
    assert_eq!(engine.tokens(id).await.unwrap(), [Token { created_at: 11, revoked_at: Some(13) }]);

    let account = Account {
        name: format!("{host}-person"),
        password: "$argon2id$1".to_owned(),
        role: Role::Operate,
        created_at: 1,
    };
    engine.put_account(account.clone()).await.unwrap();
    assert_eq!(engine.account(&account.name).await.unwrap().as_ref(), Some(&account));
    assert!(engine.accounts().await.unwrap().contains(&account));
    let session = Secret::random().unwrap().hash();
    engine.add_session(session, &account.name, 1, 100).await.unwrap();
    assert!(engine.add_session(session, "nobody", 1, 100).await.is_ok(), "it is there");
    assert!(engine.add_session(Secret::random().unwrap().hash(), "nobody", 1, 100).await.is_err());
    assert_eq!(engine.session(session, 99).await.unwrap().unwrap().role, Role::Operate);
    assert_eq!(engine.session(session, 100).await.unwrap(), None);
    engine.put_account(Account { role: Role::View, ..account.clone() }).await.unwrap();
    assert_eq!(engine.session(session, 99).await.unwrap().unwrap().role, Role::View);
    engine.put_account(Account { password: "$argon2id$2".to_owned(), ..account.clone() }).await.unwrap();
    assert_eq!(engine.session(session, 99).await.unwrap(), None, "a new password ends sessions");
    assert!(engine.remove_account(&account.name).await.unwrap());

    let entry = AuditEntry {
        id: 0,
        at: 7,
        who: "admin".to_owned(),
        what: "command switch".to_owned(),
        host: Some(host.to_owned()),
        result: "accepted".to_owned(),
    };
    engine.add_audit(entry.clone()).await.unwrap();
    let log = engine.audit(None, 1).await.unwrap();
    assert_eq!(AuditEntry { id: 0, ..log[0].clone() }, entry);
    assert!(engine.audit(Some(log[0].id), 99).await.unwrap().iter().all(|entry| entry.id < log[0].id));
}

async fn retention(engine: &Engine, host: &str) {
    let id = engine.add_host(&name(host), 5).await.unwrap();
    for origin in 1..=4 {
        let run = engine.run_of(id, "s", origin, origin * 100).await.unwrap();
        engine.append(run, piece(0, 0, &[7; 100])).await.unwrap();
        if origin != 2 {
            engine.end_run(run, &RunEnd { run: origin, files: Vec::new(), reason: None }).await.unwrap();
        }
    }
    let left = async || {
        let runs = engine.runs(id, None, 9).await.unwrap();
        runs.iter().map(|run| run.number).collect::<Vec<_>>()
    };
    let aged = Kept { max_age_ms: Some(450), max_bytes: None };
    assert_eq!(engine.prune(id, aged, 600).await.unwrap(), Pruned { runs: 1, bytes: 100 });
    assert_eq!(left().await, [4, 3, 2], "one that goes on stays");
    let full = Kept { max_age_ms: None, max_bytes: Some(150) };
    assert_eq!(engine.prune(id, full, 600).await.unwrap(), Pruned { runs: 1, bytes: 100 });
    assert_eq!(left().await, [4, 2]);
}

/// Numbered lines of several hosts come in pieces that overlap and come twice, at once.
async fn many(engine: &Engine, prefix: &str) {
    let mut tasks = Vec::new();
    for host in 0..8_usize {
        let id = engine.add_host(&name(&format!("{prefix}-{host}")), 5).await.unwrap();
        let run = engine.run_of(id, "s", 1, 1).await.unwrap();
        let engine = engine.clone();
        tasks.push(tokio::spawn(async move {
            let text: String = (0..2000).map(|n| format!("{host} line {n}\n")).collect();
            let (mut size, mut n) = (0, host);
            while size < text.len() {
                n += 1;
                let begin = size.saturating_sub(n % 3 * 10);
                let end = (size + 300 + n % 7 * 50).min(text.len());
                let piece = piece(0, begin as u64, &text.as_bytes()[begin..end]);
                let again = (n % 5 == 0).then(|| engine.append(run, piece.clone()));
                size = usize::try_from(engine.append(run, piece.clone()).await.unwrap().size).unwrap();
                if let Some(again) = again {
                    again.await.unwrap();
                }
            }
            let mut read = String::new();
            loop {
                let from = read.len() as u64;
                let pieces = engine.pieces(run, RunFile::Input, 0, from, 9000).await.unwrap();
                if pieces.is_empty() {
                    break;
                }
                for (at, bytes) in pieces {
                    assert_eq!(at, read.len() as u64);
                    read.push_str(std::str::from_utf8(&bytes).unwrap());
                }
            }
            assert_eq!(read, text);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
