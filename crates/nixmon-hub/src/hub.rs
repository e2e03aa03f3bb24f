//! The state that all requests share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderMap;

use crate::access::Access;
use crate::board::Poller;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::hosts::name;
use crate::limits::Limits;
use crate::mirror::Mirrors;
use crate::source::Source;

/// The state that all requests share.
pub(crate) struct Hub {
    /// The runs of this machine.
    pub(crate) own: Arc<Source>,
    /// Hosts, and everything that is kept.
    pub(crate) fleet: Arc<Fleet>,
    /// Copies of runs of hosts.
    pub(crate) mirrors: Mirrors,
    /// Held while lines of a host without an agent are added.
    pub(crate) turns: tokio::sync::Mutex<()>,
    pub(crate) poller: Poller,
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
    pub(crate) started_at: u64,
}

/// Numbers of answers by their status class: 1xx to 5xx.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU64; 5]);

impl Counts {
    pub(crate) fn add(&self, status: u16) {
        if let Some(count) = self.0.get(usize::from(status / 100).saturating_sub(1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> impl Iterator<Item = (u16, u64)> {
        (1..).zip(&self.0).map(|(class, count)| (class, count.load(Ordering::Relaxed)))
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("poller", &self.poller).field("own", &self.own).finish_non_exhaustive()
    }
}

impl Hub {
    /// Returns the runs that a request is about: those of the host in its path, else of this machine.
    ///
    /// # Errors
    ///
    /// If there is no such host.
    pub(crate) async fn source(&self, asked: &Asked) -> Result<Arc<Source>, Failure> {
        match asked.path.get("host") {
            None => Ok(Arc::clone(&self.own)),
            Some(host) => {
                let host = self.fleet.engine.host(&name(host)?).await?;
                let host = host.ok_or_else(|| Failure::not_found("there is no such host"))?;
                Ok(self.mirrors.source(&host))
            }
        }
    }
}

/// A request, as handlers see it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) params: Params,
    pub(crate) caller: Caller,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    /// Returns a part of the path.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// Returns a header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the offset after which a stream goes on: `Last-Event-ID`, else the parameter `since`.
    pub(crate) fn since(&self) -> Option<&str> {
        self.header("last-event-id").or(self.params.text("since"))
    }
}

/// Parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) BTreeMap<String, String>);

impl Params {
    /// Returns a parameter; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Returns a number within limits.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn number(
        &self,
        name: &str,
        default: i64,
        limits: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, Failure> {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.parse() {
            Ok(number) if limits.contains(&number) => Ok(number),
            _ => Err(Failure::bad_request(format!(
                "`{name}` is a number from {} to {}",
                limits.start(),
                limits.end()
            ))),
        }
    }

    /// Returns a switch.
    ///
    /// # Errors
    ///
    /// If it is neither `true` nor `false`.
    pub(crate) fn switch(&self, name: &str, default: bool) -> Result<bool, Failure> {
        match self.text(name) {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(Failure::bad_request(format!("`{name}` is true or false"))),
        }
    }
}

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);
