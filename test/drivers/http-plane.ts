import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { importJWK, jwtVerify } from "jose";
import { EnrollRequest } from "#core/contracts/agent/channel.ts";
import { UsageBatch } from "#core/contracts/agent/usage.ts";
import { AgentReport } from "#core/contracts/agent/report.ts";
import type { FakeControlPlane } from "./fake-control-plane.ts";

/**
 * A small control plane over HTTP for many hosts, each under a path of its own. It checks every signature as the
 * real one must, so what the agent sends is the real wire.
 */
export async function startHttpPlane() {
  const hosts = new Map<string, { plane: FakeControlPlane; key: string | null }>();
  const server = createServer((request, response) => {
    answer(request).then(
      ({ status, body, headers = {} }) => {
        response.writeHead(status, { "content-type": "application/json", ...headers });
        response.end(body === undefined ? "" : JSON.stringify(body));
      },
      (error: unknown) => {
        response.writeHead(500, { "content-type": "application/problem+json" });
        response.end(JSON.stringify({ code: "broken_test", detail: String(error) }));
      },
    );
  });

  type Answer = { status: number; body?: unknown; headers?: Record<string, string> };
  const problem = (status: number, code: string): Answer => ({
    status,
    body: { code, detail: code },
  });

  async function answer(request: IncomingMessage): Promise<Answer> {
    const target = request.url ?? "";
    const [, name = "", route = ""] = /^\/([^/]+)\/agent\/v1\/([a-z]+)/.exec(target) ?? [];
    const host = hosts.get(name);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks).toString();
    if (!host) return problem(404, "not_found");
    if (route === "enroll") {
      host.key = EnrollRequest.parse(JSON.parse(body)).publicKey.x;
      const { hostId, session_ } = host.plane;
      const releaseKey = session_.releases?.key;
      return { status: 200, body: { hostId, identityEpoch: 1, releaseKey } };
    }
    if (request.headers.authorization === undefined) return problem(401, "agent_token_invalid");
    if (!(await isSigned(request, target, body, host))) return problem(401, "identity_revoked");
    switch (`${request.method} ${route}`) {
      case "POST session":
        return { status: 200, body: await host.plane.session() };
      case "GET desired": {
        const etag = request.headers["if-none-match"]?.replaceAll('"', "") ?? null;
        const document = await host.plane.desired({ etag, atLeast: null });
        return document === null ? { status: 304 } : { status: 200, body: document };
      }
      case "POST reports":
        await host.plane.report(AgentReport.parse(JSON.parse(body)));
        return { status: 204 };
      case "POST usage":
        return {
          status: 200,
          body: await host.plane.sendUsage(UsageBatch.parse(JSON.parse(body))),
        };
      default:
        return problem(404, "not_found");
    }
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    /** Where the host's agent finds its control plane. */
    add(name: string, plane: FakeControlPlane): string {
      hosts.set(name, { plane, key: null });
      return `http://127.0.0.1:${address.port}/${name}`;
    },
    /** The host's key is good no longer. */
    revoke(name: string): void {
      const host = hosts.get(name);
      if (host) host.key = null;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function isSigned(
  request: IncomingMessage,
  target: string,
  body: string,
  host: { plane: FakeControlPlane; key: string | null },
): Promise<boolean> {
  if (host.key === null) return false;
  const key = await importJWK({ kty: "OKP", crv: "Ed25519", x: host.key }, "EdDSA");
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
  const { payload } = await jwtVerify(token, key, {
    algorithms: ["EdDSA"],
    audience: "berth-agent-api",
    issuer: host.plane.hostId,
    requiredClaims: ["jti", "iat", "exp"],
    maxTokenAge: 60,
  });
  return (
    payload["htm"] === request.method &&
    payload["htu"] === target &&
    payload["bsha256"] === createHash("sha256").update(body).digest("base64url") &&
    Number(payload.exp) - Number(payload.iat) <= 60
  );
}
