//! Products of matrices, and of windows with a query.

use crate::{MISALIGNMENTS, Results, bits, lanes_of, noise, portable};
use omen::kernels::{Kernels, Lanes, Window};

/// Rows, depth and width of matrix products.
const PRODUCTS: [(usize, usize, usize); 8] =
    [(0, 3, 5), (1, 1, 1), (1, 9, 203), (3, 2, 3), (4, 7, 32), (5, 7, 31), (8, 3, 33), (9, 40, 130)];

type Product = fn(&Kernels, &[f32], &[f32], usize, &mut [f32]);

pub fn matmul(kernels: &Kernels, left: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
    kernels.matmul(left, matrix, width, out);
}

pub fn matmul_i8(kernels: &Kernels, left: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
    kernels.matmul_i8(left, &integers(matrix), width, out);
}

fn integers(matrix: &[f32]) -> Vec<i8> {
    matrix.iter().map(|value| (value * 40.0) as i8).collect()
}

pub fn results_of_products(kernels: &Kernels, product: Product) -> Results {
    let run = |(rows, depth, width): (usize, usize, usize)| {
        let start = depth % 4;
        let (left, matrix) = (noise(start + rows * depth, 13), noise(start + depth * width, 14));
        let mut out = vec![f32::NAN; 1 + rows * width];
        product(kernels, &left[start..], &matrix[start..], width, &mut out[1..]);
        (format!("{rows} rows of {depth}, {width} wide"), bits(&out[1..]))
    };
    PRODUCTS.into_iter().map(run).collect()
}

#[test]
fn products_equal_plain_sums() {
    for (rows, depth, width) in PRODUCTS {
        let (left, matrix) = (noise(rows * depth, 13), noise(depth * width, 14));
        let plain = |matrix: &[f32]| -> Vec<u32> {
            let output = |row: usize, column: usize| {
                (0..depth).fold(0.0, |sum, k| sum + left[row * depth + k] * matrix[k * width + column])
            };
            bits(&(0..rows * width).map(|index| output(index / width, index % width)).collect::<Vec<f32>>())
        };
        let run = |product: Product| {
            let mut out = vec![f32::NAN; rows * width];
            product(portable(), &left, &matrix, width, &mut out);
            bits(&out)
        };
        assert_eq!(run(matmul), plain(&matrix), "{rows} rows of {depth}, {width} wide");
        let integers: Vec<f32> = integers(&matrix).into_iter().map(f32::from).collect();
        assert_eq!(run(matmul_i8), plain(&integers), "{rows} rows of {depth}, {width} wide, integers");
    }
}

/// Two windows over a query, at `start` floats from the beginning of its buffer.
fn inner_products_from(kernels: &Kernels, start: usize) -> [Lanes; 2] {
    let query = [vec![0.0; start], noise(11, 8)].concat();
    let mut products = [Lanes::of(0.0); 2];
    kernels.inner_products(&TWO_WINDOWS, &lanes_of(&noise(12 * 16, 7)), &query[start..], &mut products);
    products
}

const TWO_WINDOWS: [Window; 2] = [Window { first: 1, width: 3, offset: 0 }, Window { first: 2, width: 9, offset: 48 }];

pub fn inner_products(kernels: &Kernels) -> Results {
    let run = |start| {
        let products = inner_products_from(kernels, start);
        (format!("misalignment {start}"), products.iter().flat_map(|lanes| bits(&lanes.0)).collect())
    };
    MISALIGNMENTS.map(run).collect()
}

#[test]
fn inner_products_are_close_to_f64() {
    let (query, columns) = (noise(11, 8), lanes_of(&noise(12 * 16, 7)));
    for (window, products) in TWO_WINDOWS.iter().zip(inner_products_from(portable(), 0)) {
        for (lane, product) in products.0.into_iter().enumerate() {
            let terms = (0..window.width)
                .map(|dim| f64::from(query[window.first + dim]) * f64::from(columns[window.offset / 16 + dim].0[lane]));
            let expected: f64 = terms.sum();
            assert!((f64::from(product) - expected).abs() < 1e-3 * expected.abs().max(1.0));
        }
    }
}
