import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";

const ROOT = path.join(import.meta.dirname, "../..");
const run = promisify(execFile);

let folder: string;
let document: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "berth-lint-openapi-"));
  document = await readFile(path.join(ROOT, "docs/openapi.json"), "utf8");
});
afterAll(() => rm(folder, { recursive: true }));

/** What the linter says of the document after `plant` has changed it; nothing when it is content. */
async function said(plant: (doc: z.infer<typeof Doc>) => void): Promise<string> {
  const doc = Doc.parse(JSON.parse(document));
  plant(doc);
  const file = path.join(folder, "openapi.json");
  await writeFile(file, JSON.stringify(doc));
  try {
    await run(process.execPath, [path.join(ROOT, "scripts/lint-openapi.ts"), file]);
    return "";
  } catch (error) {
    return z.object({ code: z.literal(1), stderr: z.string() }).parse(error).stderr;
  }
}
const Doc = z.looseObject({
  servers: z.array(z.unknown()).optional(),
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ security: z.unknown() }))),
  components: z.looseObject({ schemas: z.record(z.string(), z.looseObject({})) }),
});

describe("the linter of the OpenAPI document", () => {
  it("is content with the document as it is", async () => {
    expect(await said(() => undefined)).toBe("");
  });

  it("finds what Redocly's recommended rules refuse, as an error or as a warning", async () => {
    const found = await said((doc) => {
      delete doc.servers;
      delete doc.paths["/v1/plans"]?.["get"]?.security;
      doc.components.schemas["Unused"] = { type: "string" };
    });
    expect(found).toContain("(no-empty-servers, error)");
    expect(found).toContain("~1v1~1plans/get: Every operation should have security defined");
    expect(found).toContain("(no-unused-components, warn)");
  });

  it("finds a nested object or enum without a name, and two names that are one in Go", async () => {
    const found = await said((doc) => {
      const { schemas } = doc.components;
      Object.assign(schemas["Vm"] ?? {}, {
        properties: {
          suspended: { type: "array", items: { type: "string", enum: ["overdue"] } },
          power: { type: "object", properties: { on: { type: "boolean" } } },
        },
      });
      schemas["VmStatus"] = { type: "string", enum: ["suspended"] };
      schemas["VmStatusSuspended"] = { type: "string" };
    });
    expect(found).toContain("#/components/schemas/Vm/properties/suspended/items: it has no name");
    expect(found).toContain("#/components/schemas/Vm/properties/power: it has no name");
    expect(found).toContain("in Go it is VmStatusSuspended, as is ");
  });
});
