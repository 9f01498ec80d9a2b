// One way to start a browser for tests and benchmarks: headless, a new profile each time, nothing in the background.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { chromium, firefox } from "playwright-core";

/** A microphone that beeps, given without a question. */
export const BEEPING = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** Firefox as Debian has it, over WebDriver BiDi. What it would fetch in the background, its OpenH264 plug-in among it, stays away. */
function launchFirefox(profile, executablePath, viewport, _more, screen) {
  return firefox.launchPersistentContext(profile, {
    channel: "moz-firefox",
    executablePath,
    headless: true,
    viewport,
    ...screen,
    firefoxUserPrefs: {
      "media.gmp-manager.updateEnabled": false,
      "media.gmp-gmpopenh264.enabled": false,
      "media.autoplay.default": 0,
      "app.normandy.enabled": false,
      "datareporting.policy.dataSubmissionEnabled": false,
      "browser.safebrowsing.downloads.enabled": false,
    },
  });
}

/** Starts Chromium, with `more` flags and a `screen` such as `{ hasTouch: true }`, or Firefox where that is what `executablePath` is;
 * `close` ends it and removes its profile. */
export async function launch(executablePath, viewport = { width: 1440, height: 810 }, more = [], screen = {}) {
  const isFirefox = basename(executablePath).startsWith("firefox");
  const profile = mkdtempSync(join(tmpdir(), isFirefox ? "longrein-firefox-" : "longrein-chromium-"));
  const start = isFirefox ? launchFirefox : launchChromium;
  const context = await start(profile, executablePath, viewport, more, screen);
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

function launchChromium(profile, executablePath, viewport, more, screen) {
  return chromium.launchPersistentContext(profile, {
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
}

/** Value at `share` (0 to 1) of numbers, null for none. */
export function percentile(numbers, share) {
  const sorted = [...numbers].filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
