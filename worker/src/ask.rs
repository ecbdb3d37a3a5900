//! `thawline-worker ask`: one question about a network, answered without storing anything.

use anyhow::Result;
use thawline::protocol::{Question, Response};

use crate::{export, nn::device, predict, preview};

/// Answers a question.
pub fn answer(question: &Question) -> Response {
    respond(question).unwrap_or_else(|error| Response::Error(format!("{error:#}")))
}

fn respond(question: &Question) -> Result<Response> {
    Ok(match question {
        Question::Published { backbone, weights, images, top } => {
            Response::Predictions(predict::published(backbone, weights, images, *top)?)
        }
        Question::Trained { model, views, reading, images, top } => {
            let (views, reading) = (serde_json::from_value(views.clone())?, serde_json::from_value(reading.clone())?);
            Response::Predictions(predict::trained(model, &views, &reading, images, *top)?)
        }
        Question::Export { model, format, metadata, out } => {
            Response::Exported(export::export(model, *format, metadata, out)?)
        }
        Question::Gpus { libtorch } => Response::Gpus(device::gpus(libtorch)?),
        Question::Preview { dataset, sources, columns, images, sheet } => {
            let columns = columns.iter().map(|work| serde_json::from_value(work.clone())).collect::<Result<_, _>>()?;
            Response::Rows(preview::preview(dataset.clone(), sources, columns, *images, sheet)?)
        }
    })
}
