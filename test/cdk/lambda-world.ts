import { fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { on, once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { TLSSocket } from "node:tls";
import { z } from "zod";
import { systemClock } from "#adapters/clock.ts";
import { freePort } from "#local/free-port.ts";
import { startPostgres } from "#local/postgres.ts";
import { serveStripeStandIn } from "#local/stripe/serve.ts";
import { runSql } from "#test/harness/database.ts";
import { folderInMemory } from "#test/harness/folder-in-memory.ts";

/** A self-signed certificate for `localhost`, valid to 2120, with its key. It protects nothing. */
const CERTIFICATE = path.join(import.meta.dirname, "localhost.pem");
export const STRIPE_WEBHOOK_SECRET = "whsec_test";
/** What CloudFront shows at the entrance. */
export const ENTRANCE = "e".repeat(64);
const STRIPE_API_KEY = "sk_test_x";

/** What a Lambda finds around it: Secrets Manager, SQS, Stripe (its stand-in), and a Postgres that speaks TLS only, as Aurora does. */
export type LambdaWorld = Readonly<{
  env: Readonly<Record<string, string>>;
  /** What is otherwise around the one that migrates: the owner's secret, and who is to be let in. */
  migrationEnv: Readonly<Record<string, string>>;
  /** What was sent to SQS, oldest first. */
  sent: readonly { queueUrl: string; body: unknown }[];
  stop: () => Promise<void>;
}>;

export async function startLambdaWorld(): Promise<LambdaWorld> {
  const folder = await folderInMemory("berth-lambda-");
  const password = randomBytes(12).toString("hex");
  const postgres = await startPostgres({
    folder: path.join(folder, "data"),
    port: await freePort(),
    password,
    throwaway: true,
  });
  await runSql(postgres.url("postgres"), "create database berth");
  const databaseUrl = postgres.url("berth");
  const tls = await startTls(postgres.port);
  const stripe = await serveStripeStandIn({
    port: 0,
    clock: systemClock,
    apiKey: STRIPE_API_KEY,
    log: { info: () => undefined, error: () => undefined },
  });
  const sent: { queueUrl: string; body: unknown }[] = [];
  const aws = await startAws(sent, {
    "arn:db": JSON.stringify({
      host: "localhost",
      port: tls.port,
      username: new URL(databaseUrl).username,
      password,
      dbname: "berth",
    }),
    "arn:login": JSON.stringify({
      host: "localhost",
      port: tls.port,
      username: "berth_functions_of_the_test",
      password: randomBytes(12).toString("hex"),
      dbname: "berth",
    }),
    "arn:stripe": JSON.stringify({
      apiKey: STRIPE_API_KEY,
      webhookSecret: STRIPE_WEBHOOK_SECRET,
    }),
    "arn:entrance": JSON.stringify({ a: ENTRANCE, b: "" }),
    "arn:auth": randomBytes(32).toString("hex"),
    "arn:sealing": randomBytes(32).toString("hex"),
  });
  return {
    env: {
      AWS_REGION: "eu-central-1",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      AWS_ENDPOINT_URL: aws.url,
      NODE_OPTIONS: "--enable-source-maps",
      NODE_EXTRA_CA_CERTS: CERTIFICATE,
      BERTH_PUBLIC_URL: "https://api.example.com",
      BERTH_DATABASE_SECRET_ARN: "arn:login",
      BERTH_STRIPE_SECRET_ARN: "arn:stripe",
      BERTH_AUTH_SECRET_ARN: "arn:auth",
      BERTH_SEALING_SECRET_ARN: "arn:sealing",
      BERTH_ENTRANCE_SECRET_ARN: "arn:entrance",
      BERTH_PURCHASES_URL: `${aws.url}/123456789012/purchases`,
      BERTH_BILLING_EVENTS_URL: `${aws.url}/123456789012/billing-events`,
      BERTH_OUTBOX_EVENTS_URL: `${aws.url}/123456789012/outbox-events`,
      BERTH_STRIPE_API_URL: stripe.url,
      BERTH_HOST_ROLE_ARN: "arn:aws:iam::123456789012:role/host",
    },
    migrationEnv: { BERTH_DATABASE_SECRET_ARN: "arn:db", BERTH_LOGIN_SECRET_ARNS: "arn:login" },
    sent,
    stop: async () => {
      await Promise.all([tls.stop(), aws.stop(), stripe.close()]);
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Postgres' own start of TLS (protocol 3.0, `SSLRequest`) in front of a server without it. Plain text is refused. */
async function startTls(port: number) {
  const pem = await readFile(CERTIFICATE, "utf8");
  const server = createTcpServer((socket) => {
    socket.once("error", () => socket.destroy());
    socket.once("data", (first) => {
      if (first.length !== 8 || first.readUInt32BE(4) !== 80_877_103) return socket.destroy();
      socket.write("S");
      const secure = new TLSSocket(socket, { isServer: true, key: pem, cert: pem });
      const plain = connect(port, "127.0.0.1");
      for (const end of [secure, plain]) {
        end.once("error", () => end.destroy());
        end.once("close", () => [secure, plain].forEach((other) => other.destroy()));
      }
      secure.pipe(plain).pipe(secure);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: portOf(server), stop: async () => void server.close() };
}

const GetSecret = z.object({ SecretId: z.string() });
const SendBatch = z.object({
  QueueUrl: z.string(),
  Entries: z.array(z.object({ Id: z.string(), MessageBody: z.string() })),
});

/** The two calls of AWS that these Lambdas make, in AWS's JSON protocol. */
async function startAws(
  sent: { queueUrl: string; body: unknown }[],
  secrets: Readonly<Record<string, string>>,
) {
  const calls: Record<string, (body: unknown) => unknown> = {
    "secretsmanager.GetSecretValue": (body) => ({
      SecretString: secrets[GetSecret.parse(body).SecretId],
    }),
    "AmazonSQS.SendMessageBatch": (body) => {
      const { QueueUrl, Entries } = SendBatch.parse(body);
      sent.push(...Entries.map((e) => ({ queueUrl: QueueUrl, body: JSON.parse(e.MessageBody) })));
      return {
        Successful: Entries.map((e) => ({
          Id: e.Id,
          MessageId: e.Id,
          MD5OfMessageBody: createHash("md5").update(e.MessageBody).digest("hex"),
        })),
      };
    },
  };
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const call = calls[String(request.headers["x-amz-target"])];
      response.writeHead(call ? 200 : 400, { "content-type": "application/x-amz-json-1.1" });
      response.end(
        JSON.stringify(call ? call(JSON.parse(body)) : { __type: "UnknownOperationException" }),
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function portOf(server: Pick<Server, "address">): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  return address.port;
}

const Message = z.union([
  z.object({ loaded: z.literal(true) }),
  z.object({ answer: z.unknown() }),
  z.object({ error: z.string() }),
]);

/** What a Lambda is called with; or made from the answers before it. */
export type Call = object | ((answers: readonly unknown[]) => object);

const { NODE_COMPILE_CACHE } = process.env;
const compileCache = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };

/** Runs a bundle in a fresh process with nothing in its environment but `env`, over `events` in order. */
export async function invoke(
  file: string,
  env: Readonly<Record<string, string>>,
  events: readonly Call[],
): Promise<{ answers: unknown[]; output: string }> {
  const child = fork(new URL("./invoke-bundle.ts", import.meta.url), [file], {
    // What Node compiled in an earlier start of the bundle need not be compiled again.
    env: { ...env, ...compileCache },
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  const gone = new AbortController();
  child.once("exit", () => gone.abort());
  const answers: unknown[] = [];
  try {
    for await (const [raw] of on(child, "message", { signal: gone.signal })) {
      const message = Message.parse(raw);
      if ("error" in message) throw new Error(`the handler threw: ${message.error}\n${output}`);
      if ("answer" in message) answers.push(message.answer);
      const event = events[answers.length];
      if (event === undefined) return { answers, output };
      child.send(typeof event === "function" ? event(answers) : event);
    }
    throw new Error("unreachable: the loop ends by returning");
  } catch (cause) {
    if (!gone.signal.aborted) throw cause;
    throw new Error(`${file} ended before it answered:\n${output}`, { cause });
  } finally {
    child.kill();
  }
}
