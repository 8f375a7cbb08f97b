import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { minutesAfter } from "#test/builders.ts";
import { createMailFolder } from "./mail.ts";

test("a mail lies in the folder as a message of two parts, its link in one piece", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "berth-mail-"));
  try {
    const subject = "Berth: Это ваш адрес, и ещё несколько слов, чтобы их было много?";
    const link = `http://127.0.0.1:8787/account/verify-email#${"s".repeat(43)}`;
    await createMailFolder(folder, { now: () => minutesAfter(0) }).send({
      id: "0199f0a2",
      to: "ada@example.com\r\nBcc: eve@example.com",
      subject,
      text: `Привет\n\n${link}\n`,
      html: "<p>Привет</p>\n",
    });
    const [name = ""] = await readdir(folder);
    const message = await readFile(path.join(folder, name), "utf8");
    const [head = "", ...parts] = message.split("--=_0199f0a2");
    expect(parts.map((part) => part.split("\r\n")[1])).toEqual([
      "Content-Type: text/plain; charset=utf-8",
      "Content-Type: text/html; charset=utf-8",
      "",
    ]);
    expect(parts[0]).toContain(`\r\n\r\nПривет\r\n\r\n${link}\r\n`);
    expect(head).not.toMatch(/^Bcc:/m);
    const shown = /^Subject: (.*(?:\r\n .*)*)/m.exec(head)?.[1] ?? "";
    const words = shown.split("\r\n ");
    expect(Math.max(...words.map((word) => word.length))).toBeLessThanOrEqual(75);
    expect(
      words.map((word) => Buffer.from(word.slice(10, -2), "base64").toString("utf8")).join(""),
    ).toBe(subject);
    expect(message.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
