import "#core/ports.ts";
import "stripe";
import "@aws-sdk/client-sqs";
import "better-auth/minimal";
import "@better-auth/api-key";
import "@aws-lambda-powertools/logger";
