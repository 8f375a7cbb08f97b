import { vi } from "vitest";

vi.mock("#core/ids.ts"); // refused: Files share a process: only test/compat replaces modules.
vi.doMock("#core/ids.ts"); // refused: Files share a process: only test/compat replaces modules.
vi.resetModules(); // refused: Files share a process: only test/compat replaces modules.
vi.stubEnv("PATH", "/bin");
