//! Random initialisation of a backbone, as its publisher does it.

use thawline::{
    backbones::{Initialization, ParameterSpec, Role},
    rng::Draws,
};

/// ConvNeXt's; DINOv2's own code starts at 1e-5, for training that is not done here.
const LAYER_SCALE: f32 = 1e-6;

/// The values of one tensor, drawn by (seed, its name).
pub fn values(spec: &ParameterSpec, initialization: Initialization, seed: u64) -> Vec<f32> {
    let count: usize = spec.shape.iter().product();
    let mut draws = Draws::new(seed, &spec.name, 0, "init");
    let normal = |draws: &mut Draws, std: f64| (0..count).map(|_| (std * draws.normal()) as f32).collect();
    let uniform = |draws: &mut Draws, bound: f64| (0..count).map(|_| draws.between(-bound, bound) as f32).collect();
    let fan_in = spec.shape.iter().skip(1).product::<usize>() as f64;
    // Outputs x kernel area, whatever the groups: `torch.nn.init` counts so.
    let fan_out = (spec.shape[0] * spec.shape.iter().skip(2).product::<usize>()) as f64;
    match (spec.role, initialization) {
        (Role::ConvWeight, Initialization::HeFanOut) => normal(&mut draws, (2.0 / fan_out).sqrt()),
        (Role::LinearWeight, Initialization::HeFanOut) => normal(&mut draws, 0.01),
        (Role::ConvWeight | Role::LinearWeight, Initialization::HeFanIn) => normal(&mut draws, (2.0 / fan_in).sqrt()),
        (Role::ConvWeight | Role::LinearWeight, Initialization::HeUniform) => {
            uniform(&mut draws, (6.0 / fan_in).sqrt())
        }
        (Role::ConvWeight | Role::LinearWeight, Initialization::FanIn) => uniform(&mut draws, fan_in.powf(-0.5)),
        (Role::ConvWeight | Role::LinearWeight, Initialization::Transformer)
        | (Role::ProjectionWeight | Role::Embedding, _) => normal(&mut draws, 0.02),
        (Role::NormWeight | Role::RunningVar, _) => vec![1.0; count],
        (Role::Bias | Role::NormBias | Role::RunningMean | Role::Buffer, _) => vec![0.0; count],
        (Role::LayerScale, _) => vec![LAYER_SCALE; count],
    }
}
