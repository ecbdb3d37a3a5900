//! `limits:` of an experiment, and the same on the command line: what a node may cost before it is ended.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::Fault,
    locate::{NodePath, join},
};
use crate::protocol::Limits;

/// What one node may cost. None of it changes a result, so none of it is in a key.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    /// Most time that a node may take, as `30m` or `2h`, or in seconds; then it fails.
    timeout: Option<NumberOrText>,
    /// How many times a node is started again whose worker was killed or crashed; it goes on from its checkpoint. Other failures are not repeated.
    #[schemars(range(min = 0, max = 100))]
    retries: Option<u32>,
    /// Most memory that a worker may fill, as `4GB`, or in bytes, mapped files aside; a node that needs more is ended and fails.
    max_memory: Option<NumberOrText>,
}

/// A number, or a number with a unit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl LimitsFile {
    pub(super) fn read(&self, path: &NodePath, faults: &mut Vec<Fault>) -> Limits {
        let mut value = |name: &str, given: &Option<NumberOrText>, parse: fn(&str) -> Result<f64, String>| {
            let read = match given.as_ref()? {
                NumberOrText::Number(number) => parse(&number.to_string()),
                NumberOrText::Text(text) => parse(text),
            };
            read.map_err(|message| faults.push(Fault::value(&join(path, name), message))).ok()
        };
        Limits {
            timeout: value("timeout", &self.timeout, duration),
            retries: self.retries,
            max_memory: value("max_memory", &self.max_memory, |text| size(text).map(|bytes| bytes as f64))
                .map(|bytes| bytes as u64),
        }
    }
}

/// Seconds of `8h`, `1h 30m`, `90s`; a bare number is in seconds.
///
/// # Errors
/// What is wrong, in words.
pub fn duration(text: &str) -> Result<f64, String> {
    let seconds = match text.trim().parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => humantime::parse_duration(text.trim())
            .map_err(|_| format!("`{text}` is no duration: write `90s`, `30m`, `8h` or `1h 30m`"))?
            .as_secs_f64(),
    };
    // More than a year is surely a mistake of the unit.
    if seconds > 0.0 && seconds < 366.0 * 86_400.0 {
        Ok(seconds)
    } else {
        Err(format!("`{text}` is not above 0 and below a year"))
    }
}

/// Bytes of `4GB`, `512MiB`; a bare number is in bytes.
///
/// # Errors
/// What is wrong, in words.
pub fn size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => f64::from(1 << 20),
        "gib" => f64::from(1 << 30),
        "tib" => 1024.0 * f64::from(1 << 30),
        _ => return Err(format!("`{text}` is no size: write `512MB`, `4GB` or `4GiB`")),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number * factor < 1e18 => Ok((number * factor) as u64),
        _ => Err(format!("`{text}` is no size: write `512MB`, `4GB` or `4GiB`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_as_people_write_them() {
        assert_eq!(duration("90"), Ok(90.0));
        assert_eq!(duration("1h 30m"), Ok(5400.0));
        assert_eq!(duration("8h"), Ok(28_800.0));
        assert_eq!(size("4GB"), Ok(4_000_000_000));
        assert_eq!(size("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(size("1000"), Ok(1000));
        for wrong in ["", "h", "-1h", "0", "4 parsecs", "1e400"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "GB", "-1GB", "0", "4 parsecs", "1e400GB", "1.2.3MB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
