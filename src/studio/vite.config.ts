import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const API = process.env.STEPWIRE_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/studio/",
  plugins: [react()],
  build: { outDir: "../stepwire/studio/dist", emptyOutDir: true, target: "es2023", assetsInlineLimit: 0 },
  server: { proxy: { "^/(api|ws|docs|health|studio/(config.json|sign-in|token|sign-out))": { target: API, ws: true } } },
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}"] },
});
