import { pathToFileURL } from "node:url";

/*
 * The program of a fresh process that stands for one Lambda instance: loads the bundle, and hands its handler the
 * events that the parent sends, one after another. An event that makes the handler throw is answered with the error.
 */

const file = process.argv[2];
if (file === undefined || process.send === undefined)
  throw new Error("fork me with a bundle's path");
const send = process.send.bind(process);

const bundle: { handler: (event: unknown, context: unknown) => Promise<unknown> } = await import(
  pathToFileURL(file).href
);
send({ loaded: true });

process.on("message", (event) => {
  bundle.handler(event, { awsRequestId: "test" }).then(
    (answer) => send({ answer: answer ?? null }),
    (error: unknown) => send({ error: error instanceof Error ? error.stack : String(error) }),
  );
});
