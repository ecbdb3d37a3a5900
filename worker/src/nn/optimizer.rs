//! Optimisers over libtorch's fused kernels, with their state in our hands: saved and restored it goes on bit for bit,
//! and a block keeps its state from one phase to the next.

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char},
};

use anyhow::{Result, bail, ensure};
use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use thawline::stages::optimizer::Optimizer;

unsafe extern "C" {
    fn thawline_fused_sgd(
        parameters: *const *const C_tensor,
        grads: *const *const C_tensor,
        buffers: *const *const C_tensor,
        n: usize,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        nesterov: bool,
    ) -> *mut c_char;
    fn thawline_fused_adam(
        parameters: *const *const C_tensor,
        grads: *const *const C_tensor,
        exp_avgs: *const *const C_tensor,
        exp_avg_sqs: *const *const C_tensor,
        steps: *const *const C_tensor,
        n: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
        decoupled: bool,
    ) -> *mut c_char;
}

/// One tensor that trains: a leaf that requires gradients.
#[derive(Debug)]
pub struct Parameter {
    /// Names its state, `layer4.0.conv1.weight` for example.
    pub name: String,
    pub tensor: Tensor,
    /// On the learning rate of every step.
    pub lr_scale: f64,
    pub weight_decay: f64,
}

/// `torch.optim.SGD`, `Adam` or `AdamW`, each parameter with its own learning rate and weight decay.
#[derive(Debug)]
pub struct FusedOptimizer {
    rule: Optimizer,
    parameters: Vec<Parameter>,
    /// One slot a parameter for each of [`slots`], laid out in memory as the parameter is.
    state: Vec<Vec<Tensor>>,
}

/// What a rule remembers of each parameter, in PyTorch's names.
fn slots(rule: &Optimizer) -> &'static [&'static str] {
    match rule {
        Optimizer::Sgd { momentum: 0.0, .. } => &[],
        Optimizer::Sgd { .. } => &["momentum_buffer"],
        Optimizer::Adam { .. } | Optimizer::Adamw { .. } => &["exp_avg", "exp_avg_sq", "step"],
    }
}

impl FusedOptimizer {
    /// `kept` holds tensors by `<parameter>.<slot>` (see [`FusedOptimizer::state`]); a parameter that it holds completely goes
    /// on from there, every other starts fresh. The learning rate and weight decay inside `rule` are not read.
    ///
    /// # Errors
    /// When `rule` is impossible, or a kept tensor has another shape than its parameter.
    pub fn new(rule: Optimizer, parameters: Vec<Parameter>, kept: &BTreeMap<String, Tensor>) -> Result<FusedOptimizer> {
        rule.check().map_err(anyhow::Error::msg)?;
        let mut state = Vec::with_capacity(parameters.len());
        for parameter in &parameters {
            let names: Vec<String> = slots(&rule).iter().map(|slot| format!("{}.{slot}", parameter.name)).collect();
            let found: Option<Vec<&Tensor>> = names.iter().map(|name| kept.get(name)).collect();
            let mut tensors = Vec::with_capacity(names.len());
            for (i, slot) in slots(&rule).iter().enumerate() {
                let mut fresh = if *slot == "step" {
                    Tensor::f_zeros([] as [i64; 0], (Kind::Float, parameter.tensor.device()))?
                } else {
                    parameter.tensor.f_zeros_like()?.f_detach()?
                };
                if let Some(found) = &found {
                    let (found, expected) = (found[i].size(), fresh.size());
                    ensure!(found == expected, "optimiser state `{}` is {found:?}, expected {expected:?}", names[i]);
                }
                if let Some(found) = &found {
                    fresh.f_copy_(found[i])?;
                }
                tensors.push(fresh);
            }
            state.push(tensors);
        }
        Ok(FusedOptimizer { rule, parameters, state })
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Everything that [`FusedOptimizer::new`] needs to go on, by `<parameter>.<slot>`. The tensors share memory with the
    /// live ones.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let slots = slots(&self.rule);
        let named = self.parameters.iter().zip(&self.state).flat_map(|(parameter, tensors)| {
            slots
                .iter()
                .zip(tensors)
                .map(|(slot, tensor)| (format!("{}.{slot}", parameter.name), tensor.shallow_clone()))
        });
        named.collect()
    }

    /// Forgets all gradients.
    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            parameter.tensor.zero_grad();
        }
    }

    /// Scales the gradients so that their joint L2 norm is at most `max_norm`, and returns the norm that it was
    /// (`torch.nn.utils.clip_grad_norm_`).
    pub fn clip_grad_norm(&mut self, max_norm: f64) -> Result<f64> {
        let mut grads: Vec<Tensor> = self.parameters.iter().map(|p| p.tensor.grad()).filter(Tensor::defined).collect();
        if grads.is_empty() {
            return Ok(0.0);
        }
        let norms = grads.iter().map(|g| g.f_norm()).collect::<Result<Vec<_>, _>>()?;
        let total = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?;
        let scale = max_norm / (total + 1e-6);
        if scale < 1.0 {
            for grad in &mut grads {
                let _ = grad.f_mul_scalar_(scale)?;
            }
        }
        Ok(total)
    }

    /// One update at `lr` times each parameter's scale. A parameter without a gradient stays.
    pub fn step(&mut self, lr: f64) -> Result<()> {
        // Parameters that agree in both scalars share a call.
        let mut groups: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
        for (i, parameter) in self.parameters.iter().enumerate() {
            if parameter.tensor.grad().defined() {
                let key = ((lr * parameter.lr_scale).to_bits(), parameter.weight_decay.to_bits());
                groups.entry(key).or_default().push(i);
            }
        }
        for ((lr, weight_decay), members) in groups {
            self.step_group(f64::from_bits(lr), f64::from_bits(weight_decay), &members)?;
        }
        Ok(())
    }

    fn step_group(&self, lr: f64, weight_decay: f64, members: &[usize]) -> Result<()> {
        let grads: Vec<Tensor> = members.iter().map(|&i| self.parameters[i].tensor.grad()).collect();
        let grads: Vec<_> = grads.iter().map(Tensor::as_ptr).collect();
        let parameters: Vec<_> = members.iter().map(|&i| self.parameters[i].tensor.as_ptr()).collect();
        let slots: Vec<Vec<_>> = (0..slots(&self.rule).len())
            .map(|slot| members.iter().map(|&i| self.state[i][slot].as_ptr()).collect())
            .collect();
        let slot = |i: usize| slots.get(i).map_or(std::ptr::null(), |s: &Vec<_>| s.as_ptr());
        let (p, g, n) = (parameters.as_ptr(), grads.as_ptr(), members.len());
        // SAFETY: every array holds n pointers to tensors that live until the end of this function.
        let error = unsafe {
            match self.rule {
                Optimizer::Sgd { momentum, nesterov, .. } => {
                    thawline_fused_sgd(p, g, slot(0), n, lr, momentum, weight_decay, nesterov)
                }
                Optimizer::Adam { betas, eps, .. } | Optimizer::Adamw { betas, eps, .. } => {
                    let decoupled = matches!(self.rule, Optimizer::Adamw { .. });
                    let (beta1, beta2) = betas;
                    thawline_fused_adam(
                        p,
                        g,
                        slot(0),
                        slot(1),
                        slot(2),
                        n,
                        lr,
                        beta1,
                        beta2,
                        eps,
                        weight_decay,
                        decoupled,
                    )
                }
            }
        };
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: the shim returns a string from strdup, which is ours to free.
        let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
        unsafe { libc::free(error.cast()) };
        bail!("libtorch's fused optimiser: {}", text.lines().next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: usize = 20;

    fn wave(shape: &[i64], frequency: f64, phase: f64) -> Tensor {
        let n: i64 = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| (frequency * i as f64 + phase).sin() as f32).collect();
        Tensor::from_slice(&values).reshape(shape)
    }

    fn channels_last(x: Tensor) -> Tensor {
        x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
    }

    /// The parameters of scripts/reference/optimizers.py: the 4-d one in channels-last memory, the last at a fifth of the
    /// learning rate and without weight decay.
    fn parameters(weight_decay: f64) -> Vec<Parameter> {
        let parameter = |name: &str, tensor: Tensor, lr_scale, weight_decay| Parameter {
            name: name.into(),
            tensor: tensor.set_requires_grad(true),
            lr_scale,
            weight_decay,
        };
        vec![
            parameter("matrix", wave(&[3, 4], 0.3, 1.0), 1.0, weight_decay),
            parameter("kernel", channels_last(wave(&[2, 3, 2, 2], 0.7, 2.0)), 1.0, weight_decay),
            parameter("bias", wave(&[5], 1.1, 3.0), 0.2, 0.0),
        ]
    }

    fn step(optimizer: &mut FusedOptimizer, t: usize, lr: f64) {
        optimizer.zero_grad();
        let mut loss = Tensor::from(0f32);
        for (i, p) in optimizer.parameters().iter().enumerate() {
            loss += (&p.tensor * wave(&p.tensor.size(), 0.5 + i as f64, 0.37 * t as f64)).sum(Kind::Float);
        }
        loss.backward();
        optimizer.step(lr).unwrap();
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.detach().contiguous().reshape([-1]).try_into().unwrap()
    }

    fn rule(value: serde_json::Value) -> Optimizer {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn twenty_steps_match_pytorch() {
        let text = include_str!("../../../tests/reference/optimizers/steps.json");
        let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 6);
        for case in cases {
            let rule = rule(case["optimizer"].clone());
            let mut optimizer = FusedOptimizer::new(rule, parameters(rule.weight_decay()), &BTreeMap::new()).unwrap();
            (0..STEPS).for_each(|t| step(&mut optimizer, t, rule.lr().unwrap()));
            for parameter in optimizer.parameters() {
                let expected: Vec<f64> = serde_json::from_value(case["result"][&parameter.name].clone()).unwrap();
                let found = flat(&parameter.tensor);
                assert_eq!(found.len(), expected.len());
                for (a, b) in found.iter().zip(expected) {
                    assert!((f64::from(*a) - b).abs() < 1e-6, "{rule:?} {}: {a} {b}", parameter.name);
                }
            }
        }
    }

    #[test]
    fn saved_state_goes_on_bit_for_bit() {
        for case in [
            serde_json::json!({ "sgd": { "momentum": 0.9, "nesterov": true } }),
            serde_json::json!({ "adam": {} }),
            serde_json::json!({ "adamw": {} }),
        ] {
            let rule = rule(case);
            let fresh = || FusedOptimizer::new(rule, parameters(0.01), &BTreeMap::new()).unwrap();
            let mut straight = fresh();
            (0..10).for_each(|t| step(&mut straight, t, 0.05));

            let mut first = fresh();
            (0..4).for_each(|t| step(&mut first, t, 0.05));
            let kept: BTreeMap<String, Tensor> =
                first.state().into_iter().map(|(name, t)| (name, t.contiguous().copy())).collect();
            let parameters = first
                .parameters
                .drain(..)
                .map(|p| Parameter { tensor: p.tensor.detach().copy().set_requires_grad(true), ..p })
                .collect();
            let mut second = FusedOptimizer::new(rule, parameters, &kept).unwrap();
            (4..10).for_each(|t| step(&mut second, t, 0.05));
            for (a, b) in straight.parameters().iter().zip(second.parameters()) {
                assert_eq!(flat(&a.tensor), flat(&b.tensor), "{rule:?}");
            }
        }
    }

    #[test]
    fn clipping_is_pytorchs() {
        let tensor = Tensor::zeros([2], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let parameter = Parameter { name: "w".into(), tensor, lr_scale: 1.0, weight_decay: 0.0 };
        let mut optimizer =
            FusedOptimizer::new(rule(serde_json::json!({ "sgd": {} })), vec![parameter], &BTreeMap::new()).unwrap();
        (&optimizer.parameters()[0].tensor * Tensor::from_slice(&[3f32, 4.0])).sum(Kind::Float).backward();
        assert_eq!(optimizer.clip_grad_norm(1.0).unwrap(), 5.0);
        let clipped = flat(&optimizer.parameters()[0].tensor.grad());
        assert!((clipped[0] - 0.6).abs() < 1e-6 && (clipped[1] - 0.8).abs() < 1e-6, "{clipped:?}");
    }

    #[test]
    fn errors_come_back_as_text() {
        let nesterov = rule(serde_json::json!({ "sgd": { "nesterov": true } }));
        let error = FusedOptimizer::new(nesterov, Vec::new(), &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("momentum"), "{error}");
        let expanded = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu)).expand([3], false).set_requires_grad(true);
        let parameter = Parameter { name: "w".into(), tensor: expanded, lr_scale: 1.0, weight_decay: 0.0 };
        let mut optimizer =
            FusedOptimizer::new(rule(serde_json::json!({ "sgd": {} })), vec![parameter], &BTreeMap::new()).unwrap();
        optimizer.parameters()[0].tensor.sum(Kind::Float).backward();
        let error = optimizer.step(0.1).unwrap_err();
        assert!(error.to_string().contains("not dense"), "{error}");
    }
}
