//! Files over HTTP: gone on with where they broke off, checked, and never fetched twice at once.
//!
//! What arrives is written to `<path>.part`, which is also the lock: its holder renames it to `<path>` once it is whole and
//! has the SHA-256 that it should have. A broken download is left there and gone on with, now or in the next run, as long
//! as the server says (`ETag`, `Last-Modified`) that it is still the same file.

use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Response, header},
    tls::{self, Certificate, PemItem, RootCerts, TlsConfig},
};

/// The SHA-256 that a file should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// In hex; publishers that put it into the file's name give only its beginning.
    pub sha256: String,
    /// Where a person gets the file.
    pub source: String,
}

impl Checksum {
    /// Fails unless the file at `path` has it.
    pub fn verify(&self, path: &Path) -> Result<()> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let found = sha256(file).with_context(|| format!("reading {}", path.display()))?;
        if found.starts_with(&self.sha256) {
            return Ok(());
        }
        bail!(
            "{} is damaged or another file: its SHA-256 is {found}, expected {}. Remove it and get it again from {}",
            path.display(),
            self.sha256,
            self.source
        )
    }
}

fn sha256(mut file: File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How long to wait, and how often to try.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub connect: Duration,
    /// Without a byte arriving.
    pub stall: Duration,
    /// Before the second attempt; doubled for each further one, up to 16 times as long.
    pub pause: Duration,
    /// Attempts in a row that bring nothing new.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            pause: Duration::from_millis(500),
            attempts: 5,
        }
    }
}

/// The server has no such file (404, 410).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound(String);

impl std::fmt::Display for NotFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is nothing at {}", self.0)
    }
}

impl std::error::Error for NotFound {}

/// Attempts in all, however much each of them brings.
const MOST_ATTEMPTS: u32 = 200;
const MOST_REDIRECTIONS: usize = 10;
/// Between two lines about one download.
const REMARK_EVERY: Duration = Duration::from_secs(20);

/// Why an attempt ended.
enum Failure {
    Final(anyhow::Error),
    /// Worth another attempt, after as long as the server asks for.
    Passing(anyhow::Error, Option<Duration>),
}

/// Fetches files.
pub struct Client<'a> {
    agent: Agent,
    patience: Patience,
    /// Gets lines for people.
    announce: &'a mut dyn FnMut(&str),
}

/// One file to fetch.
pub struct Request<'a> {
    pub url: &'a str,
    pub path: &'a Path,
    pub checksum: Option<&'a Checksum>,
    /// Sent as `Authorization: Bearer`, to the first server only.
    pub token: Option<&'a str>,
}

impl<'a> Client<'a> {
    pub fn new(patience: Patience, announce: &'a mut dyn FnMut(&str)) -> Client<'a> {
        let tls = TlsConfig::builder().root_certs(trusted()).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.stall))
            .user_agent(concat!("thawline/", env!("CARGO_PKG_VERSION")))
            .build();
        Client { agent: config.new_agent(), patience, announce }
    }

    /// Makes the file at `request.path`, unless it is there.
    ///
    /// # Errors
    /// [`NotFound`]; a server that refuses or stays away; content with another SHA-256, twice; a full disk.
    pub fn download(&mut self, request: &Request) -> Result<()> {
        let Request { path, checksum, .. } = request;
        let folder = path.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let Some(mut part) = self.lock(path)? else { return Ok(()) };
        let mut again = false;
        loop {
            self.complete(request, &mut part)?;
            match checksum.map_or(Ok(()), |checksum| checksum.verify(&part.path)) {
                Ok(()) => break,
                Err(_) if !again => {
                    (self.announce)(&format!("{} arrived damaged; fetching it again", name(path)));
                    part.restart()?;
                    again = true;
                }
                Err(error) => {
                    part.restart()?;
                    return Err(error.context(format!("{} sent other bytes than expected, twice", request.url)));
                }
            }
        }
        part.file.sync_all().with_context(|| format!("writing {}", part.path.display()))?;
        std::fs::rename(&part.path, path).with_context(|| format!("renaming {}", part.path.display()))?;
        remove_if_there(&part.validator)?;
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("writing {}", folder.display()))
    }

    /// The headers of the answer to a HEAD request; redirections are followed only within the server.
    pub fn headers(&mut self, url: &str, token: Option<&str>) -> Result<HeaderMap> {
        let agent = self.agent.clone();
        let mut url = url.to_string();
        for _ in 0..MOST_REDIRECTIONS {
            let headers = self.persist(&url, |_| {
                let request = agent.head(&url).config().max_redirects(0).max_redirects_will_error(false).build();
                let response = authorised(request, token).call().map_err(|error| passing(error, &url))?;
                match response.status().as_u16() {
                    200..=399 => Ok(response.headers().clone()),
                    _ => Err(refusal(&response, &url, token)),
                }
            })?;
            let elsewhere = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            match elsewhere.filter(|path| path.starts_with('/') && !path.starts_with("//")) {
                Some(path) => url = format!("{}{path}", server(&url)),
                None => return Ok(headers),
            }
        }
        bail!("{url} redirects without end")
    }

    /// The locked part file of `path`; `None` when another process made `path` meanwhile.
    fn lock(&mut self, path: &Path) -> Result<Option<Part>> {
        let part_path = with_ending(path, ".part");
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part_path);
            let file = file.with_context(|| format!("opening {}", part_path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    (self.announce)(&format!("waiting for another download of {}", name(path)));
                    file.lock().with_context(|| format!("locking {}", part_path.display()))?;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("locking {}", part_path.display()));
                }
            }
            // The holder before may have renamed the file that is now locked.
            let here = std::fs::metadata(&part_path).is_ok_and(|there| {
                file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
            });
            if path.is_file() {
                if here {
                    remove_if_there(&part_path)?;
                }
                return Ok(None);
            }
            if here {
                return Ok(Some(Part { file, validator: with_ending(path, ".part.validator"), path: part_path }));
            }
        }
    }

    /// Repeats attempts until the part file is complete.
    fn complete(&mut self, request: &Request, part: &mut Part) -> Result<()> {
        self.persist(request.url, |client| client.attempt(request, part))
    }

    /// Tries until `attempt` succeeds, fails for good, or brings nothing new too often.
    fn persist<T>(&mut self, url: &str, mut attempt: impl FnMut(&mut Self) -> Result<T, Failure>) -> Result<T> {
        let mut fruitless = 0;
        for _ in 0..MOST_ATTEMPTS {
            let (error, wait) = match attempt(self) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error, wait)) => (error, wait),
            };
            fruitless = if error.is::<BrokenOff>() { 1 } else { fruitless + 1 };
            if fruitless >= self.patience.attempts {
                return Err(error.context(format!("{url} cannot be fetched, after {fruitless} attempts")));
            }
            let pause = wait.unwrap_or(self.patience.pause * (1 << (fruitless - 1).min(4)));
            (self.announce)(&format!("{error:#}; trying again in {:.1} s", pause.as_secs_f64()));
            std::thread::sleep(pause);
        }
        bail!("{url} broke off {MOST_ATTEMPTS} times")
    }

    /// One request, and what it brings.
    fn attempt(&mut self, request: &Request, part: &mut Part) -> Result<(), Failure> {
        let url = request.url;
        let mut have = part.resumable(request.checksum.is_some()).map_err(Failure::Final)?;
        let mut get = authorised(self.agent.get(url), request.token).header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            get = get.header(header::RANGE, format!("bytes={have}-"));
            if let Some(validator) = part.remembered() {
                get = get.header(header::IF_RANGE, validator);
            }
        }
        let response = get.call().map_err(|error| passing(error, url))?;
        let total = match response.status().as_u16() {
            206 => Some(continued(&response, have).map_err(Failure::Final)?),
            200 => {
                have = 0;
                part.restart().map_err(Failure::Final)?;
                length(&response)
            }
            416 if have > 0 => {
                part.restart().map_err(Failure::Final)?;
                return Err(Failure::Passing(
                    anyhow!("{url} is shorter than what arrived of it"),
                    Some(Duration::ZERO),
                ));
            }
            _ => return Err(refusal(&response, url, request.token)),
        };
        part.remember(&response).map_err(Failure::Final)?;
        let of = total.map_or(String::new(), |total| format!(" of {}", megabytes(total)));
        let name = name(request.path);
        (self.announce)(&match have {
            0 => format!("downloading {name}{} from {url}", of.replacen(" of ", ", ", 1)),
            have => format!("going on with {name} at {}{of}", megabytes(have)),
        });

        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        let (mut at, mut remarked) = (have, Instant::now());
        part.file.seek(SeekFrom::Start(have)).map_err(|error| Failure::Final(error.into()))?;
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if at > have => return Err(Failure::Passing(BrokenOff::new(&name, at, error).into(), None)),
                Err(error) => return Err(Failure::Passing(anyhow!("{url}: {error}"), None)),
            };
            let written = part.file.write_all(&buffer[..read]);
            written.with_context(|| format!("writing {}", part.path.display())).map_err(Failure::Final)?;
            at += read as u64;
            if remarked.elapsed() > REMARK_EVERY {
                (self.announce)(&format!("{name}: {}{of}", megabytes(at)));
                remarked = Instant::now();
            }
        }
        match total {
            Some(total) if at != total && at > have => {
                let cause = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
                Err(Failure::Passing(BrokenOff::new(&name, at, cause).into(), None))
            }
            Some(total) if at != total => Err(Failure::Passing(anyhow!("{url} sent nothing"), None)),
            _ => Ok(()),
        }
    }
}

/// A download that brought something before it broke off.
#[derive(Debug)]
struct BrokenOff(String, io::Error);

impl BrokenOff {
    fn new(name: &str, at: u64, cause: io::Error) -> BrokenOff {
        BrokenOff(format!("{name} broke off at {}", megabytes(at)), cause)
    }
}

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for BrokenOff {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.1)
    }
}

/// The locked file that a download grows in.
struct Part {
    file: File,
    path: PathBuf,
    /// What the server calls this version of the file.
    validator: PathBuf,
}

impl Part {
    /// How much of it can be gone on with. Without a checksum at the end only what the server can vouch for.
    fn resumable(&mut self, checked: bool) -> Result<u64> {
        let length = self.file.metadata().with_context(|| format!("reading {}", self.path.display()))?.len();
        if length > 0 && !checked && self.remembered().is_none() {
            self.restart()?;
            return Ok(0);
        }
        Ok(length)
    }

    fn restart(&mut self) -> Result<()> {
        remove_if_there(&self.validator)?;
        self.file.set_len(0).with_context(|| format!("emptying {}", self.path.display()))
    }

    fn remembered(&self) -> Option<String> {
        std::fs::read_to_string(&self.validator).ok()
    }

    fn remember(&self, response: &Response<Body>) -> Result<()> {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let strong = text(header::ETAG).filter(|etag| !etag.starts_with("W/"));
        match strong.or_else(|| text(header::LAST_MODIFIED)) {
            Some(validator) => std::fs::write(&self.validator, validator)
                .with_context(|| format!("writing {}", self.validator.display())),
            None => remove_if_there(&self.validator),
        }
    }
}

/// Whom to believe who a server is: the authorities in the file that `SSL_CERT_FILE` names, as other tools do, or Mozilla's. A
/// file that cannot be read leaves nobody, and every server is refused.
fn trusted() -> RootCerts {
    let Some(path) = env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) else { return RootCerts::WebPki };
    let text = fs::read(path).unwrap_or_default();
    let certificates: Vec<Certificate<'static>> = tls::parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    RootCerts::new_with_certs(&certificates)
}

fn authorised<B>(request: ureq::RequestBuilder<B>, token: Option<&str>) -> ureq::RequestBuilder<B> {
    match token {
        Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    }
}

/// The whole length that the answer to a range says, which must begin at `have`.
fn continued(response: &Response<Body>, have: u64) -> Result<u64> {
    let text = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parsed = text.strip_prefix("bytes ").and_then(|range| {
        let (range, total) = range.split_once('/')?;
        Some((range.split_once('-')?.0.parse::<u64>().ok()?, total.parse::<u64>().ok()?))
    });
    match parsed {
        Some((start, total)) if start == have => Ok(total),
        _ => bail!("asked for what follows byte {have}, the server answered with the range `{text}`"),
    }
}

/// Scheme, host and port of an address.
fn server(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    &url[..url[host..].find('/').map_or(url.len(), |end| host + end)]
}

fn length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What another status than the expected ones means.
fn refusal(response: &Response<Body>, url: &str, token: Option<&str>) -> Failure {
    let status = response.status();
    match status.as_u16() {
        404 | 410 => Failure::Final(NotFound(url.to_string()).into()),
        401 | 403 => {
            let hint = if token.is_some() { "the token does not open it" } else { "it may need a token" };
            Failure::Final(anyhow!("{url} is refused ({status}): {hint}"))
        }
        408 | 425 | 429 | 500..=599 => {
            let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let wait = wait.map(|seconds: u64| Duration::from_secs(seconds.min(60)));
            Failure::Passing(anyhow!("{url} answers {status}"), wait)
        }
        _ => Failure::Final(anyhow!("{url} answers {status}")),
    }
}

/// What went wrong before there was an answer.
fn passing(error: ureq::Error, url: &str) -> Failure {
    match error {
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
            Failure::Passing(anyhow!("{url}: {error}"), None)
        }
        ureq::Error::Protocol(_) => Failure::Passing(anyhow!("{url}: {error}"), None),
        other => Failure::Final(anyhow!("{url}: {other}")),
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut text = path.as_os_str().to_os_string();
    text.push(ending);
    text.into()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests;
