//! Manners on a terminal: help, completions, manual pages, narrow screens, colours, quiet and verbose.

use crate::support::{EXPERIMENT, Project, stderr};

fn printed(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = project.command(arguments).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that `--help` lists.
fn verbs(project: &Project) -> Vec<String> {
    let help = printed(project, &["--help"], &[]);
    let listed = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| line.starts_with("  "));
    let verbs: Vec<String> = listed.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    verbs.into_iter().filter(|verb| verb != "help").collect()
}

#[test]
fn every_verb_explains_itself_with_an_example_on_a_narrow_screen_too() {
    let project = Project::new();
    let verbs = verbs(&project);
    assert!(verbs.len() >= 19, "{verbs:?}");
    for verb in &verbs {
        let help = printed(&project, &[verb, "--help"], &[("COLUMNS", "60")]);
        assert!(help.contains(&format!("Examples:\n  thawline {verb}")), "{help}");
        assert!(!help.contains('\u{1b}'), "colours in a pipe:\n{help}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_verb() {
    let project = Project::new();
    let verbs = verbs(&project);
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&project, &["completions", shell], &[]);
        for verb in &verbs {
            assert!(script.contains(verb.as_str()), "{shell} does not know {verb}");
        }
    }
    assert!(printed(&project, &["man"], &[]).contains(".TH thawline 1"));
    printed(&project, &["man", "pages"], &[]);
    for verb in &verbs {
        let page = std::fs::read_to_string(project.path(&format!("pages/thawline-{verb}.1"))).unwrap();
        assert!(page.contains("Examples:"), "{page}");
    }
}

#[test]
fn tables_wrap_on_a_narrow_screen() {
    let project = Project::ran();
    let width = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    for arguments in [&["models"][..], &["plan", EXPERIMENT, "-S", "lr=0.3"], &["report", "tiny"]] {
        // Paths and sentences of their own are left to the terminal: only a table can be made narrower by us.
        let table = |columns: &[(&str, &str)]| {
            let text = printed(&project, arguments, columns);
            let lines = text.lines().filter(|line| line.starts_with(' ') && !line.contains(".thawline"));
            lines.filter(|line| !line.trim_start().starts_with('/')).map(|line| format!("{line}\n")).collect::<String>()
        };
        let (wide, narrow) = (table(&[]), table(&[("COLUMNS", "60")]));
        assert!(width(&wide) > 60, "{arguments:?} is narrow anyway:\n{wide}");
        assert!(!narrow.is_empty() && width(&narrow) <= 60, "{arguments:?}:\n{narrow}");
    }
}

#[test]
fn nothing_is_coloured_where_colours_are_unwanted() {
    let project = Project::ran();
    for arguments in [&["report", "tiny"][..], &["status"], &["models"]] {
        for variables in [&[][..], &[("NO_COLOR", "1")]] {
            assert!(!printed(&project, arguments, variables).contains('\u{1b}'), "{arguments:?}");
        }
    }
}

#[test]
fn quiet_says_nothing_and_verbose_says_what_is_read() {
    let project = Project::new();
    let quiet = project.thawline(&["-q", "validate", EXPERIMENT]);
    assert_eq!((quiet.stdout.len(), stderr(&quiet).as_str()), (0, ""));
    let verbose = project.thawline(&["validate", EXPERIMENT, "-v"]);
    assert!(stderr(&verbose).contains("read  pipelines/tuning.yaml"), "{}", stderr(&verbose));
}

#[test]
fn errors_tell_the_next_step() {
    let project = Project::new();
    let cases: [(&[&str], &str); 6] = [
        (&["status"], "`thawline run EXPERIMENT` makes it"),
        (&["models", "resnet17"], "Did you mean `resnet18`?"),
        (&["validate", "experiments/tinny.yaml"], "did you mean experiments/tiny.yaml?"),
        (&["run", "elsewhere.yaml"], "`thawline init FOLDER`"),
        (&["import", "data"], "reports/"),
        (&["schema", "pipline"], "'pipeline'"),
    ];
    for (arguments, step) in cases {
        let output = project.thawline(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(step), "{arguments:?}: {}", stderr(&output));
    }
}
