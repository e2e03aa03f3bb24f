//! Pages: the same content as HTML, as Markdown and as JSON.
//!
//! Foreign text gets into HTML through maud, which escapes it, and into Markdown through [`markdown`]. Nothing is written by
//! scripts: they fetch a page again and put its parts in place.

pub(crate) mod assets;
mod board;
pub(crate) mod hosts;
mod log;
mod markdown;
mod run;
mod tree;
mod words;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::accept::{Form, form};
use crate::answers::{InstructionsAnswer, UnitAnswer};
use crate::api;
use crate::failure::Failure;
use crate::hub::{Asked, Hub};
use crate::routes::json;
use crate::source::Paths;

/// A page to be put into the frame that all pages have.
struct Page<'a> {
    title: &'a str,
    /// The stream whose events say that the page has changed; empty if it does not change.
    events: &'a str,
    /// Links above the content: address and text.
    trail: &'a [(String, String)],
    content: Markup,
    /// A further script.
    script: Option<&'static str>,
}

fn render(page: &Page<'_>) -> Response {
    let Page { title, events, trail, content, script } = page;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · nixmon" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                // Not deferred: it sets the theme before anything is drawn.
                script src="/assets/theme.js" {}
                script type="module" src="/assets/hub.js" {}
                @if let Some(script) = script { script type="module" src={ "/assets/" (script) } {} }
            }
            body data-events=[(!events.is_empty()).then_some(events)] {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    nav aria-label="Trail" {
                        ol.trail {
                            li { a.brand href="/" { (mark()) "nixmon" } }
                            @for (address, text) in trail.iter() { li { a href=(address) { (text) } } }
                        }
                    }
                    div.tools {
                        span.live id="connection" role="status" {}
                        button.theme type="button" id="theme" hidden { "Theme" }
                    }
                }
                main id="main" tabindex="-1" { (content) }
                footer.foot {
                    a href="/instructions" { "For programs and agents" } " · "
                    a href="/api/v1/openapi.json" { "API" } " · "
                    a href="/metrics" { "Metrics" }
                }
            }
        }
    };
    axum::response::Html(markup.into_string()).into_response()
}

/// The mark of nixmon: three bars of a progress.
fn mark() -> Markup {
    html! {
        svg.logo viewBox="0 0 16 16" width="18" height="18" aria-hidden="true" focusable="false" {
            rect x="1" y="2" width="14" height="3" rx="1.5" {}
            rect x="1" y="6.5" width="9" height="3" rx="1.5" {}
            rect x="1" y="11" width="5" height="3" rx="1.5" {}
        }
    }
}

fn wanted(asked: &Asked) -> Form {
    form(asked.header("accept"), asked.params.text("format"))
}

fn as_markdown(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response()
}

/// Answers with the board.
pub(crate) async fn board(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let answer = crate::hosts::board(hub, asked).await?;
    Ok(match wanted(asked) {
        Form::Json => json(&answer),
        Form::Markdown => as_markdown(markdown::board(&answer)),
        Form::Html => board::page(&answer),
    })
}

/// Answers with a host.
pub(crate) async fn host(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let answer = crate::hosts::page(hub, asked).await?;
    Ok(match wanted(asked) {
        Form::Json => json(&answer),
        Form::Markdown => as_markdown(hosts::page_markdown(&answer)),
        Form::Html => hosts::page(&answer),
    })
}

/// Answers with a run.
pub(crate) async fn run(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let answer = api::run(hub, asked).await?;
    Ok(match wanted(asked) {
        Form::Json => json(&answer),
        Form::Markdown => as_markdown(markdown::run(&answer)),
        Form::Html => run::page(&answer),
    })
}

/// Answers with lines of a log.
pub(crate) async fn log(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let answer = api::log(hub, asked).await?;
    Ok(match wanted(asked) {
        Form::Json => json(&answer),
        Form::Markdown => as_markdown(markdown::log(&answer)),
        Form::Html => {
            let (_, look) = hub.source(asked).await?.look(&answer.run.to_string()).await?;
            log::page(&answer, &crate::board::clean(look.status))
        }
    })
}

/// Answers with what is known of a unit.
pub(crate) async fn unit(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let (run, unit) = (asked.part("run"), asked.part("unit"));
    let text = api::unit(hub, asked).await?;
    // The source has been found, so this is the name of a host.
    let host = asked.path.get("host").map(String::as_str);
    let unit = nixmon_log::escapes::sanitize(unit);
    Ok(match wanted(asked) {
        Form::Html => {
            let address = Paths::of(host).run(words::encode(run));
            render(&Page {
                title: &format!("{unit} in run {run}"),
                events: "",
                trail: &[(address, format!("run {run}"))],
                content: html! {
                    h1 { (unit) }
                    p.hint { "Lines of the run about this unit, and the end of its own log." }
                    pre.lines tabindex="0" role="region" aria-label={ "Lines about " (unit) } { (text) }
                },
                script: None,
            })
        }
        Form::Json => json(&UnitAnswer {
            host: host.map(str::to_owned),
            run: nixmon_log::escapes::sanitize(run).into_owned(),
            unit: unit.into_owned(),
            lines: text.lines().map(str::to_owned).collect(),
        }),
        Form::Markdown => {
            let run = markdown::inline(run);
            as_markdown(format!("# {} in run {run}\n\n{}", markdown::inline(&unit), markdown::block(&text)))
        }
    })
}

/// Answers with instructions for programs and agents.
pub(crate) fn instructions(asked: &Asked) -> Response {
    let text = include_str!("files/instructions.md");
    match wanted(asked) {
        Form::Html => render(&Page {
            title: "Instructions",
            events: "",
            trail: &[("/instructions".to_owned(), "instructions".to_owned())],
            content: html! {
                h1 { "For programs and agents" }
                pre.lines.prose tabindex="0" role="region" aria-label="Instructions" { (text) }
            },
            script: None,
        }),
        Form::Json => json(&InstructionsAnswer { text: text.to_owned() }),
        Form::Markdown => as_markdown(text.to_owned()),
    }
}

/// Answers with a failure.
pub(crate) fn failure(failure: &Failure, form: Form) -> Response {
    let title = match failure.status.as_u16() {
        404 => "Not found",
        429 => "Too many requests",
        503 => "Not available",
        500 => "Damaged",
        _ => "Not possible",
    };
    let mut response = match form {
        Form::Html => render(&Page {
            title,
            events: "",
            trail: &[],
            content: html! {
                h1 { (title) }
                p { (failure.message) "." }
                p { a href="/" { "All runs" } }
            },
            script: None,
        }),
        _ => as_markdown(format!("# {title}\n\n{}\n", markdown::inline(&failure.message))),
    };
    *response.status_mut() = failure.status;
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
