import { createClient } from "./api/client.ts";
import { readAnswer } from "./api/read-answer.ts";
import { Failure } from "./failure.ts";
import type { World } from "./world.ts";

/** What the API takes of a token's name (`Label` of `CreateToken`). */
const LONGEST_NAME = 60;

/**
 * A new API token of whoever types an e-mail address and a password, and a code where a second factor is set up. The log-in
 * itself ends with it: what is kept can be seen and revoked apart from it.
 */
export async function makeToken(
  world: World,
  origin: URL,
  email: string | undefined,
): Promise<string> {
  if (!world.stdin.isTty)
    throw new Failure("usage", "no_terminal", "a password is typed by a person", {
      wayOut: "for scripts: berth context add with a token, or BERTH_URL and BERTH_TOKEN",
    });
  const client = createClient(
    { ...world, fetch: withCookies(world.fetch, origin) },
    origin,
    undefined,
  );
  const post = (path: string, body: object) =>
    client.send({ method: "POST", path: `/v1/auth/${path}`, body, repeatable: false });
  const address = email ?? (await world.stdin.line("E-mail address: ", false)).trim();
  const password = await world.stdin.line("Password (not shown): ", true);
  const { body } = await post("sign-in/email", { email: address, password });
  const { HalfLoggedIn } = await import("#core/contracts/auth.ts");
  if (readAnswer(HalfLoggedIn, body).ok) {
    const line = await world.stdin.line(
      "Code of your authenticator app, or a backup code: ",
      false,
    );
    const code = line.trim();
    await post(`two-factor/verify-${/^\d{6}$/.test(code) ? "totp" : "backup-code"}`, { code });
  }
  try {
    const { scopes } = (await client.call("showMe", {})).value;
    const name = `berth on ${world.hostname}`.slice(0, LONGEST_NAME);
    return (await client.call("createToken", { body: { name, scopes } })).value.secret;
  } finally {
    // It ends by itself too; that it could not be ended now is no reason to lose the token.
    await post("sign-out", {}).catch(() => undefined);
  }
}

/** As a browser on a page of the API's own. */
function withCookies(fetch: World["fetch"], origin: URL): World["fetch"] {
  const jar = new Map<string, string>();
  return async (url, init) => {
    const headers = new Headers(init.headers);
    headers.set("origin", origin.origin);
    if (jar.size > 0)
      headers.set("cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "));
    const answer = await fetch(url, { ...init, headers });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=;]+)=([^;]*)/.exec(cookie) ?? [];
      if (name !== undefined && value !== undefined) jar.set(name, value);
    }
    return answer;
  };
}
