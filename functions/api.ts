import {
  handle,
  type APIGatewayProxyResult,
  type LambdaContext,
  type LambdaEvent,
} from "hono/aws-lambda";
import { httpLambda } from "#commands/runtime.ts";
import { createApi } from "./app.ts";
import { withHeldMethod } from "./methods.ts";

/** The Lambda of customers and staff, behind CloudFront and an HTTP API of API Gateway. */
export const handler = httpLambda<LambdaEvent, LambdaContext, APIGatewayProxyResult>((deps) => {
  const serve = handle(createApi(deps));
  return async (event, context) => serve(withHeldMethod(event), context);
});
