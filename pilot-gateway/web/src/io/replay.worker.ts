/** Makes a small copy of each picture that it is handed, away from the page's own thread, which drives. */
const WIDTH_PX = 480;
const HEIGHT_PX = 270;
const QUALITY = 0.6;

const canvas = new OffscreenCanvas(WIDTH_PX, HEIGHT_PX);
const context = canvas.getContext("2d", { alpha: false });

addEventListener("message", async ({ data }: MessageEvent<{ frame: VideoFrame; atMs: number }>) => {
  const { frame, atMs } = data;
  let item: Blob | null = null;
  try {
    context?.drawImage(frame, 0, 0, WIDTH_PX, HEIGHT_PX);
    item = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  } catch (error) {
    console.warn("a picture can't be kept for the replay", error);
  } finally {
    frame.close();
  }
  postMessage({ atMs, item });
});

export {};
