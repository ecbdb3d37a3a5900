//! The `sweep` of an experiment or of an arm as it is written, and how it becomes that of one arm.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Params,
    diagnostic::{Fault, nearest, quote},
    domain::{self, Domain},
    locate::{NodePath, join, join_index},
    pipeline::check_literal,
    sweep::{Method, PARALLEL, Parameter, Sweep},
};

/// As written.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SweepFile {
    /// `grid`, `random`, `sobol`, `tpe`, `cma_es` or `gp`.
    method: Option<String>,
    /// Most configurations an arm may run.
    #[schemars(range(min = 1))]
    run_cap: Option<u64>,
    /// Of the search's own draws.
    seed: Option<u64>,
    /// Configurations that may be under way at once. It is part of the search, not of the machine: `-j` changes no result.
    #[schemars(range(min = 1, max = 1000))]
    parallel: Option<u32>,
    /// Known good points, tried first: values by parameter. What a point leaves out is drawn.
    #[schemars(with = "Vec<BTreeMap<String, Value>>")]
    enqueue: Vec<Value>,
    /// What is searched, by parameter.
    #[schemars(with = "BTreeMap<String, ParameterFile>")]
    parameters: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ParameterFile {
    /// The values that are tried.
    values: Option<Vec<Value>>,
    /// Entries that set several parameters at once.
    #[schemars(with = "Option<Vec<BTreeMap<String, Value>>>")]
    together: Option<Vec<Value>>,
    /// `uniform`, `log_uniform`, `int`, `q_uniform` or `normal`.
    distribution: Option<String>,
    /// Smallest value.
    min: Option<f64>,
    /// Largest value.
    max: Option<f64>,
    /// Distance between values of `q_uniform`.
    q: Option<f64>,
    /// Mean of `normal`.
    mu: Option<f64>,
    /// Standard deviation of `normal`.
    sigma: Option<f64>,
    /// Searched only where these parameters have these values: one, or a list of them.
    #[schemars(with = "BTreeMap<String, Value>")]
    when: Map<String, Value>,
    /// A parameter whose value multiplies this one.
    times: Option<String>,
}

/// Distributions with the settings that each takes.
const DISTRIBUTIONS: [(&str, &[&str]); 5] = [
    ("uniform", &["min", "max"]),
    ("log_uniform", &["min", "max"]),
    ("int", &["min", "max"]),
    ("q_uniform", &["min", "max", "q"]),
    ("normal", &["mu", "sigma"]),
];

/// A parameter as read, and where it is written.
#[derive(Clone)]
pub(super) struct Swept {
    pub parameter: Parameter,
    /// Of the parameter's key.
    pub key: NodePath,
}

impl Swept {
    /// Where its values are written: the list, or the range as a whole.
    pub fn place(&self) -> NodePath {
        match self.parameter.domain {
            Domain::Values(_) => join(&self.key, "values"),
            Domain::Together(_) => join(&self.key, "together"),
            _ => self.key.clone(),
        }
    }

    pub fn sets(&self, name: &str) -> bool {
        self.parameter.targets().contains(&name)
    }

    /// Without the targets that are not among `names`.
    pub fn narrowed(&self, names: &[String]) -> Swept {
        let mut narrowed = self.clone();
        if let Domain::Together(entries) = &mut narrowed.parameter.domain {
            entries.iter_mut().for_each(|entry| entry.retain(|key, _| names.contains(key)));
            let mut seen = HashSet::new();
            entries.retain(|entry| seen.insert(Value::Object(entry.clone()).to_string()));
        }
        narrowed
    }
}

/// A sweep as read, and where it is written.
#[derive(Default, Clone)]
pub(super) struct ReadSweep {
    path: NodePath,
    method: Option<Method>,
    run_cap: Option<u64>,
    seed: Option<u64>,
    parallel: Option<u32>,
    enqueue: Vec<(Value, NodePath)>,
    pub swept: Vec<Swept>,
    /// Something in it was wrong, so that what is missing may have been meant to be there.
    faulty: bool,
}

impl ReadSweep {
    pub fn new(file: Option<&SweepFile>, path: &NodePath, faults: &mut Vec<Fault>) -> ReadSweep {
        let Some(file) = file else { return ReadSweep::default() };
        let before = faults.len();
        let mut sweep = ReadSweep {
            path: path.clone(),
            method: file.method.as_deref().and_then(|name| method(name, path, faults)),
            run_cap: file.run_cap,
            seed: file.seed,
            parallel: file.parallel,
            ..ReadSweep::default()
        };
        let parameters = join(path, "parameters");
        for (name, written) in &file.parameters {
            let key = join(&parameters, name);
            // One that was reported and left out says nothing more.
            let Ok(written) = serde_json::from_value::<ParameterFile>(written.clone()) else { continue };
            let parameter = parameter(name, &written, &key, faults);
            sweep.swept.extend(parameter.map(|parameter| Swept { parameter, key }));
        }
        for (i, point) in file.enqueue.iter().enumerate() {
            let place = join_index(&join(path, "enqueue"), i);
            check_literal(point, &place, faults);
            sweep.enqueue.push((point.clone(), place));
        }
        sweep.faulty = faults.len() > before;
        sweep
    }

    pub fn sets(&self, name: &str) -> bool {
        self.swept.iter().any(|swept| swept.sets(name))
    }

    /// Every parameter that it names, with where.
    pub fn names(&self) -> impl Iterator<Item = (&str, NodePath)> {
        let swept = self.swept.iter().flat_map(|s| s.parameter.targets().into_iter().map(|name| (name, s.key.clone())));
        let queued = self.enqueue.iter().flat_map(|(point, place)| {
            point.as_object().into_iter().flat_map(Map::keys).map(|name| (name.as_str(), join(place, name)))
        });
        swept.chain(queued)
    }

    /// The sweep of one arm: `own` settings win over those of the experiment. `swept` are the parameters that are left after
    /// all that is fixed, `fixed` the values of the others.
    pub fn of_arm(
        own: &ReadSweep,
        shared: &ReadSweep,
        swept: Vec<Swept>,
        fixed: &Params,
        faults: &mut Vec<Fault>,
    ) -> Sweep {
        let method = own.method.or(shared.method).unwrap_or(Method::Grid);
        let run_cap = own.run_cap.or(shared.run_cap);
        let faulty = own.faulty || shared.faulty;
        let swept = in_order(swept, fixed, faults);
        if method == Method::Grid {
            for Swept { parameter, key } in swept.iter().filter(|swept| swept.parameter.domain.count().is_none()) {
                let message = format!("a grid cannot list the range of {}", quote(&parameter.name));
                faults.push(Fault::key(key, message).help(
                    "give `values`, or `distribution: q_uniform` with `q`, or search with `method: tpe` and a `run_cap`",
                ));
            }
        } else if run_cap.is_none() && !swept.is_empty() && !faulty {
            let place = if own.method.is_some() { &own.path } else { &shared.path };
            let message =
                format!("`method: {}` needs a `run_cap`: how many configurations an arm may run", method.name());
            faults.push(Fault::value(&join(place, "method"), message));
        }
        let numbers = swept.iter().any(|swept| swept.parameter.is_number());
        if method == Method::CmaEs && !swept.is_empty() && !numbers && !faulty {
            let place = if own.method.is_some() { &own.path } else { &shared.path };
            let message = "`cma_es` moves numbers, and no parameter here is a range without a condition";
            let help = "give a `distribution` instead of `values`, or search with `method: tpe` or `gp`, which take lists and conditions too";
            faults.push(Fault::value(&join(place, "method"), message).help(help));
        }
        let queue = if own.enqueue.is_empty() { &shared.enqueue } else { &own.enqueue };
        let queue = queue.iter().filter_map(|(point, place)| enqueued(point, place, &swept, fixed, faults));
        let enqueue = queue.collect();
        Sweep {
            method,
            run_cap,
            seed: own.seed.or(shared.seed).unwrap_or(0),
            parallel: own.parallel.or(shared.parallel).unwrap_or(PARALLEL) as usize,
            enqueue,
            parameters: swept.into_iter().map(|swept| swept.parameter).collect(),
        }
    }
}

fn method(name: &str, path: &NodePath, faults: &mut Vec<Fault>) -> Option<Method> {
    let found = Method::ALL.into_iter().find(|method| method.name() == name);
    if found.is_none() {
        let names = Method::ALL.map(Method::name);
        let message = match name {
            "bohb" | "hyperband" | "asha" | "screen" | "racing" => {
                format!("the method {} is not supported yet", quote(name))
            }
            other => format!("there is no method {}", quote(other)),
        };
        let help = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("supported: {}", names.map(|name| format!("`{name}`")).join(", ")),
        };
        faults.push(Fault::value(&join(path, "method"), message).help(help));
    }
    found
}

fn parameter(name: &str, file: &ParameterFile, key: &NodePath, faults: &mut Vec<Fault>) -> Option<Parameter> {
    let domain = match (&file.values, &file.together, &file.distribution) {
        (Some(values), None, None) => {
            let values = list(name, values, &join(key, "values"), faults)?;
            Domain::Values(values)
        }
        (None, Some(entries), None) => together(name, entries, &join(key, "together"), faults)?,
        (None, None, Some(distribution)) => range(name, file, distribution, key, faults)?,
        (None, None, None) => {
            let fault = Fault::key(key, format!("{} needs `values`, or a `distribution` with its range", quote(name)));
            let ranged = file.min.is_some() || file.max.is_some();
            faults.push(fault.help(if ranged {
                "say which: `distribution: uniform`, `log_uniform`, `int` or `q_uniform`"
            } else {
                "for example `values: [1, 2]` or `{ min: 0.001, max: 1, distribution: log_uniform }`"
            }));
            return None;
        }
        _ => {
            let message = format!("{} has more than one of `values`, `together` and `distribution`", quote(name));
            faults.push(Fault::key(key, message).help("keep one of them"));
            return None;
        }
    };
    if file.distribution.is_none() {
        for setting in ["min", "max", "q", "mu", "sigma"].into_iter().filter(|setting| file.has(setting)) {
            let message = format!("`{setting}` belongs to a `distribution`; {} is a list", quote(name));
            faults.push(Fault::key(&join(key, setting), message));
        }
    }
    let mut when = Vec::new();
    for (of, wanted) in &file.when {
        check_literal(wanted, &join(&join(key, "when"), of), faults);
        when.push((of.clone(), wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()])));
    }
    let numeric = match &domain {
        Domain::Values(values) => values.iter().all(Value::is_number),
        other => other.is_ordered(),
    };
    if file.times.is_some() && !numeric {
        faults.push(Fault::key(&join(key, "times"), format!("{} is no number, so `times` means nothing", quote(name))));
        return None;
    }
    Some(Parameter { name: name.to_owned(), domain, when, times: file.times.clone() })
}

impl ParameterFile {
    fn has(&self, setting: &str) -> bool {
        match setting {
            "min" => self.min.is_some(),
            "max" => self.max.is_some(),
            "q" => self.q.is_some(),
            "mu" => self.mu.is_some(),
            _ => self.sigma.is_some(),
        }
    }
}

/// Values that are not empty, each once, and literals.
pub(super) fn list(name: &str, values: &[Value], path: &NodePath, faults: &mut Vec<Fault>) -> Option<Vec<Value>> {
    if values.is_empty() {
        faults.push(Fault::value(path, format!("{} needs at least one value", quote(name))));
        return None;
    }
    let mut seen = HashSet::new();
    for (i, value) in values.iter().enumerate() {
        let place = join_index(path, i);
        if !seen.insert(value.to_string()) {
            faults.push(Fault::value(&place, format!("this value of {} appears twice", quote(name))));
        }
        check_literal(value, &place, faults);
    }
    Some(values.to_vec())
}

fn together(name: &str, entries: &[Value], path: &NodePath, faults: &mut Vec<Fault>) -> Option<Domain> {
    let entries = list(name, entries, path, faults)?;
    let maps: Vec<Params> = entries.iter().filter_map(Value::as_object).cloned().collect();
    let first = maps.first()?;
    for (i, map) in maps.iter().enumerate() {
        if let Some(missing) = first.keys().find(|key| !map.contains_key(*key)) {
            let message =
                format!("every entry of {} sets the same parameters; {} is missing", quote(name), quote(missing));
            faults.push(Fault::value(&join_index(path, i), message));
            return None;
        }
        if let Some(more) = map.keys().find(|key| !first.contains_key(*key)) {
            let message =
                format!("every entry of {} sets the same parameters; the first has no {}", quote(name), quote(more));
            faults.push(Fault::key(&join(&join_index(path, i), more), message));
            return None;
        }
    }
    if first.is_empty() {
        faults.push(Fault::value(&join_index(path, 0), format!("this entry of {} sets nothing", quote(name))));
        return None;
    }
    Some(Domain::Together(maps))
}

fn range(
    name: &str,
    file: &ParameterFile,
    distribution: &str,
    key: &NodePath,
    faults: &mut Vec<Fault>,
) -> Option<Domain> {
    let Some((_, takes)) = DISTRIBUTIONS.iter().find(|(known, _)| *known == distribution) else {
        let message = format!("there is no distribution {}", quote(distribution));
        let fault = Fault::value(&join(key, "distribution"), message);
        faults.push(fault.suggest(distribution, DISTRIBUTIONS.map(|(known, _)| known)));
        return None;
    };
    let before = faults.len();
    for missing in takes.iter().filter(|setting| !file.has(setting)) {
        faults.push(Fault::key(key, format!("`distribution: {distribution}` of {} needs `{missing}`", quote(name))));
    }
    for foreign in ["min", "max", "q", "mu", "sigma"].into_iter().filter(|s| file.has(s) && !takes.contains(s)) {
        let message = format!("`distribution: {distribution}` has no `{foreign}`; it takes {}", takes.join(", "));
        faults.push(Fault::key(&join(key, foreign), message));
    }
    if faults.len() > before {
        return None;
    }
    let at = |setting: &str| join(key, setting);
    if distribution == "normal" {
        let (mu, sigma) = (file.mu?, file.sigma?);
        if sigma <= 0.0 {
            faults.push(Fault::value(&at("sigma"), format!("`sigma` must be above 0, found {sigma}")));
            return None;
        }
        return Some(Domain::Normal { mu, sigma });
    }
    let (min, max) = (file.min?, file.max?);
    if min >= max {
        faults.push(Fault::value(&at("max"), format!("`max` must be above `min`: found {min} to {max}")));
        return None;
    }
    match distribution {
        "log_uniform" if min <= 0.0 => {
            let message = format!("`log_uniform` is of numbers above 0; `min` is {min}");
            faults
                .push(Fault::value(&at("min"), message).help("give the smallest value that makes sense, or `uniform`"));
            None
        }
        "log_uniform" => Some(Domain::LogUniform { min, max }),
        "int" => {
            for (setting, value) in [("min", min), ("max", max)] {
                if value.fract() != 0.0 || value.abs() > 9e15 {
                    faults.push(Fault::value(&at(setting), format!("`int` has whole ends, found {value}")));
                }
            }
            (faults.len() == before).then_some(Domain::Int { min: min as i64, max: max as i64 })
        }
        "q_uniform" => {
            let q = file.q?;
            if q <= 0.0 || q > max - min || (max - min) / q > 1e9 {
                let message = format!("`q` must be above 0 and fit between `min` and `max`, found {q}");
                faults.push(Fault::value(&at("q"), message));
                return None;
            }
            Some(Domain::Quantized { min, max, q })
        }
        _ => Some(Domain::Uniform { min, max }),
    }
}

/// What `when` and `times` name comes first; else as written.
fn in_order(swept: Vec<Swept>, fixed: &Params, faults: &mut Vec<Fault>) -> Vec<Swept> {
    for Swept { parameter, key } in &swept {
        let names = swept.iter().flat_map(|s| s.parameter.targets()).chain(fixed.keys().map(String::as_str));
        let unknown = |of: &str| !names.clone().any(|name| name == of);
        for (of, wanted) in &parameter.when {
            let place = join(&join(key, "when"), of);
            if unknown(of) {
                let message =
                    format!("{} depends on {}, which this arm does not have", quote(&parameter.name), quote(of));
                faults.push(Fault::key(&place, message).suggest(of, names.clone()));
                continue;
            }
            let values = swept.iter().find(|s| s.sets(of)).map(|s| s.parameter.values_of(of));
            for never in wanted.iter().filter(|wanted| match &values {
                Some(Some(values)) => !values.iter().any(|value| domain::same(value, wanted)),
                Some(None) => true,
                None => false,
            }) {
                let message = match &values {
                    Some(None) => format!("{} is a range; a condition needs a list of `values`", quote(of)),
                    _ => format!("{} is never {never}", quote(of)),
                };
                faults.push(Fault::value(&place, message));
            }
        }
        if let Some(of) = parameter.times.as_deref() {
            let number =
                |s: &Swept| s.parameter.values_of(of).is_none_or(|values| values.iter().all(|v| v.is_number()));
            let (what, place) =
                (format!("{} is multiplied by {}", quote(&parameter.name), quote(of)), join(key, "times"));
            match (swept.iter().find(|s| s.sets(of)), fixed.get(of)) {
                (Some(swept), _) if number(swept) => {}
                (None, Some(Value::Number(_))) => {}
                (None, None) => {
                    let fault = Fault::value(&place, format!("{what}, which this arm does not have"));
                    faults.push(fault.suggest(of, names.clone()));
                }
                _ => faults.push(Fault::value(&place, format!("{what}, which is no number"))),
            }
        }
    }
    let mut rest = swept;
    let mut ordered: Vec<Swept> = Vec::new();
    while !rest.is_empty() {
        let needs = |s: &Swept| {
            let named = s.parameter.when.iter().map(|(of, _)| of).chain(&s.parameter.times).cloned();
            named.collect::<Vec<String>>()
        };
        let free = rest.iter().position(|s| !needs(s).iter().any(|of| rest.iter().any(|other| other.sets(of))));
        let Some(free) = free else {
            let names: Vec<String> = rest.iter().map(|s| quote(&s.parameter.name)).collect();
            let message = format!("{} depend on each other", names.join(", "));
            faults.push(Fault::key(&rest[0].key, message).help("remove one `when` or `times`"));
            break;
        };
        ordered.push(rest.remove(free));
    }
    ordered
}

/// A point of `enqueue`, without what this arm does not search.
fn enqueued(
    point: &Value,
    place: &NodePath,
    swept: &[Swept],
    fixed: &Params,
    faults: &mut Vec<Fault>,
) -> Option<Params> {
    let point = point.as_object()?;
    let mut kept = Params::new();
    for (name, value) in point {
        let at = join(place, name);
        let Some(Swept { parameter, .. }) = swept.iter().find(|s| s.sets(name)) else { continue };
        let known = |of: &str| point.get(of).or_else(|| fixed.get(of));
        let belongs = match &parameter.domain {
            Domain::Together(entries) => {
                entries.iter().any(|entry| entry.get(name).is_some_and(|v| domain::same(v, value)))
            }
            domain => match (parameter.times.as_deref().map(|of| known(of).and_then(Value::as_f64)), value.as_f64()) {
                (None, _) => domain.unit(value).is_some(),
                (Some(Some(factor)), Some(value)) => domain.unit_of_quotient(value / factor).is_some(),
                _ => {
                    let message = format!("{} is a multiple; give the parameter that it multiplies too", quote(name));
                    faults.push(Fault::value(&at, message));
                    return None;
                }
            },
        };
        if !belongs {
            faults
                .push(Fault::value(&at, format!("this value of {} is not among those that are searched", quote(name))));
            return None;
        }
        kept.insert(name.clone(), value.clone());
    }
    (!kept.is_empty()).then_some(kept)
}
