//! How much a picture that was encoded, sent and decoded looks like what it was made of. Pure.
//!
//! Both measures look at the luma alone, as is usual: PSNR tells the mean error, SSIM (Z. Wang, A. C. Bovik, H. R. Sheikh,
//! E. P. Simoncelli, *Image Quality Assessment: From Error Visibility to Structural Similarity*, 2004) how much of the structure
//! is left. SSIM is taken over windows of 8×8 pixels, four apart, as video encoders do.

/// The bright part of a picture, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Luma<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` of them.
    pub pixels: &'a [u8],
}

/// Side of a window, and how far the next one is, in pixels.
const WINDOW: usize = 8;
const STRIDE: usize = 4;
/// The constants of SSIM for values up to 255.
const C1: f64 = 0.01 * 255.0 * 0.01 * 255.0;
const C2: f64 = 0.03 * 255.0 * 0.03 * 255.0;

/// Peak signal to noise ratio of two pictures of the same size, in dB; infinite when they are equal.
pub fn psnr_db(a: Luma<'_>, b: Luma<'_>) -> f64 {
    let square = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)).pow(2);
    let sum: u64 = a.pixels.iter().zip(b.pixels).map(square).sum();
    let mean = sum as f64 / a.pixels.len().min(b.pixels.len()).max(1) as f64;
    if mean > 0.0 { 10.0 * (255.0 * 255.0 / mean).log10() } else { f64::INFINITY }
}

/// Structural similarity of two pictures of the same size: 1 when they are equal. Pictures under 8×8 have none: 0.
pub fn ssim(a: Luma<'_>, b: Luma<'_>) -> f64 {
    let (width, height) = (a.width.min(b.width), a.height.min(b.height));
    if width < WINDOW || height < WINDOW {
        return 0.0;
    }
    let (mut sum, mut count) = (0.0, 0_u32);
    for y in (0..=height - WINDOW).step_by(STRIDE) {
        for x in (0..=width - WINDOW).step_by(STRIDE) {
            sum += window(a, b, x, y);
            count += 1;
        }
    }
    sum / f64::from(count)
}

fn window(a: Luma<'_>, b: Luma<'_>, x: usize, y: usize) -> f64 {
    let (mut sum_a, mut sum_b, mut squares_a, mut squares_b, mut products) = (0, 0, 0, 0, 0);
    for row in y..y + WINDOW {
        let of = |luma: Luma<'_>| luma.width * row + x..luma.width * row + x + WINDOW;
        let pairs = a.pixels.get(of(a)).zip(b.pixels.get(of(b)));
        for (p, q) in pairs.into_iter().flat_map(|(p, q)| p.iter().zip(q)) {
            let (p, q) = (i64::from(*p), i64::from(*q));
            sum_a += p;
            sum_b += q;
            squares_a += p * p;
            squares_b += q * q;
            products += p * q;
        }
    }
    let n = (WINDOW * WINDOW) as f64;
    let (mean_a, mean_b) = (sum_a as f64 / n, sum_b as f64 / n);
    let spread = squares_a as f64 / n - mean_a * mean_a + (squares_b as f64 / n - mean_b * mean_b);
    let together = products as f64 / n - mean_a * mean_b;
    (2.0 * mean_a * mean_b + C1) * (2.0 * together + C2)
        / ((mean_a * mean_a + mean_b * mean_b + C1) * (spread + C2))
}

/// The picture in another size, each pixel between its four neighbours, as a browser shows it.
pub fn scaled(luma: Luma<'_>, width: usize, height: usize) -> Vec<u8> {
    if (luma.width, luma.height) == (width, height) {
        return luma.pixels.to_vec();
    }
    let columns: Vec<Between> = (0..width).map(|x| Between::of(x, width, luma.width)).collect();
    let mut out = Vec::with_capacity(width * height);
    for y in 0..height {
        let down = Between::of(y, height, luma.height);
        for across in &columns {
            let at = |x: usize, y: usize| {
                f64::from(luma.pixels.get(y * luma.width + x).copied().unwrap_or(0))
            };
            let upper = across.mix(at(across.from, down.from), at(across.to, down.from));
            let lower = across.mix(at(across.from, down.to), at(across.to, down.to));
            out.push(down.mix(upper, lower).round() as u8);
        }
    }
    out
}

/// A place between two pixels.
struct Between {
    from: usize,
    to: usize,
    share: f64,
}

impl Between {
    /// The place of pixel `n` of `many` in a row of `few`.
    fn of(n: usize, many: usize, few: usize) -> Self {
        let last = few.saturating_sub(1);
        let place = ((n as f64 + 0.5) * few as f64 / many as f64 - 0.5).clamp(0.0, last as f64);
        let from = place as usize;
        Self { from, to: (from + 1).min(last), share: place.fract() }
    }

    fn mix(&self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luma(pixels: &[u8], width: usize) -> Luma<'_> {
        Luma { width, height: pixels.len() / width, pixels }
    }

    /// A picture with something in it, without chance.
    fn street(width: usize, height: usize) -> Vec<u8> {
        let pixel = |n: usize| (40 + n % width * 3 % 160 + n / width * 7 % 50) as u8;
        (0..width * height).map(pixel).collect()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn equal_pictures_are_as_good_as_can_be() {
        let street = street(64, 32);
        let picture = luma(&street, 64);
        assert_eq!(psnr_db(picture, picture), f64::INFINITY);
        assert!(close(ssim(picture, picture), 1.0));
    }

    #[test]
    fn psnr_is_that_of_its_definition() {
        let (a, b) = (vec![100; 256], vec![110; 256]);
        assert!(close(psnr_db(luma(&a, 16), luma(&b, 16)), 20.0 * (25.5_f64).log10()));
        let (black, white) = (vec![0; 64], vec![255; 64]);
        assert!(close(psnr_db(luma(&black, 8), luma(&white, 8)), 0.0));
        // One pixel of 256 off by 16: a mean square of one.
        let mut one = a.clone();
        one[77] = 116;
        assert!(close(psnr_db(luma(&a, 16), luma(&one, 16)), 20.0 * 255.0_f64.log10()));
    }

    #[test]
    fn ssim_is_that_of_its_definition() {
        // Without structure only the means count.
        let (a, b) = (vec![100; 256], vec![110; 256]);
        let means = (2.0 * 100.0 * 110.0 + C1) / (100.0 * 100.0 + 110.0 * 110.0 + C1);
        assert!(close(ssim(luma(&a, 16), luma(&b, 16)), means));
        // A checkerboard against its negative: same means, and the structure is the opposite.
        let board: Vec<u8> = (0..64).map(|n| if (n + n / 8) % 2 == 0 { 90 } else { 110 }).collect();
        let negative: Vec<u8> = board.iter().map(|pixel| 200 - pixel).collect();
        let opposite = (C2 - 2.0 * 100.0) / (C2 + 2.0 * 100.0);
        assert!(close(ssim(luma(&board, 8), luma(&negative, 8)), opposite));
    }

    #[test]
    fn blur_costs_structure_more_than_a_brighter_picture_does() {
        let street = street(64, 32);
        let brighter: Vec<u8> = street.iter().map(|pixel| pixel + 3).collect();
        let small = scaled(luma(&street, 64), 16, 8);
        let blurred = scaled(luma(&small, 16), 64, 32);
        let of = |pixels: &[u8]| ssim(luma(&street, 64), luma(pixels, 64));
        assert!(of(&brighter) > 0.98 && of(&blurred) < 0.9, "{} {}", of(&brighter), of(&blurred));
    }

    #[test]
    fn a_smaller_picture_is_spread_between_its_pixels() {
        let two = [0, 100];
        assert_eq!(scaled(luma(&two, 2), 4, 1), [0, 25, 75, 100]);
        let plain = vec![77; 12];
        assert!(scaled(luma(&plain, 4), 9, 7).iter().all(|pixel| *pixel == 77));
        let street = street(16, 8);
        assert_eq!(scaled(luma(&street, 16), 16, 8), street);
    }
}
