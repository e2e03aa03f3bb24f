//! The `nixmon` program: arguments in, an exit status out.

use std::process::ExitCode;

use nixmon::cli::Cli;
use nixmon::settings::{Environment, Settings};
use nixmon::{commands, drive};

fn main() -> ExitCode {
    // Before anything else: it may end at once, and then its exit status is lost.
    let writer = drive::writer::find();
    let settings = Settings::load(Cli::read(), &Environment::read());
    match settings.map_err(Into::into).and_then(|settings| commands::run(&settings, writer)) {
        Ok(status) => status.into(),
        Err(error) => {
            let status = commands::exit_status(&error);
            let error = match commands::hint(&error) {
                Some(hint) => anyhow::anyhow!("{error:#}; {hint}"),
                None => error,
            };
            drive::complain(&error);
            status.into()
        }
    }
}
