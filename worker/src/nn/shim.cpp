// What tch does not expose of libtorch: fused optimiser kernels, and strict ones on a GPU. Every function of an optimiser returns null, or the text of the error in
// memory that the caller frees. Parameters must be dense, in any layout; states must share their parameter's layout.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>

#include <vector>

#include "guarded.h"

namespace {

using Tensors = at::Tensor *const *;

// The kernels walk raw memory, so each tensor goes in as the flat run of its memory, laid out as its parameter is.
std::vector<at::Tensor> flat(Tensors tensors, Tensors parameters, size_t n) {
    std::vector<at::Tensor> out;
    out.reserve(n);
    for (size_t i = 0; i < n; i++) {
        at::Tensor tensor = tensors[i]->detach();
        const at::Tensor &parameter = *parameters[i];
        TORCH_CHECK(parameter.is_non_overlapping_and_dense(), "parameter ", i, " is not dense in memory");
        TORCH_CHECK(tensor.sizes() == parameter.sizes(), "shape ", tensor.sizes(), " against ", parameter.sizes());
        if (tensor.strides() != parameter.strides()) {
            tensor = at::empty_like(parameter.detach()).copy_(tensor);
        }
        out.push_back(tensor.as_strided({tensor.numel()}, {1}));
    }
    return out;
}

} // namespace

// torch.optim.SGD without dampening. Without momentum `buffers` is not read; otherwise it starts as zeros, which makes the
// first step the same as later ones.
extern "C" char *thawline_fused_sgd(Tensors parameters, Tensors grads, Tensors buffers, size_t n, double lr,
                                    double momentum, double weight_decay, bool nesterov) {
    return guarded([&] {
        at::NoGradGuard no_grad;
        std::vector<at::Tensor> momenta;
        if (momentum != 0.0) {
            momenta = flat(buffers, parameters, n);
        }
        at::_fused_sgd_(flat(parameters, parameters, n), flat(grads, parameters, n), momenta, weight_decay, momentum, lr,
                        /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false);
    });
}

// torch.optim.Adam, or with `decoupled` torch.optim.AdamW. `steps` are f32 scalars that count the steps taken.
extern "C" char *thawline_fused_adam(Tensors parameters, Tensors grads, Tensors exp_avgs, Tensors exp_avg_sqs,
                                     Tensors steps, size_t n, double lr, double beta1, double beta2, double eps,
                                     double weight_decay, bool decoupled) {
    return guarded([&] {
        at::NoGradGuard no_grad;
        std::vector<at::Tensor> counts;
        for (size_t i = 0; i < n; i++) {
            steps[i]->add_(1);
            counts.push_back(*steps[i]);
        }
        auto kernel = decoupled ? [](at::TensorList p, at::TensorList g, at::TensorList m, at::TensorList v,
                                     at::TensorList s, double lr, double b1, double b2, double wd, double eps) {
            at::_fused_adamw_(p, g, m, v, {}, s, lr, b1, b2, wd, eps, /*amsgrad=*/false, /*maximize=*/false);
        } : [](at::TensorList p, at::TensorList g, at::TensorList m, at::TensorList v, at::TensorList s, double lr,
               double b1, double b2, double wd, double eps) {
            at::_fused_adam_(p, g, m, v, {}, s, lr, b1, b2, wd, eps, /*amsgrad=*/false, /*maximize=*/false);
        };
        kernel(flat(parameters, parameters, n), flat(grads, parameters, n), flat(exp_avgs, parameters, n),
               flat(exp_avg_sqs, parameters, n), counts, lr, beta1, beta2, weight_decay, eps);
    });
}

// On a GPU, libtorch would round the factors of convolutions to 10 bits, and choose kernels by a race.
extern "C" void thawline_strict_kernels() {
    at::Context &context = at::globalContext();
    context.setAllowTF32CuDNN(false);
    context.setAllowTF32CuBLAS(false);
    context.setBenchmarkCuDNN(false);
    context.setDeterministicCuDNN(true);
    context.setDeterministicAlgorithms(true, /*warn_only=*/true);
}
