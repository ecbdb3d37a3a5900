//! `thawline completions` and `thawline man`: both from the same description of the command line that `--help` prints.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::{Outcome, output};

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell whose completions are printed.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Write a page a verb into this folder; without it the page of `thawline` is printed.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn completions(mut command: Command, arguments: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "thawline", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}

pub fn man(command: Command, arguments: &Man) -> Outcome {
    match &arguments.folder {
        Some(folder) => {
            let writing = || format!("writing manual pages into {}", folder.display());
            std::fs::create_dir_all(folder).with_context(writing)?;
            clap_mangen::generate_to(command, folder).with_context(writing)?;
            output::print(&format!(
                "wrote {0}/thawline.1 and a page a verb; read with: man {0}/thawline.1",
                folder.display()
            ));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("writing the manual page")?;
            output::print(&String::from_utf8_lossy(&page));
        }
    }
    Ok(ExitCode::SUCCESS)
}
