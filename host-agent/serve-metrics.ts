import { createServer } from "node:http";
import { METRICS_TYPE, type MetricsRegistry } from "#core/metrics-registry.ts";
import type { Log } from "#core/ports.ts";
import type { Agent } from "./agent.ts";
import { tellReadings, type AGENT_METRICS } from "./metrics.ts";

export type ListenAddress = Readonly<{ host: string; port: number }>;

/** More than monitoring ever needs at once: whoever opens more is turned away. */
const MOST_CONNECTIONS = 16;
const LATE_MS = 10_000;

/** `9109` (loopback), `127.0.0.1:9109` or `[::1]:9109`; null: it is none of these. 0 is a port that is free. */
export function listenAddress(text: string): ListenAddress | null {
  const found = /^(?:(?<host>[\w.-]+|\[[\da-f:.]+\]):)?(?<port>\d{1,5})$/i.exec(text)?.groups;
  const port = Number(found?.["port"]);
  if (!found || port > 65_535) return null;
  return { host: (found["host"] ?? "127.0.0.1").replace(/^\[|\]$/g, ""), port };
}

export type ServedMetrics = Readonly<{ url: string; close: () => Promise<void> }>;

/** Serves `GET /metrics`, and nothing else. Throws when it cannot listen there. */
async function serveMetrics(
  at: ListenAddress,
  page: () => string,
  log: Log,
): Promise<ServedMetrics> {
  const server = createServer((request, response) => {
    const path = request.url?.split("?", 1)[0];
    if (path !== "/metrics") response.writeHead(404).end();
    else if (request.method !== "GET" && request.method !== "HEAD")
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    else response.writeHead(200, { "content-type": METRICS_TYPE }).end(page());
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.requestTimeout = LATE_MS;
  server.headersTimeout = LATE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(at.port, at.host, resolve);
  });
  server.on("error", (error) => log.error("metrics_failed", { error: String(error) }));
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : at.port;
  const host = at.host.includes(":") ? `[${at.host}]` : at.host;
  return {
    url: `http://${host}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * Serves what an agent counts, and what it reads when it is asked. A port that is taken is told, and no reason to leave the
 * host's VMs alone: then undefined.
 */
export async function serveOwnMetrics(
  options: Readonly<{ metricsListen: ListenAddress | null; driver: string }>,
  of: Readonly<{
    metrics: MetricsRegistry<typeof AGENT_METRICS>;
    agent: Pick<Agent, "readings">;
    agentVersion: string;
    log: Log;
  }>,
): Promise<ServedMetrics | undefined> {
  const { metricsListen: at, driver } = options;
  const { metrics, agent, agentVersion: version, log } = of;
  if (at === null) return undefined;
  metrics.set("berth_agent_build_info", { version, driver }, 1);
  const page = () => {
    tellReadings(metrics, agent.readings());
    return metrics.text();
  };
  try {
    const served = await serveMetrics(at, page, log);
    log.info("metrics_served", { url: served.url });
    return served;
  } catch (error) {
    log.error("metrics_not_served", { ...at, error: String(error) });
    return undefined;
  }
}
