//! Packed colours: Y in bits 0–7, U in 8–15, V in 16–23 (BT.709, limited range), lit two lanes at a time.

/// One colour.
pub(crate) type Colour = u32;

/// Linear-looking RGB from 0 to 1; what textures are painted in.
pub(crate) type Rgb = [f32; 3];

const YV: u32 = 0x00ff_00ff;
/// Where shading fades to: black with a breath of sky.
const DARK: Colour = pack(16, 131, 127);
/// Where distance fades to: the sky at the horizon.
pub(crate) const HAZE_RGB: Rgb = [0.80, 0.85, 0.885];

pub(crate) const fn pack(y: u32, u: u32, v: u32) -> Colour {
    y | (u << 8) | (v << 16)
}

pub(crate) fn colour(rgb: Rgb) -> Colour {
    let [r, g, b] = rgb.map(|c| c.clamp(0.0, 1.0));
    let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let y = 16.0 + 219.0 * luma;
    let u = 128.0 + 224.0 * (b - luma) / 1.8556;
    let v = 128.0 + 224.0 * (r - luma) / 1.5748;
    pack(y.round() as u32, u.round() as u32, v.round() as u32)
}

pub(crate) fn rgb(r: u8, g: u8, b: u8) -> Rgb {
    [f32::from(r) / 255.0, f32::from(g) / 255.0, f32::from(b) / 255.0]
}

pub(crate) fn scale(c: Rgb, k: f32) -> Rgb {
    c.map(|v| v * k)
}

pub(crate) fn mix(a: Rgb, b: Rgb, k: f32) -> Rgb {
    [a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k, a[2] + (b[2] - a[2]) * k]
}

/// `a` to `b` by `k` of 256.
#[inline]
pub(crate) fn lerp(a: Colour, b: Colour, k: u32) -> Colour {
    let yv = (((a & YV) * (256 - k) + (b & YV) * k) >> 8) & YV;
    let u = (((a >> 8) & 0xff) * (256 - k) + ((b >> 8) & 0xff) * k) & 0xff00;
    yv | u
}

/// How light and distance change a colour: `colour * gain + dark * … + haze * …`, in parts of 256.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Light {
    gain: u32,
    add_yv: u32,
    add_u: u32,
}

/// The haze of one distance; makes [`Light`] for any shade at that distance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Air {
    clear: u32,
    add_yv: u32,
    add_u: u32,
}

impl Air {
    pub(crate) fn new(distance_m: f32, haze: Colour) -> Self {
        let clear = (256.0 * (-(distance_m - 6.0).max(0.0) / 130.0).exp()) as u32;
        let hazy = 256 - clear;
        Self { clear, add_yv: (haze & YV) * hazy, add_u: ((haze >> 8) & 0xff) * hazy }
    }

    /// The light on something of this shade: 256 is full sun.
    #[inline]
    pub(crate) fn light(&self, shade: u32) -> Light {
        let gain = (self.clear * shade) >> 8;
        let dark = self.clear - gain.min(self.clear);
        Light {
            gain,
            add_yv: self.add_yv + (DARK & YV) * dark,
            add_u: self.add_u + ((DARK >> 8) & 0xff) * dark,
        }
    }
}

impl Light {
    #[inline]
    pub(crate) fn on(&self, c: Colour) -> Colour {
        let yv = (((c & YV) * self.gain + self.add_yv) >> 8) & YV;
        let u = (((c >> 8) & 0xff) * self.gain + self.add_u) & 0xff00;
        yv | u
    }
}

/// The same, darker by `k` of 256: for shadows cast on what is already drawn.
#[inline]
pub(crate) fn darken(c: Colour, k: u32) -> Colour {
    lerp(DARK, c, k)
}
