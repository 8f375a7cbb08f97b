import { expect, test } from "vitest";
import { processedBytes } from "./migrate-live.ts";

/** As virsh of libvirt 9 writes it. */
const info = (processed: string) =>
  `Job type:         Unbounded   \nOperation:        Outgoing migration\nTime elapsed:     1234         ms\n` +
  `Data processed:   ${processed}\nData remaining:   91.003 MiB\nMemory processed: 1.000 MiB\n`;

test.each([
  ["35.689 MiB", 37_422_629],
  ["512.000 B", 512],
  ["1.500 GiB", 1_610_612_736],
])("so much has gone over: %s", (processed, bytes) => {
  expect(processedBytes(info(processed))).toBe(bytes);
});

test("of no job nothing has", () => {
  expect(processedBytes("Job type:         None        \n")).toBe(0);
});
