//! The table of everything that is served. The router and the OpenAPI document are both made from it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use schemars::{Schema, SchemaGenerator};

use crate::accept::{Form, form};
use crate::actions::{ACTIONS, Order};
use crate::answers::{
    InstructionsAnswer, LogAnswer, RunAnswer, RunsAnswer, SearchAnswer, SectionsAnswer, UnitAnswer,
};
use crate::caller::Caller;
use crate::failure::Failure;
use crate::hosts::{
    self, AuditAnswer, BatchAnswer, BatchesAnswer, BoardAnswer, CommandsAnswer, HostAnswer, HostPageAnswer,
    HostRunsAnswer, HostsAnswer,
};
use crate::hub::{Asked, Hub, Params};
use crate::page::{self, assets};
use crate::{actions, api, events, ingest, metrics, openapi, server};

type Called = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Time in which the body of a request has to come.
const BODY: std::time::Duration = std::time::Duration::from_secs(30);

/// A path that is served.
pub(crate) struct Route {
    /// The path; `{run}` stands for the number or name of a run.
    pub(crate) path: &'static str,
    /// A name for programs that are generated from the document.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) answer: Answer,
    call: fn(Arc<Hub>, Asked) -> Called,
}

/// A parameter of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// `string`, `integer` or `boolean`.
    pub(crate) kind: &'static str,
    pub(crate) about: &'static str,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// JSON with this schema.
    Json(SchemaOf),
    /// A page, or the same as Markdown or as JSON with this schema.
    Page(SchemaOf),
    /// Another media type.
    Other(&'static str),
}

fn schema<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn any(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object" })
}

const DERIVATION: Parameter = Parameter {
    name: "derivation",
    kind: "string",
    about: "Only the lines of a derivation: its path, the last part of it, or its name.",
};
const SINCE: Parameter = Parameter {
    name: "since",
    kind: "string",
    about: "The id of the last event that is known; as `Last-Event-ID`.",
};
const LIMIT: Parameter =
    Parameter { name: "limit", kind: "integer", about: "Largest number of runs, at most 1000." };
const FORMAT: Parameter =
    Parameter { name: "format", kind: "string", about: "`html`, `md` or `json`; precedes `Accept`." };
const FROM: Parameter = Parameter {
    name: "from",
    kind: "integer",
    about: "Number of the first line, from 1; a negative one counts from the end.",
};
const COUNT: Parameter =
    Parameter { name: "count", kind: "integer", about: "Largest number of lines, at most 5000." };

const ROUTES: &[Route] = &[
    Route {
        path: "/",
        id: "board",
        summary: "All runs: failures first, then runs in progress.",
        parameters: &[LIMIT, FORMAT],
        answer: Answer::Page(schema::<BoardAnswer>),
        call: |hub, asked| Box::pin(async move { page::board(&hub, &asked).await }),
    },
    Route {
        path: "/hosts/{host}",
        id: "hostPage",
        summary: "A host: its state and load, its commands and runs.",
        parameters: &[FORMAT],
        answer: Answer::Page(schema::<HostPageAnswer>),
        call: |hub, asked| Box::pin(async move { page::host(&hub, &asked).await }),
    },
    Route {
        path: "/wait",
        id: "wait",
        summary: "A line of text for each change of a run, until the client goes.",
        parameters: &[],
        answer: Answer::Other("text/plain"),
        call: |hub, _| Box::pin(async move { events::wait(&hub) }),
    },
    Route {
        path: "/instructions",
        id: "instructions",
        summary: "How a program or an agent uses this hub.",
        parameters: &[FORMAT],
        answer: Answer::Page(schema::<InstructionsAnswer>),
        call: |_, asked| Box::pin(async move { Ok(page::instructions(&asked)) }),
    },
    Route {
        path: "/runs/{run}",
        id: "runPage",
        summary: "A run: phases, failures, builds, units.",
        parameters: &[FORMAT],
        answer: Answer::Page(schema::<RunAnswer>),
        call: |hub, asked| Box::pin(async move { page::run(&hub, &asked).await }),
    },
    Route {
        path: "/runs/{run}/wait",
        id: "waitForRun",
        summary: "The condensed lines of a run as text, until it has ended.",
        parameters: &[SINCE],
        answer: Answer::Other("text/plain"),
        call: |hub, asked| Box::pin(async move { events::wait_for_run(&hub, &asked).await }),
    },
    Route {
        path: "/runs/{run}/log",
        id: "logPage",
        summary: "The log of a run or of a derivation.",
        parameters: &[DERIVATION, FROM, COUNT, FORMAT],
        answer: Answer::Page(schema::<LogAnswer>),
        call: |hub, asked| Box::pin(async move { page::log(&hub, &asked).await }),
    },
    Route {
        path: "/runs/{run}/units/{unit}",
        id: "unitPage",
        summary: "The lines of a run about a unit, and the end of the unit's own log.",
        parameters: &[FORMAT],
        answer: Answer::Page(schema::<UnitAnswer>),
        call: |hub, asked| Box::pin(async move { page::unit(&hub, &asked).await }),
    },
    Route {
        path: "/assets/{name}",
        id: "asset",
        summary: "A style sheet, a script or an image of the pages.",
        parameters: &[],
        answer: Answer::Other("application/octet-stream"),
        call: |_, asked| Box::pin(async move { assets::get(&asked) }),
    },
    Route {
        path: "/metrics",
        id: "metrics",
        summary: "Numbers for Prometheus.",
        parameters: &[],
        answer: Answer::Other("text/plain"),
        call: |hub, _| {
            Box::pin(async move {
                Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&hub)).into_response())
            })
        },
    },
    Route {
        path: "/healthz",
        id: "health",
        summary: "Checks that the store of runs is read, by the way that all news takes.",
        parameters: &[],
        answer: Answer::Other("text/plain"),
        call: |hub, _| Box::pin(async move { api::health(&hub).await }),
    },
    Route {
        path: "/api/v1/openapi.json",
        id: "openapi",
        summary: "This document.",
        parameters: &[],
        answer: Answer::Json(any),
        call: |_, _| Box::pin(async move { Ok(json(&openapi::document())) }),
    },
    Route {
        path: "/api/v1/runs",
        id: "runs",
        summary: "All runs: failures first, then runs in progress.",
        parameters: &[LIMIT],
        answer: Answer::Json(schema::<RunsAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&api::runs(&hub, &asked)?)) }),
    },
    Route {
        path: "/api/v1/events",
        id: "events",
        summary: "Changes of runs: events `reset`, `run` and `removed`.",
        parameters: &[SINCE],
        answer: Answer::Other("text/event-stream"),
        call: |hub, asked| Box::pin(async move { events::board(&hub, &asked) }),
    },
    Route {
        path: "/api/v1/runs/{run}",
        id: "run",
        summary: "A run: phases, failures, builds, units.",
        parameters: &[],
        answer: Answer::Json(schema::<RunAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&api::run(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/runs/{run}/events",
        id: "runEvents",
        summary: "News of a run: events `line` (the id is its cursor), `status` and `end`.",
        parameters: &[SINCE],
        answer: Answer::Other("text/event-stream"),
        call: |hub, asked| Box::pin(async move { events::run(&hub, &asked).await }),
    },
    Route {
        path: "/api/v1/runs/{run}/log",
        id: "log",
        summary: "Lines of a log.",
        parameters: &[DERIVATION, FROM, COUNT],
        answer: Answer::Json(schema::<LogAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&api::log(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/runs/{run}/log/sections",
        id: "logSections",
        summary: "Sections of a log: neighbouring lines of one derivation and phase.",
        parameters: &[DERIVATION],
        answer: Answer::Json(schema::<SectionsAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&api::sections(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/runs/{run}/log/search",
        id: "logSearch",
        summary: "Lines of a whole log that match a text or a regular expression.",
        parameters: &[
            Parameter {
                name: "q",
                kind: "string",
                about: "The text, at most 1000 bytes. Without an upper-case letter it matches in either case.",
            },
            Parameter { name: "regex", kind: "boolean", about: "The text is a regular expression." },
            DERIVATION,
        ],
        answer: Answer::Json(schema::<SearchAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&api::search(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/runs/{run}/log/events",
        id: "logEvents",
        summary: "Lines of a log as they come: events `lines` (the id is the number of the last one) and `end`.",
        parameters: &[
            DERIVATION,
            SINCE,
            Parameter {
                name: "text",
                kind: "boolean",
                about: "`false`: only the number of lines, as events `extent`.",
            },
        ],
        answer: Answer::Other("text/event-stream"),
        call: |hub, asked| Box::pin(async move { events::log(&hub, &asked).await }),
    },
    Route {
        path: "/api/v1/runs/{run}/log/raw",
        id: "logRaw",
        summary: "The whole text of a log so far, as a file.",
        parameters: &[DERIVATION],
        answer: Answer::Other("text/plain"),
        call: |hub, asked| Box::pin(async move { api::raw(&hub, &asked).await }),
    },
    Route {
        path: "/api/v1/runs/{run}/units/{unit}/log",
        id: "unitLog",
        summary: "The lines of a run about a unit, and the end of the unit's own log.",
        parameters: &[],
        answer: Answer::Other("text/plain"),
        call: |hub, asked| {
            Box::pin(async move {
                let text = api::unit(&hub, &asked).await?;
                Ok(api::text(Body::from(text)))
            })
        },
    },
    Route {
        path: "/api/v1/hosts",
        id: "hosts",
        summary: "All hosts with their states: those with trouble first.",
        parameters: &[],
        answer: Answer::Json(schema::<HostsAnswer>),
        call: |hub, _| Box::pin(async move { Ok(json(&hosts::all(&hub))) }),
    },
    Route {
        path: "/api/v1/events/hosts",
        id: "hostEvents",
        summary: "Changes of hosts: events `reset`, `host` and `removed`.",
        parameters: &[SINCE],
        answer: Answer::Other("text/event-stream"),
        call: |hub, asked| Box::pin(async move { hosts::stream(&hub, &asked) }),
    },
    Route {
        path: "/api/v1/hosts/{host}",
        id: "host",
        summary: "A host with its state.",
        parameters: &[],
        answer: Answer::Json(schema::<HostAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&hosts::one(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/hosts/{host}/runs",
        id: "hostRuns",
        summary: "The runs of a host, the newest first.",
        parameters: &[LIMIT],
        answer: Answer::Json(schema::<HostRunsAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&hosts::runs(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/hosts/{host}/logs",
        id: "hostLogs",
        summary: "Lines of a run of a host, from behind a line on; of its newest run, if none is named.",
        parameters: &[
            Parameter { name: "run", kind: "string", about: "The number or the name of a run." },
            Parameter { name: "since", kind: "integer", about: "Number of the last line that is known." },
            COUNT,
        ],
        answer: Answer::Json(schema::<LogAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&hosts::logs(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/hosts/{host}/commands",
        id: "commands",
        summary: "The commands of a host, the newest first.",
        parameters: &[LIMIT],
        answer: Answer::Json(schema::<CommandsAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&hosts::commands(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/batches",
        id: "batches",
        summary: "Commands on many hosts, the newest first.",
        parameters: &[LIMIT],
        answer: Answer::Json(schema::<BatchesAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&hosts::batches(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/batches/{batch}",
        id: "batch",
        summary: "A command on many hosts.",
        parameters: &[],
        answer: Answer::Json(schema::<BatchAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&hosts::batch(&hub, &asked).await?)) }),
    },
    Route {
        path: "/api/v1/audit",
        id: "audit",
        summary: "Who asked for what, with its result, the newest first.",
        parameters: &[
            LIMIT,
            Parameter { name: "before", kind: "integer", about: "Only lines with a lower number than this." },
        ],
        answer: Answer::Json(schema::<AuditAnswer>),
        call: |hub, asked| Box::pin(async move { Ok(json(&hosts::audit(&hub, &asked).await?)) }),
    },
];

/// A path of the table as it is served.
pub(crate) struct Served {
    pub(crate) path: String,
    /// The name for generated programs.
    pub(crate) id: String,
    pub(crate) route: &'static Route,
}

/// Returns everything that is served: the table, and each path about a run once more for the runs of a host.
pub(crate) fn all() -> impl Iterator<Item = Served> {
    ROUTES.iter().flat_map(|route| {
        let own = Served { path: route.path.to_owned(), id: route.id.to_owned(), route };
        let of_host = route.path.split_once("/runs/{run}").map(|(before, after)| {
            let mut id = route.id.to_owned();
            if let Some(first) = id.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            Served {
                path: format!("{before}/hosts/{{host}}/runs/{{run}}{after}"),
                id: format!("host{id}"),
                route,
            }
        });
        std::iter::once(own).chain(of_host)
    })
}

/// Makes an answer of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Response {
    axum::Json(value).into_response()
}

/// Makes the router. The API is there without the number of its version as well.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let mut router = Router::new();
    for Served { path: served, route, .. } in all() {
        let handler = get(
            move |State(hub): State<Arc<Hub>>,
                  path: Option<Path<BTreeMap<String, String>>>,
                  query: Result<
                Query<BTreeMap<String, String>>,
                axum::extract::rejection::QueryRejection,
            >,
                  axum::Extension(caller): axum::Extension<Caller>,
                  headers: HeaderMap| async move {
                let path = path.map(|Path(path)| path).unwrap_or_default();
                let is_page = matches!(route.answer, Answer::Page(_));
                let accept =
                    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).map(str::to_owned);
                let params = match query {
                    Ok(Query(params)) => Params(params),
                    Err(_) => Params::default(),
                };
                let known = |name: &str| route.parameters.iter().any(|parameter| parameter.name == name);
                let form = form(accept.as_deref(), params.text("format"));
                let result = match params.0.keys().find(|name| !known(name)) {
                    Some(name) => Err(Failure::bad_request(format!(
                        "there is no parameter `{}` here",
                        nixmon_log::escapes::sanitize(name)
                    ))),
                    None => (route.call)(hub, Asked { path, params, caller, headers }).await,
                };
                let mut response = match result {
                    Ok(response) => response,
                    Err(failure) if is_page && form != Form::Json => page::failure(&failure, form),
                    Err(failure) => failure.into_response(),
                };
                if is_page {
                    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
                }
                response
            },
        );
        if let Some(rest) = served.strip_prefix("/api/v1/") {
            router = router.route(&format!("/api/{rest}"), handler.clone());
        }
        router = router.route(&served, handler);
    }
    for action in ACTIONS {
        let handler = axum::routing::post(
            move |State(hub): State<Arc<Hub>>,
                  Path(path): Path<BTreeMap<String, String>>,
                  query: Result<
                Query<BTreeMap<String, String>>,
                axum::extract::rejection::QueryRejection,
            >,
                  axum::Extension(caller): axum::Extension<Caller>,
                  body: Body| async move {
                let params = query.map(|Query(params)| Params(params)).unwrap_or_default();
                let known = |name: &str| action.parameters.iter().any(|parameter| parameter.name == name);
                if params.0.keys().any(|name| !known(name)) {
                    return Failure::bad_request("there is no such parameter here").into_response();
                }
                let read = axum::body::to_bytes(body, action.body.limit());
                let body = match tokio::time::timeout(BODY, read).await {
                    Ok(Ok(body)) => body,
                    Ok(Err(_)) => return server::too_large(action).into_response(),
                    Err(_) => {
                        let message = "the body has not come in time";
                        return Failure::new(StatusCode::REQUEST_TIMEOUT, message).into_response();
                    }
                };
                match (action.call)(hub, Order { path, params, caller, body }).await {
                    Ok(response) => response,
                    // A person has sent it from a page.
                    Err(failure) if matches!(action.body, actions::Body::Form) => {
                        page::failure(&failure, Form::Html)
                    }
                    Err(failure) => failure.into_response(),
                }
            },
        );
        if let Some(rest) = action.path.strip_prefix("/api/v1/") {
            router = router.route(&format!("/api/{rest}"), handler.clone());
        }
        router = router.route(action.path, handler);
    }
    let agent = get(
        |State(hub): State<Arc<Hub>>,
         axum::Extension(caller): axum::Extension<Caller>,
         upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>| async move {
            let Ok(upgrade) = upgrade else {
                return Failure::bad_request("an agent connects here with a WebSocket").into_response();
            };
            match ingest::upgrade(&hub.fleet, caller, upgrade) {
                Ok(response) => response,
                Err(failure) => failure.into_response(),
            }
        },
    );
    router = router.route(nixmon_fleet::AGENT_PATH, agent);
    router
        .fallback(|headers: HeaderMap| async move {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
            let failure = Failure::not_found("there is nothing at this address; see /instructions");
            match form(accept, None) {
                Form::Json => failure.into_response(),
                form => page::failure(&failure, form),
            }
        })
        .with_state(hub)
}
