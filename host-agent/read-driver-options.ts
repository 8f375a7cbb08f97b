import { readFile } from "node:fs/promises";
import { UsageError, type DriverChoice } from "./cli.ts";

/** The driver's options from wherever they come; the last named wins: config file, `--driver-config`, `--driver-option`. */
export async function readDriverOptions(choice: DriverChoice): Promise<unknown> {
  const { fileOptions, driverConfigFile: file, driverOptions } = choice;
  if (file === null) return { ...fileOptions, ...driverOptions };
  const text = await readOption("--driver-config", file);
  try {
    return { ...fileOptions, ...JSON.parse(text), ...driverOptions };
  } catch (cause) {
    throw new UsageError(`--driver-config ${file} is not JSON`, { cause });
  }
}

export async function readOption(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new UsageError(`${option} cannot be read: ${file}`, { cause });
  }
}
