//! A small HTTP or HTTPS server on this machine that does what it is told, also what good servers do not do. Unit tests of downloads
//! use it too.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
}

/// What to answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body that are really sent, and what happens then.
    pub broken: Option<(usize, Break)>,
}

/// How an answer breaks off.
#[derive(Debug, Clone, Copy)]
pub enum Break {
    Close,
    /// The connection stays open, and nothing comes.
    Stall,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Vec::new(), broken: None }
    }

    /// A whole file, or the part of it that the request asks for.
    pub fn file(request: &Request, bytes: &[u8], etag: &str) -> Reply {
        let asked = request.headers.get("range").and_then(|range| {
            let start: usize = range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
            request.headers.get("if-range").is_none_or(|validator| validator == etag).then_some(start)
        });
        let mut reply = match asked {
            Some(start) if start >= bytes.len() => Reply::status(416),
            Some(start) => Reply { body: bytes[start..].to_vec(), ..Reply::status(206) }
                .with("Content-Range", &format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
            None => Reply { body: bytes.to_vec(), ..Reply::status(200) },
        };
        if !etag.is_empty() {
            reply = reply.with("ETag", etag);
        }
        reply
    }

    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn broken(self, after: usize, how: Break) -> Reply {
        Reply { broken: Some((after, how)), ..self }
    }
}

/// Runs until the process ends.
pub struct Server {
    /// Of its addresses: `http` or `https`.
    scheme: &'static str,
    /// `127.0.0.1:<port>`.
    pub address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gets a request and how many there were before it.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        Server::on("http", answer)
    }

    /// The same over TLS, by the certificate that scripts/reference/https.sh made.
    pub fn start_https(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        Server::on("https", answer)
    }

    fn on(scheme: &'static str, answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        let tls = (scheme == "https").then(tls);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer, tls) = (Arc::clone(&log), Arc::clone(&answer), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream.unwrap(), &log, &*answer),
                    Some(tls) => {
                        let session = ServerConnection::new(tls).unwrap();
                        let mut stream = StreamOwned::new(session, stream.unwrap());
                        serve(&mut stream, &log, &*answer)?;
                        stream.conn.send_close_notify();
                        stream.flush().ok()
                    }
                });
            }
        });
        Server { scheme, address, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn tls() -> Arc<ServerConfig> {
    let file = |name: &str| format!("{}/tests/reference/https/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificate = CertificateDer::from_pem_file(file("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

fn serve(
    stream: impl Read + Write,
    log: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request, usize) -> Reply,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = stream.by_ref().lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_string);
    let (method, path) = (words.next()?, words.next()?);
    let header = |line: String| line.split_once(':').map(|(n, v)| (n.to_lowercase(), v.trim().to_string()));
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(header).collect();
    let request = Request { method, path, headers };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    let reply = answer(&request, before);
    let mut stream = stream.into_inner();
    let mut head = format!("HTTP/1.1 {} Because\r\nConnection: close\r\n", reply.status);
    let length = [("Content-Length".to_string(), reply.body.len().to_string())];
    for (name, value) in reply.headers.iter().chain(&length) {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).ok()?;
    if request.method != "HEAD" {
        let (sent, how) = reply.broken.unwrap_or((reply.body.len(), Break::Close));
        stream.write_all(&reply.body[..sent]).ok()?;
        if let Break::Stall = how {
            // Ends when the client gives up.
            let _ = stream.read(&mut [0; 1]);
        }
    }
    Some(())
}
