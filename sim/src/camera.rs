//! The camera model, for whoever draws on the pictures or computes from them.
//!
//! An ideal pinhole without distortion, level apart from its pitch:
//!
//! ```text
//! ray of pixel (u, v):   x = (u - width/2) / f      right
//!                        y = (v - height/2) / f     down
//!                        z = 1                      along the optical axis
//! f = width / 2 / tan(hfov / 2), the same for both axes; the optical axis points pitch_rad above the horizon
//! ```

/// A pinhole camera on the robot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraModel {
    /// Picture width in pixels.
    pub width: usize,
    /// Picture height in pixels.
    pub height: usize,
    /// Height of the lens above the ground, in metres.
    pub height_m: f64,
    /// Where the lens is ahead of the robot's centre, along the camera's direction, in metres.
    pub forward_m: f64,
    /// Tilt of the optical axis above the horizon, in radians: negative looks down.
    pub pitch_rad: f64,
    /// Horizontal field of view in radians.
    pub hfov_rad: f64,
    /// Direction of the camera relative to the robot's, in radians: 0 front, π rear.
    pub yaw_rad: f64,
    /// Frames a second.
    pub fps: u32,
}

/// Height of both lenses above the ground, in metres.
pub const CAMERA_HEIGHT_M: f64 = 0.6;
/// Tilt of both optical axes: 5° down.
pub const CAMERA_PITCH_RAD: f64 = -5.0 * std::f64::consts::PI / 180.0;
/// Horizontal field of view of both cameras: 90°.
pub const CAMERA_HFOV_RAD: f64 = std::f64::consts::FRAC_PI_2;
/// Both lenses sit this far ahead of the robot's centre in their own direction, in metres.
pub const CAMERA_FORWARD_M: f64 = 0.25;

impl CameraModel {
    /// The front camera, 1280×720 at 30 frames a second.
    pub const FRONT: Self = Self {
        width: 1280,
        height: 720,
        height_m: CAMERA_HEIGHT_M,
        forward_m: CAMERA_FORWARD_M,
        pitch_rad: CAMERA_PITCH_RAD,
        hfov_rad: CAMERA_HFOV_RAD,
        yaw_rad: 0.0,
        fps: 30,
    };
    /// The rear camera, 640×360 at 15 frames a second.
    pub const REAR: Self =
        Self { width: 640, height: 360, yaw_rad: std::f64::consts::PI, fps: 15, ..Self::FRONT };

    /// The focal length in pixels: 640 for the front camera.
    pub fn focal_px(&self) -> f64 {
        self.width as f64 / 2.0 / (self.hfov_rad / 2.0).tan()
    }

    /// The pixel of a point given in the robot's frame (`forward_m` ahead of its centre, `left_m`, `up_m` above the
    /// ground), or nothing when it lies behind the camera.
    pub fn project(&self, forward_m: f64, left_m: f64, up_m: f64) -> Option<(f64, f64)> {
        let (sin_yaw, cos_yaw) = self.yaw_rad.sin_cos();
        let ahead = forward_m * cos_yaw + left_m * sin_yaw - self.forward_m;
        let right = forward_m * sin_yaw - left_m * cos_yaw;
        let down = self.height_m - up_m;
        let (sin, cos) = self.pitch_rad.sin_cos();
        let depth = ahead * cos - down * sin;
        let below = down * cos + ahead * sin;
        if depth < 1e-3 {
            return None;
        }
        let f = self.focal_px();
        Some((
            self.width as f64 / 2.0 + f * right / depth,
            self.height as f64 / 2.0 + f * below / depth,
        ))
    }
}
