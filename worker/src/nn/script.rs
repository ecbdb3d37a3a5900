//! A TorchScript file as one block, frozen or trained: what no backbone here knows.

use std::{
    collections::{BTreeSet, HashSet},
    ffi::{CStr, c_char, c_int, c_void},
    io::Cursor,
    path::{Path, PathBuf},
    ptr::{self, NonNull},
};

use anyhow::{Context, Result, bail, ensure};
use tch::{Device, Kind, Tensor, no_grad_guard};
use thawline::backbones::{ParameterSpec, Role, TORCHSCRIPT};
use torch_sys::C_tensor;

use super::device::{self, placed};

/// `torch::jit::Module`.
#[repr(C)]
struct Module {
    _private: [u8; 0],
}

type Found =
    extern "C" fn(*mut c_void, *const c_char, owner: *const c_char, bool, identity: *const c_void, *mut C_tensor);

unsafe extern "C" {
    fn thawline_script_load(bytes: *const c_char, length: usize, gpu: c_int, module: *mut *mut Module) -> *mut c_char;
    fn thawline_script_free(module: *mut Module);
    fn thawline_script_tensors(module: *const Module, to: *mut c_void, found: Found) -> *mut c_char;
    fn thawline_script_forward(
        module: *mut Module,
        x: *const C_tensor,
        train_norms: bool,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// The network of one file. Everything but batch normalisation is in evaluation mode for good.
#[derive(Debug)]
pub struct Script {
    module: NonNull<Module>,
    path: PathBuf,
    tensors: Vec<(ParameterSpec, Tensor)>,
}

// SAFETY: a module may be used from any thread, and tensors are shared as `tch::CModule` shares them; nothing here changes
// them from two threads.
unsafe impl Send for Script {}
unsafe impl Sync for Script {}

impl Drop for Script {
    fn drop(&mut self) {
        // SAFETY: it came from `thawline_script_load`, and nobody else has it.
        unsafe { thawline_script_free(self.module.as_ptr()) }
    }
}

/// What running a script on two images shows.
#[derive(Debug, PartialEq, Eq)]
pub struct Trial {
    /// Of its output, without the images.
    pub shape: Vec<i64>,
    /// What a person should know before training it.
    pub notes: Vec<String>,
}

impl Script {
    /// # Errors
    /// When the file is not the one of this BLAKE3 digest (hex), or none of `torch.jit.save`.
    pub fn open(path: &Path, digest: &str) -> Result<Script> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        ensure!(
            found == digest,
            "{} has changed since the run was planned: its BLAKE3 digest is {found}",
            path.display()
        );
        let module = load(&bytes).with_context(|| format!("reading {}", path.display()))?;
        let mut script = Script { module, path: path.to_path_buf(), tensors: Vec::new() };
        script.tensors = script.list().with_context(|| format!("reading {}", path.display()))?;
        Ok(script)
    }

    /// Its parameters and buffers, by their names in its state after `network.`, sharing memory with the module's. Of a
    /// parameter with several names, those after the first have the role [`Role::Buffer`].
    pub fn tensors(&self) -> &[(ParameterSpec, Tensor)] {
        &self.tensors
    }

    /// # Errors
    /// When it has no parameters: nothing of it could train.
    pub fn check_trainable(&self) -> Result<()> {
        ensure!(
            self.tensors.iter().any(|(spec, _)| spec.role.is_parameter()),
            "{} has no parameters that could train: they are constants in it (as after torch.jit.freeze, or when a function was \
             traced)",
            self.path.display()
        );
        Ok(())
    }

    /// Features of images [n, 3, height, width], f32: [n, d] or [n, channels, height, width]. With `train_norms`, batch
    /// normalisation uses and moves the batch's statistics. Gradients are recorded if this thread records them.
    pub fn forward(&self, x: &Tensor, train_norms: bool) -> Result<Tensor> {
        let mut out = ptr::null_mut();
        // SAFETY: the module and `x` live; `out` is set where there is no error.
        let error = unsafe { thawline_script_forward(self.module.as_ptr(), x.as_ptr(), train_norms, &mut out) };
        checked(error).with_context(|| format!("running {} on images {:?}", self.path.display(), x.size()))?;
        // SAFETY: a new tensor, which nobody else has.
        let y = unsafe { Tensor::from_ptr(out) };
        let shape = y.size();
        ensure!(
            matches!(shape.len(), 2 | 4) && shape[0] == x.size()[0] && !shape.contains(&0),
            "{} makes {shape:?} of images {:?}; expected [n, features] or [n, channels, height, width]",
            self.path.display(),
            x.size()
        );
        Ok(y.f_to_kind(Kind::Float)?)
    }

    /// Runs it on two images of height x width, in evaluation mode and as batch normalisation trains; all is as before then.
    ///
    /// # Errors
    /// When it does not run, or is not a function of its images in evaluation mode.
    pub fn try_out(&self, height: usize, width: usize) -> Result<Trial> {
        let _guard = no_grad_guard();
        let values: Vec<f32> = (0..2 * 3 * height * width).map(|i| (i as f32 * 0.7).sin()).collect();
        let x = placed(Tensor::f_from_slice(&values)?.f_view([2, 3, height as i64, width as i64])?)?;
        let before = self.state()?;
        let y = self.forward(&x, false)?;
        let again = self.forward(&x, false)?;
        ensure!(
            y == again && self.state()? == before,
            "{} gives other features for the same images in evaluation mode, or moves its statistics: call eval() before \
             torch.jit.trace",
            self.path.display()
        );
        let _ = self.forward(&x, true)?;
        let mut notes = Vec::new();
        let statistics = self.tensors.iter().any(|(spec, _)| spec.role == Role::RunningMean);
        if statistics && self.state()? == before {
            notes.push(format!(
                "batch normalisation keeps its statistics in {}: the network was traced in evaluation mode, torch.jit.script \
                 leaves the choice",
                self.path.display()
            ));
        }
        for ((_, tensor), before) in self.tensors.iter().zip(&before) {
            tensor.shallow_clone().f_copy_(before)?;
        }
        Ok(Trial { shape: y.size()[1..].to_vec(), notes })
    }

    fn state(&self) -> Result<Vec<Tensor>> {
        self.tensors.iter().map(|(_, tensor)| Ok(tensor.f_detach_copy()?)).collect()
    }

    fn list(&self) -> Result<Vec<(ParameterSpec, Tensor)>> {
        let mut listed: Vec<Listed> = Vec::new();
        let to = (&raw mut listed).cast();
        // SAFETY: `add` takes `to` for what it is, and is called only in here.
        checked(unsafe { thawline_script_tensors(self.module.as_ptr(), to, add) })?;
        let mut known = HashSet::new();
        let named = listed.into_iter().map(|Listed { name, owner, parameter, identity, tensor }| {
            let role = role(&name, &owner, parameter && known.insert(identity), tensor.dim());
            let shape = tensor.size().iter().map(|&n| n as usize).collect();
            let tensor = tensor.f_set_requires_grad(false)?;
            Ok((ParameterSpec { name: format!("{}.{name}", TORCHSCRIPT.blocks[0].name), shape, role }, tensor))
        });
        named.collect()
    }
}

struct Listed {
    name: String,
    owner: String,
    parameter: bool,
    identity: *const c_void,
    tensor: Tensor,
}

extern "C" fn add(
    to: *mut c_void,
    name: *const c_char,
    owner: *const c_char,
    parameter: bool,
    identity: *const c_void,
    tensor: *mut C_tensor,
) {
    // SAFETY: `to` is the list of `Script::list`, both texts are C strings, and the tensor is ours from here on.
    let (listed, text, tensor) = unsafe {
        let text = |text| CStr::from_ptr(text).to_string_lossy().into_owned();
        (&mut *to.cast::<Vec<Listed>>(), [text(name), text(owner)], Tensor::from_ptr(tensor))
    };
    let [name, owner] = text;
    listed.push(Listed { name, owner, parameter, identity, tensor });
}

/// What a tensor of that name is, in a module of the class `owner`.
fn role(name: &str, owner: &str, parameter: bool, rank: usize) -> Role {
    let own = name.rsplit('.').next().unwrap_or(name);
    match own {
        "running_mean" => Role::RunningMean,
        "running_var" => Role::RunningVar,
        _ if !parameter => Role::Buffer,
        "bias" if owner.contains("Norm") => Role::NormBias,
        _ if owner.contains("Norm") => Role::NormWeight,
        _ if own.ends_with("weight") && rank > 1 => Role::LinearWeight,
        _ if own.ends_with("bias") => Role::Bias,
        _ => Role::Embedding,
    }
}

fn load(bytes: &[u8]) -> Result<NonNull<Module>> {
    const WANTED: &str = "torch.jit.save(torch.jit.script(model), FILE) writes one";
    let archive = zip::ZipArchive::new(Cursor::new(bytes));
    let archive = archive.with_context(|| format!("this is no TorchScript file: {WANTED}"))?;
    let names: BTreeSet<&str> = archive.file_names().collect();
    let has = |part: &str| names.iter().any(|name| name.contains(part));
    let weights = !has("/code/") && has("data.pkl");
    ensure!(
        !weights,
        "this holds tensors without a network: name their backbone, and the file as its `weights`; {WANTED}"
    );
    ensure!(has("/code/") && has("constants.pkl"), "this is a zip archive, but no TorchScript file: {WANTED}");
    // Optimised after a few calls, the same network would have other bits in its first batches than in later ones.
    tch::jit::f_set_graph_executor_optimize(false)?;
    let gpu = match device::current() {
        Device::Cuda(index) => index as c_int,
        _ => -1,
    };
    let mut module = ptr::null_mut();
    // SAFETY: the bytes live during the call; `module` is set where there is no error.
    checked(unsafe { thawline_script_load(bytes.as_ptr().cast(), bytes.len(), gpu, &mut module) })?;
    NonNull::new(module).context("libtorch loaded nothing")
}

/// What a function of script.cpp returned.
fn checked(error: *mut c_char) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a string from strdup, which is ours to free.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    unsafe { libc::free(error.cast()) };
    bail!("libtorch: {}", text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
