use std::sync::{Arc, Mutex, mpsc};

use super::*;

#[allow(dead_code, reason = "HTTPS is for the integration tests")]
#[path = "../../../../tests/it/server.rs"]
mod server;

use server::{Break, Reply, Server};

const BRIEF: Patience = Patience {
    connect: Duration::from_secs(10),
    stall: Duration::from_millis(150),
    pause: Duration::from_millis(1),
    attempts: 3,
};

/// Larger than the buffers on the way.
fn content() -> Vec<u8> {
    (0..1_500_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect()
}

fn checksum_of(bytes: &[u8]) -> Checksum {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Checksum { sha256, source: "the publisher".into() }
}

/// Where a download goes, and what was said on the way.
struct Place {
    dir: tempfile::TempDir,
    said: Vec<String>,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap(), said: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("weights/model.pth")
    }

    fn get(&mut self, url: &str, checksum: Option<&Checksum>) -> Result<Vec<u8>> {
        let path = self.path();
        let said = &mut self.said;
        let mut announce = |line: &str| said.push(line.to_string());
        let request = Request { url, path: &path, checksum, token: Some("secret") };
        Client::new(BRIEF, &mut announce).download(&request)?;
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "something is left over");
        Ok(std::fs::read(path).unwrap())
    }

    fn part(&self) -> PathBuf {
        with_ending(&self.path(), ".part")
    }
}

fn ranges(server: &Server) -> Vec<Option<String>> {
    server.seen().iter().map(|request| request.headers.get("range").cloned()).collect()
}

#[test]
fn what_breaks_off_or_stalls_is_gone_on_with() {
    for how in [Break::Close, Break::Stall] {
        let server = Server::start(move |request, before| {
            let reply = Reply::file(request, &content(), "\"one\"");
            if before < 2 { reply.broken(400_000, how) } else { reply }
        });
        let mut place = Place::new();
        assert!(place.get(&server.url("/model.pth"), None).unwrap() == content(), "{how:?}");
        let expected = [None, Some("bytes=400000-".to_string()), Some("bytes=800000-".to_string())];
        assert_eq!(ranges(&server), expected, "{how:?}");
        assert_eq!(server.seen()[2].headers["if-range"], "\"one\"");
        assert!(
            place.said.iter().any(|line| line.contains("going on with model.pth at 0.8 MB of 1.5 MB")),
            "{:?}",
            place.said
        );
    }
}

#[test]
fn a_later_run_goes_on_but_not_with_another_file() {
    let version = Arc::new(Mutex::new((content(), "\"one\"")));
    let shared = Arc::clone(&version);
    let server = Server::start(move |request, before| {
        let (bytes, etag) = shared.lock().unwrap().clone();
        let reply = Reply::file(request, &bytes, etag);
        match before {
            0 => reply.broken(400_000, Break::Close),
            1..3 => Reply::status(503),
            _ => reply,
        }
    });
    let mut place = Place::new();
    let error = place.get(&server.url("/model.pth"), None).unwrap_err();
    assert!(format!("{error:#}").contains("cannot be fetched, after 3 attempts"), "{error:#}");
    assert_eq!(std::fs::metadata(place.part()).unwrap().len(), 400_000);
    let newer: Vec<u8> = content().iter().rev().copied().collect();
    *version.lock().unwrap() = (newer.clone(), "\"two\"");
    assert!(place.get(&server.url("/model.pth"), None).unwrap() == newer);
}

#[test]
fn without_a_version_only_a_checksum_vouches_for_the_beginning() {
    let server = Server::start(|request, _| Reply::file(request, &content(), ""));
    let sum = checksum_of(&content());
    for (checksum, expected) in [(None, None), (Some(&sum), Some("bytes=1000-".to_string()))] {
        let mut place = Place::new();
        std::fs::create_dir_all(place.path().parent().unwrap()).unwrap();
        std::fs::write(place.part(), &content()[..1000]).unwrap();
        assert!(place.get(&server.url("/model.pth"), checksum).unwrap() == content());
        assert_eq!(ranges(&server).last().unwrap(), &expected);
    }
}

#[test]
fn servers_without_ranges_and_parts_that_are_too_long_start_over() {
    let server = Server::start(|_, _| Reply { body: content(), ..Reply::status(200) });
    let refusing = Server::start(|request, _| match request.headers.contains_key("range") {
        true => Reply::status(416),
        false => Reply { body: content(), ..Reply::status(200) },
    });
    let sum = checksum_of(&content());
    for (server, requests) in [(server, 1), (refusing, 2)] {
        let mut place = Place::new();
        std::fs::create_dir_all(place.path().parent().unwrap()).unwrap();
        std::fs::write(place.part(), b"something else").unwrap();
        assert!(place.get(&server.url("/model.pth"), Some(&sum)).unwrap() == content());
        assert_eq!(server.seen().len(), requests);
    }
}

#[test]
fn redirections_are_followed_and_tokens_stay_behind() {
    let target = Server::start(|request, _| Reply::file(request, &content(), "\"one\""));
    let elsewhere = target.url("/cdn").replace("127.0.0.1", "localhost");
    let server = Server::start(move |_, _| Reply::status(302).with("Location", &elsewhere));
    assert!(Place::new().get(&server.url("/model.pth"), None).unwrap() == content());
    assert_eq!(server.seen()[0].headers["authorization"], "Bearer secret");
    assert_eq!(target.seen()[0].headers.get("authorization"), None);
    let around = Server::start(|_, _| Reply::status(302).with("Location", "/model.pth"));
    assert!(Place::new().get(&around.url("/model.pth"), None).is_err());
}

#[test]
fn wrong_bytes_are_fetched_once_more_and_never_kept() {
    let sum = checksum_of(&content());
    let wrong_until = |good: usize| {
        Server::start(move |request, before| {
            if before < good { Reply::file(request, b"wrong", "") } else { Reply::file(request, &content(), "") }
        })
    };
    let mut place = Place::new();
    assert!(place.get(&wrong_until(1).url("/model.pth"), Some(&sum)).unwrap() == content());
    let mut place = Place::new();
    let server = wrong_until(usize::MAX);
    let error = format!("{:#}", place.get(&server.url("/model.pth"), Some(&sum)).unwrap_err());
    assert!(error.contains("sent other bytes than expected, twice") && error.contains(&sum.sha256), "{error}");
    assert!(!place.path().exists());
    assert_eq!(std::fs::metadata(place.part()).unwrap().len(), 0);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn refusals_are_final_and_busy_servers_are_asked_again() {
    for (status, expected) in [(404, "there is nothing at"), (401, "the token does not open it"), (400, "answers 400")]
    {
        let server = Server::start(move |_, _| Reply::status(status));
        let error = Place::new().get(&server.url("/model.pth"), None).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
        assert_eq!(error.is::<NotFound>(), status == 404);
        assert_eq!(server.seen().len(), 1, "{status}");
    }
    let busy = Server::start(|request, before| match before {
        0 => Reply::status(503).with("Retry-After", "0"),
        1 => Reply::status(429),
        _ => Reply::file(request, &content(), "\"one\""),
    });
    assert!(Place::new().get(&busy.url("/model.pth"), None).unwrap() == content());
    let down = Server::start(|_, _| Reply::status(503));
    let error = Place::new().get(&down.url("/model.pth"), None).unwrap_err();
    assert!(format!("{error:#}").contains("after 3 attempts"), "{error:#}");
    assert_eq!(down.seen().len(), 3);
    // A port that nobody listens on.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Place::new().get(&format!("http://{nobody}/model.pth"), None).unwrap_err();
    assert!(format!("{error:#}").contains("after 3 attempts"), "{error:#}");
}

#[test]
fn two_downloads_at_once_are_one() {
    let (waiting, second_waits) = mpsc::channel();
    let second_waits = Mutex::new(second_waits);
    let server = Server::start(move |request, _| {
        second_waits.lock().unwrap().recv_timeout(Duration::from_secs(30)).expect("the other waits");
        Reply::file(request, &content(), "\"one\"")
    });
    let place = Place::new();
    let (path, url) = (place.path(), server.url("/model.pth"));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (path, url, waiting) = (path.clone(), url.clone(), waiting.clone());
            scope.spawn(move || {
                let mut announce = |line: &str| {
                    if line.starts_with("waiting for another download") {
                        waiting.send(()).unwrap();
                    }
                };
                let patience = Patience { stall: Duration::from_secs(60), ..BRIEF };
                let request = Request { url: &url, path: &path, checksum: None, token: None };
                Client::new(patience, &mut announce).download(&request).unwrap();
                assert!(std::fs::read(&path).unwrap() == content());
            });
        }
    });
    assert_eq!(server.seen().len(), 1);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn headers_are_those_of_the_server_itself() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/old" => Reply::status(307).with("Location", "/new").with("X-Who", "old"),
        "/new" => Reply::status(302).with("Location", "https://cdn.invalid/x").with("X-Who", "new"),
        _ => Reply::status(404),
    });
    let mut silent = |_: &str| {};
    let mut client = Client::new(BRIEF, &mut silent);
    assert_eq!(client.headers(&server.url("/old"), None).unwrap()["x-who"], "new");
    assert!(client.headers(&server.url("/none"), None).unwrap_err().is::<NotFound>());
    assert_eq!(super::server("https://host:8/a/b"), "https://host:8");
    assert_eq!(super::server("https://host"), "https://host");
}
