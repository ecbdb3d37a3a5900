//! The little linear algebra that the methods need, on dense row-major matrices of at most some hundred rows.

/// Of a symmetric positive definite matrix: the lower triangle L with L L' equal to it.
#[derive(Debug, Clone)]
pub struct Cholesky {
    n: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// `None` when the matrix is not positive definite, as far as rounding lets that be told.
    pub fn new(matrix: &[f64], n: usize) -> Option<Cholesky> {
        let mut lower = vec![0.0; n * n];
        for i in 0..n {
            let (above, row) = lower.split_at_mut(i * n);
            for j in 0..=i {
                let known = if j == i { &row[..j] } else { &above[j * n..j * n + j] };
                let rest = matrix[i * n + j] - dot(&row[..j], known);
                row[j] = if j == i { rest.sqrt() } else { rest / above[j * n + j] };
            }
            if row[i].is_nan() || row[i] <= 0.0 {
                return None;
            }
        }
        Some(Cholesky { n, lower })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.lower[i * self.n..i * self.n + i]
    }

    fn diagonal(&self, i: usize) -> f64 {
        self.lower[i * self.n + i]
    }

    /// L^-1 b.
    pub fn forward(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in 0..self.n {
            x[i] = (x[i] - dot(self.row(i), &x[..i])) / self.diagonal(i);
        }
        x
    }

    /// L'^-1 b.
    pub fn backward(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in (0..self.n).rev() {
            x[i] /= self.diagonal(i);
            let xi = x[i];
            x[..i].iter_mut().zip(self.row(i)).for_each(|(x, l)| *x -= l * xi);
        }
        x
    }

    /// Solves the matrix's equations for `b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        self.backward(&self.forward(b))
    }

    /// The inverse matrix.
    pub fn inverse(&self) -> Vec<f64> {
        let column = |j: usize| self.solve(&(0..self.n).map(|i| f64::from(u8::from(i == j))).collect::<Vec<_>>());
        (0..self.n).flat_map(column).collect()
    }

    /// Logarithm of the matrix's determinant.
    pub fn log_determinant(&self) -> f64 {
        2.0 * (0..self.n).map(|i| self.diagonal(i).ln()).sum::<f64>()
    }
}

/// The matrix that changes nothing.
pub fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Eigenvalues of a symmetric matrix, and the eigenvectors as the columns of a matrix, by Jacobi's rotations.
pub fn eigen(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = matrix.to_vec();
    let mut vectors = identity(n);
    for _sweep in 0..50 {
        let off: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| a[at] * a[at]).sum();
        if off <= f64::EPSILON.powi(2) * dot(&a, &a) {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p * n + q] == 0.0 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * a[p * n + q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                let rotate = |x: &mut [f64], at: usize, other: usize| {
                    (x[at], x[other]) = (c * x[at] - s * x[other], s * x[at] + c * x[other]);
                };
                (0..n).for_each(|k| rotate(&mut a, k * n + p, k * n + q));
                (0..n).for_each(|k| rotate(&mut a, p * n + k, q * n + k));
                (0..n).for_each(|k| rotate(&mut vectors, k * n + p, k * n + q));
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Draws;

    const N: usize = 7;

    fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
        let entry = |at: usize| (0..N).map(|k| a[at / N * N + k] * b[k * N + at % N]).sum();
        (0..N * N).map(entry).collect()
    }

    fn transposed(a: &[f64]) -> Vec<f64> {
        (0..N * N).map(|at| a[at % N * N + at / N]).collect()
    }

    fn difference(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// A A', which is symmetric and positive definite.
    fn matrix() -> Vec<f64> {
        let mut draws = Draws::new(0, "", 0, "matrix");
        let a: Vec<f64> = (0..N * N).map(|_| draws.normal()).collect();
        product(&a, &transposed(&a))
    }

    #[test]
    fn a_factor_solves_inverts_and_has_the_determinant() {
        let matrix = matrix();
        let factor = Cholesky::new(&matrix, N).unwrap();
        assert!(difference(&product(&factor.lower, &transposed(&factor.lower)), &matrix) < 1e-12);
        assert!(difference(&product(&matrix, &factor.inverse()), &identity(N)) < 1e-9);
        let determinant: f64 = eigen(&matrix, N).0.iter().map(|value| value.ln()).sum();
        assert!((factor.log_determinant() - determinant).abs() < 1e-9);
        let negative: Vec<f64> = matrix.iter().map(|value| -value).collect();
        assert!(Cholesky::new(&negative, N).is_none());
    }

    #[test]
    fn eigenvectors_are_orthonormal_and_diagonalise() {
        let matrix = matrix();
        let (values, vectors) = eigen(&matrix, N);
        assert!(difference(&product(&transposed(&vectors), &vectors), &identity(N)) < 1e-12);
        let diagonal = product(&transposed(&vectors), &product(&matrix, &vectors));
        let expected: Vec<f64> = identity(N).iter().enumerate().map(|(at, one)| one * values[at / N]).collect();
        assert!(difference(&diagonal, &expected) < 1e-10);
    }
}
