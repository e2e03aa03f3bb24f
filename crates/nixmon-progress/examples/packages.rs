//! Prints the packages of a build directory, what each needs, and the longest chain: `packages DIR`.

#![expect(clippy::print_stdout, reason = "a program for developers")]

use std::time::Duration;

use nixmon_progress::packages::{Disk, Project, critical_path};

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let Some(project) = Project::read(&Disk::new(&dir)) else {
        println!("{dir}: no project that is known");
        return;
    };
    println!("from {:?}", project.origin);
    for target in project.targets.iter().filter(|target| !target.sources.is_empty()) {
        let left_out = if project.is_expected(target) { "" } else { ", left out" };
        println!(
            "{} ({:?}, {} files{left_out}) needs {:?}",
            target.name,
            target.kind,
            target.sources.len(),
            target.depends_on
        );
    }
    let files = |name: &str| project.target(name).map_or(0, |target| target.sources.len() as u64);
    println!(
        "longest chain: {:?}",
        critical_path(&project, |name| Duration::from_secs(files(name))).packages
    );
}
