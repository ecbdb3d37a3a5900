//! Weights by name: `run` fetches them, nothing else does; what they are not is explained.

use std::{fs, path::PathBuf, process::Command};

use sha2::{Digest, Sha256};
use thawline::backbones::{self, weights};

use crate::{
    server::{Break, Reply, Server},
    support::{EXPERIMENT, Project, stderr},
};

/// The real weights of EfficientNet-Lite0, which `make fetch` puts into the cache.
fn lite0() -> PathBuf {
    let path = weights::cached(&backbones::find("efficientnet_lite0").unwrap().published[0]).unwrap();
    assert!(path.is_file(), "{} is missing: run `make fetch`", path.display());
    path
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One arm, one seed, with these weights.
fn project(weights: &str) -> Project {
    let project = Project::new();
    project.write(EXPERIMENT, "arms:\n  feature_extraction: { pipeline: ../pipelines/features.yaml }\n");
    project.edit("pipelines/features.yaml", "weights: none", &format!("weights: {weights}"));
    project
}

/// With caches of its own, and no network but what `variables` allow.
fn command(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = project.command(arguments);
    for name in ["HF_TOKEN", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN_PATH", "THAWLINE_OFFLINE"] {
        command.env_remove(name);
    }
    command.env("THAWLINE_CACHE", project.path("cache")).env("HF_HOME", project.path("hub"));
    command.envs(variables.iter().copied());
    command
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output)
}

#[test]
fn a_run_fetches_what_it_needs_and_nothing_else_does() {
    let bytes = fs::read(lite0()).unwrap();
    let sum = sha256(&bytes);
    let server = Server::start(move |request, _| Reply::file(request, &bytes, "\"one\""));
    let url = server.url("/lite0.pth");
    let project = project(&format!("{{ file: \"{url}\", sha256: {sum} }}"));
    let run = ["run", EXPERIMENT, "-j", "2"];

    let offline = command(&project, &run, &[("THAWLINE_OFFLINE", "1")]).output().unwrap();
    assert_eq!(offline.status.code(), Some(1));
    let said = stderr(&offline);
    let place = project.path("cache/weights");
    assert!(said.contains(&format!("put the file {url} at {}", place.display())), "{said}");
    succeeds(command(&project, &["validate", EXPERIMENT], &[]));
    let planned = succeeds(command(&project, &["plan", EXPERIMENT], &[]));
    assert!(planned.contains(&format!("come from {url}; `thawline run` fetches them")), "{planned}");
    assert_eq!(server.seen().len(), 0);

    let ran = succeeds(command(&project, &run, &[]));
    assert!(ran.contains("downloading") && ran.contains(&url), "{ran}");
    assert_eq!(fs::read_dir(place).unwrap().count(), 1);
    succeeds(command(&project, &run, &[]));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn over_https_only_a_server_that_is_trusted_is_believed() {
    let bytes = fs::read(lite0()).unwrap();
    let server = Server::start_https(move |request, before| {
        let reply = Reply::file(request, &bytes, "\"one\"");
        if before == 0 { reply.broken(5_000_000, Break::Close) } else { reply }
    });
    let project = project(&server.url("/lite0.pth"));
    let run = ["run", EXPERIMENT, "-j", "2"];
    let mut stranger = command(&project, &run, &[]);
    let output = stranger.env_remove("SSL_CERT_FILE").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("certificate"), "{}", stderr(&output));
    assert_eq!(server.seen().len(), 0);

    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/https/certificate.pem");
    succeeds(command(&project, &run, &[("SSL_CERT_FILE", certificate)]));
    let ranges: Vec<_> = server.seen().iter().map(|request| request.headers.get("range").cloned()).collect();
    assert_eq!(ranges, [None, Some("bytes=5000000-".to_string())]);
}

#[test]
fn the_hub_is_asked_once_and_its_cache_shared() {
    let bytes = fs::read(lite0()).unwrap();
    let sum = sha256(&bytes);
    let etag = format!("\"{sum}\"");
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/me/mine/resolve/main/model.safetensors" => Reply::status(404),
        "/me/mine/resolve/main/model.safetensors.index.json" => Reply::status(404),
        "/cdn" => Reply::file(request, &bytes, &etag),
        path if path.starts_with("/me/mine/resolve/") && path.ends_with("/pytorch_model.bin") => {
            let location = format!("http://{}/cdn", request.headers["host"]);
            let reply = Reply::status(302).with("Location", &location).with("X-Linked-Etag", &etag);
            reply.with("X-Repo-Commit", "0123abcd")
        }
        _ => Reply::status(404),
    });
    let project = project("\"hf:me/mine\"");
    let run = ["run", EXPERIMENT, "-j", "2"];
    let endpoint = server.url("");
    let offline = [("HF_ENDPOINT", endpoint.as_str()), ("HF_HUB_OFFLINE", "1")];
    let refused = stderr(&command(&project, &run, &offline).output().unwrap());
    assert!(refused.contains("HF_HUB_OFFLINE is set") && refused.contains("write its path as `weights:`"), "{refused}");
    assert_eq!(server.seen().len(), 0);

    succeeds(command(&project, &run, &[("HF_ENDPOINT", &endpoint), ("HF_TOKEN", "secret")]));
    let seen = server.seen();
    assert_eq!(seen[2].headers["authorization"], "Bearer secret");
    assert_eq!(seen.last().unwrap().path, "/cdn");
    assert_eq!(seen.iter().filter(|request| request.method == "GET").count(), 2, "{seen:?}");
    let folder = project.path("hub/hub/models--me--mine");
    let link = folder.join("snapshots/0123abcd/pytorch_model.bin");
    assert_eq!(fs::read_link(&link).unwrap(), PathBuf::from(format!("../../blobs/{sum}")));
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), "0123abcd");
    // What lies in the Hub's cache needs no Hub.
    succeeds(command(&project, &run, &offline));
    assert_eq!(server.seen().len(), seen.len());
}

#[test]
fn weights_of_another_network_are_named() {
    let project = project("mine.pth");
    fs::copy(lite0(), project.path("mine.pth")).unwrap();
    project.edit("pipelines/features.yaml", "backbone: efficientnet_lite0", "backbone: resnet18");
    let output = project.thawline(&["run", EXPERIMENT]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("these are not weights of resnet18: this is efficientnet_lite0"), "{said}");
    assert!(said.contains("`conv1.weight` [64, 3, 7, 7] is missing"), "{said}");
}
