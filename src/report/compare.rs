//! Reduces trials to the comparison: groups them by facet, arm and configuration, aggregates over seeds, and joins the
//! baseline.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
};

use anyhow::Result;
use polars::{
    frame::PivotColumnNaming,
    prelude::{Column, DataFrame, DataType, Expr, Float64Chunked, IntoLazy, LazyFrame, col, cols, element, lit},
};
use serde_json::Value;

use super::{
    ArmRanks, ArmSummary, Comparison, Configuration, Context, Counts, Estimate, Failure, Goal, MeanCost, Row, Status,
    Study, Summary, findings, frame, join, pairs, parameters, statistics,
    text::{self, NONE, Table},
    verdict::{self, Verdict},
};

/// The comparison that a study allows; pure.
///
/// # Errors
/// When the rows do not make a frame: two parameters of one name, for example.
pub fn summarize(study: &Study) -> Result<Summary> {
    let Study { rows, context, evidence, .. } = study;
    let judged_by = judged_by(rows, &context.metric);
    let metrics: Vec<String> = frame::metrics(rows).into_iter().map(str::to_owned).collect();
    let trials = labelled(rows)?.lazy();
    let chosen = trials.clone().filter(col("selected").and(done()));

    let by_arm = Groups::collect(over_arms(trials.clone()), &["facet", "arm"])?;
    let by_configuration = Groups::collect(over_configurations(trials, &context.metric, &metrics), CONFIGURATION)?;
    let of_chosen = Groups::collect(over_chosen(chosen, &metrics), &["facet", "arm"])?;
    let in_order = arms_in_order(rows);
    let comparisons = pairs::compare(study, &judged_by, &in_order);
    let configurations = configurations(rows, &in_order, &by_configuration, context);

    let arm_summary = |(facet, arm): &(&BTreeMap<String, Value>, &String)| {
        let label = text::facet(facet);
        let key = [label.as_str(), arm];
        let estimates: BTreeMap<String, Estimate> =
            metrics.iter().filter_map(|name| Some((name.clone(), of_chosen.estimate(&key, name)?))).collect();
        let against_baseline =
            |c: &&Comparison| c.arm == **arm && c.facet == **facet && context.baseline.as_ref() == Some(&c.against);
        let compared = comparisons.iter().find(against_baseline);
        let verdict = match compared {
            Some(comparison) => comparison.verdict,
            None if context.baseline.as_ref() == Some(arm) => Verdict::Baseline,
            None => Verdict::NotCompared,
        };
        let alone = || verdict::alone(arm, &label, &judged_by, estimates.get(&judged_by).copied(), verdict);
        let tried = configurations.iter().filter(|c| c.arm == **arm && c.facet == **facet);
        let scores: Vec<f64> = tried.filter_map(|c| Some(c.estimate?.mean)).collect();
        ArmSummary {
            sentence: compared.map_or_else(alone, |comparison| comparison.sentence.clone()),
            arm: (*arm).clone(),
            facet: (*facet).clone(),
            configuration: rows
                .iter()
                .find(|row| row.selected && row.arm == **arm && row.facet == **facet)
                .map(|row| row.configuration.clone()),
            configurations: by_arm.count(&key, "configurations"),
            expected_best: statistics::expected_best(&scores, context.goal == Goal::Maximize),
            trials: by_arm.counts(&key),
            metrics: estimates,
            difference: compared.map(|comparison| comparison.difference),
            verdict,
            cost: of_chosen.cost(&key),
            search_seconds: by_arm.float(&key, "seconds").unwrap_or(0.0),
        }
    };
    let arms: Vec<ArmSummary> = in_order.iter().map(arm_summary).collect();
    let failure = |row: &Row| Failure {
        trial: row.trial.clone(),
        arm: row.arm.clone(),
        seed: row.seed,
        error: row.error.clone().unwrap_or_else(|| "no reason was recorded".to_owned()),
    };
    let sum = |get: fn(&Counts) -> u64| arms.iter().map(|arm| get(&arm.trials)).sum();
    let epochs = rows.iter().filter(|row| row.status == Status::Done).map(|row| row.cost.epochs).sum();
    Ok(Summary {
        experiment: context.experiment.clone(),
        metric: context.metric.clone(),
        goal: context.goal,
        findings: findings::find(study, &judged_by, &in_order),
        ranks: ranks(&arms, &judged_by, context.goal),
        judged_by,
        baseline: context.baseline.clone(),
        margin: context.margin,
        paired: context.paired,
        commit: context.commit.clone(),
        dirty: context.dirty,
        seeds: context.seeds.clone(),
        trials: Counts { done: sum(|c| c.done), failed: sum(|c| c.failed), pending: sum(|c| c.pending) },
        alone_seconds: arms.iter().map(|arm| arm.search_seconds).sum(),
        alone_epochs: epochs,
        computed: evidence.computed(),
        arms,
        comparisons,
        configurations,
        failed: rows.iter().filter(|row| row.status == Status::Failed).map(failure).collect(),
        notices: context.notices.clone(),
        sealed: context.sealed.clone(),
        wall_seconds: context.wall_seconds,
        looks: context.looks,
        test_images: context.test_images,
    })
}

/// The metric on the test split: `test/accuracy` of `val/accuracy`.
pub fn on_test(metric: &str) -> Option<String> {
    metric.contains("val/").then(|| metric.replacen("val/", "test/", 1))
}

/// On test where a chosen configuration has been unsealed there, otherwise the metric itself.
fn judged_by(rows: &[Row], metric: &str) -> String {
    let unsealed = |name: &String| rows.iter().any(|row| row.selected && row.metrics.contains_key(name));
    on_test(metric).filter(unsealed).unwrap_or_else(|| metric.to_owned())
}

/// Of joined experiments: arms that all of them have, ranked inside each. `None` of anything else.
fn ranks(arms: &[ArmSummary], judged_by: &str, goal: Goal) -> Option<ArmRanks> {
    let mut experiments: Vec<&BTreeMap<String, Value>> = arms.iter().map(|arm| &arm.facet).collect();
    experiments.dedup();
    if !experiments.iter().all(|facet| join::is_experiment_axis(facet)) {
        return None;
    }
    let score = |facet: &BTreeMap<String, Value>, name: &String| {
        let of = arms.iter().find(|arm| arm.facet == *facet && arm.arm == *name)?;
        Some(of.metrics.get(judged_by)?.mean)
    };
    let names = parameters::distinct(arms.iter().map(|arm| &arm.arm));
    let names: Vec<String> =
        names.into_iter().filter(|name| experiments.iter().all(|facet| score(facet, name).is_some())).collect();
    let row = |facet: &&BTreeMap<String, Value>| names.iter().filter_map(|name| score(facet, name)).collect();
    let scores: Vec<Vec<f64>> = experiments.iter().map(row).collect();
    Some(ArmRanks { ranks: statistics::friedman(&scores, goal == Goal::Maximize)?, arms: names })
}

/// A row a parameter that chosen configurations do not share, whether its values differ or some do not have it; a column an arm.
pub fn differing(study: &Study) -> Table {
    let chosen: Vec<Row> = study.rows.iter().filter(|row| row.selected).cloned().collect();
    let arms = arms_in_order(&chosen);
    let mut header = vec!["parameter".to_owned()];
    let label = |(facet, arm): &(&BTreeMap<String, Value>, &String)| match text::facet(facet) {
        none if none.is_empty() => (*arm).clone(),
        facet => format!("{arm} ({facet})"),
    };
    header.extend(arms.iter().map(label));
    let value = |name: &String, &(facet, arm): &(&BTreeMap<String, Value>, &String)| {
        let of = chosen.iter().find(|row| row.arm == *arm && row.facet == *facet);
        of.and_then(|row| row.params.get(name)).map_or(NONE.to_owned(), text::value)
    };
    let row = |name: &String| std::iter::once(name.clone()).chain(arms.iter().map(|arm| value(name, arm))).collect();
    let names = parameters::distinct(chosen.iter().flat_map(|row| row.params.keys()));
    let rows = names.iter().map(row).filter(|cells: &Vec<String>| cells[1..].iter().any(|cell| *cell != cells[1]));
    Table { header, rows: rows.collect() }
}

const CONFIGURATION: &[&str] = &["facet", "arm", "configuration"];

/// All trials, with the facet values as one column of text.
fn labelled(rows: &[Row]) -> Result<DataFrame> {
    let mut frame = frame::trials(rows)?;
    frame
        .with_column(Column::new("facet".into(), rows.iter().map(|row| text::facet(&row.facet)).collect::<Vec<_>>()))?;
    Ok(frame)
}

fn done() -> Expr {
    col("status").eq(lit(Status::Done.name()))
}

/// Trials by status.
fn counts() -> Vec<Expr> {
    let count = |status: Status| col("status").eq(lit(status.name())).sum().alias(status.name());
    [Status::Done, Status::Failed, Status::Pending].map(count).to_vec()
}

/// `<name>.mean`, `<name>.std` and `<name>.n` over the trials of a group that have a value.
fn estimate(name: &str, values: Expr) -> [Expr; 3] {
    [
        values.clone().mean().alias(format!("{name}.mean")),
        values.clone().std(1).alias(format!("{name}.std")),
        values.count().alias(format!("{name}.n")),
    ]
}

fn over_arms(trials: LazyFrame) -> LazyFrame {
    let seconds = col("cost.seconds").filter(done()).sum().alias("seconds");
    let tried = col("status").neq(lit(Status::Pending.name()));
    let configurations = col("configuration").filter(tried).n_unique().alias("configurations");
    trials.group_by_stable([col("facet"), col("arm")]).agg([counts(), vec![configurations, seconds]].concat())
}

fn over_configurations(trials: LazyFrame, metric: &str, metrics: &[String]) -> LazyFrame {
    let mut aggregates = counts();
    aggregates.push(col("selected").any(true).alias("selected"));
    if metrics.iter().any(|name| name == metric) {
        aggregates.extend(estimate("metric", col(metric).filter(done())));
    }
    trials.group_by_stable(CONFIGURATION.iter().map(|key| col(*key)).collect::<Vec<_>>()).agg(aggregates)
}

fn over_chosen(chosen: LazyFrame, metrics: &[String]) -> LazyFrame {
    let mut aggregates: Vec<Expr> = metrics.iter().flat_map(|name| estimate(name, col(name.as_str()))).collect();
    aggregates
        .extend(["seconds", "cpu_seconds", "epochs", "images_seen"].map(|name| col(format!("cost.{name}")).mean()));
    aggregates.extend(
        ["peak_memory_bytes", "trained_parameters", "total_parameters"].map(|name| col(format!("cost.{name}")).max()),
    );
    chosen.group_by_stable([col("facet"), col("arm")]).agg(aggregates)
}

/// An aggregated frame: its numbers, by the keys of their row.
#[derive(Default)]
struct Groups {
    rows: HashMap<Vec<String>, usize>,
    columns: HashMap<String, Float64Chunked>,
}

impl Groups {
    fn collect(frame: LazyFrame, keys: &[&str]) -> Result<Groups> {
        let frame = frame.collect()?;
        let texts: Vec<_> = keys.iter().map(|key| Ok(frame.column(key)?.str()?)).collect::<Result<_>>()?;
        let key = |row| texts.iter().map(|column| column.get(row).unwrap_or_default().to_owned()).collect();
        let numbers = frame.columns().iter().filter(|column| column.dtype() != &DataType::String);
        let number = |column: &Column| Ok((column.name().to_string(), column.cast(&DataType::Float64)?.f64()?.clone()));
        Ok(Groups {
            rows: (0..frame.height()).map(|row| (key(row), row)).collect(),
            columns: numbers.map(number).collect::<Result<_>>()?,
        })
    }

    /// The number in that cell; `None` where there is no such group, column or value.
    fn float(&self, key: &[&str], column: &str) -> Option<f64> {
        let row = *self.rows.get(&key.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>())?;
        self.columns.get(column)?.get(row)
    }

    fn count(&self, key: &[&str], column: &str) -> u64 {
        self.float(key, column).unwrap_or(0.0) as u64
    }

    fn counts(&self, key: &[&str]) -> Counts {
        let count = |status: Status| self.count(key, status.name());
        Counts { done: count(Status::Done), failed: count(Status::Failed), pending: count(Status::Pending) }
    }

    fn estimate(&self, key: &[&str], name: &str) -> Option<Estimate> {
        let mean = self.float(key, &format!("{name}.mean"))?;
        Some(Estimate { mean, std: self.float(key, &format!("{name}.std")), n: self.count(key, &format!("{name}.n")) })
    }

    fn cost(&self, key: &[&str]) -> Option<MeanCost> {
        let cost = |name: &str| self.float(key, &format!("cost.{name}"));
        Some(MeanCost {
            seconds: cost("seconds")?,
            cpu_seconds: cost("cpu_seconds")?,
            peak_memory_bytes: cost("peak_memory_bytes")? as u64,
            trained_parameters: cost("trained_parameters")? as u64,
            total_parameters: cost("total_parameters")? as u64,
            epochs: cost("epochs")?,
            images_seen: cost("images_seen")?,
        })
    }
}

/// Every (facet value, arm): facet values in their own order, arms in the order in which they first occur.
fn arms_in_order(rows: &[Row]) -> Vec<(&BTreeMap<String, Value>, &String)> {
    let mut facets: Vec<(&BTreeMap<String, Value>, Vec<&String>)> = Vec::new();
    for row in rows {
        let at = facets.iter().position(|(facet, _)| **facet == row.facet).unwrap_or_else(|| {
            facets.push((&row.facet, Vec::new()));
            facets.len() - 1
        });
        if !facets[at].1.contains(&&row.arm) {
            facets[at].1.push(&row.arm);
        }
    }
    facets.sort_by(|(a, _), (b, _)| {
        let pairs = a.values().zip(b.values());
        let orders = pairs.map(|(x, y)| match (x.as_f64(), y.as_f64()) {
            (Some(x), Some(y)) => x.total_cmp(&y),
            _ => text::value(x).cmp(&text::value(y)),
        });
        orders.fold(Ordering::Equal, Ordering::then)
    });
    facets.into_iter().flat_map(|(facet, arms)| arms.into_iter().map(move |arm| (facet, arm))).collect()
}

fn configurations(
    rows: &[Row],
    arms: &[(&BTreeMap<String, Value>, &String)],
    groups: &Groups,
    context: &Context,
) -> Vec<Configuration> {
    let differing = parameters::differing(rows);
    let mut found: HashMap<(String, String), Vec<Configuration>> = HashMap::new();
    let mut seen = HashSet::new();
    for row in rows {
        let label = text::facet(&row.facet);
        if !seen.insert((label.clone(), &row.arm, &row.configuration)) {
            continue;
        }
        let key = [label.as_str(), &row.arm, &row.configuration];
        let configuration = Configuration {
            arm: row.arm.clone(),
            facet: row.facet.clone(),
            configuration: row.configuration.clone(),
            params: differing.iter().filter_map(|k| Some((k.clone(), row.params.get(k)?.clone()))).collect(),
            selected: groups.count(&key, "selected") == 1,
            trials: groups.counts(&key),
            estimate: groups.estimate(&key, "metric"),
        };
        found.entry((row.arm.clone(), label)).or_default().push(configuration);
    }
    let worth = |configuration: &Configuration| match (configuration.estimate, context.goal) {
        (Some(estimate), Goal::Maximize) => estimate.mean,
        (Some(estimate), Goal::Minimize) => -estimate.mean,
        (None, _) => f64::NEG_INFINITY,
    };
    let mut of_arm = |(facet, arm): &(&BTreeMap<String, Value>, &String)| {
        let mut found = found.remove(&((*arm).clone(), text::facet(facet))).unwrap_or_default();
        found.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        found
    };
    arms.iter().flat_map(&mut of_arm).collect()
}

/// Facet values in order, each with its arms.
pub fn by_facet(summary: &Summary) -> Vec<(String, Vec<&ArmSummary>)> {
    let mut facets: Vec<(String, Vec<&ArmSummary>)> = Vec::new();
    for arm in &summary.arms {
        let label = text::facet(&arm.facet);
        match facets.last_mut().filter(|(last, _)| *last == label) {
            Some((_, arms)) => arms.push(arm),
            None => facets.push((label, vec![arm])),
        }
    }
    facets
}

/// Arms down, facet values across.
pub fn side_by_side(summary: &Summary) -> Result<Table> {
    let column = |name: &str, get: &dyn Fn(&ArmSummary) -> String| {
        Column::new(name.into(), summary.arms.iter().map(get).collect::<Vec<_>>())
    };
    let cell = |arm: &ArmSummary| arm.metrics.get(&summary.judged_by).map_or(NONE.to_owned(), text::estimate);
    let long = DataFrame::new(
        summary.arms.len(),
        vec![
            column("arm", &|arm| arm.arm.clone()),
            column("facet", &|arm| text::facet(&arm.facet)),
            column("cell", &cell),
        ],
    )?;
    let facets = by_facet(summary).into_iter().map(|(label, _)| label).collect::<Vec<_>>();
    let facets = DataFrame::new(facets.len(), vec![Column::new("facet".into(), facets)])?;
    let wide = long
        .lazy()
        .pivot(
            cols(["facet"]),
            facets.into(),
            cols(["arm"]),
            cols(["cell"]),
            element().first(),
            true,
            "".into(),
            PivotColumnNaming::Auto,
        )
        .collect()?;
    let header: Vec<&str> = wide.get_column_names().into_iter().map(|name| name.as_str()).collect();
    let mut table = Table::new(&header);
    for row in 0..wide.height() {
        let cell = |column: &Column| Ok(column.str()?.get(row).unwrap_or(NONE).to_owned());
        table.rows.push(wide.columns().iter().map(cell).collect::<Result<_>>()?);
    }
    Ok(table)
}
