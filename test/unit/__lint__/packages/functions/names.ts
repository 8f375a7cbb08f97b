import "commander"; // refused: functions/names.ts may not import the SDK commander
