/** The demo's app, commit by commit: an ordinary server that knows nothing of dropless or of signals. */

const server = (version) => `const http = require("node:http");
const { builtAt } = require("./build.json");

http
  .createServer((request, response) => {
    if (request.url === "/healthz") return response.end("ok");
    // Some answers take their time: these are the ones that a careless restart loses.
    const delay = request.url === "/slow" ? 600 : 5;
    request.resume().on("end", () =>
      setTimeout(() => {
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ version: "${version}", builtAt }));
      }, delay),
    );
  })
  .listen(process.env.PORT);
`;

const build = `require("node:fs").writeFileSync("build.json", JSON.stringify({ builtAt: new Date() }));
console.log("built");
`;

const manifest = { name: "demo", version: "1.0.0", private: true, scripts: { build: "node build.js" } };
const lock = {
  name: "demo",
  version: "1.0.0",
  lockfileVersion: 3,
  requires: true,
  packages: { "": { name: "demo", version: "1.0.0" } },
};

export const commits = {
  first: {
    message: "The first version",
    files: {
      "package.json": `${JSON.stringify(manifest, null, 2)}\n`,
      "package-lock.json": `${JSON.stringify(lock, null, 2)}\n`,
      "build.js": build,
      "server.js": server("v1"),
    },
  },
  good: { message: "A new version", files: { "server.js": server("v2") } },
  broken: {
    message: "Read the price list from the database",
    files: { "server.js": `const prices = require("./prices.json");\n${server("v3")}` },
  },
};
