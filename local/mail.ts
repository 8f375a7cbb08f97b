import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Clock, Mail } from "#core/ports.ts";

/** Mail that is not sent but laid into a folder, a file each, in the order of their names. The links in them are secrets. */
export function createMailFolder(folder: string, clock: Pick<Clock, "now">): Mail {
  let last = 0;
  return {
    send: async ({ to, subject, text }) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const now = clock.now();
      const name = `${now.toISOString().replaceAll(":", "")}-${++last}.eml`;
      const lines = [
        `From: Berth <berth@localhost>`,
        `To: ${to.replaceAll(/[\r\n]/g, "")}`,
        `Subject: ${subject.replaceAll(/[\r\n]/g, " ")}`,
        `Date: ${now.toUTCString()}`,
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        text,
      ];
      await writeFile(path.join(folder, name), lines.join("\r\n"), { mode: 0o600 });
    },
  };
}
