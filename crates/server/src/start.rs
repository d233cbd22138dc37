//! `robust-server start`: everything in its order, and down again at a signal.
//!
//! ```text
//!  HTTP up (not ready) -> ports bound -> engine opened -> broker -> workers -> ports listen -> ready
//!  signal -> not ready -> clients told, connections closed -> engine closed -> the end
//! ```

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use broker::{Broker, DefaultStream, Options, Protocols};
use model::budget::Budget;
use model::limits::Limits;
use protocol::{Node, Now, Protocol};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::{Addresses, Checked, Loaded, Place};
use crate::driver::{self, Driver, Listener, Settings};
use crate::http::{self, Sources, Stage, Status};
use crate::listen::{self, Bound, Unavailable};
use crate::{engines, process, protocols};

/// The product's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// File descriptors that are not for connections.
const OWN_FILES: u64 = 256;

/// Why the server does not start: one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port.
    #[error(transparent)]
    Listen(#[from] Unavailable),
    /// The data folder or what is in it.
    #[error(transparent)]
    Engine(#[from] engines::Unusable),
    /// What the engine holds.
    #[error(transparent)]
    Broker(#[from] broker::OpenError),
    /// The operating system.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// Runs the server until a signal ends it. `began` is when the process did.
///
/// # Errors
///
/// [`StartError`] when it cannot start.
pub fn run(loaded: &Loaded, checked: Checked, began: Instant) -> Result<(), StartError> {
    // Before any thread that could get the signal instead.
    let mut signals =
        Signals::new([SIGTERM, SIGINT]).map_err(system("signals cannot be handled"))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for address in &checked.remote {
        tracing::warn!("{address} is open to other machines, without encryption and without users");
    }
    let protocols: Arc<[Box<dyn Protocol>]> = protocols::all().into();
    let status = Status::new(VERSION);
    let pages = bind_all("http", &loaded.config.http, &loaded.place("http.listen"))?;
    let mut bound = Vec::new();
    for (index, (protocol, addresses)) in protocols.iter().zip(&loaded.config.listen).enumerate() {
        let place = loaded.place(&format!("{}.listen", protocol.name()));
        let sockets = bind_all(protocol.name(), addresses, &place)?;
        bound.extend(sockets.into_iter().map(|socket| (index, socket)));
    }
    http::serve(status.clone(), listen_all(pages)?).map_err(system("HTTP cannot be served"))?;

    let engine = engines::open(&loaded.config)?;
    let budget = Arc::new(budget(loaded));
    let (polls, mailboxes) =
        driver::mailboxes(checked.workers).map_err(system("sockets cannot be waited for"))?;
    let node = Arc::new(node(loaded, &checked, &*engine)?);
    let seed = getrandom::u64().map_err(io::Error::other).map_err(system("no randomness"))?;
    let options = Options {
        node: node.clone(),
        seed,
        default_stream: DefaultStream {
            partitions: loaded.config.default_stream.partitions,
            max_age_ms: loaded.config.default_stream.max_age.0.map(|span| span.0),
            max_bytes: loaded.config.default_stream.max_bytes.0.map(|size| size.0),
            durability: loaded.config.default_stream.durability,
        },
        streams: checked.streams,
        protocols: Protocols(protocols.clone()),
        builtins: protocols.iter().flat_map(|protocol| protocol.builtins()).collect(),
        modules: protocols.iter().flat_map(|protocol| protocol.modules(seed)).collect(),
        authenticator: None,
        budget: budget.clone(),
        now: now(),
    };
    let broker = Broker::open(engine.clone(), mailboxes.clone(), options)?;
    let settings = Settings {
        protocols: protocols.clone(),
        node: node.clone(),
        budget: budget.clone(),
        connections: connections(loaded.config.limits.connections),
        outbound_bytes: node.limits.outbound_bytes,
        requests: loaded.config.limits.requests,
    };
    let desks = (0..checked.workers).map(|worker| broker.desk(worker)).collect();
    let mut listeners = Vec::new();
    for (protocol, socket) in bound {
        listeners.push(Listener { socket: socket.listen()?, protocol });
    }
    let driver = Driver::start(settings, (polls, mailboxes), desks, listeners)
        .map_err(system("I/O threads cannot be started"))?;
    status.fill(Sources {
        broker,
        engine: engine.clone(),
        counters: driver.counters(),
        budget,
        protocols: protocols.iter().map(|protocol| protocol.name()).collect(),
        cluster_id: node.cluster_id.clone(),
    });
    status.enter(Stage::Ready);
    tracing::info!("ready in {} ms", began.elapsed().as_millis());

    let signal = signals.forever().next();
    tracing::info!(signal, "going down");
    status.enter(Stage::Draining);
    driver.drain();
    engine.close();
    tracing::info!("down");
    Ok(())
}

/// Binds the addresses of a section. Where nothing was configured, an address that this machine
/// does not have (IPv6 switched off) is left out.
fn bind_all(
    what: &str,
    Addresses(addresses): &Addresses,
    place: &Place,
) -> Result<Vec<Bound>, Unavailable> {
    let mut bound = Vec::new();
    for address in addresses {
        match listen::bind(what, *address) {
            Ok(socket) => bound.push(socket),
            Err(error) if *place == Place::Default && error.is_no_address() => {
                tracing::info!("{error}; left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bound)
}

fn listen_all(bound: Vec<Bound>) -> Result<Vec<TcpListener>, Unavailable> {
    bound.into_iter().map(Bound::listen).collect()
}

/// The memory that may be used: what is configured, or half of what there is.
fn budget(loaded: &Loaded) -> Budget {
    let configured = loaded.config.memory.budget.0.map(|size| size.0);
    match configured.or_else(|| process::memory_bytes().map(|bytes| bytes / 2)) {
        Some(bytes) => Budget::new(bytes),
        None => Budget::default(),
    }
}

/// Most connections: what is configured, or what open files allow.
fn connections(configured: u32) -> usize {
    let files = process::raise_open_files();
    let allowed = usize::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX).max(16);
    let configured = configured as usize;
    if allowed < configured {
        tracing::info!("at most {allowed} connections: the limit of open files is {files}");
    }
    configured.min(allowed)
}

fn node(
    loaded: &Loaded,
    checked: &Checked,
    engine: &dyn storage::Engine,
) -> Result<Node, StartError> {
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(io::Error::other).map_err(system("no randomness"))?;
    let limits: Limits = checked.limits;
    Ok(Node {
        id: 1,
        cluster_id: broker::cluster_id(engine, fresh)?,
        version: VERSION,
        limits,
        default_partitions: loaded.config.catalogue.default_partitions,
        auto_create_streams: loaded.config.catalogue.auto_create,
        advertise: checked.advertise.clone(),
    })
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) }
}
