//! Random initialisation of a backbone, as torchvision does it.

use thawline::{
    backbones::{ParameterSpec, Role},
    rng::Draws,
};

/// The values of one tensor, drawn by (seed, its name).
///
/// Convolutions: normal with variance 2 / fan_out (He et al. 2015; `kaiming_normal_(mode="fan_out")`), where fan_out is
/// outputs x kernel area. Normalisation: the identity.
pub fn values(spec: &ParameterSpec, seed: u64) -> Vec<f32> {
    let count = spec.shape.iter().product();
    match spec.role {
        Role::ConvWeight => {
            let fan_out = spec.shape[0] * spec.shape[2] * spec.shape[3];
            let std = (2.0 / fan_out as f64).sqrt();
            let mut draws = Draws::new(seed, &spec.name, 0, "init");
            (0..count).map(|_| (std * draws.normal()) as f32).collect()
        }
        Role::NormWeight | Role::RunningVar => vec![1.0; count],
        Role::ConvBias | Role::NormBias | Role::RunningMean => vec![0.0; count],
    }
}
