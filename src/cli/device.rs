//! What a run computes on: what is wanted, what is there.

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::{Common, Failure, ask, output, usage};
use crate::{
    device::{self, Device, Places, Wanted},
    protocol::{Question, Response},
};

/// Of the verbs that run or foretell a run.
#[derive(Debug, Clone, Copy, Args)]
pub struct Placement {
    /// Compute on `cpu`, on `cuda` (every GPU like the first), or on `cuda:N`; `auto` takes GPUs where they can be used.
    /// Results are of one class of device, and cached by it.
    #[arg(long, env = "THAWLINE_DEVICE", default_value = "auto", value_name = "auto|cpu|cuda|cuda:N")]
    device: Wanted,
}

impl Placement {
    /// The device. Who asks for a GPU and cannot have it is told at once; `auto` is content with the processor.
    pub fn device(self, common: &Common) -> Result<Device, Failure> {
        let remark = |line: String| {
            if common.verbose > 0 {
                output::remark(&line);
            }
        };
        let device = match self.device {
            Wanted::Cpu => Device::cpu(),
            Wanted::Auto if !device::has_driver() => {
                remark("there is no NVIDIA driver here".into());
                Device::cpu()
            }
            wanted => match gpus(wanted) {
                Ok(device) => device,
                Err(problem) if wanted == Wanted::Auto => {
                    remark(format!("not on a GPU: {problem:#}"));
                    Device::cpu()
                }
                Err(problem) => return Err(usage(problem.context("--device cuda cannot be had"))),
            },
        };
        remark(format!("device: {device}"));
        Ok(device)
    }
}

fn gpus(wanted: Wanted) -> Result<Device> {
    let libtorch = Places::of_environment().find()?;
    let question = Question::Gpus { libtorch: libtorch.clone() };
    let answer = ask::ask(&question).with_context(|| format!("using {}", libtorch.display()))?;
    let Response::Gpus(names) = answer else { return Err(anyhow!("the worker answered another question")) };
    Device::of_gpus(libtorch, &names, wanted)
}
