//! The server as a process with an echo model, and raw HTTP/2 towards it.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use aimodel_wire::proto::{
    ModelInferRequest, ModelInferResponse, model_infer_request::InferInputTensor,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::Request;
use prost::Message as _;
use tokio::net::TcpStream;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A running server, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    pub(crate) inference: SocketAddr,
}

impl Server {
    /// Starts the program with an echo model of UINT8 rows of four, and waits until it is ready.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("aimodel-abuse-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("m/1")).unwrap();
        let inputs = r#"{"inputs":[{"name":"x","datatype":"UINT8","shape":[-1,4]}]}"#;
        fs::write(folder.join("m/1/echo.json"), inputs).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_aimodel-serving"))
            .arg(&folder)
            .args([
                "--bind=127.0.0.1",
                "--grpc-port=0",
                "--admin-port=0",
                "--health-port=0",
            ])
            .args(["--drain-seconds=0", "--termination-log=/dev/null"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut inference = None;
        for line in log.by_ref() {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let address = || line["address"].as_str().unwrap().parse().unwrap();
            match (line["message"].as_str(), line["carries"].as_str()) {
                (Some("listening"), Some("inference")) => inference = Some(address()),
                (Some("ready"), _) => break,
                _ => {}
            }
        }
        std::thread::spawn(move || log.for_each(drop));
        Self {
            child,
            folder,
            inference: inference.unwrap(),
        }
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim()
            .strip_suffix(" kB")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            << 10
    }

    /// A TCP connection to inference.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.inference).await.unwrap()
    }

    /// An HTTP/2 connection to inference, driven by a task.
    pub(crate) async fn http2(&self) -> SendRequest<Bytes> {
        // h2 itself gives up on many small answers in a small window.
        let mut builder = client::Builder::new();
        builder.initial_connection_window_size(16 << 20);
        let (sender, connection) = builder.handshake(self.connect().await).await.unwrap();
        spawn(connection);
        sender
    }

    /// One good prediction over a new connection; the proof that others are still served.
    pub(crate) async fn is_alive(&self) -> bool {
        let sender = self.http2().await.ready().await.unwrap();
        predict(sender, 1).await.is_ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts a task of a test.
pub(crate) fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "a test has no drain")]
    tokio::spawn(future)
}

/// The headers of a prediction.
pub(crate) fn headers() -> Request<()> {
    Request::post("http://test/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// A framed prediction of `rows` rows.
pub(crate) fn body(rows: usize) -> Bytes {
    let input = InferInputTensor {
        name: "x".to_owned(),
        datatype: "UINT8".to_owned(),
        shape: vec![i64::try_from(rows).unwrap(), 4],
        ..Default::default()
    };
    let request = ModelInferRequest {
        model_name: "m".to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![vec![7; rows * 4].into()],
        ..Default::default()
    };
    framed(&request.encode_to_vec())
}

/// A gRPC frame.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// One prediction; the error is what HTTP/2 or gRPC said.
pub(crate) async fn predict(
    mut sender: SendRequest<Bytes>,
    rows: usize,
) -> Result<ModelInferResponse, String> {
    let (response, mut stream) = sender
        .send_request(headers(), false)
        .map_err(|error| error.to_string())?;
    stream
        .send_data(body(rows), true)
        .map_err(|error| error.to_string())?;
    answer(response).await
}

/// Reads an answer to its trailers.
pub(crate) async fn answer(response: client::ResponseFuture) -> Result<ModelInferResponse, String> {
    let response = response.await.map_err(|error| error.to_string())?;
    if let Some(status) = response.headers().get("grpc-status") {
        return Err(format!("grpc-status {}", status.to_str().unwrap()));
    }
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| error.to_string())?;
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.put(data);
    }
    let trailers = body.trailers().await.map_err(|error| error.to_string())?;
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
    Ok(ModelInferResponse::decode(&bytes[5..]).unwrap())
}
