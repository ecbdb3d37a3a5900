//! Typed values that pass between stages, as folders of files. What an artifact *is* lives here; where it is kept is
//! `store`'s business and how it is made is `stages`'. No tch: a tensor is bytes with a shape until `nn` maps it.

pub mod activations;
pub mod dataset;
pub mod features;
pub mod learning_rate;
pub mod model;
pub mod predictions;
pub mod probabilities;
pub mod reading;
pub mod scores;
pub mod targets;
pub mod views;

pub use activations::Activations;
pub use dataset::{Dataset, Image, Split};
pub use features::Features;
pub use learning_rate::LearningRate;
pub use model::Model;
pub use predictions::Predictions;
pub use reading::Reading;
pub use scores::Scores;
pub use targets::SoftTargets;
pub use views::Views;
