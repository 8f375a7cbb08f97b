export const here = 1; // refused: functions/routes/staff/orders/place.ts is no area
