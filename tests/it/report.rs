//! `report` and `compare` on a project that ran: the files that they leave, the seal, and what they say.

use std::fs;

use crate::support::{Project, stderr};

fn text(project: &Project, arguments: &[&str]) -> String {
    let output = project.thawline(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_report_is_a_page_twice_and_tables_and_always_the_same() {
    let project = Project::ran();
    let said = text(&project, &["report", "tiny"]);
    assert!(!said.contains('\u{1b}'), "no colour in a pipe: {said}");
    let read = |name: &str| fs::read_to_string(project.path(&format!("reports/tiny/{name}"))).unwrap();
    let (page, html) = (read("report.md"), read("report.html"));
    for section in ["## Verdict", "## Comparison", "## Fit", "## Images", "## Classes and confidence", "## Provenance"]
    {
        assert!(page.contains(section), "{section} is missing:\n{page}");
    }
    assert!(html.starts_with("<!doctype html>") && html.len() < 5_000_000);
    for figure in page.lines().filter_map(|line| line.strip_prefix("![")?.split_once("](")?.1.strip_suffix(')')) {
        assert!(read(figure).starts_with("<svg "), "{figure}");
    }
    let curves = csv::Reader::from_reader(read("curves.csv").as_bytes()).records().count();
    // Two configurations of 5 epochs and one of 3 and 4, at two seeds.
    assert_eq!(curves, 2 * 2 * 5 + 2 * 7);
    let images = csv::Reader::from_reader(read("predictions.csv").as_bytes()).records().count();
    assert!(images > 0 && images % 4 == 0, "two chosen trials of each arm: {images}");
    text(&project, &["report", "tiny"]);
    assert_eq!((read("report.md"), read("report.html")), (page, html));
}

#[test]
fn test_scores_stay_sealed_until_the_run_is_over_and_looks_are_kept() {
    let project = Project::ran();
    let looks = || fs::read_to_string(project.path("reports/test-looks.csv")).unwrap();
    text(&project, &["report", "tiny"]);
    let after = looks();
    assert_eq!(after.lines().filter(|line| line.ends_with(",selection")).count(), 4, "{after}");
    text(&project, &["report", "tiny"]);
    assert_eq!(looks(), after, "the same models are no new looks");

    let index = rusqlite::Connection::open(project.path(".thawline/index.sqlite")).unwrap();
    index.execute("UPDATE runs SET status = 'interrupted'", []).unwrap();
    let summary = project.json(&["report", "tiny", "--format", "json"]);
    assert_eq!(summary["judged_by"], "val/accuracy");
    assert!(!summary.to_string().contains("test/accuracy"), "{summary}");
    let trials = fs::read_to_string(project.path("reports/tiny/trials.csv")).unwrap();
    assert!(!trials.contains("test/"), "{trials}");
    assert_eq!(looks(), after);

    let summary = project.json(&["report", "tiny", "--format", "json", "--unseal"]);
    assert_eq!((&summary["judged_by"], &summary["looks"]["unsealed"]), (&"test/accuracy".into(), &4.into()));
    assert_eq!(looks().lines().filter(|line| line.ends_with(",unsealed")).count(), 4);
}

#[test]
fn two_trials_and_two_revisions_are_compared() {
    let project = Project::ran();
    let rows = project.json(&["results", "tiny", "--format", "json"]);
    let trial = |at: usize| rows[at]["trial"].as_str().unwrap().to_owned();
    let (a, b) = (trial(0), trial(5));
    let found = project.json(&["compare", &a, &b, "--format", "json"]);
    let comparison = &found["comparisons"][0];
    assert_eq!((&comparison["against"], &comparison["arm"]), (&a.as_str().into(), &b.as_str().into()));
    let score = |at: usize| rows[at]["metrics"]["val/accuracy"].as_f64().unwrap();
    if found["judged_by"] == "val/accuracy" {
        assert!((comparison["difference"]["mean"].as_f64().unwrap() - (score(5) - score(0))).abs() < 1e-12);
    }
    assert!(comparison["mcnemar"]["p"].is_number(), "{comparison}");
    let said = text(&project, &["compare", &a, &b]);
    assert!(said.contains("parameters that differ:"), "{said}");

    project.run();
    let index = rusqlite::Connection::open(project.path(".thawline/index.sqlite")).unwrap();
    index.execute("UPDATE runs SET git_commit = CASE id WHEN 1 THEN 'aaaa1' ELSE 'bbbb2' END", []).unwrap();
    let found = project.json(&["compare", "tiny@aaaa", "tiny@bbbb", "--format", "json"]);
    let comparisons = found["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 2, "one an arm");
    assert!(comparisons.iter().all(|c| c["difference"]["mean"] == 0.0), "the same code gives the same scores");

    let output = project.thawline(&["compare", "tiny@cccc", "tiny@bbbb"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("was not run at a commit `cccc`. It was at: bbbb2, aaaa1"), "{}", stderr(&output));
}

#[test]
fn records_alone_give_the_trials_and_a_report_back() {
    let project = Project::ran();
    text(&project, &["report", "tiny"]);
    let before = project.json(&["results", "tiny", "--format", "json"]);
    let records = |project: &Project| crate::support::files(&project.path("reports/tiny/trials"));
    let written = records(&project);
    assert_eq!(written.len(), 6, "a file a trial");

    let colleague = Project::new();
    for path in &written {
        let name = path.file_name().unwrap().to_str().unwrap();
        colleague.write(&format!("reports/tiny/trials/{name}"), fs::read(path).unwrap());
    }
    assert!(text(&colleague, &["import", "reports/tiny"]).starts_with("6 trials of `tiny`"));
    assert_eq!(colleague.json(&["results", "tiny", "--format", "json"]), before);
    let summary = colleague.json(&["report", "tiny", "--format", "json"]);
    assert_eq!(summary["comparisons"][0]["difference"]["basis"], "repeats", "there are no predictions here");
    assert_eq!(records(&colleague).len(), 6, "the same records");

    let first = written[0].file_name().unwrap().to_str().unwrap();
    colleague.write(&format!("reports/tiny/trials/{first}"), "{ \"experiment\": 1 }");
    let output = colleague.thawline(&["import", "reports/tiny"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is no record of a trial"), "{}", stderr(&output));
}
