import { vi } from "vitest";

vi.mock("#core/ids.ts");
