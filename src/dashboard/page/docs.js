/** The HTTP interface, read from its own description: what may be called, by whom, and what comes back. */
import { get } from "./api.js";
import { byId, h } from "./dom.js";
import { prose } from "./parts.js";

/** @typedef {Record<string, any>} Json */

/** @type {Record<string, string>} */
const whoWords = {
  token: "an operator's token",
  deployToken: "the deploy's own token",
  signature: "a signature with one of the app's secrets",
  identityToken: "an identity token of GitHub Actions",
};

/** @param {string} method @param {string} path */
const anchor = (method, path) => `${method}-${path.replace(/[^a-z]+/gi, "-").replace(/^-|-$/g, "")}`;

/** @param {Json} schema @returns {string} */
function typeOf(schema) {
  if (schema.enum) return schema.enum.map((/** @type {unknown} */ one) => JSON.stringify(one)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  return schema.type ?? "anything";
}

/** The object that a schema has to do with: itself, one of a list, or one that may be null. @param {Json} schema @returns {Json | undefined} */
const objectIn = (schema) =>
  schema.properties
    ? schema
    : schema.items
      ? objectIn(schema.items)
      : schema.anyOf?.map(objectIn).find((/** @type {unknown} */ one) => one);

/** @param {Json} schema @returns {HTMLElement} */
const fields = ({ properties = {}, required = [] }) =>
  h(
    "dl",
    { class: "fields" },
    Object.entries(properties).map(([name, of]) => {
      const inner = objectIn(of);
      return h(
        "div",
        null,
        h(
          "dt",
          null,
          h("code", null, name),
          !required.includes(name) && h("span", { class: "faint" }, " optional"),
        ),
        h("dd", null, h("span", { class: "faint" }, typeOf(of)), inner && fields(inner)),
      );
    }),
  );

/** @param {Json} [body] What a request or an answer carries. */
function carried(body) {
  const [[type, { schema }] = ["", { schema: {} }]] = Object.entries(body?.content ?? {});
  const name = schema.$ref?.split("/").pop();
  return { type, name, schema };
}

/** @param {Json[]} parameters */
const parameterTable = (parameters) =>
  h(
    "table",
    null,
    h("caption", null, "Parameters"),
    h("tbody", null, [
      parameters.map(({ name, in: place, required, schema }) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, h("code", null, name)),
          h("td", null, `in the ${place}${required ? "" : ", optional"}`),
          h("td", { class: "faint" }, typeOf(schema)),
        ),
      ),
    ]),
  );

/** @param {string} path @param {string} method @param {Json} call */
function callCard(path, method, { summary, security = [], parameters = [], requestBody, responses }) {
  const id = anchor(method, path);
  const body = carried(requestBody);
  const who = security.flatMap(Object.keys).map((/** @type {string} */ name) => whoWords[name] ?? name);
  return h(
    "article",
    { class: "card call", "aria-labelledby": id },
    h(
      "h3",
      { id },
      h("span", { class: `method ${method}` }, method.toUpperCase()),
      " ",
      h("code", null, path),
    ),
    h("p", null, prose(summary)),
    h("p", { class: "faint" }, who.length > 0 ? `Needs ${who.join(", or ")}.` : "Anyone may ask."),
    parameters.length > 0 && parameterTable(parameters),
    body.schema.properties && [h("h4", null, "Body"), fields(body.schema)],
    h(
      "table",
      null,
      h("caption", null, "Answers"),
      h(
        "tbody",
        null,
        Object.entries(responses).map(([status, answer]) => {
          const { type, name } = carried(answer);
          return h(
            "tr",
            null,
            h("th", { scope: "row" }, status === "default" ? "else" : status),
            h("td", null, prose(answer.description)),
            h("td", { class: "faint" }, name ? h("a", { href: `#${name}` }, name) : type),
          );
        }),
      ),
    ),
  );
}

/** @param {Json} description */
function draw({ info, servers, paths, components }) {
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(/** @type {Json} */ (methods)).map(([method, call]) => ({ path, method, call })),
  );
  byId("main").replaceChildren(
    h("h1", null, "The HTTP interface"),
    h(
      "p",
      { class: "faint" },
      `dropless ${info.version} at `,
      h("code", null, servers[0].url),
      ". For programs: ",
      h("a", { href: "openapi.json" }, "openapi.json"),
      ", OpenAPI 3.1.",
    ),
    h(
      "p",
      null,
      "A token goes into the header ",
      h("code", null, "Authorization: Bearer TOKEN"),
      "; never into an address.",
    ),
    h(
      "nav",
      { "aria-label": "Calls" },
      h(
        "ul",
        { class: "calls" },
        calls.map(({ path, method, call }) =>
          h(
            "li",
            null,
            h(
              "a",
              { href: `#${anchor(method, path)}` },
              h("span", { class: `method ${method}` }, method.toUpperCase()),
              " ",
              h("code", null, path),
            ),
            h("span", { class: "faint" }, prose(call.summary)),
          ),
        ),
      ),
    ),
    h("h2", null, "Calls"),
    ...calls.map(({ path, method, call }) => callCard(path, method, call)),
    h("h2", null, "Answers"),
    ...Object.entries(components.schemas).map(([name, schema]) =>
      h(
        "article",
        { class: "card call", "aria-labelledby": name },
        h("h3", { id: name }, name),
        fields(schema),
      ),
    ),
  );
  // The address named its place before there was one.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  draw(await get("openapi.json"));
} catch (error) {
  const { status, message, hint } = /** @type {import("./api.js").Problem} */ (error);
  byId("main").replaceChildren(
    h("h1", null, status === 401 ? "Sign in first" : message),
    h(
      "p",
      null,
      status === 401 ? "Who may read deploys may read this page too. " : `${hint} `,
      h("a", { href: "./" }, status === 401 ? "Sign in" : "To the apps and deploys"),
      ".",
    ),
  );
}
