//! Every prediction that [`Scores`] come from, one row an image.
//!
//! File: `predictions.parquet` with the columns `id`, `path`, `label` and `predicted` (class names), and `p_<class>` for
//! every class, f64. The same predictions give the same bytes.
//!
//! [`Scores`]: super::Scores

use std::{fs::File, path::Path};

use anyhow::{Context, Result, ensure};
use polars::prelude::{Column, DataFrame, ParquetReader, ParquetWriter, SerReader};

/// What a model said of one split, in `Dataset::rows` order.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    pub classes: Vec<String>,
    pub ids: Vec<String>,
    pub paths: Vec<String>,
    /// Indices into `classes`.
    pub labels: Vec<u32>,
    /// Indices into `classes`: the most probable one, the first of equals.
    pub predicted: Vec<u32>,
    /// Row-major [images, classes].
    pub probabilities: Vec<f64>,
}

impl Predictions {
    pub const FILE: &str = "predictions.parquet";

    pub fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(Self::FILE);
        let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        ParquetWriter::new(file).finish(&mut self.frame()?).with_context(|| format!("writing {}", path.display()))?;
        Ok(())
    }

    pub fn read(dir: &Path) -> Result<Predictions> {
        let path = dir.join(Self::FILE);
        let file = File::open(&path).with_context(|| format!("reading {}", path.display()))?;
        let frame = ParquetReader::new(file).finish().with_context(|| format!("reading {}", path.display()))?;
        Self::from_frame(&frame).with_context(|| format!("{} is no predictions file", path.display()))
    }

    fn frame(&self) -> Result<DataFrame> {
        let (rows, width) = (self.ids.len(), self.classes.len());
        ensure!(
            [self.paths.len(), self.labels.len(), self.predicted.len()] == [rows; 3]
                && self.probabilities.len() == rows * width,
            "predictions of {rows} images are not all of that length"
        );
        let names = |indices: &[u32]| -> Result<Vec<&str>> {
            let name = |&i: &u32| self.classes.get(i as usize).map(String::as_str);
            indices.iter().map(name).collect::<Option<_>>().context("a label is none of the classes")
        };
        let mut columns = vec![
            Column::new("id".into(), &self.ids),
            Column::new("path".into(), &self.paths),
            Column::new("label".into(), names(&self.labels)?),
            Column::new("predicted".into(), names(&self.predicted)?),
        ];
        for (c, class) in self.classes.iter().enumerate() {
            let probabilities: Vec<f64> = self.probabilities.iter().skip(c).step_by(width).copied().collect();
            columns.push(Column::new(format!("p_{class}").into(), probabilities));
        }
        Ok(DataFrame::new(rows, columns)?)
    }

    fn from_frame(frame: &DataFrame) -> Result<Predictions> {
        let text = |name: &str| -> Result<Vec<String>> {
            let values = frame.column(name)?.str()?;
            values.iter().map(|v| v.map(str::to_owned).with_context(|| format!("`{name}` has an empty cell"))).collect()
        };
        let columns = frame.get_column_names();
        let classes: Vec<String> =
            columns.iter().filter_map(|name| Some(name.strip_prefix("p_")?.to_owned())).collect();
        let indices = |name: &str| -> Result<Vec<u32>> {
            let index = |class: String| {
                let at = classes.iter().position(|c| *c == class);
                at.map(|at| at as u32).with_context(|| format!("there is no column `p_{class}`"))
            };
            text(name)?.into_iter().map(index).collect()
        };
        let mut probabilities = vec![0.0; frame.height() * classes.len()];
        for (c, class) in classes.iter().enumerate() {
            for (row, value) in frame.column(&format!("p_{class}"))?.f64()?.iter().enumerate() {
                probabilities[row * classes.len() + c] = value.context("a probability is missing")?;
            }
        }
        Ok(Predictions {
            ids: text("id")?,
            paths: text("path")?,
            labels: indices("label")?,
            predicted: indices("predicted")?,
            probabilities,
            classes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(rows: usize) -> Predictions {
        let classes = vec!["functional".to_owned(), "défect, \"big\"".to_owned(), "p_x".to_owned()];
        let draw = |i: usize| crate::rng::Draws::new(1, "", i as u64, "test").uniform();
        Predictions {
            classes,
            ids: (0..rows).map(|i| format!("{i:032x}")).collect(),
            paths: (0..rows).map(|i| format!("images/cell{i}.png")).collect(),
            labels: (0..rows).map(|i| i as u32 % 3).collect(),
            predicted: (0..rows).map(|i| i as u32 / 2 % 3).collect(),
            probabilities: (0..3 * rows).map(draw).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for rows in [0, 1, 500] {
            let dir = tempfile::tempdir().unwrap();
            predictions(rows).write(dir.path()).unwrap();
            assert_eq!(Predictions::read(dir.path()).unwrap(), predictions(rows));
        }
    }

    #[test]
    fn the_same_predictions_give_the_same_bytes() {
        let bytes = |_| {
            let dir = tempfile::tempdir().unwrap();
            predictions(3000).write(dir.path()).unwrap();
            std::fs::read(dir.path().join(Predictions::FILE)).unwrap()
        };
        let all: Vec<Vec<u8>> = (0..4).map(bytes).collect();
        assert!(all.iter().all(|other| *other == all[0]));
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(Predictions::FILE), b"PAR1 but not really").unwrap();
        let error = format!("{:#}", Predictions::read(dir.path()).unwrap_err());
        assert!(error.contains("predictions.parquet"), "{error}");
    }
}
