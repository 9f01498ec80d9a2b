// One way to start Chromium for tests and benchmarks: headless, a new profile each time, nothing in the background.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

/** A microphone that beeps, given without a question. */
export const BEEPING = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** Starts Chromium, with `more` flags and a `screen` such as `{ hasTouch: true }`; `close` ends it and removes its profile. */
export async function launch(executablePath, viewport = { width: 1440, height: 810 }, more = [], screen = {}) {
  const profile = mkdtempSync(join(tmpdir(), "longrein-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport,
    ...screen,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-features=WebRtcHideLocalIpsWithMdns",
      "--autoplay-policy=no-user-gesture-required",
      ...more,
    ],
  });
  const close = async () => {
    await context.close().catch(() => {});
    // A browser may still write its last files.
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.on(signal, async () => {
      await close();
      process.exit(1);
    });
  }
  return { context, page: context.pages()[0] ?? (await context.newPage()), close };
}

/** Value at `share` (0 to 1) of numbers, null for none. */
export function percentile(numbers, share) {
  const sorted = [...numbers].filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
