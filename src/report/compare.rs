//! Reduces trials to the comparison: groups them by facet, arm and configuration, aggregates over seeds, and joins the
//! baseline.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use polars::{
    frame::PivotColumnNaming,
    prelude::{
        Column, DataFrame, DataType, Expr, Float64Chunked, IntoLazy, JoinArgs, JoinType, LazyFrame, col, cols, element,
        lit,
    },
};
use serde_json::Value;

use super::{
    ArmSummary, Configuration, Context, Counts, Difference, Estimate, Failure, Goal, MeanCost, Row, Status, Summary,
    frame, parameters,
    text::{self, NONE, Table},
    verdict::{Finding, Verdict},
};

/// The comparison that `rows` allow; pure.
///
/// # Errors
/// When the rows do not make a frame: two parameters of one name, for example.
pub fn summarize(rows: &[Row], context: &Context) -> Result<Summary> {
    let judged_by = judged_by(rows, &context.metric);
    let metrics: Vec<String> = frame::metrics(rows).into_iter().map(str::to_owned).collect();
    let trials = labelled(rows)?.lazy();
    let chosen = trials.clone().filter(col("selected").and(done()));

    let by_arm = Groups::collect(over_arms(trials.clone()), &["facet", "arm"])?;
    let by_configuration = Groups::collect(over_configurations(trials, &context.metric, &metrics), CONFIGURATION)?;
    let of_chosen = Groups::collect(over_chosen(chosen.clone(), &metrics), &["facet", "arm"])?;
    let paired = match &context.baseline {
        Some(baseline) if metrics.contains(&judged_by) => {
            let folds = rows.iter().any(|row| row.fold.is_some());
            Groups::collect(paired_differences(chosen, baseline, &judged_by, folds), &["facet", "arm"])?
        }
        _ => Groups::default(),
    };

    let arm_summary = |(facet, arm): (&BTreeMap<String, Value>, &String)| {
        let label = text::facet(facet);
        let key = [label.as_str(), arm];
        let estimates: BTreeMap<String, Estimate> =
            metrics.iter().filter_map(|name| Some((name.clone(), of_chosen.estimate(&key, name)?))).collect();
        let own = estimates.get(&judged_by).copied();
        let baseline = context.baseline.as_ref().and_then(|b| of_chosen.estimate(&[&label, b], &judged_by));
        let difference = if context.baseline.as_ref() == Some(arm) {
            None
        } else if context.paired {
            paired.estimate(&key, "difference").map(Difference::paired)
        } else {
            own.zip(baseline).map(|(own, baseline)| Difference::unpaired(own, baseline))
        };
        let verdict = match (&difference, &context.baseline) {
            (Some(difference), _) => Verdict::of(difference, context.goal, context.margin),
            (None, Some(baseline)) if baseline == arm => Verdict::Baseline,
            _ => Verdict::NotCompared,
        };
        let finding = Finding { arm, facet: &label, judged_by: &judged_by, own, baseline, difference, verdict };
        ArmSummary {
            sentence: finding.sentence(context),
            arm: arm.clone(),
            facet: facet.clone(),
            configuration: rows
                .iter()
                .find(|row| row.selected && row.arm == *arm && row.facet == *facet)
                .map(|row| row.configuration.clone()),
            configurations: by_arm.count(&key, "configurations"),
            trials: by_arm.counts(&key),
            metrics: estimates,
            difference,
            verdict,
            cost: of_chosen.cost(&key),
            search_seconds: by_arm.float(&key, "seconds").unwrap_or(0.0),
        }
    };
    let arms: Vec<ArmSummary> = arms_in_order(rows).into_iter().map(arm_summary).collect();
    let configurations = configurations(rows, &arms, &by_configuration, context);
    let failure = |row: &Row| Failure {
        trial: row.trial.clone(),
        arm: row.arm.clone(),
        seed: row.seed,
        error: row.error.clone().unwrap_or_else(|| "no reason was recorded".to_owned()),
    };
    let sum = |get: fn(&Counts) -> u64| arms.iter().map(|arm| get(&arm.trials)).sum();
    Ok(Summary {
        experiment: context.experiment.clone(),
        metric: context.metric.clone(),
        goal: context.goal,
        judged_by,
        baseline: context.baseline.clone(),
        margin: context.margin,
        paired: context.paired,
        commit: context.commit.clone(),
        dirty: context.dirty,
        seeds: context.seeds.clone(),
        trials: Counts { done: sum(|c| c.done), failed: sum(|c| c.failed), pending: sum(|c| c.pending) },
        alone_seconds: arms.iter().map(|arm| arm.search_seconds).sum(),
        arms,
        configurations,
        failed: rows.iter().filter(|row| row.status == Status::Failed).map(failure).collect(),
        notices: context.notices.clone(),
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

/// Each chosen trial minus the baseline's of the same facet value, fold and seed.
fn paired_differences(chosen: LazyFrame, baseline: &str, metric: &str, folds: bool) -> LazyFrame {
    let mut keys = vec![col("facet"), col("seed")];
    keys.extend(folds.then(|| col("fold")));
    let own = [keys.clone(), vec![col(metric).alias("baseline")]].concat();
    let baseline = chosen.clone().filter(col("arm").eq(lit(baseline))).select(own);
    chosen
        .join(baseline, keys.clone(), keys, JoinArgs::new(JoinType::Inner))
        .with_column((col(metric) - col("baseline")).alias("difference"))
        .group_by_stable([col("facet"), col("arm")])
        .agg(estimate("difference", col("difference")))
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

/// Every (facet value, arm), by facet value, in the order in which they first occur.
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
    facets.into_iter().flat_map(|(facet, arms)| arms.into_iter().map(move |arm| (facet, arm))).collect()
}

fn configurations(rows: &[Row], arms: &[ArmSummary], groups: &Groups, context: &Context) -> Vec<Configuration> {
    let differing = parameters::differing(rows);
    let mut seen: HashMap<(String, String), Vec<Configuration>> = HashMap::new();
    for row in rows {
        let label = text::facet(&row.facet);
        let key = [label.as_str(), &row.arm, &row.configuration];
        let of_arm = seen.entry((row.arm.clone(), label.clone())).or_default();
        if of_arm.iter().any(|known| known.configuration == row.configuration) {
            continue;
        }
        of_arm.push(Configuration {
            arm: row.arm.clone(),
            facet: row.facet.clone(),
            configuration: row.configuration.clone(),
            params: differing.iter().filter_map(|k| Some((k.clone(), row.params.get(k)?.clone()))).collect(),
            selected: groups.count(&key, "selected") == 1,
            trials: groups.counts(&key),
            estimate: groups.estimate(&key, "metric"),
        });
    }
    let worth = |configuration: &Configuration| match (configuration.estimate, context.goal) {
        (Some(estimate), Goal::Maximize) => estimate.mean,
        (Some(estimate), Goal::Minimize) => -estimate.mean,
        (None, _) => f64::NEG_INFINITY,
    };
    let of_arm = |arm: &ArmSummary| {
        let mut found = seen.remove(&(arm.arm.clone(), text::facet(&arm.facet))).unwrap_or_default();
        found.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        found
    };
    arms.iter().flat_map(of_arm).collect()
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
