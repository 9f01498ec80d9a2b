import solid from "vite-plugin-solid";
import { defineConfig } from "vitest/config";

// `npm run dev` plays against the fake gateway in mock/; `npm run dev:gateway` passes /v1 to a real one.
const gateway = process.env["LONGREIN_GATEWAY"] ?? "http://127.0.0.1:7070";

export default defineConfig({
  plugins: [solid()],
  build: { target: "es2023", sourcemap: true, reportCompressedSize: false },
  server: { host: "127.0.0.1", port: 5173, proxy: { "/v1": { target: gateway } } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
