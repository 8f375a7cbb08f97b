import { MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from "./accounts.ts";

/**
 * What people choose first, and so what is guessed first: the stems of the lists that leaks have shown year after year
 * (NIST SP 800-63B §3.1.1.2 asks for such a list). Each stands for all that is made of it by capitals, figures for letters,
 * and figures and signs around it, or by saying it again.
 */
const STEMS: ReadonlySet<string> = new Set(
  (
    "password passwort passw passwd passcode motdepasse contrasena senha parola haslo wachtwoord salasana geheim secret " +
    "letmein welcome willkommen bienvenue bonjour hello hallo iloveyou loveyou lovely admin administrator root user guest " +
    "login default master test testing changeme changeit temp temporary access internet computer server hosting linux " +
    "windows ubuntu debian google facebook samsung berth dragon monkey sunshine princess shadow superman batman pokemon " +
    "starwars trustno football baseball basketball soccer liverpool arsenal chelsea barcelona juventus michael jennifer " +
    "jessica ashley daniel charlie jordan thomas andrew joshua matthew robert nicole hunter killer freedom whatever " +
    "summer winter spring autumn sommer january february march april june july august september october november december " +
    "monday friday sunday flower cookie cheese chocolate banana orange purple butterfly blink qwerty qwertz azerty " +
    "qwertyuiop qwertzuiop azertyuiop asdfgh asdfghjkl zxcvbn zxcvbnm yxcvbnm qazwsx qazwsxedc qwer asdf zxcv abc abcd"
  ).split(" "),
);
/** Keys beside each other, and letters and figures in their order; each is read backwards too. */
const RUNS = [
  "abcdefghijklmnopqrstuvwxyz",
  "01234567890123456789",
  "qwertyuiop",
  "qwertzuiop",
  "azertyuiop",
  "asdfghjkl",
  "zxcvbnm",
  "yxcvbnm",
  "1qaz2wsx3edc4rfv5tgb",
  "1q2w3e4r5t6y7u8i9o0p",
].flatMap((run) => [run, Array.from(run).toReversed().join("")]);
/** Figures and signs that stand for letters. */
const LETTER_OF: Readonly<Record<string, string>> = {
  "0": "o",
  "1": "i",
  "3": "e",
  "4": "a",
  "5": "s",
  "7": "t",
  "@": "a",
  $: "s",
  "!": "i",
};
/** Fewer different characters than this are no password, however many there are. */
const LEAST_DIFFERENT = 5;

/**
 * Whether a guesser would try it early: blank, of a few characters only, keys in a row, a common word however dressed up, or
 * what is known of the account (`about`: its address and name). It judges what is long enough; other rules are not its own.
 */
export function isEasilyGuessed(password: string, about: readonly string[] = []): boolean {
  const text = password.normalize("NFKC").trim().toLowerCase();
  if (new Set(text).size < LEAST_DIFFERENT) return true;
  const once = repeatedPart(text);
  if (RUNS.some((run) => run.includes(once))) return true;
  const own = about
    .flatMap((one) => [one, one.split("@")[0] ?? ""])
    .map((one) => one.toLowerCase());
  const known = (word: string) => STEMS.has(word) || (word !== "" && own.includes(word));
  return [
    once,
    core(once),
    repeatedPart(core(once)),
    core(lettersIn(once)),
    lettersIn(core(once)),
  ].some((word) => known(word) || madeOfTwo(word));
}

/** Why this is no password to choose; undefined where it is one. */
export function passwordFault(password: string, about: readonly string[]): string | undefined {
  if (password.length < MIN_PASSWORD_LENGTH || password.length > MAX_PASSWORD_LENGTH)
    return `a password has ${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH} characters`;
  return isEasilyGuessed(password, about)
    ? "this password is one of the first that are guessed; choose another one"
    : undefined;
}

/** Without figures and signs at its ends, where people put them. */
const core = (text: string): string => text.replaceAll(/^[^\p{L}]+|[^\p{L}]+$/gu, "");
const lettersIn = (text: string): string => Array.from(text, (c) => LETTER_OF[c] ?? c).join("");

/** The shortest part that the whole repeats; the whole where it repeats none. */
function repeatedPart(text: string): string {
  for (let length = 1; length <= text.length / 2; length++)
    if (text.length % length === 0 && text.slice(0, length).repeat(text.length / length) === text)
      return text.slice(0, length);
  return text;
}

/** Two of the common words, one after the other. */
const madeOfTwo = (text: string): boolean =>
  Array.from(text, (_, at) => at).some(
    (at) => at > 0 && STEMS.has(core(text.slice(0, at))) && STEMS.has(core(text.slice(at))),
  );
