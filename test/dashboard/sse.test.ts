import fc from "fast-check";
import { expect, it } from "vitest";
import { createSseReader } from "../../src/dashboard/page/sse.js";
import { formatSse } from "../../src/http/sse.js";

it("reads what the daemon sends, wherever the network cuts it", () => {
  const stream = [
    formatSse("1", "status", { status: "running" }),
    ": heartbeat\n\n",
    formatSse("2", "log", { line: 1, text: "id: 9\n\nevent: end <b>" }),
    "event: log\ndata: {half\n\n",
    formatSse("end", "end", { id: "x" }),
  ].join("");
  const expected = [
    { id: "1", event: "status", data: { status: "running" } },
    { id: "2", event: "log", data: { line: 1, text: "id: 9\n\nevent: end <b>" } },
    { id: "end", event: "end", data: { id: "x" } },
  ];
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: stream.length })), (cuts) => {
      const read = createSseReader();
      const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const events = edges.slice(1).flatMap((edge, index) => read(stream.slice(edges[index], edge)));
      expect(events).toEqual(expected);
    }),
  );
  expect(createSseReader()(stream.slice(0, 20))).toEqual([]);
});
