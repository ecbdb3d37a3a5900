//! The journal of searches: what each suggested, in order, and was told. A resumed search replays it.

use anyhow::Result;
use rusqlite::params;
use serde_json::{Map, Value};

use super::{Store, nodes::json, now};

pub(super) const MIGRATION: &str = r#"
CREATE TABLE searches(
    id INTEGER PRIMARY KEY, experiment TEXT NOT NULL, arm TEXT NOT NULL, facet TEXT NOT NULL, method TEXT NOT NULL, seed INTEGER NOT NULL,
    UNIQUE(experiment, arm, facet, method, seed)
);
-- `recipe` names the results that the parameters had: other stages, images or versions make another suggestion of it.
CREATE TABLE suggestions(
    id INTEGER PRIMARY KEY, search INTEGER NOT NULL REFERENCES searches(id), params TEXT NOT NULL, recipe TEXT NOT NULL, asked REAL NOT NULL,
    value REAL, told REAL, UNIQUE(search, params, recipe)
);
"#;

/// One search: another method or seed is another search, another space is not.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchName {
    pub experiment: String,
    pub arm: String,
    /// In cross-validation with the outer fold's number, as `(fold)`.
    pub facet: Map<String, Value>,
    pub method: String,
    pub seed: u64,
}

/// A configuration that a search suggested.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggested {
    /// All of the pipeline's parameters.
    pub params: Map<String, Value>,
    pub recipe: String,
    /// Once it was told: the value, or `None` inside when there was none.
    pub told: Option<Option<f64>>,
}

impl Store {
    /// What a search has suggested so far, in order.
    pub fn suggestions(&self, search: &SearchName) -> Result<Vec<Suggested>> {
        let mut query = self.db.prepare_cached(
            "SELECT params, recipe, value, told IS NOT NULL FROM suggestions WHERE search =
             (SELECT id FROM searches WHERE experiment = ?1 AND arm = ?2 AND facet = ?3 AND method = ?4 AND seed = ?5) ORDER BY id",
        )?;
        let facet = serde_json::to_string(&search.facet)?;
        let name = params![search.experiment, search.arm, facet, search.method, search.seed as i64];
        let rows = query.query_map(name, |row| {
            let value: Option<f64> = row.get(2)?;
            Ok(Suggested { params: json(row, 0)?, recipe: row.get(1)?, told: row.get::<_, bool>(3)?.then_some(value) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds suggestions to the ends of their searches, and notes what is told of those that are there.
    pub fn record_suggestions(&mut self, journal: &[(SearchName, Suggested)]) -> Result<()> {
        if journal.is_empty() {
            return Ok(());
        }
        self.write(|db| {
            for (search, suggested) in journal {
                let (facet, params) = (serde_json::to_string(&search.facet)?, serde_json::to_string(&suggested.params)?);
                let name = params![search.experiment, search.arm, facet, search.method, search.seed as i64];
                db.prepare_cached(
                    "INSERT OR IGNORE INTO searches(experiment, arm, facet, method, seed) VALUES(?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(name)?;
                let id: i64 = db
                    .prepare_cached(
                        "SELECT id FROM searches WHERE experiment = ?1 AND arm = ?2 AND facet = ?3 AND method = ?4 AND seed = ?5",
                    )?
                    .query_row(name, |row| row.get(0))?;
                db.prepare_cached("INSERT OR IGNORE INTO suggestions(search, params, recipe, asked) VALUES(?1, ?2, ?3, ?4)")?
                    .execute(params![id, params, suggested.recipe, now()])?;
                if let Some(value) = suggested.told {
                    db.prepare_cached(
                        "UPDATE suggestions SET value = ?4, told = ?5 WHERE search = ?1 AND params = ?2 AND recipe = ?3",
                    )?
                    .execute(params![id, params, suggested.recipe, value, now()])?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn suggestions_come_back_in_order_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let search = |arm: &str, seed| SearchName {
            experiment: "e".into(),
            arm: arm.into(),
            facet: Map::from_iter([("fraction".into(), json!(0.1))]),
            method: "tpe".into(),
            seed,
        };
        let suggested = |lr: f64, recipe: &str, told| Suggested {
            params: Map::from_iter([("lr".into(), json!(lr))]),
            recipe: recipe.into(),
            told,
        };
        let record = |store: &mut Store, entries: &[Suggested]| {
            let entries: Vec<_> = entries.iter().map(|entry| (search("a", 0), entry.clone())).collect();
            store.record_suggestions(&entries).unwrap();
        };
        record(&mut store, &[suggested(0.3, "x", None), suggested(0.1, "x", None), suggested(0.2, "x", None)]);
        record(
            &mut store,
            &[suggested(0.1, "x", Some(Some(0.5))), suggested(0.3, "y", None), suggested(0.3, "x", Some(None))],
        );
        let expected = [
            suggested(0.3, "x", Some(None)),
            suggested(0.1, "x", Some(Some(0.5))),
            suggested(0.2, "x", None),
            suggested(0.3, "y", None),
        ];
        assert_eq!(store.suggestions(&search("a", 0)).unwrap(), expected);
        assert!(store.suggestions(&search("b", 0)).unwrap().is_empty());
        assert!(store.suggestions(&search("a", 1)).unwrap().is_empty());
    }
}
