export const here = 1; // refused: functions/routes/orders.ts is no caller
