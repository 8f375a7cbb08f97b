import { spawn } from "node:child_process";

/** Of Debian's package `prometheus`. Answers its exit code and all that it said; throws when there is none. */
export function promtool(
  args: readonly string[],
  input = "",
): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn("promtool", args, { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    child.on("error", (cause) =>
      reject(
        new Error("promtool is missing: apt-get install --no-install-recommends prometheus", {
          cause,
        }),
      ),
    );
    child.on("close", (code) => resolve({ code, said }));
    child.stdin.end(input);
  });
}
