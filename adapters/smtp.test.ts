import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSmtpMail } from "./smtp.ts";

const MAIL = {
  id: "0199f0a2",
  to: "ada@example.com",
  subject: "Ваш сервер готов",
  text: "A line.\n.\nhttps://a.example/#x\n",
  html: "<p>Größe</p>",
};

/** What a server was told, of a mail that it took. */
let taken: { from: string; to: string[]; data: string }[];
let refuses: string | undefined;
let silent: boolean;
let server: Server;
let port: number;
const open = new Set<Socket>();

/** As much of RFC 5321 as a client needs to hand over a mail. */
function serve(socket: Socket): void {
  open.add(socket);
  socket.on("error", () => undefined);
  let rest = "";
  let mail = { from: "", to: [] as string[], data: "" };
  let isData = false;
  const say = (line: string) => void socket.write(`${line}\r\n`);
  if (!silent) say("220 test");
  socket.on("data", (bytes) => {
    rest += bytes.toString();
    for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 2);
      if (isData && line !== ".") mail.data += `${line.replace(/^\.\./, ".")}\n`;
      else if (isData) {
        isData = false;
        taken.push(mail);
        mail = { from: "", to: [], data: "" };
        say("250 taken");
      } else if (line.startsWith("MAIL FROM:")) {
        mail.from = line.slice(10);
        say("250 ok");
      } else if (line.startsWith("RCPT TO:")) {
        mail.to.push(line.slice(8));
        say(refuses ?? "250 ok");
      } else if (line === "DATA") {
        isData = true;
        say("354 go on");
      } else say(line === "QUIT" ? "221 bye" : "250 ok");
    }
  });
}
beforeEach(async () => {
  taken = [];
  refuses = undefined;
  silent = false;
  server = createServer(serve).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  port = address.port;
});
afterEach(() => {
  for (const socket of open) socket.destroy();
  open.clear();
  server.close();
});
const send = (over: Partial<typeof MAIL> = {}) =>
  createSmtpMail({
    url: `smtp://127.0.0.1:${port}`,
    from: "Berth <berth@example.org>",
    answerWithinMs: 2000,
  }).send({ ...MAIL, ...over });

test("a mail is handed over in both forms, under the same name at each try", async () => {
  await send();
  await send();
  const [first, second] = taken;
  expect(first).toMatchObject({ from: "<berth@example.org>", to: ["<ada@example.com>"] });
  expect(first?.data).toContain("multipart/alternative");
  expect(first?.data).toContain("\nMessage-ID: <0199f0a2@example.org>\n");
  expect(second?.data).toContain("\nMessage-ID: <0199f0a2@example.org>\n");
  expect(first?.data).toMatch(/text\/plain[^]*https:\/\/a\.example\/#x[^]*text\/html/);
  expect(first?.data).toContain("Subject: =?UTF-8?B?");
});

test("neither a subject nor an address adds a recipient or a header", async () => {
  await send({ subject: "a\r\nBcc: eve@example.com" });
  await send({ to: "ada@example.com, eve@example.com" }).catch(() => undefined);
  expect(taken.flatMap(({ to }) => to)).not.toContain("<eve@example.com>");
  expect(taken.map(({ data }) => data).join("")).not.toMatch(/^Bcc:/m);
});

test("one that the server does not take throws its code, and not its words", async () => {
  refuses = "550 5.1.1 ada@example.com is unknown here";
  await expect(send()).rejects.toThrow(/^mail: EENVELOPE 550$/);
});

test("a server that is silent is not waited for", async () => {
  silent = true;
  const mail = createSmtpMail({
    url: `smtp://127.0.0.1:${port}`,
    from: "berth@example.org",
    answerWithinMs: 50,
  });
  await expect(mail.send(MAIL)).rejects.toThrow(/^mail: ETIMEDOUT$/);
});

test("a server that is not there is told as such", async () => {
  const mail = createSmtpMail({ url: "smtp://127.0.0.1:1", from: "berth@example.org" });
  await expect(mail.send(MAIL)).rejects.toThrow(/^mail: ESOCKET|ECONNECTION$/);
});
