import { MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from "#core/accounts/accounts.ts";
import { page, type Page } from "./page.ts";

/**
 * A page that a mailed link opens. Opening it uses nothing up, since programs that look through mail open links too: the
 * person presses the button, and the secret behind `#` goes into the body of a request to `route`.
 */
const linkPage = (title: string, about: string, fieldsHtml: string, route: string): Page =>
  page(
    title,
    `<h1>${title}</h1><p>${about}</p>
<form id="form">${fieldsHtml}<button>${title}</button></form><p id="said" role="status"></p>`,
    `
const form = document.getElementById("form");
const said = document.getElementById("said");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { token: location.hash.slice(1) };
  const password = form.elements.namedItem("password");
  if (password) {
    body.newPassword = password.value;
    body.revokeTokens = form.elements.namedItem("tokens").checked;
  }
  try {
    const answer = await fetch("${route}", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    said.textContent = answer.ok ? "Done. You can close this page." : (await answer.json()).detail;
    form.hidden = answer.ok;
  } catch {
    said.textContent = "No answer came. Please try again.";
  }
});
`,
  );

export const verifyEmailPage = linkPage(
  "Prove your address",
  "Press the button if you made an account with this address.",
  "",
  "/v1/auth/verify-email",
);
export const changeEmailPage = linkPage(
  "Take this address",
  "Press the button if your account is to have this address from now on. You will be logged out everywhere.",
  "",
  "/v1/auth/confirm-new-email",
);
export const resetPasswordPage = linkPage(
  "Choose a new password",
  "You will be logged out everywhere.",
  `<p><label>New password <input name="password" type="password" autocomplete="new-password" required minlength="${MIN_PASSWORD_LENGTH}" maxlength="${MAX_PASSWORD_LENGTH}"></label></p>
<p><label><input name="tokens" type="checkbox"> End my API tokens too</label></p>`,
  "/v1/auth/reset-password",
);
