import { defineConfig } from './src/shared/config/worker-config.ts';

/** Data only. Everything has a default; see the table in README.md. Keys are named here, never written. */
export default defineConfig({});
