//! The `nixmon` program: arguments in, an exit status out.

use std::process::ExitCode;

use nixmon::cli::Cli;
use nixmon::run::{self, ExitStatus};
use nixmon::settings::{Environment, Settings};

fn main() -> ExitCode {
    let writer = run::find_writer();
    let settings = Settings::load(Cli::read(), &Environment::read());
    match settings.map_err(Into::into).and_then(|settings| run::run(&settings, writer)) {
        Ok(status) => status.into(),
        Err(error) => {
            run::complain(&error);
            ExitStatus::Usage.into()
        }
    }
}
