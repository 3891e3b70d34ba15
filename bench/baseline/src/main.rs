//! The least server that answers a two-dimensional FP32 model over gRPC: the floor of `bench/serving.py`.
//!
//! It has what makes such a server fast (greedy batches, one engine thread, shared bytes) and nothing
//! else: no limits, deadlines, checks, metrics, health or drain. Never serve with it: a malformed
//! request makes it panic. `aimodel-baseline LIBRARY MODEL COLUMNS PORT`.

use std::{
    env,
    ffi::{CString, c_char, c_void},
    net::SocketAddr,
    ptr::null_mut,
    slice, thread,
};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

/// Generated messages.
mod pb {
    tonic::include_proto!("inference");
}
use pb::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Ptr = *mut c_void;
const MAX_ROWS: i64 = 64;
/// API version whose function table is read, by slot number.
const API: u32 = 17;

/// The functions of ONNX Runtime's table that are needed, by slot.
struct Ort {
    table: *const *const c_void,
}

impl Ort {
    /// The function in a slot of the table; `T` must be its type in the C header.
    unsafe fn slot<T: Copy>(&self, slot: usize) -> T {
        unsafe { std::mem::transmute_copy(&*self.table.add(slot)) }
    }

    fn check(&self, status: Ptr) {
        assert!(status.is_null(), "ONNX Runtime refused a call");
    }
}

struct Engine {
    ort: Ort,
    session: Ptr,
    allocator: Ptr,
    columns: i64,
}

unsafe impl Send for Engine {}

impl Engine {
    fn load(library: &str, model: &str, columns: i64) -> Self {
        unsafe {
            let library = Box::leak(Box::new(
                libloading::Library::new(library).expect("library"),
            ));
            let base = library
                .get::<unsafe extern "C" fn() -> *const [Ptr; 2]>("OrtGetApiBase")
                .expect("symbol")();
            let get_api: unsafe extern "C" fn(u32) -> *const *const c_void =
                std::mem::transmute((*base)[0]);
            let ort = Ort {
                table: get_api(API),
            };
            let (mut env, mut options, mut session, mut allocator) =
                (null_mut(), null_mut(), null_mut(), null_mut());
            let create_env: unsafe extern "C" fn(i32, *const c_char, *mut Ptr) -> Ptr = ort.slot(3);
            ort.check(create_env(2, c"baseline".as_ptr(), &mut env));
            let create_options: unsafe extern "C" fn(*mut Ptr) -> Ptr = ort.slot(10);
            ort.check(create_options(&mut options));
            let set_threads: unsafe extern "C" fn(Ptr, i32) -> Ptr = ort.slot(24);
            ort.check(set_threads(options, 1));
            let create_session: unsafe extern "C" fn(Ptr, *const c_char, Ptr, *mut Ptr) -> Ptr =
                ort.slot(7);
            let path = CString::new(model).expect("path");
            ort.check(create_session(env, path.as_ptr(), options, &mut session));
            let get_allocator: unsafe extern "C" fn(*mut Ptr) -> Ptr = ort.slot(78);
            ort.check(get_allocator(&mut allocator));
            Self {
                ort,
                session,
                allocator,
                columns,
            }
        }
    }

    fn predict(&self, parts: &[Bytes], rows: i64) -> Bytes {
        let ort = &self.ort;
        let shape = [rows, self.columns];
        let (mut input, mut output, mut data) = (null_mut(), null_mut(), null_mut());
        unsafe {
            let create: unsafe extern "C" fn(Ptr, *const i64, usize, i32, *mut Ptr) -> Ptr =
                ort.slot(48);
            ort.check(create(self.allocator, shape.as_ptr(), 2, 1, &mut input));
            let get_data: unsafe extern "C" fn(Ptr, *mut Ptr) -> Ptr = ort.slot(51);
            ort.check(get_data(input, &mut data));
            let length = usize::try_from(rows * self.columns * 4).expect("size");
            let mut room = slice::from_raw_parts_mut(data.cast::<u8>(), length);
            for part in parts {
                let (head, tail) = room.split_at_mut(part.len());
                head.copy_from_slice(part);
                room = tail;
            }
            type Names = *const *const c_char;
            let run: unsafe extern "C" fn(
                Ptr,
                Ptr,
                Names,
                *const Ptr,
                usize,
                Names,
                usize,
                *mut Ptr,
            ) -> Ptr = ort.slot(9);
            let (inputs, outputs) = ([c"x".as_ptr()], [c"y".as_ptr()]);
            ort.check(run(
                self.session,
                null_mut(),
                inputs.as_ptr(),
                &input,
                1,
                outputs.as_ptr(),
                1,
                &mut output,
            ));
            let (mut info, mut count) = (null_mut(), 0);
            let get_info: unsafe extern "C" fn(Ptr, *mut Ptr) -> Ptr = ort.slot(65);
            ort.check(get_info(output, &mut info));
            let get_count: unsafe extern "C" fn(Ptr, *mut usize) -> Ptr = ort.slot(64);
            ort.check(get_count(info, &mut count));
            ort.check(get_data(output, &mut data));
            let answer =
                Bytes::copy_from_slice(slice::from_raw_parts(data.cast::<u8>(), count * 4));
            let (release_info, release): (unsafe extern "C" fn(Ptr), unsafe extern "C" fn(Ptr)) =
                (ort.slot(99), ort.slot(96));
            release_info(info);
            release(input);
            release(output);
            answer
        }
    }
}

struct Job {
    data: Bytes,
    rows: i64,
    reply: oneshot::Sender<Bytes>,
}

fn work(engine: &Engine, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut rows = first.rows;
        let mut jobs = vec![first];
        while rows < MAX_ROWS {
            let Ok(job) = queue.try_recv() else { break };
            rows += job.rows;
            jobs.push(job);
        }
        let parts: Vec<Bytes> = jobs.iter().map(|job| job.data.clone()).collect();
        let answer = engine.predict(&parts, rows);
        let row = answer.len() / usize::try_from(rows).expect("rows");
        let mut start = 0;
        for job in jobs {
            let end = start + row * usize::try_from(job.rows).expect("rows");
            let _ = job.reply.send(answer.slice(start..end));
            start = end;
        }
    }
}

struct Service(Sender<Job>);

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    async fn model_infer(
        &self,
        request: Request<pb::ModelInferRequest>,
    ) -> Result<Response<pb::ModelInferResponse>, Status> {
        let request = request.into_inner();
        let rows = request.inputs[0].shape[0];
        let (reply, answer) = oneshot::channel();
        let job = Job {
            data: request.raw_input_contents[0].clone(),
            rows,
            reply,
        };
        self.0
            .send(job)
            .map_err(|_| Status::unavailable("stopped"))?;
        let answer = answer.await.map_err(|_| Status::internal("engine"))?;
        let columns = i64::try_from(answer.len()).expect("length") / 4 / rows;
        Ok(Response::new(pb::ModelInferResponse {
            model_name: request.model_name,
            model_version: "1".to_owned(),
            id: request.id,
            outputs: vec![pb::model_infer_response::InferOutputTensor {
                name: "y".to_owned(),
                datatype: "FP32".to_owned(),
                shape: vec![rows, columns],
                ..Default::default()
            }],
            raw_output_contents: vec![answer],
            ..Default::default()
        }))
    }

    async fn server_live(
        &self,
        _: Request<pb::ServerLiveRequest>,
    ) -> Result<Response<pb::ServerLiveResponse>, Status> {
        Ok(Response::new(pb::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<pb::ServerReadyRequest>,
    ) -> Result<Response<pb::ServerReadyResponse>, Status> {
        Ok(Response::new(pb::ServerReadyResponse { ready: true }))
    }

    async fn model_ready(
        &self,
        _: Request<pb::ModelReadyRequest>,
    ) -> Result<Response<pb::ModelReadyResponse>, Status> {
        Ok(Response::new(pb::ModelReadyResponse { ready: true }))
    }

    async fn server_metadata(
        &self,
        _: Request<pb::ServerMetadataRequest>,
    ) -> Result<Response<pb::ServerMetadataResponse>, Status> {
        Err(Status::unimplemented("a baseline has none"))
    }

    async fn model_metadata(
        &self,
        _: Request<pb::ModelMetadataRequest>,
    ) -> Result<Response<pb::ModelMetadataResponse>, Status> {
        Err(Status::unimplemented("a baseline has none"))
    }

    async fn model_config(
        &self,
        _: Request<pb::ModelConfigRequest>,
    ) -> Result<Response<pb::ModelConfigResponse>, Status> {
        Err(Status::unimplemented("a baseline has none"))
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [library, model, columns, port] = arguments.as_slice() else {
        panic!("usage: aimodel-baseline LIBRARY MODEL COLUMNS PORT")
    };
    let engine = Engine::load(library, model, columns.parse().expect("COLUMNS"));
    let (jobs, queue) = unbounded();
    thread::spawn(move || work(&engine, &queue));
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse().expect("PORT")));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime
        .block_on(
            tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(4 << 20)
                .max_concurrent_streams(1024)
                .add_service(GrpcInferenceServiceServer::new(Service(jobs)))
                .serve(address),
        )
        .expect("serve");
}
