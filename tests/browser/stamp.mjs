// The time stamp in the pixels (tests/bench/README.md), read inside the page. `page.addInitScript(installStamp)` makes
// `globalThis.readStamp(video)` available there: milliseconds since the Unix epoch, or null when there is no stamp.
export function installStamp() {
  const block = 16;
  const columns = 36;
  const canvas = new OffscreenCanvas(columns * block, 2 * block);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const sync = [1, 0, 1, 0, 1, 1, 0, 0];
  globalThis.readStamp = (video) => {
    const { width, height } = canvas;
    // The stamp is drawn for 1280 columns; a picture that was made smaller for the link has it smaller.
    const scale = video.videoWidth / 1280;
    context.drawImage(video, 0, 0, width * scale, height * scale, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height).data;
    const bit = (i) => {
      const x = (i % columns) * block + block / 2;
      const y = Math.floor(i / columns) * block + block / 2;
      return pixels[(y * width + x) * 4] > 127 ? 1 : 0;
    };
    if (sync.some((expected, i) => bit(i) !== expected)) return null;
    let us = 0n;
    for (let i = 8; i < 72; i++) us = (us << 1n) | BigInt(bit(i));
    return Number(us) / 1000;
  };
}
