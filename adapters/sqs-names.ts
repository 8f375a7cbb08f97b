/** SQS's own limit for SendMessageBatch. */
export const SEND_BATCH = 10;

export const hostQueueName = (hostId: string): string => `berth-host-${hostId}`;
