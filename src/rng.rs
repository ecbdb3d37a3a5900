//! Counter-based random draws (Philox 4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! There is no generator state to save or to share. A stream is named by what it is *for*: (seed, subject, index,
//! purpose), for example (augment seed, image id, view 3, "random_resized_crop"). The same name gives the same draws in any
//! order, process or thread, which is what makes results independent of `-j`, cache state and kills.

/// One named stream of draws.
#[derive(Debug, Clone)]
pub struct Draws {
    key: [u32; 2],
    stream: [u32; 2],
    block: u64,
    buffer: [u32; 4],
    used: usize,
}

impl Draws {
    /// The stream for `purpose` on `subject` (an image id, a parameter name, or "") at `index` (a view, an epoch, or 0).
    pub fn new(seed: u64, subject: &str, index: u64, purpose: &str) -> Draws {
        let mut hasher = blake3::Hasher::new();
        for part in [&seed.to_le_bytes()[..], &index.to_le_bytes()[..]] {
            hasher.update(part);
        }
        for part in [subject, purpose] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let hash = hasher.finalize();
        let word = |i: usize| u32::from_le_bytes(hash.as_bytes()[4 * i..4 * i + 4].try_into().expect("four bytes"));
        Draws { key: [word(0), word(1)], stream: [word(2), word(3)], block: 0, buffer: [0; 4], used: 4 }
    }

    /// 32 uniform bits.
    pub fn bits32(&mut self) -> u32 {
        if self.used == 4 {
            let counter = [self.block as u32, (self.block >> 32) as u32, self.stream[0], self.stream[1]];
            self.buffer = philox4x32_10(counter, self.key);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.buffer[self.used - 1]
    }

    /// 64 uniform bits.
    pub fn bits64(&mut self) -> u64 {
        (u64::from(self.bits32()) << 32) | u64::from(self.bits32())
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..n (Lemire's multiply-shift with rejection: exactly unbiased). `n` must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0) has no answer");
        let reject_under = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.bits64()) * u128::from(n);
            if (product as u64) >= reject_under {
                return (product >> 64) as u64;
            }
        }
    }

    /// Standard normal (Box-Muller, the cosine half).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma with scale 1 (Marsaglia and Tsang 2000); `shape` is above 0.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            // 1 - uniform is above 0.
            return self.gamma(shape + 1.0) * (1.0 - self.uniform()).powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            if v > 0.0 && (1.0 - self.uniform()).ln() < x * x / 2.0 + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    /// Beta, in [0, 1]; both parameters above 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        // Both are 0 where tiny parameters underflow: the limit is then a coin.
        if x + y > 0.0 { x / (x + y) } else { f64::from(u8::from(self.uniform() * (a + b) < a)) }
    }

    /// Poisson, by inversion; meant for a `mean` below some hundreds.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let (mut left, mut count, mut probability) = (self.uniform(), 0, (-mean).exp());
        while left >= probability && count < 10_000 {
            left -= probability;
            count += 1;
            probability *= mean / count as f64;
        }
        count
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// A permutation of 0..n.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

fn philox4x32_10(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        }
        let p0 = u64::from(c[0]) * 0xD251_1F53;
        let p1 = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(p1 >> 32) as u32 ^ c[1] ^ k[0], p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k[1], p0 as u32];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with Random123 1.09 (kat_vectors, philox4x32 10).
    #[test]
    fn philox_matches_the_published_vectors() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32_10([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox4x32_10(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn streams_differ_by_every_part_of_their_name() {
        let first = |seed, subject, index, purpose| Draws::new(seed, subject, index, purpose).bits64();
        let base = first(1, "a", 2, "crop");
        for other in
            [first(2, "a", 2, "crop"), first(1, "b", 2, "crop"), first(1, "a", 3, "crop"), first(1, "a", 2, "flip")]
        {
            assert_ne!(base, other);
        }
        assert_eq!(base, first(1, "a", 2, "crop"));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut draws = Draws::new(0, "", 0, "moments");
        let n = 100_000;
        let normals: Vec<f64> = (0..n).map(|_| draws.normal()).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let variance = normals.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        let moments = |values: &mut dyn FnMut() -> f64| {
            let drawn: Vec<f64> = (0..n).map(|_| values()).collect();
            let mean = drawn.iter().sum::<f64>() / n as f64;
            (mean, drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64)
        };
        for shape in [0.3, 1.0, 4.5] {
            let (mean, variance) = moments(&mut || draws.gamma(shape));
            assert!(
                (mean / shape - 1.0).abs() < 0.03 && (variance / shape - 1.0).abs() < 0.06,
                "{shape} {mean} {variance}"
            );
        }
        for (a, b) in [(0.2, 0.2), (1.0, 1.0), (2.0, 5.0)] {
            let (mean, variance) = moments(&mut || draws.beta(a, b));
            let expected = (a / (a + b), a * b / ((a + b).powi(2) * (a + b + 1.0)));
            assert!(
                (mean - expected.0).abs() < 0.01 && (variance / expected.1 - 1.0).abs() < 0.04,
                "{mean} {variance}"
            );
        }
        for rate in [0.2, 3.0, 60.0] {
            let (mean, variance) = moments(&mut || draws.poisson(rate) as f64);
            assert!((mean / rate - 1.0).abs() < 0.03 && (variance / rate - 1.0).abs() < 0.05, "{mean} {variance}");
        }
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[draws.below(7) as usize] += 1);
        assert!(counts.iter().all(|&c| (c as i64 - 10_000).abs() < 400), "{counts:?}");
    }
}
