/** Sign-in with an operator's token. The token goes into an http-only session and is not kept here. */
import { call } from "./api.js";
import { byId, h } from "./dom.js";
import { prose } from "./parts.js";

/** @param {{ why?: string, onSignedIn(operator: { name: string, scope: string }): void }} options */
export function createSignIn({ why, onSignedIn }) {
  const trouble = h("div", { role: "alert", id: "sign-in-trouble" });
  const token = /** @type {HTMLInputElement} */ (
    h("input", {
      type: "password",
      name: "token",
      required: true,
      autocomplete: "current-password",
      "aria-describedby": "sign-in-trouble",
    })
  );
  const go = /** @type {HTMLButtonElement} */ (h("button", { class: "main", type: "submit" }, "Sign in"));
  const form = h(
    "form",
    { class: "card sign-in" },
    h("h1", { tabindex: -1 }, "Sign in"),
    why && h("p", { role: "status" }, why),
    // Without a name beside it, password managers do not know what they keep.
    h("input", { name: "username", autocomplete: "username", value: "dropless", hidden: true }),
    h("label", null, "Your token", token),
    trouble,
    go,
    h(
      "p",
      { class: "faint" },
      "No token yet? On the server: ",
      h("code", null, "dropless token create NAME --scope deploy"),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      const { operator } = await call("POST", "session", { token: token.value });
      onSignedIn(operator);
    } catch (error) {
      const { message, hint } = /** @type {import("./api.js").Problem} */ (error);
      trouble.replaceChildren(
        h("p", { class: "verdict bad" }, h("strong", null, message, "."), " ", prose(hint)),
      );
      go.disabled = false;
      token.focus();
      token.select();
    }
  });
  document.title = "Sign in · dropless";
  byId("main").replaceChildren(form);
  token.focus();
  return { close() {} };
}
