import "vitest";
import "#test/builders.ts";
