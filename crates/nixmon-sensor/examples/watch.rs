//! Prints each build of this machine when it ends, with its result: `cargo run -p nixmon-sensor --example watch [BACKEND]`.

use std::process::ExitCode;
use std::time::Duration;

use nixmon_sensor::model::event::Backend;
use nixmon_sensor::model::programs::Rules;
use nixmon_sensor::{Happened, Sensor};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]
fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let backend = wanted.and_then(|name| Backend::ALL.into_iter().find(|backend| backend.name() == name));
    let mut sensor = match Sensor::start(Rules::default(), backend) {
        Ok(sensor) => sensor,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    loop {
        match sensor.next(Duration::from_secs(5), None) {
            Ok(happened) => {
                for happened in happened {
                    if let Happened::Ended(build) = happened {
                        println!("{} {:?} {:?}", build.image.command, build.end, build.elapsed());
                    }
                }
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
}
