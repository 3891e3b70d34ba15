//! The ONNX engine against a library that fails on demand and counts what was not released.
#![allow(unsafe_code, reason = "calls the stand-in's own functions")]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use aimodel_fake_ort::Fault;
use aimodel_server::{
    batch::Batch,
    config::Device,
    dl::LeakedLibrary,
    engine::{
        Engine, EngineError, Outputs,
        ort::{LibraryError, Ort, OrtEngine, SessionLimits},
    },
};
use aimodel_wire::{
    EngineFailure,
    oip::{self, Work},
    proto::{ModelInferRequest, model_infer_request::InferInputTensor},
};

const LIMITS: SessionLimits = SessionLimits {
    intra_op: 1,
    device: Device::Cpu,
    max_rows: NonZeroUsize::new(8).unwrap(),
};

/// The stand-in, which Cargo builds beside this program.
fn path() -> PathBuf {
    let folder = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    folder.join("libaimodel_fake_ort.so")
}

struct Fake {
    fault: extern "C" fn(usize),
    live: extern "C" fn() -> usize,
}

impl Fake {
    fn new() -> Self {
        let library = LeakedLibrary::open(&path()).unwrap();
        // SAFETY: the types are those of the stand-in's source.
        unsafe {
            Self {
                fault: library.symbol("fake_ort_fault").unwrap(),
                live: library.symbol("fake_ort_live").unwrap(),
            }
        }
    }

    /// Does `action` with a fault, and checks that it left nothing behind.
    fn with<T>(&self, fault: Fault, action: impl FnOnce() -> T) -> T {
        let before = (self.live)();
        (self.fault)(fault as usize);
        let result = action();
        (self.fault)(Fault::None as usize);
        assert_eq!((self.live)(), before, "{fault:?} leaked");
        result
    }
}

fn work(engine: &OrtEngine, rows: &[f32]) -> Work {
    let data: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
    let input = InferInputTensor {
        name: "x".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![i64::try_from(rows.len() / 4).unwrap(), 4],
        ..Default::default()
    };
    let request = ModelInferRequest {
        inputs: vec![input],
        raw_input_contents: vec![data.into()],
        ..Default::default()
    };
    oip::decode(request, engine.signature()).unwrap().0
}

fn run(engine: &mut OrtEngine, works: &[&Work]) -> Result<Outputs, EngineError> {
    engine.run(Batch::new(works.iter().copied()).unwrap())
}

fn load_fails(fake: &Fake) {
    type Check = fn(&LibraryError) -> bool;
    let cases: [(Fault, Check); 3] = [
        (
            Fault::OldVersion,
            |error| matches!(error, LibraryError::Version(v) if v == "1.16.3"),
        ),
        (Fault::NoApi, |error| {
            matches!(error, LibraryError::Version(_))
        }),
        (Fault::EmptySlot, |error| {
            matches!(error, LibraryError::Incomplete { function, .. }
                if *function == "create_tensor_as_ort_value")
        }),
    ];
    for (fault, expected) in cases {
        let error = fake.with(fault, || Ort::load(&path())).unwrap_err();
        assert!(expected(&error), "{fault:?}: {error}");
    }
}

fn sessions_fail(fake: &Fake, ort: &'static Ort) {
    for (fault, wanted) in [
        (Fault::BadModel, "Protobuf parsing failed."),
        (Fault::NotATensor, "'x'"),
    ] {
        let load = || OrtEngine::load(ort, Path::new("/m.onnx"), LIMITS).map(drop);
        let error = fake.with(fault, load).unwrap_err();
        assert!(error.to_string().contains(wanted), "{fault:?}: {error}");
    }
}

fn runs_fail(fake: &Fake, engine: &mut OrtEngine) {
    let one = work(engine, &[1.0; 4]);
    for (fault, kind) in [
        (Fault::BadInput, EngineFailure::InvalidArgument),
        (Fault::NoMemory, EngineFailure::ResourceExhausted),
        (Fault::NoOutput, EngineFailure::Internal),
        (Fault::OddType, EngineFailure::Internal),
    ] {
        let error = fake.with(fault, || run(engine, &[&one])).unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}");
    }
    let lost = fake.with(Fault::LostRow, || run(engine, &[&one]).map(|y| y[0].rows()));
    assert_eq!(
        lost.unwrap(),
        Some(0),
        "told as it is; the batcher refuses it"
    );
}

fn runs_succeed(fake: &Fake, engine: &mut OrtEngine) {
    let (first, second) = (
        work(engine, &[1.0, 2.0, 3.0, 4.0]),
        work(engine, &[5.0, 6.0, 7.0, 8.0]),
    );
    fake.with(Fault::None, || {
        let outputs = run(engine, &[&first, &second]).unwrap();
        assert_eq!(outputs[0].shape().dims(), [2, 4]);
        let doubled: Vec<u8> = (1_u8..=8)
            .flat_map(|x| (2.0 * f32::from(x)).to_le_bytes())
            .collect();
        // A slice keeps the memory alive after the tensor went.
        let tail = outputs[0].data().slice(16..);
        drop(outputs);
        assert_eq!(tail, doubled[16..]);
    });
}

/// One test, because the stand-in has one fault at a time.
#[test]
fn every_way_to_fail_is_told_and_nothing_leaks() {
    let fake = Fake::new();
    load_fails(&fake);
    let ort = Ort::load(&path()).unwrap();
    assert_eq!(ort.version(), "1.99.0");
    sessions_fail(&fake, ort);
    fake.with(Fault::None, || {
        assert_eq!(ort.providers().unwrap(), ["CUDAExecutionProvider"]);
        let mut engine = OrtEngine::load(ort, Path::new("/m.onnx"), LIMITS).unwrap();
        let cuda = SessionLimits {
            device: Device::Cuda,
            ..LIMITS
        };
        drop(OrtEngine::load(ort, Path::new("/m.onnx"), cuda).unwrap());
        runs_fail(&fake, &mut engine);
        runs_succeed(&fake, &mut engine);
    });
}
