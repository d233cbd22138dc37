//! Health, metrics and the version over HTTP: one thread with a small runtime of its own.
//!
//! It is up before anything else, so that whoever asks is told that the server is not ready yet.
//! Absent: anything that changes the server.

mod guarded;
mod metrics;

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use broker::Broker;
use model::budget::Budget;
use serde_json::json;
use storage::Engine;

use crate::driver::Counters;
use guarded::Guarded;

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Not all listeners are up.
    Starting = 0,
    /// Clients are served.
    Ready = 1,
    /// Clients are told to go.
    Draining = 2,
}

/// What the pages tell of.
#[derive(Debug)]
pub struct Sources {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The storage engine.
    pub engine: Arc<dyn Engine>,
    /// The driver's counters.
    pub counters: Arc<Counters>,
    /// The memory budget.
    pub budget: Arc<Budget>,
    /// The protocols' names, in the order of the counters.
    pub protocols: Vec<&'static str>,
    /// The cluster's id.
    pub cluster_id: String,
}

/// The server's state as HTTP shows it.
#[derive(Debug)]
pub struct Status {
    version: &'static str,
    stage: AtomicU8,
    sources: OnceLock<Sources>,
}

impl Status {
    /// A server that is starting.
    pub fn new(version: &'static str) -> Arc<Self> {
        let stage = AtomicU8::new(Stage::Starting as u8);
        Arc::new(Self { version, stage, sources: OnceLock::new() })
    }

    /// Says what the pages tell of; once.
    pub fn fill(&self, sources: Sources) {
        // A second filling would be a second start; there is none.
        let _ = self.sources.set(sources);
    }

    /// Goes to another stage.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Whether clients are served, if only to read and to acknowledge.
    fn is_served(&self) -> bool {
        self.stage.load(Ordering::Acquire) == Stage::Ready as u8
    }

    /// Whether clients are served, and what is in the way if not.
    fn readiness(&self) -> Result<(), &'static str> {
        match self.stage.load(Ordering::Acquire) {
            stage if stage == Stage::Ready as u8 => {}
            stage if stage == Stage::Draining as u8 => return Err("draining"),
            _ => return Err("starting"),
        }
        match self.sources.get() {
            Some(sources) => sources.broker.refuses_because().map_or(Ok(()), Err),
            None => Err("starting"),
        }
    }
}

/// Serves on sockets that listen already, on a thread of its own that ends with the process.
///
/// # Errors
///
/// What the operating system says.
pub fn serve(status: Arc<Status>, sockets: Vec<TcpListener>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut listeners = Vec::new();
    {
        let _entered = runtime.enter();
        for socket in sockets {
            socket.set_nonblocking(true)?;
            listeners.push(Guarded::new(tokio::net::TcpListener::from_std(socket)?));
        }
    }
    std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for listener in listeners {
                let pages = pages(status.clone());
                tasks.spawn(async move { axum::serve(listener, pages).await });
            }
            while let Some(ended) = tasks.join_next().await {
                tracing::error!(?ended, "HTTP ended");
            }
        });
    })?;
    Ok(())
}

fn pages(status: Arc<Status>) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics_page))
        .route("/api/v1/version", get(version))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(status)
}

async fn live() -> Json<serde_json::Value> {
    Json(json!({ "status": "live" }))
}

async fn ready(State(status): State<Arc<Status>>) -> Response {
    match status.readiness() {
        Ok(()) => Json(json!({ "status": "ready" })).into_response(),
        // Reading and acknowledging go on; only what adds to what is kept is refused.
        Err(why) if status.is_served() => {
            let body = Json(json!({ "status": "publishing is refused", "reason": why }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
        Err(why) => {
            let body = Json(json!({ "status": "not ready", "reason": why }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

async fn metrics_page(State(status): State<Arc<Status>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics::page(&status)).into_response()
}

async fn version(State(status): State<Arc<Status>>) -> Json<serde_json::Value> {
    let cluster_id = status.sources.get().map(|sources| sources.cluster_id.as_str());
    Json(json!({
        "name": "robust-server",
        "version": status.version,
        "cluster_id": cluster_id,
    }))
}

async fn not_found(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, &format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here")
}

fn problem(status: StatusCode, text: &str) -> Response {
    let body = json!({ "error": { "status": status.as_u16(), "message": text } });
    (status, Json(body)).into_response()
}
