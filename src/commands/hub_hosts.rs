//! `nixmon hub host`: the hosts whose agents may report to a hub.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nixmon_core::text::{Line, Role};
use nixmon_fleet::HostName;
use nixmon_hub::engine::{AuditEntry, Engine, Host, Secret};
use nixmon_runs::clock::{local_clock, unix_ms};

use super::print_lines;
use crate::cli::{EngineArgs, HubHost, HubHostArgs, HubManage};
use crate::exit_status::ExitStatus;
use crate::settings::Settings;

/// Time for which a code can be used, in milliseconds.
const CODE: u64 = 60 * 60 * 1000;

/// Manages the hosts of a hub, whether it runs or not.
pub(super) fn manage(settings: &Settings, manage: &HubManage, directory: &Path) -> Result<ExitStatus> {
    let HubManage::Host(change) = manage;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let texts = runtime.block_on(async {
        match change {
            HubHost::Add(args) => add(args, directory).await,
            HubHost::Revoke(args) => revoke(args, directory).await,
            HubHost::Remove(args) => remove(args, directory).await,
            HubHost::List(args) => list(args, directory).await,
        }
    })?;
    let lines: Vec<Line> = texts.into_iter().map(|text| Line::new().with(Role::Plain, text)).collect();
    print_lines(settings, &lines)?;
    Ok(ExitStatus::Success)
}

async fn open(args: &EngineArgs, directory: &Path) -> Result<Engine> {
    Ok(match &args.engine {
        Some(address) => Engine::connect(address).await?,
        None => Engine::open(&directory.join("hub.db"))?,
    })
}

async fn note(engine: &Engine, what: &str, host: &HostName) -> Result<()> {
    let entry = AuditEntry {
        id: 0,
        at: unix_ms(),
        who: "command line".to_owned(),
        what: what.to_owned(),
        host: Some(host.to_string()),
        result: "done".to_owned(),
    };
    Ok(engine.add_audit(entry).await?)
}

async fn found(args: &HubHostArgs, directory: &Path) -> Result<(Engine, Host)> {
    let name = HostName::new(args.name.as_str())?;
    let engine = open(&args.engine, directory).await?;
    match engine.host(&name).await? {
        Some(host) => Ok((engine, host)),
        None => bail!("there is no host {name}"),
    }
}

async fn add(args: &HubHostArgs, directory: &Path) -> Result<Vec<String>> {
    let name = HostName::new(args.name.as_str())?;
    let engine = open(&args.engine, directory).await?;
    let (code, now) = (Secret::random()?, unix_ms());
    engine.add_host(&name, now).await?;
    engine.add_code(code.hash(), &name, "command line", now, now + CODE).await?;
    note(&engine, "code to enrol", &name).await?;
    Ok(vec![
        format!("{}", code.text()),
        format!("on {name}, within an hour: nixmon agent enroll --hub URL --host {name} {}", code.text()),
    ])
}

async fn revoke(args: &HubHostArgs, directory: &Path) -> Result<Vec<String>> {
    let (engine, host) = found(args, directory).await?;
    let n = engine.revoke_tokens(host.id, unix_ms()).await?;
    note(&engine, "revocation of tokens", &host.name).await?;
    let tokens = nixmon_core::text::count(n, "token", "tokens");
    Ok(vec![format!("{tokens} of {} revoked; its agent can report no more", host.name)])
}

async fn remove(args: &HubHostArgs, directory: &Path) -> Result<Vec<String>> {
    let (engine, host) = found(args, directory).await?;
    engine.remove_host(&host.name).await.context("cannot remove the host")?;
    note(&engine, "removal", &host.name).await?;
    Ok(vec![format!("{} removed with its runs", host.name)])
}

async fn list(args: &EngineArgs, directory: &Path) -> Result<Vec<String>> {
    let engine = open(args, directory).await?;
    let mut hosts = engine.hosts(None).await?.items;
    if hosts.is_empty() {
        return Ok(vec!["no hosts; `nixmon hub host add NAME` adds one".to_owned()]);
    }
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    let now = unix_ms();
    let mut lines = Vec::new();
    for host in hosts {
        let tokens = engine.tokens(host.id).await?;
        let has_token = tokens.iter().any(|token| token.revoked_at.is_none());
        let seen = match host.seen_at {
            Some(at) => format!("seen {}", local_clock(at, now)),
            None => "never seen".to_owned(),
        };
        let token = if has_token { "" } else { ", without a token" };
        lines.push(format!("{}: {seen}{token}", host.name));
    }
    Ok(lines)
}
