export const here = 1; // refused: functions/routes/staff/adding.ts is no area
