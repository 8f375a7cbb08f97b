import {
  handle,
  type APIGatewayProxyResult,
  type LambdaContext,
  type LambdaEvent,
} from "hono/aws-lambda";
import { lambda } from "#commands/runtime.ts";
import { createApi } from "./app.ts";
import { heldMethod } from "./methods.ts";

/** The API's Lambda, behind an HTTP API of API Gateway. */
export const handler = lambda<LambdaEvent, LambdaContext, APIGatewayProxyResult>((deps) => {
  const serve = handle(createApi(deps));
  return async (event, context) => {
    // The one address that API Gateway saw, for the log-in rate limits; whatever the client sent is overwritten.
    if (event.headers && "http" in event.requestContext)
      event.headers["x-berth-client-ip"] = event.requestContext.http.sourceIp;
    if ("http" in event.requestContext)
      event.requestContext.http.method = heldMethod(event.requestContext.http.method);
    return serve(event, context);
  };
});
