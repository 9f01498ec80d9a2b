use super::*;

fn image(encoding: &str, width: u32, height: u32, step: u32) -> Image {
    let bytes = usize::try_from(u64::from(step) * u64::from(height)).unwrap();
    Image {
        width,
        height,
        step,
        encoding: encoding.to_owned(),
        data: vec![0; bytes],
        ..Image::default()
    }
}

fn file(data: &[u8]) -> Picture {
    let format = "jpeg".to_owned();
    Picture::Compressed(CompressedImage { format, data: data.to_vec(), ..Default::default() })
}

/// A JPEG as far as its size: an application segment, a fill byte, tables, the frame header.
fn jpeg(marker: u8, width: u16, height: u16) -> Vec<u8> {
    let mut data = vec![0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xc0, 9, 9, 0xff, 0xff, 0xc4, 0, 3, 7];
    data.extend([0xff, marker, 0, 17, 8]);
    data.extend(height.to_be_bytes());
    data.extend(width.to_be_bytes());
    data
}

fn png(width: u32, height: u32) -> Vec<u8> {
    [PNG, b"\0\0\0\x0dIHDR", &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2]].concat()
}

#[test]
fn each_encoding_is_told_with_its_rows() {
    for (encoding, format, pixel) in [
        ("rgb8", VideoFormat::Rgb, 3),
        ("bgr8", VideoFormat::Bgr, 3),
        ("rgba8", VideoFormat::Rgba, 4),
        ("bgra8", VideoFormat::Bgra, 4),
        ("mono8", VideoFormat::Gray8, 1),
        ("yuv422", VideoFormat::Uyvy, 2),
        ("uyvy", VideoFormat::Uyvy, 2),
        ("yuv422_yuy2", VideoFormat::Yuy2, 2),
        ("yuyv", VideoFormat::Yuy2, 2),
    ] {
        for room in [0, 5] {
            let step = 6 * pixel + room;
            let picture = Picture::Raw(image(encoding, 6, 4, step));
            let of = |bytes: u32| usize::try_from(bytes).unwrap();
            let (row, step) = (of(6 * pixel), of(step));
            let wanted = Facts { form: Form::Raw(format), width: 6, height: 4, row, step };
            assert_eq!(facts_of_size(&picture, (6, 4)), Ok(wanted), "{encoding}");
        }
    }
    let error = raw(&image("16UC1", 6, 4, 12)).unwrap_err().to_string();
    assert!(error.contains("\"16UC1\"") && error.contains("yuv422_yuy2"), "{error}");
}

#[test]
fn sizes_that_lie_are_refused_before_anything_is_made_of_them() {
    let lies = |change: fn(&mut Image)| {
        let mut image = image("rgb8", 6, 4, 18);
        change(&mut image);
        raw(&image).unwrap_err()
    };
    assert_eq!(lies(|i| i.step = 17), Unusable::Step { row: 18, step: 17 });
    assert_eq!(lies(|i| i.step = 0), Unusable::Step { row: 18, step: 0 });
    let wide = u64::from(u32::MAX) * 4;
    assert_eq!(lies(|i| i.step = u32::MAX), Unusable::Length { found: 72, wanted: wide });
    let empty = |i: &mut Image| (i.width, i.step, i.data) = (0, 0, Vec::new());
    assert_eq!(lies(empty), Unusable::Step { row: 0, step: 0 });
    assert_eq!(
        lies(|i| i.width = u32::MAX),
        Unusable::Step { row: 3 * u64::from(u32::MAX), step: 18 }
    );
    let tall = u64::from(u32::MAX) * 18;
    assert_eq!(lies(|i| i.height = u32::MAX), Unusable::Length { found: 72, wanted: tall });
    assert_eq!(lies(|i| i.height = 0), Unusable::Length { found: 72, wanted: 0 });
    assert_eq!(lies(|i| _ = i.data.pop()), Unusable::Length { found: 71, wanted: 72 });
    assert_eq!(lies(|i| i.data.push(0)), Unusable::Length { found: 73, wanted: 72 });
    let encoding = "x".repeat(1_000_000);
    let long = raw(&Image { encoding, ..image("rgb8", 6, 4, 18) }).unwrap_err();
    assert!(long.to_string().len() < 300, "{long}");
    let odd = raw(&image("yuv422", 5, 4, 10)).unwrap_err();
    assert_eq!(odd, Unusable::Odd { width: 5, encoding: "yuv422" });
    let data = vec![0; BYTES_MAX + 1];
    let large = raw(&Image { data: data.clone(), ..image("rgb8", 6, 4, 18) });
    assert_eq!(large, Err(Unusable::Large { bytes: BYTES_MAX + 1 }));
    assert_eq!(facts(&file(&data)), Err(Unusable::Large { bytes: BYTES_MAX + 1 }));
}

#[test]
fn another_size_or_form_says_what_to_set() {
    let picture = Picture::Raw(image("rgb8", 6, 4, 18));
    let error = facts_of_size(&picture, (640, 480)).unwrap_err().to_string();
    assert!(error.contains("6x4") && error.contains("640x480"), "{error}");
    let found = facts(&picture).unwrap();
    assert_eq!(found.must_be(found.form), Ok(()));
    let error = found.must_be(Form::Jpeg).unwrap_err().to_string();
    assert_eq!(error, "pictures changed from JPEG to rgb8");
}

#[test]
fn files_tell_their_size_without_being_decoded() {
    let at = |form, width, height| Ok(Facts { form, width, height, row: 0, step: 0 });
    for marker in 0xc0..=0xc2 {
        assert_eq!(facts(&file(&jpeg(marker, 640, 480))), at(Form::Jpeg, 640, 480));
    }
    assert_eq!(facts(&file(&png(70_000, 3))), at(Form::Png, 70_000, 3));
    let sizeless = |form| Err(Unusable::Sizeless { form });
    assert_eq!(facts(&file(&jpeg(0xc3, 640, 480))), sizeless("JPEG"), "lossless");
    assert_eq!(facts(&file(&jpeg(0xda, 640, 480))), sizeless("JPEG"), "no frame header");
    for whole in [jpeg(0xc0, 640, 480), png(640, 480)] {
        for cut in 8..whole.len() - 2 {
            let cut = facts(&file(&whole[..cut]));
            assert!(cut.is_err() || whole.starts_with(PNG), "{cut:?}");
        }
    }
    assert!(matches!(facts(&file(b"GIF89a")), Err(Unusable::File { .. })));
    assert!(matches!(facts(&file(&[])), Err(Unusable::File { .. })));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_run_on(
        start in 0usize..2,
        tail in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
    ) {
        let start: &[u8] = [&[0xff, 0xd8, 0xff][..], PNG][start];
        // Whether they happen to be a picture does not matter here.
        drop(facts(&file(&[start, &tail].concat())));
        let tail_of_markers: Vec<u8> = tail.iter().map(|byte| byte | 0xf0).collect();
        drop(facts(&file(&[start, &tail_of_markers].concat())));
    }
}
