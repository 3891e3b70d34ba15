use super::*;
use crate::engine::Outputs;

/// A model of one FP32 column whose outputs a closure makes from all rows.
struct Model<F> {
    signature: ModelSignature,
    outputs: F,
}

impl<F: Fn(&[f32]) -> Result<Vec<f32>, EngineError> + Send> Engine for Model<F> {
    fn signature(&self) -> &ModelSignature {
        &self.signature
    }

    fn run(&mut self, batch: Batch<'_>) -> Result<Outputs, EngineError> {
        let mut data = vec![0; batch.size_bytes(0)];
        batch.gather_into(0, &mut data)?;
        let inputs: Vec<f32> = data
            .chunks_exact(4)
            .map(|c| f32::from_le_bytes(c.try_into().unwrap()))
            .collect();
        let outputs = (self.outputs)(&inputs)?;
        let shape = aimodel_wire::Shape::new(&[outputs.len(), 1]).unwrap();
        let data: Vec<u8> = outputs.iter().flat_map(|y| y.to_le_bytes()).collect();
        Ok(vec![
            Tensor::new("y".into(), DType::Fp32, shape, data.into()).unwrap(),
        ])
    }
}

fn warmed(outputs: impl Fn(&[f32]) -> Result<Vec<f32>, EngineError> + Send + 'static) -> Warmed {
    let spec = |name| TensorSpec::new(name, DType::Fp32, &[-1, 1]);
    let rows = NonZeroUsize::new(4).unwrap();
    let signature = ModelSignature::new(vec![spec("x")], vec![spec("y")], rows).unwrap();
    warm_up(&mut Model { signature, outputs })
}

#[test]
fn rows_that_do_not_touch_each_other_are_batched() {
    let warmed = warmed(|x| Ok(x.iter().map(|x| x * 3.0).collect()));
    assert!(warmed.signature.is_batched());
    assert!(warmed.full_batch.is_some());
    assert_eq!(warmed.probe, Some(Probe(1)));
}

#[test]
fn rounding_by_batch_size_is_no_touch() {
    let warmed = warmed(|x| {
        Ok(x.iter()
            .map(|x| x + 1e-6 * f32::from(x.is_normal()))
            .collect())
    });
    assert!(warmed.signature.is_batched());
}

#[test]
fn rows_that_are_mixed_run_one_by_one() {
    let warmed = warmed(|x| Ok(x.iter().map(|_| x.iter().sum()).collect()));
    assert!(!warmed.signature.is_batched());
    assert_eq!(warmed.probe, Some(Probe(1)));
}

#[test]
fn a_model_of_one_row_runs_one_by_one() {
    let refuse = || Err(EngineError::new(EngineFailure::Internal, "one row only"));
    let warmed = warmed(move |x| {
        if x.len() == 1 {
            Ok(x.to_vec())
        } else {
            refuse()
        }
    });
    assert!(!warmed.signature.is_batched());
}

#[test]
fn fewer_outputs_than_rows_run_one_by_one() {
    let warmed = warmed(|x| Ok(vec![x[0]]));
    assert!(!warmed.signature.is_batched());
}

#[test]
fn a_model_that_refuses_zeros_is_served_untried() {
    let warmed = warmed(|_| Err(EngineError::new(EngineFailure::InvalidArgument, "zero")));
    assert!(warmed.signature.is_batched());
    assert_eq!(warmed.probe, None);
}

#[test]
fn fillings_are_halves_and_ones() {
    assert_eq!(
        Filling::Halves.element(DType::Int64, 0),
        [1, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(Filling::Halves.element(DType::Bool, 0), [1]);
    assert_eq!(Filling::Halves.element(DType::Fp32, 0), [0, 0, 0, 0x3f]);
    assert_eq!(Filling::Halves.element(DType::Bytes, 0), [0; 4]);
    assert_eq!(
        Filling::Varied.elements(DType::Fp32, 2),
        [0.125_f32.to_le_bytes(), 0.25_f32.to_le_bytes()].concat()
    );
    assert_eq!(Filling::Varied.elements(DType::Bf16, 1), [0x00, 0x3e]);
    assert_eq!(Filling::Zeros.elements(DType::Fp64, 1), [0; 8]);
}

#[test]
fn rows_that_carry_over_to_the_next_run_one_by_one() {
    // A running sum: with zeros in front it looks innocent.
    let warmed = warmed(|x| {
        Ok(x.iter()
            .scan(0.0, |sum, x| {
                *sum += x;
                Some(*sum)
            })
            .collect())
    });
    assert!(!warmed.signature.is_batched());
}

#[test]
fn rows_that_carry_back_run_one_by_one() {
    let warmed = warmed(|x| {
        let mut sums: Vec<f32> = x
            .iter()
            .rev()
            .scan(0.0, |sum, x| {
                *sum += x;
                Some(*sum)
            })
            .collect();
        sums.reverse();
        Ok(sums)
    });
    assert!(!warmed.signature.is_batched());
}

#[test]
fn a_model_that_takes_nothing_but_zeros_is_not_batched() {
    let warmed = warmed(|x| {
        if x.iter().all(|x| *x == 0.0) {
            Ok(x.to_vec())
        } else {
            Err(EngineError::new(
                EngineFailure::InvalidArgument,
                "out of range",
            ))
        }
    });
    assert!(!warmed.signature.is_batched());
    assert_eq!(warmed.probe, Some(Probe(1)));
}

#[test]
fn an_output_that_does_not_follow_the_rows_is_served_one_by_one() {
    let warmed = warmed(|x| Ok(x.iter().flat_map(|x| [*x, *x]).collect()));
    assert!(!warmed.signature.is_batched());
    assert_eq!(warmed.probe, Some(Probe(1)));
}
