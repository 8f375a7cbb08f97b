import {
  handle,
  type APIGatewayProxyResult,
  type LambdaContext,
  type LambdaEvent,
} from "hono/aws-lambda";
import { lambda } from "#commands/runtime.ts";
import { createApi } from "./app.ts";
import { withCallerAddress } from "./caller-address.ts";
import { withHeldMethod } from "./methods.ts";

/** The API's Lambda, behind an HTTP API of API Gateway. */
export const handler = lambda<LambdaEvent, LambdaContext, APIGatewayProxyResult>((deps) => {
  const serve = handle(createApi(deps));
  return async (event, context) => serve(withHeldMethod(withCallerAddress(event)), context);
});
