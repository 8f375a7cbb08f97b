import { readFile } from "node:fs/promises";
import { release } from "node:os";
import path from "node:path";
import { parseEnv } from "node:util";

/**
 * The system that a host runs, as it calls itself, and its kernel (os-release(5)): `Debian GNU/Linux 13 (trixie), Linux 6.12.48`.
 * One that does not say its name is told by its kernel alone. `root` is where its files begin.
 */
export async function readOsVersion(root = "/"): Promise<string> {
  const text =
    (await readFile(path.join(root, "etc/os-release"), "utf8").catch(() => undefined)) ??
    (await readFile(path.join(root, "usr/lib/os-release"), "utf8").catch(() => ""));
  const name = parseEnv(text)["PRETTY_NAME"]?.trim() ?? "";
  return [...(name === "" ? [] : [name]), `Linux ${release()}`].join(", ").slice(0, 200);
}
