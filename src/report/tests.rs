use serde_json::json;

use super::*;

/// (arm, lr, val and test accuracy a seed, chosen).
type Made<'a> = (&'a str, f64, &'a [(f64, Option<f64>)], bool);

fn rows(made: &[Made], facet: &BTreeMap<String, Value>) -> Vec<Row> {
    let row = |(arm, lr, selected): (&str, f64, bool), seed: usize, (val, test): (f64, Option<f64>)| {
        let params = json!({ "epochs": 25, "lr": lr, "hidden": [64], "unused_elsewhere": arm });
        let mut params: Map<String, Value> = params.as_object().cloned().unwrap_or_default();
        if arm != "fine_tuning" {
            params.remove("unused_elsewhere");
        }
        let mut metrics = BTreeMap::from([("val/accuracy".to_owned(), val), ("val/log_loss".to_owned(), 1.0 - val)]);
        if let Some(test) = test {
            metrics.insert("test/accuracy".to_owned(), test);
            metrics.insert("test/log_loss".to_owned(), 1.25 - test);
        }
        Row {
            trial: format!("{arm}-{lr}-{seed}"),
            arm: arm.to_owned(),
            facet: facet.clone(),
            fold: None,
            seed: seed as u64,
            configuration: format!("{arm}-{lr}"),
            params,
            status: Status::Done,
            error: None,
            metrics,
            selected,
            cost: Cost {
                seconds: 10.0 + seed as f64,
                cpu_seconds: 20.0,
                peak_memory_bytes: 700 << 20,
                trained_parameters: 3_371_024 / if arm == "fine_tuning" { 1 } else { 1000 },
                total_parameters: 3_373_586,
                epochs: 25,
                images_seen: 9000,
            },
        }
    };
    let trials = |&(arm, lr, scores, selected): &Made| {
        let one = |(seed, &score): (usize, &(f64, Option<f64>))| row((arm, lr, selected), seed, score);
        scores.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    made.iter().flat_map(trials).collect()
}

fn demo() -> Vec<Row> {
    let made: &[Made] = &[
        ("from_scratch", 0.01, &[(0.70, Some(0.71)), (0.72, Some(0.70)), (0.74, Some(0.75))], true),
        ("from_scratch", 0.1, &[(0.60, None), (0.61, None), (0.62, None)], false),
        ("fine_tuning", 0.001, &[(0.86, None), (0.85, None), (0.84, None)], false),
        ("fine_tuning", 0.003, &[(0.88, Some(0.86)), (0.87, Some(0.87)), (0.89, Some(0.88))], true),
    ];
    let mut rows = rows(made, &BTreeMap::new());
    rows[4].status = Status::Failed;
    rows[4].error = Some("the loss became NaN in epoch 3 | lr 0.1\nworker log: ...".to_owned());
    rows[4].metrics.clear();
    rows
}

fn context() -> Context {
    Context {
        experiment: "elpv-demo".to_owned(),
        file: "experiments/elpv-demo.yaml".to_owned(),
        description: Some("Does fine-tuning help on solar cells?".to_owned()),
        metric: "val/accuracy".to_owned(),
        goal: Goal::Maximize,
        baseline: Some("from_scratch".to_owned()),
        margin: Some(0.005),
        paired: true,
        commit: Some("0123456789abcdef".to_owned()),
        dirty: false,
        seeds: vec![0, 1, 2],
        folds: None,
        data: vec!["photos: 600 images of 2 classes (train 360, val 120, test 120), none dropped".to_owned()],
        notices: vec!["arm `from_scratch` does not declare `views`: that axis is dropped there".to_owned()],
        wall_seconds: 141.2,
        looks: Looks { models: 1, experiments: 1, unsealed: 0 },
        test_images: 120,
        sealed: None,
        provenance: Provenance::default(),
    }
}

/// Without predictions and curves.
fn study(rows: Vec<Row>, context: Context) -> Study {
    Study { context, rows, evidence: Evidence::default(), records: Vec::new() }
}

fn arm<'a>(summary: &'a Summary, name: &str) -> &'a ArmSummary {
    summary.arms.iter().find(|arm| arm.arm == name).expect("the arm is there")
}

#[test]
fn the_chosen_configurations_are_compared_pair_by_pair() {
    let summary = summarize(&study(demo(), context())).unwrap();
    assert_eq!(summary.judged_by, "test/accuracy");
    let tuned = arm(&summary, "fine_tuning");
    assert_eq!(tuned.configuration.as_deref(), Some("fine_tuning-0.003"));
    let test = tuned.metrics["test/accuracy"];
    assert!((test.mean - 0.87).abs() < 1e-12 && (test.std.unwrap() - 0.01).abs() < 1e-12 && test.n == 3);
    // Differences 0.15, 0.17, 0.13: mean 0.15, sample deviation 0.02; t(0.975, 2) = 4.302652729749462.
    let difference = tuned.difference.unwrap();
    let half = 4.302652729749462 * 0.02 / 3f64.sqrt();
    let [low, high] = difference.interval.unwrap();
    assert!((low - 0.15 + half).abs() < 1e-9 && (high - 0.15 - half).abs() < 1e-9, "{difference:?}");
    assert_eq!(tuned.verdict, Verdict::Better);
    assert_eq!(arm(&summary, "from_scratch").verdict, Verdict::Baseline);
    assert_eq!(arm(&summary, "from_scratch").configurations, 2);
    assert_eq!(summary.trials, Counts { done: 11, failed: 1, pending: 0 });
    assert_eq!(summary.failed[0].trial, "from_scratch-0.1-1");
    let tried: Vec<&str> = summary.configurations.iter().map(|c| c.configuration.as_str()).collect();
    assert_eq!(tried, ["from_scratch-0.01", "from_scratch-0.1", "fine_tuning-0.003", "fine_tuning-0.001"]);
    assert_eq!(summary.configurations[1].estimate.unwrap().n, 2, "failed trials do not count");
}

#[test]
fn pairs_are_trials_of_equal_seed_whatever_their_order() {
    let mut shuffled = demo();
    shuffled.reverse();
    shuffled.swap(0, 2);
    let of =
        |rows: &[Row]| arm(&summarize(&study(rows.to_vec(), context())).unwrap(), "fine_tuning").difference.unwrap();
    let (a, b) = (of(&demo()), of(&shuffled));
    assert!((a.mean - b.mean).abs() < 1e-12 && a.n == b.n);
    let missing: Vec<Row> = demo().into_iter().filter(|row| row.trial != "from_scratch-0.01-2").collect();
    assert_eq!(of(&missing).n, 2);
}

#[test]
fn verdicts_follow_the_interval_the_goal_and_the_margin() {
    let difference = |interval: Option<[f64; 2]>| Difference {
        mean: 0.0,
        interval,
        p: None,
        basis: Basis::Repeats,
        over_repeats: None,
        n: 3,
        images: 0,
        paired: true,
    };
    let of = |low, high, goal, margin| Verdict::of(&difference(Some([low, high])), Some(0.01), goal, margin);
    assert_eq!(of(0.01, 0.02, Goal::Maximize, None), Verdict::Better);
    assert_eq!(of(0.01, 0.02, Goal::Minimize, None), Verdict::Worse);
    assert_eq!(of(-0.02, -0.01, Goal::Maximize, None), Verdict::Worse);
    assert_eq!(of(-0.02, -0.01, Goal::Minimize, None), Verdict::Better);
    assert_eq!(of(-0.01, 0.02, Goal::Maximize, None), Verdict::Inconclusive);
    assert_eq!(of(-0.01, 0.02, Goal::Maximize, Some(0.03)), Verdict::Equivalent);
    assert_eq!(of(0.01, 0.02, Goal::Maximize, Some(0.03)), Verdict::Equivalent);
    assert_eq!(of(0.01, 0.04, Goal::Maximize, Some(0.03)), Verdict::Better);
    assert_eq!(of(0.0, 0.0, Goal::Maximize, None), Verdict::Inconclusive);
    assert_eq!(Verdict::of(&difference(None), None, Goal::Maximize, Some(1.0)), Verdict::Inconclusive);
    // Not so sure any more when all comparisons are counted.
    let adjusted = Verdict::of(&difference(Some([0.01, 0.02])), Some(0.07), Goal::Maximize, None);
    assert_eq!(adjusted, Verdict::Inconclusive);
}

#[test]
fn before_there_is_a_selection_nothing_is_compared() {
    let mut rows = demo();
    for row in &mut rows {
        row.selected = false;
        row.status = Status::Pending;
        row.metrics.clear();
    }
    let summary = summarize(&study(rows.clone(), context())).unwrap();
    assert_eq!(summary.judged_by, "val/accuracy");
    assert_eq!(summary.trials.pending, 12);
    assert!(summary.arms.iter().all(|arm| arm.difference.is_none() && arm.metrics.is_empty()));
    let sentence = &arm(&summary, "fine_tuning").sentence;
    assert_eq!(sentence, "`fine_tuning` has no val accuracy of a chosen configuration yet.");
    let dir = tempfile::tempdir().unwrap();
    write(&study(rows.clone(), context()), dir.path()).unwrap();
    write(&study(Vec::new(), context()), dir.path()).unwrap();
}

#[test]
fn one_seed_is_said_to_give_no_interval() {
    let rows: Vec<Row> = demo().into_iter().filter(|row| row.seed == 0).collect();
    let summary = summarize(&study(rows.clone(), context())).unwrap();
    let tuned = arm(&summary, "fine_tuning");
    assert_eq!((tuned.verdict, tuned.metrics["test/accuracy"].std), (Verdict::Inconclusive, None));
    assert!(tuned.sentence.contains("one seed gives no interval"), "{}", tuned.sentence);
}

#[test]
fn unpaired_arms_are_compared_by_welch() {
    let summary = summarize(&study(demo(), Context { paired: false, ..context() })).unwrap();
    let difference = arm(&summary, "fine_tuning").difference.unwrap();
    assert!(!difference.paired && difference.basis == Basis::Repeats && (difference.mean - 0.15).abs() < 1e-12);
    // scipy.stats.ttest_ind([0.86, 0.87, 0.88], [0.71, 0.70, 0.75], equal_var=False).confidence_interval(0.95)
    let [low, high] = difference.interval.unwrap();
    assert!((low - 0.09259343610725301).abs() < 1e-9 && (high - 0.2074065638927468).abs() < 1e-9, "{low} {high}");
}

#[test]
fn the_page_reads_like_this() {
    let dir = tempfile::tempdir().unwrap();
    write(&study(demo(), context()), dir.path()).unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(dir.path().join("report.md")).unwrap());
}

#[test]
fn the_terminal_reads_like_this() {
    insta::assert_snapshot!(terminal(
        &summarize(&study(demo(), context())).unwrap(),
        Screen { width: Some(120), colour: false }
    ));
}

fn facetted() -> Vec<Row> {
    let at = |fraction: f64| BTreeMap::from([("fraction".to_owned(), json!(fraction))]);
    let few: &[Made] = &[
        ("from_scratch", 0.01, &[(0.6, Some(0.61)), (0.6, Some(0.6))], true),
        ("fine_tuning", 0.003, &[(0.8, Some(0.81)), (0.8, Some(0.79))], true),
    ];
    let all: &[Made] = &[
        ("from_scratch", 0.1, &[(0.7, Some(0.71)), (0.7, Some(0.7))], true),
        ("fine_tuning", 0.003, &[(0.9, Some(0.91)), (0.9, Some(0.89))], true),
    ];
    [rows(few, &at(0.1)), rows(all, &at(1.0))].concat()
}

#[test]
fn facets_stand_side_by_side_and_are_compared_each_for_itself() {
    let summary = summarize(&study(facetted(), context())).unwrap();
    let wide = compare::side_by_side(&summary).unwrap();
    assert_eq!(wide.header, ["arm", "fraction = 0.1", "fraction = 1.0"]);
    assert_eq!(wide.rows[1], ["fine_tuning", "0.8000 ± 0.0141", "0.9000 ± 0.0141"]);
    let differences: Vec<f64> = summary.arms.iter().filter_map(|arm| Some(arm.difference?.mean)).collect();
    assert!((differences[0] - 0.195).abs() < 1e-12 && (differences[1] - 0.195).abs() < 1e-12, "{differences:?}");
    let facetted = study(facetted(), context());
    let page = page::markdown(&facetted, &page::sections(&facetted, &summary));
    assert!(page.contains("### fraction = 0.1\n") && page.contains("### fraction = 1.0\n"), "{page}");
}

#[test]
fn files_hold_every_column_with_what_differs_first() {
    use polars::prelude::{ParquetReader, SerReader};

    let dir = tempfile::tempdir().unwrap();
    write(&study(demo(), context()), dir.path()).unwrap();
    let frame = ParquetReader::new(std::fs::File::open(dir.path().join("trials.parquet")).unwrap()).finish().unwrap();
    assert_eq!(frame.height(), 12);
    let names: Vec<&str> = frame.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(names[..4], ["arm", "params.lr", "seed", "trial"]);
    assert_eq!(names[names.len() - 3..], ["params.epochs", "params.hidden", "params.unused_elsewhere"]);
    assert_eq!(frame.column("params.lr").unwrap().f64().unwrap().get(0), Some(0.01));
    assert_eq!(frame.column("test/accuracy").unwrap().f64().unwrap().null_count(), 6);
    let text = std::fs::read_to_string(dir.path().join("trials.csv")).unwrap();
    assert_eq!(text, table(&demo(), "val/accuracy", Format::Csv, None).unwrap());
    assert_eq!(csv::Reader::from_reader(text.as_bytes()).records().filter(Result::is_ok).count(), 12);
}

#[test]
fn results_as_json_have_a_row_a_trial() {
    let text = table(&demo(), "val/accuracy", Format::Json, Some("lr")).unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(list.len(), 12);
    let first = &list[0];
    assert_eq!(first["trial"], "fine_tuning-0.001-0");
    assert_eq!((&first["arm"], &first["seed"], &first["status"]), (&json!("fine_tuning"), &json!(0), &json!("done")));
    assert_eq!((&first["params"]["lr"], &first["metrics"]["val/accuracy"]), (&json!(0.001), &json!(0.86)));
    assert_eq!((&first["cost"]["seconds"], first["metrics"].get("test/accuracy")), (&json!(10.0), None));
}

#[test]
fn results_sort_the_best_first_and_the_missing_last() {
    let order = |key: &str| -> Vec<String> {
        let text = table(&demo(), "val/accuracy", Format::Json, Some(key)).unwrap();
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        list.iter().map(|row| row["trial"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let by_accuracy = order("val/accuracy");
    assert_eq!((by_accuracy[0].as_str(), by_accuracy[11].as_str()), ("fine_tuning-0.003-2", "from_scratch-0.1-1"));
    assert_eq!(order("val/log_loss"), by_accuracy, "a loss is better small");
    assert_eq!(order("seconds")[0], "from_scratch-0.01-0");
    let error = table(&demo(), "val/accuracy", Format::Table, Some("sede")).unwrap_err().to_string();
    assert!(error.starts_with("cannot sort by `sede`; did you mean `seed`?"), "{error}");
}

#[test]
fn tables_show_the_metric_and_the_key_they_are_sorted_by() {
    let text = table(&demo(), "val/accuracy", Format::Md, Some("val/log_loss")).unwrap();
    let header = text.lines().next().unwrap();
    assert_eq!(header, "| arm | lr | seed | status | val/accuracy | test/accuracy | val/log_loss | time | trial |");
    assert!(table(&demo(), "val/accuracy", Format::Table, None).unwrap().contains("done, chosen"));
}

#[test]
fn numbers_are_written_for_people() {
    assert_eq!([text::count(0), text::count(999), text::count(3_413_024)], ["0", "999", "3,413,024"]);
    assert_eq!(
        [text::duration(9.94), text::duration(125.2), text::duration(7300.0)],
        ["9.9 s", "2 min 05 s", "2 h 01 min"]
    );
    assert_eq!([text::memory(700 << 20), text::memory(3 << 30)], ["700 MiB", "3.0 GiB"]);
    assert_eq!([text::mean_count(25.0), text::mean_count(7.5)], ["25", "7.5"]);
}

mod studies;
