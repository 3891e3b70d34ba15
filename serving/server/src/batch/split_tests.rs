//! A batch must answer each request as if it had run alone.

use aimodel_wire::{DType, Shape};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::{
    Batch,
    fixture::{signature, work, work_of},
};

/// An engine that gives its input as `y` and the input with every bit turned as `z`.
fn run(batch: &Batch<'_>) -> Outputs {
    let shape = batch.shape(0).unwrap();
    let mut input = vec![0; batch.size_bytes(0)];
    batch.gather_into(0, &mut input).unwrap();
    let turned: Vec<u8> = input.iter().map(|byte| !byte).collect();
    vec![output("y", &shape, input), output("z", &shape, turned)]
}

fn output(name: &str, shape: &Shape, data: Vec<u8>) -> Tensor {
    Tensor::new(name.into(), DType::Uint8, shape.clone(), Bytes::from(data)).unwrap()
}

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap()
}

#[test]
fn rows_go_back_to_where_they_came_from() {
    let first = work_of(1, 2, vec![1, 2], &[]);
    let second = work_of(2, 2, vec![3, 4, 5, 6], &["z", "y"]);
    let batch = Batch::new([&first, &second]).unwrap();
    assert_eq!((batch.rows(), batch.size_bytes(0)), (3, 6));
    assert_eq!(batch.dtype(0).unwrap(), DType::Uint8);
    assert_eq!(batch.shape(0).unwrap().dims(), [3, 2]);
    let answers = split(&run(&batch), &signature(), &[&first, &second]).unwrap();
    let expected = [
        [
            output("y", &shape(&[1, 2]), vec![1, 2]),
            output("z", &shape(&[1, 2]), vec![254, 253]),
        ],
        [
            output("z", &shape(&[2, 2]), vec![252, 251, 250, 249]),
            output("y", &shape(&[2, 2]), vec![3, 4, 5, 6]),
        ],
    ];
    assert_eq!(answers, expected);
}

#[test]
fn small_answers_are_copied_and_large_ones_are_not() {
    let columns = COPY_BELOW;
    let (small, large) = (work(1, columns - 1), work(1, columns));
    for (work, copied) in [(small, true), (large, false)] {
        let works = [&work, &work];
        let outputs = run(&Batch::new(works).unwrap());
        let answers = split(&outputs, &signature(), &works).unwrap();
        let second_row = outputs[0].data()[work.size_bytes()..].as_ptr();
        assert_eq!(
            answers[1][0].data().as_ptr() != second_row,
            copied,
            "{copied}"
        );
    }
}

#[test]
fn the_only_request_of_a_batch_gets_the_output_itself() {
    let alone = work(1, 2);
    let outputs = run(&Batch::new([&alone]).unwrap());
    let answers = split(&outputs, &signature(), &[&alone]).unwrap();
    assert_eq!(answers[0][0].data().as_ptr(), outputs[0].data().as_ptr());
}

#[test]
fn wrong_outputs_answer_nobody() {
    let one = work(1, 2);
    let works = [&one, &one];
    let good = shape(&[2, 2]);
    let table: [(Outputs, &str); 4] = [
        (vec![], "the engine gave 0 outputs for 2"),
        (
            vec![
                output("z", &good, vec![0; 4]),
                output("y", &good, vec![0; 4]),
            ],
            "the engine gave output 'z' of UINT8 in the place of 'y' of UINT8",
        ),
        (
            vec![
                output("y", &good, vec![0; 4]),
                output("z", &shape(&[1, 4]), vec![0; 4]),
            ],
            "the engine gave output 'z' of shape [1, 4] for 2 rows",
        ),
        (
            vec![
                output("y", &shape(&[]), vec![0]),
                output("z", &good, vec![0; 4]),
            ],
            "the engine gave output 'y' of shape [] for 2 rows",
        ),
    ];
    for (outputs, message) in table {
        assert_eq!(
            split(&outputs, &signature(), &works).unwrap_err().message,
            message
        );
    }
}

#[test]
fn a_batch_is_of_one_shape_and_fits_its_room() {
    assert!(Batch::new([]).is_err());
    assert!(Batch::new([&work(1, 2), &work(1, 3)]).is_err());
    let one = work(1, 2);
    let batch = Batch::new([&one]).unwrap();
    let error = batch.gather_into(0, &mut [0; 3]).unwrap_err();
    assert_eq!(
        error.message,
        "input 0 has 2 bytes, the engine gave room for 3"
    );
    assert_eq!(
        batch.shape(1).unwrap_err().message,
        "the batch has no input 1"
    );
}

proptest! {
    #[test]
    fn a_batch_equals_its_requests_one_by_one(
        columns in 0..9_usize,
        rows in prop::collection::vec(0..5_usize, 1..8),
        seed: u8,
    ) {
        let works: Vec<Work> = rows
            .iter()
            .enumerate()
            .map(|(index, &rows)| {
let byte = |place: usize| (place * 7 + index + usize::from(seed)).to_le_bytes()[0];
                let wanted: &[&str] = [&[][..], &["z"], &["z", "y"]][index % 3];
                work_of(rows, columns, (0..rows * columns).map(byte).collect(), wanted)
            })
            .collect();
        let works: Vec<&Work> = works.iter().collect();
        let together = run(&Batch::new(works.iter().copied()).unwrap());
        let answers = split(&together, &signature(), &works).unwrap();
        prop_assert_eq!(answers.len(), works.len());
        for (work, answer) in works.iter().zip(&answers) {
            let alone = run(&Batch::new([*work]).unwrap());
            let expected = split(&alone, &signature(), &[*work]).unwrap().remove(0);
            prop_assert_eq!(answer, &expected);
        }
    }
}
