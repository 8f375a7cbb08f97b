import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Clock, Mail, OutgoingMail } from "#core/ports.ts";

/** Mail that is not sent but laid into a folder, a file each, in the order of their names. The links in them are secrets. */
export function createMailFolder(folder: string, clock: Pick<Clock, "now">): Mail {
  let last = 0;
  return {
    send: async (mail) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const now = clock.now();
      const name = `${now.toISOString().replaceAll(":", "")}-${++last}.eml`;
      await writeFile(path.join(folder, name), messageOf(mail, now), { mode: 0o600 });
    },
  };
}

/**
 * A message that a mail program opens (RFC 5322, RFC 2046 §5.1.4). Its parts are `8bit` and no other encoding, so that whoever
 * looks for a link with `grep` finds it in one piece.
 */
function messageOf({ id, to, subject, text, html }: OutgoingMail, now: Date): string {
  const boundary = `=_${id}`;
  const part = (type: string, content: string) => [
    `--${boundary}`,
    `Content-Type: ${type}; charset=utf-8`,
    "Content-Transfer-Encoding: 8bit",
    "",
    content.replaceAll(/\r?\n/g, "\r\n"),
  ];
  return [
    "From: Berth <berth@localhost>",
    `To: ${to.replaceAll(/[\r\n]/g, "")}`,
    `Subject: ${encodedWords(subject)}`,
    `Date: ${now.toUTCString().replace("GMT", "+0000")}`,
    `Message-ID: <${id}@localhost>`,
    "MIME-Version: 1.0",
    `Content-Type: multipart/alternative; boundary="${boundary}"`,
    "",
    ...part("text/plain", text),
    ...part("text/html", html),
    `--${boundary}--`,
    "",
  ].join("\r\n");
}

/** As a header has what is not ASCII (RFC 2047): words of 75 characters at most, none of which cuts a character in two. */
function encodedWords(said: string): string {
  if (/^[\x20-\x7e]*$/.test(said)) return said;
  const MOST_BYTES = 45;
  const words: string[] = [];
  let word = "";
  for (const character of said) {
    if (Buffer.byteLength(word + character) > MOST_BYTES) {
      words.push(word);
      word = "";
    }
    word += character;
  }
  return [...words, word]
    .map((each) => `=?utf-8?B?${Buffer.from(each).toString("base64")}?=`)
    .join("\r\n ");
}
