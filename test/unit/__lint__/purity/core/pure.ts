export const later = (now: Date): Date => new Date(+now + 1000);
export const parsed = Date.parse("2026-01-01T00:00:00Z");
