//! The admin port: `/metrics`, `/livez`, `/readyz` and `/scale` over HTTP/1, on a thread of its own.
//!
//! Started by `process`. It has its own runtime, so that a scrape works while the io threads are busy,
//! and it is the watchdog: once a second it looks whether an engine is stuck. It must never wait
//! for the other threads.

use std::{convert::Infallible, io, net::TcpListener, sync::Arc, thread, time::Duration};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::Semaphore,
    time::{interval, timeout},
};

use super::{in_flight::Reading, tasks};
use crate::metrics::{Gauges, Metrics};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CONNECTIONS: usize = 32;
/// Longest life of a connection: scrapers reconnect.
const CONNECTION_LIMIT: Duration = Duration::from_mins(5);

/// What the admin port shows; read at each request.
pub trait Source: Send + Sync + 'static {
    /// Every metric.
    fn metrics(&self) -> &Metrics;
    /// Values of the moment.
    fn gauges(&self) -> Gauges;
    /// Whether the process works.
    ///
    /// # Errors
    /// Why it does not.
    fn liveness(&self) -> Result<(), &'static str>;
    /// Whether traffic should come.
    ///
    /// # Errors
    /// Why not.
    fn readiness(&self) -> Result<(), &'static str>;
    /// Requests in flight and their integral over time.
    fn in_flight(&self) -> Reading;
    /// Sets a new value for every start of the process.
    fn boot_id(&self) -> &str;
    /// Looks whether an engine is stuck; called once a second.
    fn watch(&self);
}

/// Starts the thread.
///
/// # Errors
/// When the thread or its runtime cannot be started.
pub fn start(listener: TcpListener, source: Arc<impl Source>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let watched = source.clone();
                drop(tasks::spawn(async move {
                    let mut seconds = interval(Duration::from_secs(1));
                    loop {
                        seconds.tick().await;
                        watched.watch();
                    }
                }));
                if let Err(error) = serve(listener, source).await {
                    tracing::error!(%error, "the admin port is lost");
                }
            });
        })?;
    Ok(())
}

async fn serve(listener: TcpListener, source: Arc<impl Source>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return Ok(());
        };
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the admin port");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let source = source.clone();
        let service = service_fn(move |request| {
            let answer = answer(&request, source.as_ref());
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(5))
            .max_buf_size(16 << 10)
            .serve_connection(TokioIo::new(stream), service);
        drop(tasks::spawn(async move {
            if let Ok(Err(error)) = timeout(CONNECTION_LIMIT, connection).await {
                tracing::debug!(%error, "admin connection ended");
            }
            drop(permit);
        }));
    }
}

fn answer(request: &Request<Incoming>, source: &impl Source) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
    }
    route(request.uri().path(), source)
}

fn route(path: &str, source: &impl Source) -> Response<Full<Bytes>> {
    match path {
        "/metrics" => match source.metrics().text(source.gauges()) {
            Ok(metrics) => respond(StatusCode::OK, OPENMETRICS, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        "/livez" => probe(source.liveness()),
        "/readyz" => probe(source.readiness()),
        "/scale" => {
            let reading = source.in_flight();
            let body = serde_json::json!({
                "bootId": source.boot_id(),
                "inFlightSeconds": reading.in_flight_seconds,
                "uptimeSeconds": reading.uptime_seconds,
            });
            respond(StatusCode::OK, "application/json", body.to_string())
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "here are /metrics, /livez, /readyz and /scale\n",
        ),
    }
}

fn probe(result: Result<(), &'static str>) -> Response<Full<Bytes>> {
    match result {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
