//! A parked car.

use super::models::Maker;
use super::pixel::{Colour, colour, rgb};

fn c(r: u8, g: u8, b: u8) -> Colour {
    colour(rgb(r, g, b))
}

const FLAT: [u32; 2] = [256, 256];
/// Half the width of the body and of the roof.
const HALF: f32 = 0.86;
const ROOF_HALF: f32 = 0.64;

/// The body's outline from the side, from the rear bumper over the top to the front bumper.
const BODY: [[f32; 2]; 8] = [
    [-2.00, 0.24],
    [2.00, 0.24],
    [2.14, 0.40],
    [2.10, 0.66],
    [0.95, 0.92],
    [-1.75, 0.95],
    [-2.10, 0.84],
    [-2.14, 0.42],
];

pub(crate) fn car(m: &mut Maker<'_>, variant: u32) {
    let paints = [
        c(190, 30, 34),
        c(226, 226, 224),
        c(52, 56, 62),
        c(38, 74, 132),
        c(148, 154, 160),
        c(24, 26, 30),
        c(196, 160, 84),
        c(54, 92, 76),
    ];
    let paint = paints[variant as usize % paints.len()];
    body(m, paint);
    cabin(m, paint);
    wheels(m);
    lamps(m);
}

fn body(m: &mut Maker<'_>, paint: Colour) {
    for y in [-HALF, HALF] {
        m.car_side(&BODY, y, paint, [256, 150]);
        m.car_side(
            &[[-1.95, 0.22], [1.95, 0.22], [1.95, 0.34], [-1.95, 0.34]],
            y * 1.004,
            c(34, 34, 36),
            FLAT,
        );
        m.car_side(
            &[[-0.35, 0.70], [-0.15, 0.70], [-0.15, 0.73], [-0.35, 0.73]],
            y * 1.01,
            c(60, 60, 62),
            FLAT,
        );
        m.car_side(
            &[[-0.62, 0.36], [-0.605, 0.36], [-0.605, 0.93], [-0.62, 0.93]],
            y * 1.004,
            c(30, 30, 32),
            FLAT,
        );
    }
    // Bumpers, bonnet and boot: the outline's upper edges carried across.
    for n in 1..BODY.len() - 1 {
        let (a, b) = (BODY[n], BODY[n + 1]);
        m.car_band([a[0], HALF, a[1]], [b[0], HALF, b[1]], paint, [256, 225]);
    }
    let (last, first) = (BODY[BODY.len() - 1], BODY[0]);
    m.car_band([last[0], HALF, last[1]], [first[0], HALF, first[1]], paint, [256, 225]);
}

fn cabin(m: &mut Maker<'_>, paint: Colour) {
    let glass = c(58, 70, 84);
    // Rear and front foot, rear and front of the roof.
    let (rear, front, roof_rear, roof_front) =
        ([-1.78, 0.93], [0.98, 0.91], [-1.28, 1.42], [0.22, 1.44]);
    let low = HALF - 0.05;
    for s in [-1.0_f32, 1.0] {
        let quad = |x: [[f32; 2]; 4], inset: f32| {
            let mut out = [[0.0; 3]; 4];
            for (n, p) in x.iter().enumerate() {
                let k = ((p[1] - 0.92) / 0.51).clamp(0.0, 1.0);
                let y = (low + (ROOF_HALF - low) * k + inset) * s;
                let to = if s > 0.0 { 3 - n } else { n };
                out[to] = [p[0], y, p[1]];
            }
            out
        };
        m.car_quad(&quad([rear, front, roof_front, roof_rear], 0.0), paint, [256, 220]);
        let windows = [
            [[-1.52, 0.96], [-0.62, 0.96], [-0.62, 1.37], [-1.20, 1.36]],
            [[-0.54, 0.96], [0.78, 0.95], [0.20, 1.38], [-0.54, 1.37]],
        ];
        for w in windows {
            m.car_quad(&quad(w, 0.008), glass, [256, 140]);
        }
    }
    m.car_band(
        [roof_front[0], ROOF_HALF, roof_front[1]],
        [roof_rear[0], ROOF_HALF, roof_rear[1]],
        paint,
        FLAT,
    );
    m.car_band([front[0], low, front[1]], [roof_front[0], ROOF_HALF, roof_front[1]], paint, FLAT);
    m.car_band([0.93, low - 0.06, 0.945], [0.27, ROOF_HALF - 0.04, 1.415], glass, [256, 150]);
    m.car_band([roof_rear[0], ROOF_HALF, roof_rear[1]], [rear[0], low, rear[1]], paint, FLAT);
    m.car_band([-1.33, ROOF_HALF - 0.05, 1.39], [-1.75, low - 0.08, 0.975], glass, [256, 150]);
}

fn wheels(m: &mut Maker<'_>) {
    let disc = |radius: f32, x: f32| {
        let mut p = [[0.0; 2]; 8];
        for (n, p) in p.iter_mut().enumerate() {
            let turn = (n as f32 + 0.5) * std::f32::consts::FRAC_PI_4;
            *p = [x + radius * turn.cos(), 0.32 + radius * turn.sin()];
        }
        p
    };
    for y in [-HALF, HALF] {
        for x in [-1.32, 1.32] {
            m.car_side(&disc(0.40, x), y * 1.006, c(26, 26, 28), FLAT);
            m.car_side(&disc(0.33, x), y * 1.012, c(44, 44, 46), FLAT);
            m.car_side(&disc(0.21, x), y * 1.018, c(186, 188, 192), [256, 190]);
            m.car_side(&disc(0.06, x), y * 1.024, c(70, 70, 74), FLAT);
        }
    }
}

fn lamps(m: &mut Maker<'_>) {
    for s in [-1.0_f32, 1.0] {
        let (y0, y1) = if s > 0.0 { (0.48, 0.80) } else { (-0.80, -0.48) };
        // Ahead: seen from the front, y grows to the viewer's right.
        m.car_quad(
            &[[2.16, y0, 0.50], [2.16, y1, 0.50], [2.135, y1, 0.64], [2.135, y0, 0.64]],
            c(238, 240, 236),
            FLAT,
        );
        m.car_quad(
            &[[-2.16, y1, 0.56], [-2.16, y0, 0.56], [-2.135, y0, 0.78], [-2.135, y1, 0.78]],
            c(186, 24, 26),
            FLAT,
        );
    }
    for (x, s) in [(2.165, 1.0), (-2.165, -1.0)] {
        let plate =
            [[x, -0.26 * s, 0.40], [x, 0.26 * s, 0.40], [x, 0.26 * s, 0.51], [x, -0.26 * s, 0.51]];
        m.car_quad(&plate, c(236, 236, 230), FLAT);
    }
}
