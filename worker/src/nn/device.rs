//! Where this process keeps its tensors: the processor, or one GPU for all its life.
//!
//! Tensors come to be in few places ([`placed`] is at each); what is computed from them stays where they are, and values that
//! are read go back to the processor by themselves.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    mem::transmute,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::OnceLock,
};

use anyhow::{Context, Result, bail, ensure};
use tch::{Cuda, Device, Tensor};
use thawline::device::CUDA_LIBRARY;

static DEVICE: OnceLock<Device> = OnceLock::new();

unsafe extern "C" {
    /// Full float32, and kernels whose results repeat.
    fn thawline_strict_kernels();
}

/// A new tensor, where this process computes.
pub fn placed(tensor: Tensor) -> Result<Tensor> {
    match current() {
        Device::Cpu => Ok(tensor),
        gpu => Ok(tensor.f_to_device(gpu)?),
    }
}

/// Where this process computes.
pub fn current() -> Device {
    DEVICE.get().copied().unwrap_or(Device::Cpu)
}

/// Computes on this GPU from here on, with the full libtorch in `libtorch`. To be called before anything else of libtorch.
///
/// # Errors
/// When the library does not load or there is no such GPU.
pub fn use_gpu(libtorch: &Path, index: usize) -> Result<()> {
    let count = open(libtorch)?;
    ensure!(index < count, "there is no cuda:{index}: CUDA finds {count} GPUs");
    // SAFETY: it sets flags of libtorch's own.
    unsafe { thawline_strict_kernels() };
    ensure!(DEVICE.set(Device::Cuda(index)).is_ok(), "this process computes elsewhere already");
    Ok(())
}

/// The names of the GPUs that can be used, in CUDA's order.
pub fn gpus(libtorch: &Path) -> Result<Vec<String>> {
    (0..open(libtorch)?).map(name).collect()
}

/// Adds CUDA to this process: how many GPUs there are then.
fn open(libtorch: &Path) -> Result<usize> {
    library(&libtorch.join(CUDA_LIBRARY))?;
    ensure!(tch::utils::has_cudart(), "{} has no CUDA", libtorch.display());
    Ok(if Cuda::is_available() { Cuda::device_count().max(0) as usize } else { 0 })
}

/// Opens a shared library for good, its symbols for all.
fn library(path: &Path) -> Result<*mut c_void> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `name` is a C string. The library's initialisers run, as they would had it been linked.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if handle.is_null() {
        // SAFETY: after a failure, dlerror gives a C string that stays until the next call.
        let problem = unsafe { CStr::from_ptr(libc::dlerror()) };
        bail!("{} cannot be loaded: {}", path.display(), problem.to_string_lossy());
    }
    Ok(handle)
}

/// What the driver calls a GPU.
fn name(index: usize) -> Result<String> {
    type Init = unsafe extern "C" fn(u32) -> c_int;
    type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    let driver = library(Path::new("libcuda.so.1"))?;
    let symbol = |name: &'static CStr| {
        // SAFETY: `driver` is an open library.
        let found = unsafe { libc::dlsym(driver, name.as_ptr()) };
        if found.is_null() { None } else { Some(found) }.with_context(|| format!("libcuda.so.1 has no {name:?}"))
    };
    let (init, get, name) = (symbol(c"cuInit")?, symbol(c"cuDeviceGet")?, symbol(c"cuDeviceGetName")?);
    let mut text = [0 as c_char; 256];
    // SAFETY: these are the driver's functions of these types, and `text` is as long as is said.
    let status = unsafe {
        let init = transmute::<*mut c_void, Init>(init);
        let get = transmute::<*mut c_void, Get>(get);
        let name = transmute::<*mut c_void, Name>(name);
        let mut device = 0;
        [init(0), get(&mut device, index as c_int), name(text.as_mut_ptr(), text.len() as c_int - 1, device)]
    };
    ensure!(status == [0; 3], "the driver does not name cuda:{index}: {status:?}");
    // SAFETY: the last byte is still zero.
    Ok(unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_loaded_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let error = gpus(dir.path()).unwrap_err().to_string();
        assert!(error.contains("libtorch_cuda.so cannot be loaded") && error.contains("No such file"), "{error}");
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        std::fs::write(dir.path().join(CUDA_LIBRARY), "not a library").unwrap();
        let error = use_gpu(dir.path(), 0).unwrap_err().to_string();
        assert!(error.contains("libtorch_cuda.so cannot be loaded"), "{error}");
        assert_eq!(placed(Tensor::from_slice(&[1f32])).unwrap().device(), Device::Cpu);
    }
}
