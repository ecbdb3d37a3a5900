//! `report.html`: one file that opens from disk with no network. The sections are those of `report.md`; a little script of our
//! own adds a trial table to sort and filter, parallel coordinates, and curves drawn by uPlot (MIT, bundled unchanged).

use serde_json::{Map, Value, json};

use super::{
    Row, Study, Summary,
    compare::on_test,
    document::{self, Section, escape_html},
    figures,
    parameters::{self, distinct},
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const UPLOT: &str = include_str!("uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("uplot/uPlot.min.css");

/// Numbers in all curves together: about 2 MB of text.
const CURVE_VALUES: usize = 300_000;

/// The whole page.
pub fn page(study: &Study, summary: &Summary, sections: &[Section]) -> String {
    let title = escape_html(&summary.experiment);
    let description =
        study.context.description.as_deref().map_or(String::new(), |d| format!("<p>{}</p>", escape_html(d.trim())));
    let links: Vec<String> =
        sections.iter().map(|section| format!("<a href=\"#{}\">{}</a>", section.id, section.title)).collect();
    let mut body = String::new();
    for section in sections {
        let content = match section.id {
            "trials" => EXPLORER.to_owned() + &document::html(&section.blocks[1..]),
            _ => document::html(&section.blocks),
        };
        body += &format!("<section id=\"{}\"><h2>{}</h2>\n{content}</section>\n", section.id, section.title);
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>{UPLOT_STYLE}\n{}{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1>{description}<nav aria-label=\"Sections\">{}</nav></header>\n\
         <main>\n{body}</main>\n<script type=\"application/json\" id=\"trial-data\">{}</script>\n<script>{UPLOT}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        figures::STYLE,
        links.join(""),
        inert(&data(study, summary))
    )
}

/// Filled in by the script.
const EXPLORER: &str = r#"<noscript><p class="note">Scripts are off: the trials are in <code>trials.csv</code>.</p></noscript>
<form id="filter" role="search" hidden><label>Filter <input id="query" type="search" placeholder="fine_tuning lr&gt;0.001" autocomplete="off" spellcheck="false" aria-describedby="count"></label> <output id="count"></output> <button type="reset">Clear</button></form>
<div id="parallel" class="scroll"></div>
<div class="scroll"><table id="explorer" aria-label="Trials"></table></div>
<p><button id="more" type="button" hidden>Show more</button></p>
<div id="curves" hidden><h3>Curves</h3><p><label>Metric <select id="metric"></select></label> <span>of the trials that are ticked</span></p><div id="plot"></div></div>
"#;

/// What no text in it can end the element it stands in.
fn inert(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Columns and rows of the trial table, and curves.
fn data(study: &Study, summary: &Summary) -> Value {
    let rows = &study.rows;
    let axes = distinct(rows.iter().flat_map(|row| row.facet.keys()));
    let params = parameters::differing(rows);
    let test = on_test(&summary.metric).filter(|name| rows.iter().any(|row| row.metrics.contains_key(name)));
    let metrics: Vec<&String> = std::iter::once(&summary.metric).chain(test.as_ref()).collect();
    let mut columns: Vec<Value> = vec![json!({ "name": "arm" })];
    columns.extend(axes.iter().chain(&params).map(|name| json!({ "name": name, "axis": true })));
    columns.push(json!({ "name": "seed" }));
    columns.extend(metrics.iter().map(|name| json!({ "name": name, "axis": true, "metric": true })));
    columns.extend([
        json!({ "name": "seconds", "axis": true }),
        json!({ "name": "status" }),
        json!({ "name": "trial" }),
    ]);
    let row = |row: &Row| {
        let mut cells = vec![json!(row.arm)];
        cells.extend(axes.iter().map(|name| cell(row.facet.get(name))));
        cells.extend(params.iter().map(|name| cell(row.params.get(name))));
        cells.push(json!(row.seed));
        cells.extend(
            metrics.iter().map(|name| row.metrics.get(*name).map_or(Value::Null, |value| json!(rounded(*value, 6)))),
        );
        let status = if row.selected { format!("{}, chosen", row.status.name()) } else { row.status.name().to_owned() };
        cells.extend([json!(rounded(row.cost.seconds, 4)), json!(status), json!(row.trial)]);
        Value::Array(cells)
    };
    json!({
        "columns": columns,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "arms": distinct(rows.iter().map(|row| &row.arm)),
        "chosen": rows.iter().enumerate().filter(|(_, row)| row.selected).map(|(i, _)| i).collect::<Vec<_>>(),
        "maximize": summary.goal == super::Goal::Maximize,
        "curves": curves(study),
    })
}

/// Numbers and text as they are; anything nested as text.
fn cell(value: Option<&Value>) -> Value {
    match value {
        None => Value::Null,
        Some(nested @ (Value::Array(_) | Value::Object(_))) => Value::String(nested.to_string()),
        Some(value) => value.clone(),
    }
}

/// `{trial: {metric: [values]}}`, chosen trials first, as long as there is room.
fn curves(study: &Study) -> Value {
    let mut order: Vec<&Row> = study.rows.iter().collect();
    order.sort_by_key(|row| !row.selected);
    let (mut all, mut values) = (Map::new(), 0);
    for row in order {
        if values > CURVE_VALUES {
            break;
        }
        let Some(curve) = study.evidence.curves.curve(&row.trial) else { continue };
        let names = distinct(curve.epochs.iter().flat_map(|point| point.metrics.keys()));
        values += names.len() * curve.epochs.len();
        let metric = |name: &String| {
            let values = curve.metric(name).into_iter().map(|v| v.map_or(Value::Null, |v| json!(rounded(v, 4))));
            (name.clone(), Value::Array(values.collect()))
        };
        all.insert(row.trial.clone(), Value::Object(names.iter().map(metric).collect()));
    }
    Value::Object(all)
}

/// To as many significant digits.
fn rounded(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(digits - 1 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_element() {
        let text = inert(&json!("</script><script>alert(1)</script>"));
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "</script><script>alert(1)</script>");
    }

    #[test]
    fn numbers_keep_their_significant_digits() {
        assert_eq!([0.123456, 123456.0, 0.0, -0.00012344].map(|v| rounded(v, 4)), [0.1235, 123500.0, 0.0, -0.0001234]);
    }
}
