/**
 * Real time that a test gives what must happen by itself, which usually takes a second or two: on a machine that is
 * slow and does other work, too. Nothing waits once it has happened, and a test that waits in vain fails either way.
 */
export const PATIENCE_MS = 300_000;
