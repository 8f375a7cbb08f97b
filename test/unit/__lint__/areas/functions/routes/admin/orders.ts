export const here = 1; // refused: functions/routes/admin is no caller
