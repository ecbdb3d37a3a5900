//! Whether the `balance` of an `augment` stage fits what stands on it.

use std::sync::Arc;

use super::{
    diagnostic::{Fault, quote},
    locate::{NodePath, Step},
    pipeline::{Checked, MOST_STAGES},
};
use crate::stages::{Stage, augment::Balance, optimizer::ClassWeights};

/// What balances twice, or cannot be balanced, as (stage, fault).
pub fn check(stages: &[Arc<Checked>]) -> Vec<(usize, Fault)> {
    let mut faults = Vec::new();
    for (i, checked) in stages.iter().enumerate() {
        let path = |keys: &[&str]| -> NodePath { keys.iter().map(|key| Step::Key((*key).to_owned())).collect() };
        match &checked.stage {
            Some(Stage::Command(command)) => {
                for (input, stage) in &command.inputs {
                    if let Some((augment, _)) = balance_under(stages, &stage.0) {
                        let message = format!(
                            "a program weighs its classes itself: `balance` of {} would do nothing for it",
                            quote(augment)
                        );
                        let fault = Fault::value(&path(&["command", "inputs", input.as_str()]), message);
                        faults.push((i, fault.help("let it read views without `balance`")));
                    }
                }
            }
            Some(stage) if weighs(stage) => {
                if let Some((augment, balance)) = balance_under(stages, &checked.name)
                    && balance.tops_up()
                {
                    let message = format!(
                        "rare classes would count twice: {} has more of their images already, by its `balance`",
                        quote(augment)
                    );
                    let fault = Fault::key(&path(&[stage.kind().name, "class_weights"]), message);
                    faults.push((i, fault.help("remove one of them")));
                }
            }
            _ => {}
        }
    }
    faults
}

fn weighs(stage: &Stage) -> bool {
    let weights = match stage {
        Stage::TrainHead(params) => params.training.class_weights,
        Stage::FineTune(params) => params.training.class_weights,
        Stage::LrFind(params) => params.training.class_weights,
        _ => ClassWeights::None,
    };
    weights == ClassWeights::Balanced
}

/// The `augment` stage that a stage trains on, if it balances.
fn balance_under<'s>(stages: &'s [Arc<Checked>], name: &str) -> Option<(&'s str, Balance)> {
    let find = |name: &str| stages.iter().find(|stage| stage.name == name);
    let mut checked = find(name)?;
    for _ in 0..MOST_STAGES {
        if let Some(Stage::Augment(params)) = &checked.stage {
            return (params.balance != Balance::None).then_some((checked.name.as_str(), params.balance));
        }
        checked = find(checked.refers("features").or_else(|| checked.refers("images"))?)?;
    }
    None
}
