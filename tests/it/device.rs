//! `--device`: no GPU is needed to see that asking for one is answered, and that naming the processor changes nothing.

use std::fs;

use thawline::device::{CUDA_LIBRARY, LIBTORCH};

use crate::support::{EXPERIMENT, Project, stderr};

#[test]
fn a_gpu_that_cannot_be_had_is_refused_at_once() {
    let project = Project::new();
    let torch = project.path("torch");
    let run = |project: &Project, arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("THAWLINE_LIBTORCH_CUDA", &torch).env_remove("LIBTORCH").env_remove("VIRTUAL_ENV");
        // No Python, so no `torch` of its either.
        command.env("PATH", project.path("nowhere")).output().unwrap()
    };
    for verb in ["run", "plan", "explain"] {
        let output = run(&project, &[verb, EXPERIMENT, "--device", "cuda"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--device cuda cannot be had"), "{said}");
        assert!(said.contains(&format!("no libtorch {LIBTORCH} with CUDA was found")), "{said}");
        assert!(said.contains(&format!("THAWLINE_LIBTORCH_CUDA={}: no such folder", torch.display())), "{said}");
        assert!(said.contains("torch of python3: it cannot be started"), "{said}");
    }
    assert!(!project.path(".thawline").exists());

    // All that discovery asks for is there, but the worker cannot load it.
    fs::create_dir_all(torch.join("lib")).unwrap();
    fs::write(torch.join(CUDA_LIBRARY), "no library").unwrap();
    fs::write(torch.join("build-version"), LIBTORCH).unwrap();
    let output = run(&project, &["run", EXPERIMENT, "--device", "cuda:1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("libtorch_cuda.so cannot be loaded"), "{}", stderr(&output));

    let output = run(&project, &["plan", EXPERIMENT, "--device", "gpu"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expected auto, cpu, cuda or cuda:N"), "{}", stderr(&output));
}

#[test]
fn the_processor_named_is_the_processor_found() {
    // The undisturbed project ran with the default.
    let project = Project::new();
    let output = project.thawline(&["run", EXPERIMENT, "--device", "cpu", "-v"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("device: cpu"), "{}", stderr(&output));
    project.assert_as_undisturbed();
    assert!(project.index("SELECT context FROM runs")[0].contains("\"device\":\"cpu"));
}
