import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { readKernelFile } from "./read-kernel-file.ts";

test("is read whole, however long it is and wherever a part of it ends", async () => {
  // Of three bytes each, so that no part ends with one.
  const long = "€".repeat(10_000);
  const child = spawn("sh", ["-c", "echo up; read line", long], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  try {
    await once(child.stdout, "data");
    const file = `/proc/${child.pid}/cmdline`;
    expect(await readKernelFile(file)).toBe(await readFile(file, "utf8"));
    expect(await readKernelFile(file)).toContain(`\0${long}\0`);
  } finally {
    child.kill();
  }
});

test("takes little memory beside what it holds", async () => {
  const before = process.memoryUsage().arrayBuffers;
  const files = Array.from({ length: 200 }, () => readKernelFile("/proc/self/stat"));
  await Promise.all(files);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * 1024 ** 2);
});

test("fails where there is none", async () => {
  await expect(readKernelFile("/proc/self/none-of-it")).rejects.toThrow("ENOENT");
});
