//! The tiles of the ground, painted texel by texel: each 2 m wide and repeating in both directions.

use super::noise::{clouds, hash, noise};
use super::pixel::{Rgb, mix, rgb, scale};

fn grain(u: f32, v: f32, n: i32, salt: u32) -> f32 {
    hash((u * n as f32) as i32, (v * n as f32) as i32, salt)
}

pub(crate) fn asphalt(u: f32, v: f32) -> Rgb {
    let stone = grain(u, v, 512, 3);
    let chip = if stone > 0.93 { 1.45 } else { 0.8 + 0.34 * stone };
    let patch = 0.86 + 0.28 * clouds(u * 4.0, v * 4.0, 4, 4, 12);
    let crack = (clouds(u * 3.0, v * 3.0, 3, 5, 31) - 0.5).abs() < 0.006;
    scale(rgb(112, 113, 116), chip * patch * if crack { 0.62 } else { 1.0 })
}

pub(crate) fn paint(u: f32, v: f32) -> Rgb {
    let worn = clouds(u * 12.0, v * 12.0, 12, 4, 5);
    let c = scale(rgb(236, 234, 226), 0.9 + 0.12 * grain(u, v, 512, 8));
    if worn > 0.66 { mix(c, asphalt(u, v), 0.7) } else { c }
}

pub(crate) fn slabs(u: f32, v: f32) -> Rgb {
    // Four rows of 0.6 m, laid in half bond along the other axis.
    let (su, sv) = (u * 4.0, v * 4.0);
    let row = sv.floor();
    let su = su + if row as i32 % 2 == 0 { 0.0 } else { 0.5 };
    let (fu, fv) = (su.fract(), sv.fract());
    let edge = fu.min(1.0 - fu).min(fv).min(1.0 - fv);
    let tint = 0.90 + 0.17 * hash((su.floor() as i32).rem_euclid(4), row as i32, 21);
    let grit = 0.93 + 0.14 * grain(u, v, 512, 22);
    let stain = 0.90 + 0.2 * clouds(u * 5.0, v * 5.0, 5, 4, 23);
    let spot = if noise(u * 90.0, v * 90.0, 90, 24) > 0.95 { 0.88 } else { 1.0 };
    let c = scale(rgb(190, 184, 172), tint * grit * stain * spot);
    if edge < 0.009 {
        mix(scale(c, 0.45), rgb(84, 80, 70), 0.4)
    } else if edge < 0.020 {
        scale(c, 0.9)
    } else {
        c
    }
}

pub(crate) fn kerb(u: f32, v: f32) -> Rgb {
    let joint = (u * 3.0).fract() < 0.012 || (v * 3.0).fract() < 0.012;
    let grit = 0.9 + 0.2 * grain(u, v, 512, 41);
    let stain = 0.9 + 0.2 * clouds(u * 6.0, v * 6.0, 6, 3, 42);
    scale(rgb(206, 202, 192), grit * stain * if joint { 0.5 } else { 1.0 })
}

pub(crate) fn setts(u: f32, v: f32) -> Rgb {
    let (su, sv) = (u * 20.0, v * 20.0);
    let row = sv.floor() as i32;
    let su = su + if row % 2 == 0 { 0.0 } else { 0.5 };
    let (fu, fv) = (su.fract() - 0.5, sv.fract() - 0.5);
    let round = fu.abs().max(fv.abs()) + 0.12 * fu.abs().min(fv.abs());
    let tint = 0.78 + 0.4 * hash((su.floor() as i32).rem_euclid(20), row, 51);
    let grit = 0.92 + 0.16 * grain(u, v, 512, 52);
    let c = scale(rgb(138, 132, 126), tint * grit);
    if round > 0.46 { scale(c, 0.5) } else { scale(c, 1.06 - 0.35 * round) }
}

pub(crate) fn tactile(u: f32, v: f32) -> Rgb {
    let (fu, fv) = ((u * 24.0).fract() - 0.5, (v * 24.0).fract() - 0.5);
    let bump = fu.hypot(fv);
    let joint = (u * 6.0).fract() < 0.02 || (v * 6.0).fract() < 0.02;
    let lit = if bump < 0.28 {
        1.1 + 0.4 * fv
    } else if bump < 0.38 {
        0.74
    } else {
        0.92
    };
    let c = scale(rgb(206, 180, 120), lit * (0.93 + 0.1 * grain(u, v, 512, 61)));
    if joint { scale(c, 0.6) } else { c }
}

pub(crate) fn soil(u: f32, v: f32) -> Rgb {
    let n = clouds(u * 8.0, v * 8.0, 8, 3, 71);
    mix(rgb(74, 58, 44), rgb(92, 104, 60), ((n - 0.5) * 3.0).clamp(0.0, 1.0))
}
