//! Examples that `--help` and the manual pages show below the options.

use clap::Command;

/// Verb, and command lines that show its use.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("init", &["thawline init data/photos", "thawline init data/labels.csv --label species --into birds"]),
    (
        "run",
        &[
            "thawline run experiments/photos.yaml",
            "thawline run experiments/photos.yaml -j 4 -S epochs=10",
            "thawline run pipelines/probe.yaml --dry-run",
            "thawline run experiments/photos.yaml --smoke",
            "thawline run experiments/photos.yaml --until 07:00 --detach",
        ],
    ),
    (
        "plan",
        &[
            "thawline plan experiments/photos.yaml",
            "thawline plan experiments/photos.yaml --diff HEAD~3",
            "thawline plan experiments/photos.yaml --format json",
        ],
    ),
    (
        "validate",
        &[
            "thawline validate experiments/photos.yaml",
            "thawline validate experiments/photos.yaml --resolved",
            "thawline validate pipelines/*.yaml --format json",
        ],
    ),
    (
        "dag",
        &[
            "thawline dag pipelines/probe.yaml",
            "thawline dag experiments/photos.yaml --format dot | dot -Tsvg > graph.svg",
        ],
    ),
    ("status", &["thawline status", "thawline status photos --watch"]),
    ("stop", &["thawline stop", "thawline stop photos"]),
    ("cancel", &["thawline cancel photos"]),
    ("retry", &["thawline retry experiments/photos.yaml --failed"]),
    (
        "gc",
        &[
            "thawline gc --older-than 30d --dry-run",
            "thawline gc --max-size 20GB",
            "thawline gc --keep photos --keep other-photos",
        ],
    ),
    ("logs", &["thawline logs fine_tuning-149f2c-s0", "thawline logs -f fine_tuning-149f2c-s0"]),
    ("show", &["thawline show fine_tuning-149f2c-s0"]),
    ("explain", &["thawline explain experiments/photos.yaml", "thawline explain experiments/photos.yaml probe"]),
    ("report", &["thawline report experiments/photos.yaml"]),
    ("compare", &["thawline compare photos other-photos", "thawline compare photos@1a2b3c photos"]),
    ("import", &["thawline import reports/photos"]),
    ("results", &["thawline results photos", "thawline results photos --format csv > trials.csv"]),
    (
        "predict",
        &[
            "thawline predict fine_tuning-149f2c-s0 new-photos/",
            "thawline predict --backbone efficientnet_lite0 --weights imagenet cat.jpg",
        ],
    ),
    (
        "export",
        &[
            "thawline export fine_tuning-149f2c-s0 -o model.safetensors",
            "thawline export fine_tuning-149f2c-s0 --format torch",
        ],
    ),
    ("preview", &["thawline preview pipelines/probe.yaml views -o views.png"]),
    ("lr-find", &["thawline lr-find pipelines/probe.yaml", "thawline lr-find pipelines/probe.yaml find -o find.svg"]),
    ("models", &["thawline models", "thawline models resnet18"]),
    ("schema", &["thawline schema pipeline > schemas/pipeline.schema.json"]),
    (
        "completions",
        &[
            "thawline completions bash > ~/.local/share/bash-completion/completions/thawline",
            "thawline completions zsh > ~/.zfunc/_thawline",
            "thawline completions fish > ~/.config/fish/completions/thawline.fish",
        ],
    ),
    ("man", &["thawline man | man -l -", "thawline man ~/.local/share/man/man1"]),
];

/// The command line with its examples.
pub fn add_to(command: Command) -> Command {
    EXAMPLES.iter().fold(command, |command, (verb, lines)| {
        let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
        command.mut_subcommand(verb, |verb| verb.after_help(format!("Examples:{lines}")))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_verb_has_examples_that_are_right() {
        let command = add_to(Cli::command());
        for verb in command.get_subcommands() {
            assert!(verb.get_after_help().is_some(), "{} has no example", verb.get_name());
        }
        for line in EXAMPLES.iter().flat_map(|(_, lines)| lines.iter()) {
            let words = line.split(['|', '>']).next().unwrap().split_whitespace();
            let parsed = add_to(Cli::command()).try_get_matches_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }
}
