// TorchScript modules with what tch leaves out: their buffers, the classes that own tensors, and batch normalisation's mode
// apart from that of everything else. Functions return null, or the text of the error in memory that the caller frees.

#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <istream>
#include <streambuf>

#include "guarded.h"

namespace {

using Module = torch::jit::Module;

// Bytes in memory as a stream that can be sought in.
struct Bytes : std::streambuf {
    Bytes(const char *bytes, size_t length) {
        char *start = const_cast<char *>(bytes);
        setg(start, start, start + length);
    }
    pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
        char *origin = from == std::ios_base::beg ? eback() : from == std::ios_base::cur ? gptr() : egptr();
        if (offset < eback() - origin || offset > egptr() - origin) {
            return pos_type(off_type(-1));
        }
        setg(eback(), origin + offset, egptr());
        return pos_type(gptr() - eback());
    }
    pos_type seekpos(pos_type position, std::ios_base::openmode which) override {
        return seekoff(off_type(position), std::ios_base::beg, which);
    }
};

} // namespace

// In evaluation mode, on the GPU of that index, or the processor if it is negative.
extern "C" char *thawline_script_load(const char *bytes, size_t length, int gpu, Module **module) {
    return guarded([&] {
        Bytes buffer(bytes, length);
        std::istream stream(&buffer);
        c10::Device device = gpu < 0 ? c10::Device(c10::kCPU) : c10::Device(c10::kCUDA, (c10::DeviceIndex)gpu);
        Module loaded = torch::jit::load(stream, device);
        loaded.eval();
        *module = new Module(loaded);
    });
}

extern "C" void thawline_script_free(Module *module) { delete module; }

// Calls `found` with every parameter and buffer: its name, the class of the module that owns it, whether it is a parameter,
// an address that only the same tensor under another name has, and the tensor, which is the callee's.
extern "C" char *thawline_script_tensors(const Module *module, void *to,
                                         void (*found)(void *to, const char *name, const char *owner, bool parameter,
                                                       const void *identity, at::Tensor *tensor)) {
    return guarded([&] {
        for (const auto &part : module->named_modules()) {
            const auto name = part.value.type()->name();
            const std::string owner = name ? name->name() : "";
            const std::string prefix = part.name.empty() ? "" : part.name + ".";
            const auto list = [&](const auto &tensors, bool parameter) {
                for (const auto &own : tensors) {
                    const at::Tensor tensor = own.value;
                    found(to, (prefix + own.name).c_str(), owner.c_str(), parameter, tensor.unsafeGetTensorImpl(),
                          new at::Tensor(tensor));
                }
            };
            list(part.value.named_parameters(/*recurse=*/false), true);
            list(part.value.named_buffers(/*recurse=*/false), false);
        }
    });
}

// `out` is the caller's. Whether gradients are recorded is this thread's setting.
extern "C" char *thawline_script_forward(Module *module, const at::Tensor *x, bool train_norms, at::Tensor **out) {
    return guarded([&] {
        // What keeps running statistics; dropout and the like stay in evaluation mode.
        for (Module part : module->modules()) {
            if (part.hasattr("running_mean") && part.hasattr("training")) {
                part.setattr("training", train_norms);
            }
        }
        *out = new at::Tensor(module->forward({*x}).toTensor());
    });
}
