//! How long a report of a large sweep takes.
//!
//!     cargo test --test it scale -- --ignored --nocapture

use std::time::Instant;

use rusqlite::{Connection, params};

use crate::support::{Project, stderr};

const EPOCHS: u32 = 100;
const METRICS: [&str; 10] = [
    "lr",
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "val/auroc",
    "val/ece",
    "val/macro_f1",
    "val/top_5",
    "val/log_loss",
];

/// Adds a run of `trials` trials, each with a training node of its own, to the index.
fn generate(index: &mut Connection, trials: usize) {
    let write = index.transaction().unwrap();
    write
        .execute(
            "INSERT INTO runs SELECT 1000, 'big', path, root, started, finished, status, pid, jobs, command, git_commit, git_diff, sources,
             json_set(context, '$.test_digests', json('[]')), nodes_total, nodes_cached, nodes_done, nodes_failed, eta FROM runs WHERE id = 1",
            [],
        )
        .unwrap();
    let outcome = |epochs: u32| {
        format!(
            r#"{{"metrics":{{}},"epochs":{epochs},"images_seen":9000,"trained_parameters":2562,"total_parameters":3373570,"notes":[]}}"#
        )
    };
    {
        let mut trial = write
            .prepare("INSERT INTO trials VALUES(1000, ?1, ?2, '{}', ?3, ?4, ?5, 'done', NULL, ?6, ?7, ?8, ?9)")
            .unwrap();
        let mut node = write
            .prepare("INSERT INTO nodes VALUES(?1, 'train_head', 'probe', '[]', ?1, 1, 0, ?2, 1.5, 1.5, 1, 1, 1000, 0)")
            .unwrap();
        let mut epoch = write.prepare("INSERT INTO epochs VALUES(?1, ?2, ?3, ?4)").unwrap();
        for i in 0..trials {
            let (key, arm, seed) = (format!("{i:032x}"), ["feature_extraction", "fine_tuning"][i % 2], i / 2 % 5);
            let configuration = format!("{:06x}", i / 10 * 2 + i % 2);
            let lr = 0.001 * (1 + i / 10) as f64;
            let metrics: Vec<String> = METRICS[3..]
                .iter()
                .map(|name| format!("\"{name}\":{}", 0.5 + (i * 7919 % 1000) as f64 / 2500.0))
                .collect();
            trial
                .execute(params![
                    format!("{arm}-{configuration}-s{seed}"),
                    arm,
                    configuration,
                    seed as i64,
                    format!(r#"{{"lr":{lr},"weight_decay":{},"epochs":100,"size":128}}"#, 1e-5 * (1 + i / 10 % 7) as f64),
                    i / 10 == 3,
                    format!("{{{}}}", metrics.join(",")),
                    r#"{"seconds":9.1,"cpu_seconds":9.9,"peak_memory_bytes":1347854336,"trained_parameters":2562,"total_parameters":3373570,"epochs":100,"images_seen":36000}"#,
                    format!(r#"[["photos","ffff"],["probe","{key}"]]"#),
                ])
                .unwrap();
            node.execute(params![key, outcome(EPOCHS)]).unwrap();
            for at in 1..=EPOCHS {
                for (m, metric) in METRICS.iter().enumerate() {
                    epoch.execute(params![key, at, metric, 1.0 / f64::from(at) + m as f64 + i as f64 * 1e-4]).unwrap();
                }
            }
        }
    }
    write.commit().unwrap();
}

fn report(trials: usize) {
    let project = Project::ran();
    let mut index = Connection::open(project.path(".thawline/index.sqlite")).unwrap();
    generate(&mut index, trials);
    drop(index);
    let start = Instant::now();
    let output = project.thawline(&["report", "big"]);
    let seconds = start.elapsed().as_secs_f64();
    assert!(output.status.success(), "{}", stderr(&output));
    // SAFETY: a plain struct of numbers is filled in.
    let peak = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage.ru_maxrss / 1024
    };
    let size = std::fs::metadata(project.path("reports/big/report.html")).unwrap().len();
    println!(
        "{trials} trials x {EPOCHS} epochs x {} metrics: {seconds:.2} s, peak {peak} MiB, report.html {size} bytes",
        METRICS.len()
    );
    assert!(size < 5_000_000);
}

#[test]
#[ignore = "generates ten million values; its figures are in docs/report.md"]
fn scale_of_a_thousand_and_of_ten_thousand_trials() {
    report(1_000);
    report(10_000);
}
