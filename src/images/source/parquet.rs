//! Parquet files with image bytes in a column, as Hugging Face's datasets: a struct `{bytes, path}`, or the bytes alone.

use std::{
    collections::VecDeque,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use polars::prelude::{BinaryChunked, Column, DataType, ParallelStrategy, ParquetReader, SerReader};

use super::index;

/// Rows that are read at a time.
const SLICE: usize = 256;
/// Slices that are kept.
const KEPT: usize = 4;

/// One Parquet file, and the rows of it that were read last.
pub struct Parquet {
    path: PathBuf,
    rows: usize,
    recent: Mutex<VecDeque<(String, usize, Arc<BinaryChunked>)>>,
}

impl Parquet {
    /// # Errors
    /// When it is no Parquet file.
    pub fn open(path: &Path) -> Result<Parquet> {
        let rows = reader(path)?.num_rows().with_context(|| format!("Parquet file {}", path.display()))?;
        Ok(Parquet { path: path.to_path_buf(), rows, recent: Mutex::default() })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A column as text; of whole numbers in decimal.
    ///
    /// # Errors
    /// When there is no such column (the error lists those that there are), it is not of texts or numbers, or a value lacks.
    pub fn texts(&self, column: &str) -> Result<Vec<String>> {
        let read = || -> Result<Vec<String>> {
            let column = self.column(column, None)?;
            let plain = matches!(column.dtype(), DataType::String | DataType::Boolean) || column.dtype().is_integer();
            ensure!(plain, "it is of type {}: texts or whole numbers are read", column.dtype());
            let texts = column.cast(&DataType::String)?;
            let text = |(row, text): (usize, Option<&str>)| {
                text.map(str::to_owned).with_context(|| format!("row {row} has no value"))
            };
            texts.str()?.iter().enumerate().map(text).collect()
        };
        read().with_context(|| format!("column `{column}` of {}", self.path.display()))
    }

    /// Names of the classes that whole numbers in a column stand for, where the file says so as Hugging Face's datasets do.
    pub fn class_names(&self, column: &str) -> Option<Vec<String>> {
        let mut reader = reader(&self.path).ok()?;
        let pairs = reader.get_metadata().ok()?.key_value_metadata.as_ref()?;
        let text = pairs.iter().find(|pair| pair.key == "huggingface")?.value.as_ref()?;
        let info: serde_json::Value = serde_json::from_str(text).ok()?;
        let names = info.get("info")?.get("features")?.get(column)?.get("names")?.as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// `member` is the column and the row: `image/00017`.
    pub(super) fn read(&self, member: &str) -> Result<Vec<u8>> {
        let (column, row) = member.rsplit_once('/').context("a member is `<column>/<row>`")?;
        let row = index(row, self.rows)?;
        let bytes = self.slice(column, row / SLICE)?;
        let bytes = bytes.get(row % SLICE).context("the row holds no bytes: its image is elsewhere")?;
        Ok(bytes.to_vec())
    }

    /// Rows `number * SLICE` and on of a column of images. Neighbours are asked for together, so the last few are kept.
    fn slice(&self, column: &str, number: usize) -> Result<Arc<BinaryChunked>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, bytes)) = recent.iter().find(|(of, at, _)| of == column && *at == number) {
            return Ok(Arc::clone(bytes));
        }
        let read = self.column(column, Some((number * SLICE, SLICE)))?;
        let bytes = match read.dtype() {
            DataType::Binary => read.binary()?.clone(),
            DataType::Struct(_) => {
                let field = read.struct_()?.field_by_name("bytes");
                field.context("expected a struct of `bytes` and `path`")?.binary().context("`bytes`")?.clone()
            }
            other => bail!("column `{column}` is of type {other}: images are bytes, or a struct of `bytes` and `path`"),
        };
        let bytes = Arc::new(bytes);
        recent.push_back((column.to_string(), number, Arc::clone(&bytes)));
        if recent.len() > KEPT {
            recent.pop_front();
        }
        Ok(bytes)
    }

    fn column(&self, name: &str, rows: Option<(usize, usize)>) -> Result<Column> {
        let mut reader = reader(&self.path)?;
        let schema = reader.schema()?;
        if !schema.contains(name) {
            let names: Vec<&str> = schema.iter_names().map(|name| name.as_str()).collect();
            bail!("there is no column `{name}`; there are: {}", names.join(", "));
        }
        let reader = reader.with_columns(Some(vec![name.to_string()])).with_slice(rows);
        let frame = reader.read_parallel(ParallelStrategy::None).finish()?;
        Ok(frame.column(name)?.clone())
    }
}

fn reader(path: &Path) -> Result<ParquetReader<File>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    Ok(ParquetReader::new(file))
}
