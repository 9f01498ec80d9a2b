//! tmp
use sim::*;
use std::sync::Arc;
fn main() {
    let a: Vec<f64> = std::env::args().skip(1).filter_map(|s| s.parse().ok()).collect();
    let w = World::new(1);
    let t = std::time::Instant::now();
    let assets = Arc::new(Assets::new(&w.city, 1));
    println!("assets {:?}", t.elapsed());
    let m = CameraModel::FRONT;
    let mut r = Renderer::new(m, assets);
    let p = Picture { width: m.width, height: m.height };
    let mut buf = vec![0; p.bytes()];
    let mut w2 = w.clone();
    for _ in 0..(a.get(3).copied().unwrap_or(0.0) * 200.0) as usize { w2.step(0.005, None); }
    let mut s = Scene::of(&w2);
    if a.len() >= 3 { s.pose = Pose { x: a[0], y: a[1], heading_rad: a[2].to_radians() }; }
    r.draw(&s, &mut buf);
    let cpu = || { let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime); t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6 };
    let t = cpu();
    for _ in 0..60 { r.draw(&s, &mut buf); }
    println!("frame cpu ms {:?}", (cpu() - t) / 60.0);
    let rgb = to_rgb(p, &buf);
    let f = std::fs::File::create("/tmp/snap.png").unwrap();
    let mut e = png::Encoder::new(f, 1280, 720);
    e.set_color(png::ColorType::Rgb);
    e.write_header().unwrap().write_image_data(&rgb).unwrap();
}
use sim::render::to_rgb;
